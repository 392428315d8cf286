from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import BadRequest, Forbidden, Unauthorized, UnknownPath, WeirError
from proxy.live import CallerKey, Identity, Limits, Snapshot, Streams, Upstream
from proxy.ports import Headers, Incoming
from proxy.server.auth import Auth, Identified, allowed, identify, split
from proxy.server.book import foreign, rebound
from proxy.upstream.endpoint import may_use

SECRET = b"s" * 32
PASSING = Upstream("openai", "https://provider")
PAID = Upstream("paid", "https://provider", key="sk-of-the-house")
LOCAL = Upstream("local", "http://provider", auth="none")
FAR = "203.0.113.7"
NEAR = "127.0.0.1"


def key(name: str, **rights: object) -> CallerKey:
    return CallerKey(name, hashlib.sha256(f"wk-{name}".encode()).hexdigest(), **rights)  # type: ignore[arg-type]


ONE = key("one", agent="mail", tenant="acme", priority=5, agents=("news", "tax-*"), models=("gpt-4*", "o3"), debug=True)
ANY = key("any", agents=("*",), tenant="b")
BARE = key("bare")
KEYS = Identity(keys=(ONE, ANY, BARE))


@dataclass
class Asked:
    headers: Headers = field(default_factory=list)
    remote: str = NEAR
    path: str = "/v1/chat/completions"


def told(
    identity: Identity, *headers: tuple[str, str], remote: str = NEAR, path: str = "/v1/x", upstream: Upstream = PASSING
) -> Identified:
    upstreams = {upstream.name: upstream}
    snapshot = Snapshot(1, upstreams, {}, (), {}, identity, Limits(), Streams())
    return identify(snapshot, cast(Incoming, Asked(list(headers), remote, path)), SECRET)


def bearer(token: str) -> tuple[str, str]:
    return ("Authorization", f"Bearer {token}")


def test_a_key_gives_agent_tenant_and_rights_and_is_never_forwarded() -> None:
    found = told(KEYS, bearer("wk-one"), remote=FAR)
    caller = found.caller
    assert (caller.key, caller.agent, caller.tenant, caller.priority) == ("one", "mail", "acme", 5)
    assert found.credential_is_ours
    assert caller.vouched
    assert "wk-one" not in repr(found)


@pytest.mark.parametrize("header", ["authorization", "AUTHORIZATION", "x-api-key", "api-key"])
def test_a_key_is_read_from_every_credential_header(header: str) -> None:
    value = "bearer  wk-one" if header.lower() == "authorization" else "wk-one"
    assert told(KEYS, (header, value)).caller.key == "one"


def test_a_key_among_the_subprotocols_of_a_websocket_is_read() -> None:
    protocols = ("Sec-WebSocket-Protocol", "realtime, openai-insecure-api-key.wk-one, openai-beta.realtime-v1")
    assert told(KEYS, protocols).credential_is_ours


def test_a_key_in_the_path_or_query_is_none() -> None:
    with pytest.raises(Unauthorized):
        told(replace(KEYS, pass_through=False), path="/v1/x?api-key=wk-one", remote=FAR)


def test_two_different_credentials_are_refused_and_equal_ones_are_one() -> None:
    for second in (("x-api-key", "wk-any"), ("api-key", "other"), bearer("wk-any")):
        with pytest.raises(Unauthorized, match="two different"):
            told(KEYS, bearer("wk-one"), second)
    assert told(KEYS, bearer("wk-one"), ("x-api-key", "wk-one")).caller.key == "one"
    assert told(KEYS, ("Authorization", "Bearer "), ("x-api-key", "wk-one")).caller.key == "one"


@pytest.mark.parametrize("near", ["wk-on", "wk-onee", "WK-ONE", "wk-one\u20ac", "wk-\udcff"])
def test_a_key_is_compared_whole(near: str) -> None:
    with pytest.raises(Unauthorized):
        told(replace(KEYS, pass_through=False), bearer(near))


