"""The kinds of values that options have."""

from __future__ import annotations

import pytest

from proxy.configuration import fields


@pytest.mark.parametrize(
    "url",
    ["ftp://h", "h:80", "https://", "https://u:p@h", "https://h?q=1", "https://h#x", "http://h:99999", "http://h /v1",
     "http://h\r\nx: y"],
)  # fmt: skip
def test_what_is_no_address_of_a_provider_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|[Pp]ort"):
        fields.address(url)


@pytest.mark.parametrize("host", ["ü..ü", "a..b", ".a", "a" * 64, "ü" * 64])
def test_a_host_that_no_name_server_can_be_asked_for_is_refused(host: str) -> None:
    for checked in (fields.address, fields.webhook):
        with pytest.raises(ValueError, match="must be the name of a host: between its dots"):
            checked(f"http://{host}/v1")


def test_addresses_pass_as_they_are() -> None:
    for url in ("https://h", "http://127.0.0.1:1/v1", "https://[::1]:8/a/{model}", "http://münchen.example./v1",
                "http://a_b.c/v1", "http://[fe80::1%25eth0]/v1"):  # fmt: skip
        assert fields.address(url) == url


@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "api-key", "X-Token", "cookie", "key", "client_secret"])
def test_a_header_that_looks_like_a_secret_must_be_a_reference(name: str) -> None:
    with pytest.raises(ValueError, match="env:NAME") as caught:
        fields.no_secret({name: "canary"})
    assert "canary" not in str(caught.value)
    assert fields.no_secret({name: "env:X"}) == {name: "env:X"}


def test_ordinary_headers_are_ordinary_and_cannot_smuggle_lines() -> None:
    assert fields.no_secret({"x-team": "tax", "api-version": "1", "x-keyboard": "y"})
    with pytest.raises(ValueError, match="control character"):
        fields.no_secret({"x-team": "a\r\nx-b: c"})


@pytest.mark.parametrize("value", ["env:1A", "env:", "file:", "sk-abc", "ENV:X", "env:A B"])
def test_what_is_no_reference_is_a_secret(value: str) -> None:
    with pytest.raises(ValueError, match="does not stand in the configuration"):
        fields.reference(value)


def test_stores_are_known_and_hold_no_password() -> None:
    for good in ("auto", "memory", "redis://h:1/0", "rediss://h", "unix:///run/v.sock", "env:REDIS_URL"):
        assert fields.store(good) == good
    for bad in ("redis://:canary@h", "postgres://h", "valkey"):
        with pytest.raises(ValueError, match=r"must be|password") as caught:
            fields.store(bad)
        assert "canary" not in str(caught.value)


def test_a_key_is_never_written_where_its_digest_belongs() -> None:
    with pytest.raises(ValueError, match="never the key itself") as caught:
        fields.digest("canary")
    assert "canary" not in str(caught.value)
    assert fields.digest("AB" * 32) == "ab" * 32


def test_listeners_and_networks_are_checked() -> None:
    assert fields.listen("[::]:9464") == "[::]:9464"
    for bad in ("9464", "h:", ":9", "h:99999"):
        with pytest.raises(ValueError, match="HOST:PORT"):
            fields.listen(bad)
    assert fields.networks(("10.0.0.5", "10.0.0.0/8", "::1"))
    with pytest.raises(ValueError, match="no address or network"):
        fields.networks(("10.0.0.999",))


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "connection",
        "upgrade",
        "TE",
        "x-weir-agent",
        "a b",
        "a:",
        "",
        "\u00e4",
    ],
)
def test_headers_that_carry_the_message_are_not_for_the_configuration(name: str) -> None:
    with pytest.raises(ValueError, match=r"is no name of a header|not for the configuration"):
        fields.headers({name: "x"})
    assert fields.headers({"x-team": "tax", "openai-beta": "v=1"})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::", "localhost", "weir.internal", "fe80::1%eth0", "a_b.c."])
def test_hosts_pass_as_they_are(host: str) -> None:
    assert fields.host(host) == host


@pytest.mark.parametrize("host", ["", "not a host", "999.1.1.1", "-a", "a..b", "http://h", "h:80", "[::1]", "a" * 300])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="an address or a name of this machine"):
        fields.host(host)
