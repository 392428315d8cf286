from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.detection.finder import Finder

FINDER = Finder(frozenset({"IP"}))


def found(text: str) -> list[str]:
    return [text[span.start : span.end] for span in FINDER.find(text)]


@given(st.ip_addresses(v=6).filter(lambda address: len(str(address)) > 6))
def test_every_version_6_address_is_found(address: object) -> None:
    assert found(f"from {address}, then") == [str(address)]


@pytest.mark.parametrize(
    "address",
    [
        "52.84.10.77",
        "192.168.1.0/24",
        "2001:db8::/32",
        "2a02:7f2c:fcb::68:738f",
        "fe80::1%eth0",
        "::ffff:192.168.1.1",
        "64:ff9b::192.0.2.33",
        "8443:7166:d98b:3d06:a2ae:eed3:aed0:8fa0",
    ],
)
@pytest.mark.parametrize(
    ("before", "behind"), [("", ""), ("from ", "."), ('"ip":"', '"'), ("`", "`"), ("(", ")"), ("[", "]:80")]
)
def test_an_address_is_found_whole(address: str, before: str, behind: str) -> None:
    assert found(before + address + behind) == [address]


@pytest.mark.parametrize(
    "text",
    [
        "Chrome 135.7.211.15",
        "version 1.2.3.4",
        "section 2.1.7.8",
        "v1.2.3.4",
        "127.0.0.1",
        "0.0.0.0",
        "::1",
        "256.1.1.1",
        "1.2.3",
        "1.2.3.4.5",
        "12:34:56",
        "1:2:3:4",
        "std::vector",
        "a::b",
        "dead::beef",
        "aa:bb:cc:dd:ee:ff",
        "2001::db8::1",
        "12345:db8::1",
        "text2001:db8::1",
        ":::",
        "::",
        "01.02.03.04",
    ],
)
def test_what_only_looks_like_one_stays(text: str) -> None:
    assert found(text) == []