def test_path_and_header_only_narrow_what_a_key_allows() -> None:
    assert told(KEYS, bearer("wk-one"), path="/agents/news/v1/x").caller.agent == "news"
    assert told(KEYS, bearer("wk-one"), ("x-weir-agent", "mail")).caller.agent == "mail"
    assert told(KEYS, bearer("wk-any"), ("x-weir-agent", "whoever"), remote=FAR).caller.agent == "whoever"
    assert told(KEYS, bearer("wk-one"), ("x-weir-agent", "tax-eu")).caller.agent == "tax-eu"
    assert told(KEYS, bearer("wk-bare")).caller.agent == "default"
    for wrong in ("wk-one", "wk-bare"):
        with pytest.raises(Forbidden):
            told(KEYS, bearer(wrong), path="/agents/other/v1/x")
        with pytest.raises(Forbidden):
            told(KEYS, bearer(wrong), ("x-weir-agent", "other"))


def test_the_path_is_stronger_than_the_header_and_loses_its_prefix() -> None:
    found = told(Identity(), ("x-weir-agent", "header"), path="/agents/path/v1/messages")
    assert (found.caller.agent, found.path) == ("path", "/v1/messages")
    assert told(Identity(), ("x-weir-agent", "header")).caller.agent == "header"
    assert told(Identity()).caller.agent == "default"


def test_without_a_key_names_are_believed_where_the_settings_say() -> None:
    named = ("x-weir-agent", "mail")
    mine = bearer("sk-mine")
    path = "/agents/mail/v1/x"
    near: list[tuple[Identity, str]] = [
        (Identity(), NEAR),
        (Identity(), "::1"),
        (Identity(trust_headers="always"), FAR),
        (Identity(trust_headers="never", trusted_peers=("203.0.113.0/24",)), FAR),
        (Identity(trusted_peers=("203.0.113.7",)), "::ffff:203.0.113.7"),
    ]
    far: list[tuple[Identity, str]] = [
        (Identity(), FAR),
        (Identity(trust_headers="never"), NEAR),
        (Identity(trusted_peers=("198.51.100.0/24",)), FAR),
    ]
    believed = [told(who, mine, named, remote=remote, path=path).caller.agent for who, remote in near + far]
    assert believed == ["mail"] * 5 + ["default"] * 3
    assert told(Identity(), mine, remote=FAR, path=path).path == "/v1/x"


def test_in_pass_through_the_tenant_is_a_keyed_digest_of_the_credential() -> None:
    one, again, other = (told(Identity(), bearer(token), remote=FAR) for token in ("sk-1", "sk-1", "sk-2"))
    assert one.caller.tenant == again.caller.tenant != other.caller.tenant
    assert one.caller.credential not in one.caller.tenant
    assert not one.credential_is_ours
    assert "sk-1" not in repr(one)
    snapshot = Snapshot(1, {"o": PASSING}, {}, (), {}, Identity(), Limits(), Streams())
    elsewhere = identify(snapshot, cast(Incoming, Asked([bearer("sk-1")])), b"t" * 100)
    assert elsewhere.caller.tenant != one.caller.tenant


def test_near_and_without_credential_one_is_the_default_tenant() -> None:
    caller = told(Identity()).caller
    assert (caller.tenant, caller.credential, caller.key) == ("default", "", None)


def test_far_and_without_credential_one_is_refused_unless_anonymous_callers_are_allowed() -> None:
    with pytest.raises(Unauthorized):
        told(Identity(), remote=FAR)
    assert told(Identity(allow_anonymous=True), remote=FAR).caller.tenant == "default"


def test_with_keys_and_without_pass_through_strangers_are_refused_also_nearby() -> None:
    closed = replace(KEYS, pass_through=False)
    for headers in ([], [bearer("sk-unknown")]):
        with pytest.raises(Unauthorized):
            told(closed, *headers)
    assert told(KEYS, bearer("sk-unknown"), remote=FAR).caller.key is None
    assert told(replace(closed, allow_anonymous=True), remote=FAR).caller.tenant == "default"
    with pytest.raises(Unauthorized):
        told(replace(closed, allow_anonymous=True), bearer("wk-wrong"), remote=FAR)


def test_without_pass_through_a_strangers_credential_gives_nothing() -> None:
    with pytest.raises(Unauthorized):
        told(Identity(pass_through=False), bearer("sk-any"), remote=FAR)
    assert told(Identity(pass_through=False), bearer("sk-any")).caller.tenant == "default"


