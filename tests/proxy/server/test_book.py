"""Keys that end, callers known by certificate, and what trusted peers tell of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from proxy.errors import Forbidden, Unauthorized
from proxy.live import CallerKey, Identity, Limits, Snapshot, Streams, Upstream
from proxy.ports import Headers, Incoming
from proxy.server.auth import Auth, Identified, identify
from proxy.server.book import Book, next_end_s

SECRET = b"s" * 32
NOON_S = 1_798_459_200.0
"""2026-12-28T12:00:00Z."""
FAR = "203.0.113.7"
MESH = "10.0.0.9"
XFCC = "x-forwarded-client-cert"


def sha(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


@dataclass
class Asked:
    headers: Headers = field(default_factory=list)
    remote: str = FAR
    path: str = "/v1/chat/completions"
    certificate: tuple[str, ...] = ()


def told(identity: Identity, asked: Asked, now_s: float = NOON_S) -> Identified:
    snapshot = Snapshot(1, {"o": Upstream("o", "https://p")}, {}, (), {}, identity, Limits(), Streams())
    return identify(snapshot, cast(Incoming, asked), SECRET, now_s)


def bearer(key: str) -> Asked:
    return Asked([("Authorization", f"Bearer {key}")])


def only(**facts: object) -> Identity:
    return Identity(keys=(CallerKey("bob", **facts),))  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["weir-own", "a-key-of-another-form"])
@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"revoked": True}, "key_revoked"),
        ({"expires": "2026-12-28T12:00:00Z"}, "key_expired"),
        ({"expires": "2026-12-28T11:59:59"}, "key_expired"),
        ({"expires": "2026-12-28T12:59:59+01:00"}, "key_expired"),
        ({"expires": "2026-12-28"}, "key_expired"),
        ({"revoked": True, "expires": "2026-12-27"}, "key_revoked"),
    ],
)
def test_a_key_whose_time_is_over_is_refused_with_why_and_never_taken_for_a_providers(
    facts: dict[str, object], code: str, key: str
) -> None:
    with pytest.raises(Unauthorized) as caught:
        told(only(sha256=sha(key), **facts), bearer(key))
    assert (caught.value.code, caught.value.status) == (code, 401) and key not in str(caught.value)


def test_a_key_is_good_until_the_moment_it_ends() -> None:
    for expires in ("", "2026-12-28T12:00:01Z", "2026-12-28T13:00:01+01:00"):
        assert told(only(sha256=sha("weir-own"), expires=expires), bearer("weir-own")).caller.key == "bob"


def test_the_key_before_a_rotation_is_good_as_long_as_was_said() -> None:
    rotated = {"sha256": sha("weir-new"), "previous_sha256": sha("weir-old")}
    both = only(**rotated, previous_until="2026-12-28T12:00:01Z")
    assert [told(both, bearer(key)).caller.key for key in ("weir-new", "weir-old")] == ["bob", "bob"]
    for until in ("", "2026-12-28T12:00:00Z"):
        after = only(**rotated, previous_until=until)
        assert told(after, bearer("weir-new")).caller.key == "bob"
        with pytest.raises(Unauthorized) as caught:
            told(after, bearer("weir-old"))
        assert caught.value.code == "key_rotated"
    for ended in ({"revoked": True}, {"expires": "2026-12-27"}):
        for key in ("weir-new", "weir-old"):
            with pytest.raises(Unauthorized):
                told(only(**rotated, previous_until="2027-01-01", **ended), bearer(key))


def test_digests_are_compared_whole_and_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("proxy.server.book.hmac.compare_digest", compare)
    assert told(only(sha256=sha("weir-own")), bearer("weir-own")).caller.key == "bob"
    assert compared and all(len(other) == 32 for _, other in compared)


def test_a_key_bound_to_a_user_speaks_for_no_other() -> None:
    bound = only(sha256=sha("weir-own"), user="ann")
    asked = bearer("weir-own")
    assert told(bound, asked).caller.user == "ann"
    assert told(bound, replace(asked, headers=[*asked.headers, ("x-weir-user", "ann")])).caller.user == "ann"
    with pytest.raises(Forbidden) as caught:
        told(bound, replace(asked, headers=[*asked.headers, ("x-weir-user", "eve")]))
    assert caught.value.code == "user_not_allowed"


def test_a_caller_is_known_by_any_name_of_the_certificate_it_shows() -> None:
    for name in ("CN=bob,O=Acme", "spiffe://acme/bob", "bob.acme.internal"):
        identity = only(certificate=name, agent="tax", tenant="acme")
        asked = Asked(certificate=("spiffe://acme/bob", "bob.acme.internal", "CN=bob,O=Acme"))
        caller = told(identity, asked).caller
        assert (caller.key, caller.agent, caller.tenant, caller.vouched) == ("bob", "tax", "acme", True)
        assert name not in repr(caller.credential)
        with pytest.raises(Unauthorized):
            told(identity, Asked(certificate=("CN=bob", "CN=bob,O=Acme,C=DE", name.upper() + "x")))
    for ended in ({"revoked": True}, {"expires": "2026-12-27"}):
        with pytest.raises(Unauthorized, match="key"):
            told(only(certificate="CN=bob", **ended), Asked(certificate=("CN=bob",)))


def test_beside_a_certificate_a_providers_credential_passes_only_in_pass_through() -> None:
    asked = replace(bearer("sk-mine"), certificate=("CN=bob",))
    identity = only(certificate="CN=bob")
    assert not told(identity, asked).credential_is_ours
    assert told(replace(identity, pass_through=False), asked).credential_is_ours
    one, other = told(identity, asked).caller, told(identity, replace(asked, headers=[])).caller
    assert one.credential == other.credential, "its own calls stay its own, whatever it sends beside"


def test_a_key_is_stronger_than_a_certificate_and_a_wrong_key_is_not_healed_by_one() -> None:
    both = Identity(keys=(CallerKey("bob", certificate="CN=bob"), CallerKey("carl", sha256=sha("weir-carl"))))
    assert told(both, replace(bearer("weir-carl"), certificate=("CN=bob",))).caller.key == "carl"
    with pytest.raises(Unauthorized):
        told(both, replace(bearer("weir-nobody"), certificate=("CN=bob",)))


def mesh(header: str, *values: str, remote: str = MESH) -> Asked:
    return Asked([(header, value) for value in values], remote)


MESHED = replace(only(certificate="spiffe://acme/bob"), trusted_peers=("10.0.0.0/8",), peer_header=XFCC)


def test_a_trusted_peer_names_the_caller_it_has_verified() -> None:
    good = 'By=spiffe://acme/weir;Hash=ab;Subject="CN=bob,O=Acme";URI=spiffe://acme/bob'
    assert told(MESHED, mesh(XFCC, good)).caller.key == "bob"
    assert told(MESHED, mesh(XFCC.upper(), f"URI=spiffe://acme/eve,{good}")).caller.key == "bob"
    named = replace(only(certificate="bob"), trusted_peers=("10.0.0.0/8",), peer_header="x-weir-caller")
    assert told(named, mesh("X-Weir-Caller", " bob ")).caller.key == "bob"


@pytest.mark.parametrize(
    "asked",
    [
        mesh(XFCC, "URI=spiffe://acme/bob", remote=FAR),
        mesh("x-weir-caller", "spiffe://acme/bob"),
        mesh(XFCC, "URI=spiffe://acme/bob,URI=spiffe://acme/eve"),
        mesh(XFCC, "URI=spiffe://acme/bob", "URI=spiffe://acme/eve"),
        mesh(XFCC, 'Subject="CN=eve;URI=spiffe://acme/bob"'),
        mesh(XFCC, 'Subject="CN=eve,URI=spiffe://acme/bob'),
        mesh(XFCC, "By=spiffe://acme/bob;URI=spiffe://acme/eve"),
        mesh(XFCC, "URI=spiffe://acme/bobby"),
        mesh(XFCC, "URI=spiffe://acme/bob" + ";x=" + "y" * 9000),
        mesh(XFCC, ""),
    ],
)
def test_what_nobody_vouches_for_names_nobody(asked: Asked) -> None:
    try:
        assert told(MESHED, asked).caller.key is None
    except Unauthorized:
        assert asked.remote == FAR


def test_behind_a_trusted_peer_the_header_counts_and_not_the_peers_own_certificate() -> None:
    asked = replace(mesh(XFCC, "URI=spiffe://acme/eve"), certificate=("spiffe://acme/bob",))
    assert told(MESHED, asked).caller.key is None


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Host"])
def test_what_forwards_tell_gives_no_standing_and_a_proxy_on_this_machine_lends_its_own_to_nobody(header: str) -> None:
    near = Asked([(header, "127.0.0.1"), ("x-weir-agent", "mail"), ("x-weir-debug", "1")], "127.0.0.1")
    for asked in (near, replace(near, remote=FAR)):
        with pytest.raises(Unauthorized):
            told(Identity(), asked)
    stranger = told(Identity(), replace(near, headers=[*near.headers, ("Authorization", "Bearer sk-x")])).caller
    assert (stranger.agent, stranger.vouched, stranger.debug) == ("default", False, False)
    for peer in ("127.0.0.1", FAR):
        trusted = told(Identity(trusted_peers=(peer,)), replace(near, remote=peer)).caller
        assert (trusted.agent, trusted.vouched, trusted.debug) == ("mail", True, False)
    assert told(Identity(), replace(near, headers=near.headers[1:])).caller.vouched


def test_the_next_end_is_known_so_that_no_call_looks_at_the_clock() -> None:
    keys = (
        CallerKey("a", expires="2026-12-28T12:00:10Z"),
        CallerKey("b", expires="2026-12-28T11:00:00Z", previous_until="2026-12-28T12:00:05Z"),
        CallerKey("c"),
    )
    assert next_end_s(keys, NOON_S) == NOON_S + 5
    assert next_end_s(keys, NOON_S + 5) == NOON_S + 10
    assert next_end_s(keys, NOON_S + 10) is None
    asked: list[float] = []
    auth = Auth(lambda: asked.append(1) or NOON_S)  # type: ignore[func-returns-value]
    snapshot = Snapshot(1, {}, {}, (), {}, only(sha256=sha("weir-own")), Limits(), Streams())
    for _ in range(50):
        auth.identify(snapshot, cast(Incoming, bearer("weir-own")), SECRET)
    assert len(asked) == 1


def test_ten_thousand_keys_cost_a_look_up_no_more_than_one() -> None:
    keys = tuple(CallerKey(f"k{n}", sha(f"weir-{n}")) for n in range(10_000))
    identity = Identity(keys=keys)
    book = Book(Snapshot(1, {}, {}, (), {}, identity, Limits(), Streams()), NOON_S)
    found = book.key("weir-9999")
    assert found is not None and found is identity.key("k9999") and identity.key(None) is None
