"""Who is known, made ready for look-up: the identity settings of one snapshot, as of the moment they were read.

A key is found by its digest, so that many cost no more than one and equal beginnings tell nothing; the digests are
compared whole and in constant time. What has ended (expired, revoked, rotated away) is known as such, so that its
holder hears why and it is never taken for a provider's.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from proxy.errors import Unauthorized
from proxy.live import CallerKey, Identity, Snapshot
from proxy.ports import Incoming
from proxy.server.certificates import names_in
from proxy.upstream.endpoint import takes_credential

PRIVATE_HOSTS: Final = (".localhost", ".local", ".internal")
"""Endings of names that nobody can register: no web page from elsewhere can be rebound to them."""
PEERS_MOST: Final = 1024
"""Judgements remembered per snapshot; when it is full all are forgotten."""
PEER_CHARS_MOST: Final = 512
"""Of what a stranger says of its place; longer is judged anew each time."""
NEVER: Final = float("inf")
ENDED: Final = MappingProxyType(
    {
        "key_revoked": "This key was revoked. Ask whoever runs this Weir for a new one.",
        "key_expired": "This key has expired. Ask whoever runs this Weir for a new one.",
        "key_rotated": "This key was replaced by a new one, and its time is over.",
    }
)


class Peer(NamedTuple):
    """What is known of a caller from where it stands."""

    believed: bool
    vouched: bool
    debug: bool


class Book:
    """`now_s`: seconds since the epoch; a key's end after that is seen by whoever reads the settings again."""

    __slots__ = ("_ended", "_keys", "_networks", "_peers", "certificates", "gives_away", "identity")

    def __init__(self, snapshot: Snapshot, now_s: float) -> None:
        self.identity: Identity = snapshot.identity
        self._keys: dict[bytes, CallerKey] = {}
        self._ended: dict[bytes, str] = {}
        """Digest to the code of why."""
        self.certificates: dict[str, tuple[CallerKey, str]] = {}
        """A certificate's name to whose it is, and the code of why not any more."""
        for key in self.identity.keys:
            self._enter(key, now_s)
        self._networks = tuple(ipaddress.ip_network(peer, strict=False) for peer in self.identity.trusted_peers)
        upstreams = snapshot.upstreams.values()
        self.gives_away = bool(upstreams) and not any(takes_credential(upstream) for upstream in upstreams)
        self._peers: dict[tuple[str, str | None, str, bool], Peer] = {}

    def _enter(self, key: CallerKey, now_s: float) -> None:
        ended = ended_by(key, now_s)
        for sha256, code in ((key.sha256, ended), (key.previous_sha256, ended or _rotated(key, now_s))):
            if sha256 and code:
                self._ended[bytes.fromhex(sha256)] = code
            elif sha256:
                self._keys[bytes.fromhex(sha256)] = key
        if key.certificate:
            self.certificates[key.certificate] = (key, ended)

    def key(self, credential: str) -> CallerKey | None:
        """Whose key this is; None where it is nobody's. Unauthorized where its time is over."""
        if not self.identity.keys:
            return None
        digest = hashlib.sha256(credential.encode("utf-8", "surrogateescape")).digest()
        found = self._keys.get(digest)
        if found is None:
            if digest in self._ended:
                raise over(self._ended[digest])
            return None
        now = hmac.compare_digest(bytes.fromhex(found.sha256), digest)
        before = hmac.compare_digest(bytes.fromhex(found.previous_sha256), digest)
        return found if now or before else None

    def certified(self, incoming: Incoming, header: str | None) -> CallerKey | None:
        """Whose certificate the caller has shown, to Weir or to a trusted peer that says so in `header`. Unauthorized
        where its time is over."""
        names: Iterable[str] = incoming.certificate
        if header is not None and self.trusts(incoming.remote):
            names = names_in(header, self.identity.peer_header)
        for name in names:
            found = self.certificates.get(name)
            if found is not None and found[1]:
                raise over(found[1])
            if found is not None:
                return found[0]
        return None

    def peer(self, remote: str, origin: str | None, host: str, *, forwarded: bool = False) -> Peer:
        """`forwarded`: the call says that it came through a proxy. One on this machine lends its standing to nobody,
        unless it is a trusted peer."""
        place = (remote, origin, host, forwarded)
        found = self._peers.get(place)
        if found is None:
            found = self._judge(*place)
            if len(host) + len(origin or "") > PEER_CHARS_MOST:
                return found
            if len(self._peers) >= PEERS_MOST:
                self._peers.clear()
            self._peers[place] = found
        return found

    def _judge(self, remote: str, origin: str | None, host: str, forwarded: bool) -> Peer:
        identity = self.identity
        trusted = self.trusts(remote)
        near = loopback(remote) and not forwarded and not foreign(origin) and not rebound(host)
        trust = identity.trust_headers
        return Peer(
            believed=trusted or trust == "always" or (trust == "loopback" and near),
            vouched=trusted or near or identity.allow_anonymous,
            debug=identity.debug and near,
        )

    def trusts(self, remote: str) -> bool:
        """Whether it is one of `identity.trusted_peers`."""
        if not self._networks:
            return False
        try:
            address = ipaddress.ip_address(remote.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)


def over(code: str) -> Unauthorized:
    return Unauthorized(ENDED[code], code=code)


def ended_by(key: CallerKey, now_s: float) -> str:
    """The code of why a key is refused; empty while it is good."""
    if key.revoked:
        return "key_revoked"
    return "key_expired" if moment_s(key.expires, NEVER) <= now_s else ""


def _rotated(key: CallerKey, now_s: float) -> str:
    return "key_rotated" if moment_s(key.previous_until, 0.0) <= now_s else ""


def moment_s(text: str, without: float) -> float:
    """Seconds since the epoch of a time in ISO 8601, UTC where it names no zone; `without`: where there is none."""
    if not text:
        return without
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def next_end_s(keys: Iterable[CallerKey], now_s: float) -> float | None:
    """When the next of these keys ends by itself, in seconds since the epoch."""
    ends = (moment_s(text, NEVER) for key in keys for text in (key.expires, key.previous_until) if text)
    return min((end for end in ends if now_s < end < NEVER), default=None)


def loopback(remote: str) -> bool:
    """For an address as the kernel tells it; never for a name that somebody sent."""
    return remote.startswith(("127.", "::ffff:127.")) or remote == "::1"


def foreign(origin: str | None) -> bool:
    """Whether a web page from elsewhere speaks: a browser on this machine would lend it the machine's standing."""
    if origin is None:
        return False
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        return True
    return not (host == "localhost" or host.endswith(".localhost") or _loopback_literal(host))


def rebound(host: str) -> bool:
    """Whether the Host is a public name: then a web page may have had its name pointed at this machine."""
    if host.startswith("["):
        return False
    name = host.partition(":")[0].rstrip(".").lower()
    if name in ("127.0.0.1", "localhost", "") or "." not in name or name.endswith(PRIVATE_HOSTS):
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return True
    return False


def _loopback_literal(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