@pytest.mark.parametrize("upstream", [PAID, LOCAL])
def test_no_stranger_spends_what_the_house_pays_for(upstream: Upstream) -> None:
    """Any made-up credential would otherwise open a relay at the operator's cost."""
    with pytest.raises(Unauthorized):
        told(Identity(), bearer("made-up"), remote=FAR, upstream=upstream)
    stranger = told(Identity(), bearer("made-up"), remote=FAR).caller
    assert not may_use(stranger, upstream)
    assert may_use(stranger, PASSING)
    for known in (
        told(KEYS, bearer("wk-one"), remote=FAR, upstream=upstream),
        told(Identity(), bearer("sk-any"), upstream=upstream),
        told(Identity(trusted_peers=(FAR,)), remote=FAR, upstream=upstream),
        told(Identity(allow_anonymous=True), remote=FAR, upstream=upstream),
    ):
        assert may_use(known.caller, upstream)


def test_a_web_page_from_elsewhere_does_not_borrow_the_standing_of_this_machine() -> None:
    for headers in (
        [("Origin", "https://evil.example")],
        [("Origin", "null")],
        [("Origin", "http://127.0.0.1.evil.example")],
        [("Host", "evil.example:8080")],
    ):
        with pytest.raises(Unauthorized):
            told(Identity(), *headers)
        assert not told(Identity(), bearer("sk-x"), *headers).caller.vouched
    for headers in (
        [("Origin", "http://localhost:3000"), ("Host", "localhost:8080")],
        [("Origin", "http://127.0.0.1:3000"), ("Host", "[::1]:8080")],
        [("Host", "weir:8080")],
        [("Host", "host.docker.internal:8080")],
        [("Host", "192.0.2.1")],
    ):
        assert told(Identity(), *headers).caller.vouched


def test_origins_and_hosts_are_told_apart() -> None:
    assert [foreign(origin) for origin in (None, "http://[::1]:80", "http://app.localhost", "http://[", "")] == [
        False, False, False, True, True,
    ]  # fmt: skip
    assert [rebound(host) for host in ("", "a.local", "a.example", "A.EXAMPLE.:80", "10.0.0.1:80")] == [
        False, False, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("agent", ["a b", "a%20b", "", "..", ".", "x" * 65, "a/../b", "ä"])
def test_agents_have_plain_names(agent: str) -> None:
    with pytest.raises((BadRequest, UnknownPath)):
        split(f"/agents/{agent}/v1/x")
    if agent.strip() and "/" not in agent:
        with pytest.raises(BadRequest):
            told(Identity(), ("x-weir-agent", agent))


def test_below_an_agent_there_is_only_v1() -> None:
    assert split("/agents/a.b_c-1/v1") == ("/v1", "a.b_c-1")
    assert split("/v1/agents/x") == ("/v1/agents/x", "")
    for path in ("/agents/a", "/agents/a/", "/agents/a/v2/x", "/agents/a/v1x", "/agents/a/weir/calls/1"):
        with pytest.raises(UnknownPath):
            split(path)


def test_user_and_session_are_taken_as_said() -> None:
    caller = told(Identity(), ("X-Weir-User", " ann "), ("x-weir-session", "s1")).caller
    assert (caller.user, caller.session) == ("ann", "s1")
    assert told(Identity(), ("x-weir-user", "")).caller.user is None
    with pytest.raises(BadRequest):
        told(Identity(), ("x-weir-user", "x" * 257))


def test_priority_is_clamped_to_what_the_caller_may() -> None:
    def priority(said: str, *headers: tuple[str, str], remote: str = NEAR) -> int:
        return told(KEYS, ("x-weir-priority", said), *headers, remote=remote).caller.priority

    assert priority("9", bearer("wk-one")) == 5
    assert priority("-3", bearer("wk-one")) == -3
    assert priority("9", bearer("sk-mine"), remote=FAR) == 0
    assert priority("9") == 9
    assert (priority("999999"), priority("-999999")) == (100, -100)
    assert told(KEYS).caller.priority == 0


def test_deadlines_are_clamped_and_in_seconds() -> None:
    def deadline(said: str) -> float | None:
        return told(Identity(), ("x-weir-deadline-ms", said)).caller.deadline_s

    assert (deadline("1500"), deadline("0"), deadline("-5"), deadline("1e18")) == (1.5, 0.001, 0.001, 86400)
    assert told(Identity()).caller.deadline_s is None


@pytest.mark.parametrize("header", ["x-weir-priority", "x-weir-deadline-ms"])
@pytest.mark.parametrize("value", ["", "soon", "nan", "1_0", "9" * 30, "\u0663"])
def test_numbers_that_are_none_are_refused(header: str, value: str) -> None:
    with pytest.raises(BadRequest, match=header):
        told(Identity(), (header, value))


def test_debug_is_a_right() -> None:
    ask = ("x-weir-debug", "1")
    assert told(KEYS, ask, bearer("wk-one"), remote=FAR).caller.debug
    assert not told(KEYS, ask, bearer("wk-any")).caller.debug
    assert told(Identity(), ask).caller.debug
    assert not told(Identity(debug=False), ask).caller.debug
    assert not told(Identity(), ask, bearer("sk-x"), remote=FAR).caller.debug
    assert not told(Identity()).caller.debug


def test_models_of_a_key() -> None:
    snapshot = Snapshot(1, {}, {}, (), {}, KEYS, Limits(), Streams())
    asked = [allowed(snapshot, "one", model) for model in ("gpt-4.1", "o3", "o3-mini", "claude")]
    assert asked == [True, True, False, False]
    assert allowed(snapshot, "any", "claude")
    assert allowed(snapshot, None, "claude")
    assert not allowed(snapshot, "revoked", "claude")


def test_new_settings_count_at_once() -> None:
    auth = Auth(lambda: 0.0)
    asked = cast(Incoming, Asked([bearer("wk-one")], FAR))
    before = Snapshot(1, {"o": PASSING}, {}, (), {}, KEYS, Limits(), Streams())
    after = replace(before, version=2, identity=replace(KEYS, keys=(ANY,), pass_through=False))
    assert auth.identify(before, asked, SECRET).caller.key == "one"
    with pytest.raises(Unauthorized):
        auth.identify(after, asked, SECRET)


def test_judgements_of_peers_are_bounded() -> None:
    auth = Auth(lambda: 0.0)
    snapshot = Snapshot(1, {"o": PASSING}, {}, (), {}, Identity(), Limits(), Streams())
    for n in range(3000):
        auth.identify(snapshot, cast(Incoming, Asked([("Host", f"h{n}")])), SECRET)
    assert auth._book is not None
    assert len(auth._book._peers) <= 1024


@pytest.mark.parametrize("header", ["Host", "Origin"])
def test_what_a_stranger_says_at_length_of_its_place_is_judged_and_not_kept(header: str) -> None:
    auth = Auth(lambda: 0.0)
    snapshot = Snapshot(1, {"o": PASSING}, {}, (), {}, Identity(), Limits(), Streams())
    for n in range(20):
        long = f"http://127.0.0.1/{n}" + "a" * 500
        assert auth.identify(snapshot, cast(Incoming, Asked([(header, long)])), SECRET).caller.vouched
    assert auth._book is not None and not auth._book._peers


NAMES = st.sampled_from(
    ["Authorization", "x-api-key", "api-key", "origin", "host", "x-weir-agent", "x-weir-user", "x-weir-priority",
     "x-weir-deadline-ms", "x-weir-debug", "sec-websocket-protocol", "accept"]
)  # fmt: skip


@settings(max_examples=300, deadline=None, database=None)
@given(
    headers=st.lists(st.tuples(NAMES, st.one_of(st.text(max_size=20), st.sampled_from(["Bearer wk-one", "1"])))),
    remote=st.sampled_from([NEAR, FAR, "::1", ""]),
    path=st.one_of(st.just("/v1/x"), st.text(max_size=12).map(lambda name: f"/agents/{name}/v1/x")),
)
def test_whatever_is_said_one_is_known_or_refused(headers: Headers, remote: str, path: str) -> None:
    try:
        found = told(KEYS, *headers, remote=remote, path=path)
    except WeirError as error:
        assert error.status in (400, 401, 403, 404)
        return
    assert found.caller.key is not None or found.caller.agent == "default" or remote != FAR
    assert found.credential_is_ours == (found.caller.key is not None)
