"""Who asks: agent, tenant, user and rights, from the credential, the peer, the path and the headers.

Identity, strongest first: a key of Weir's own, the caller's certificate (shown to Weir, or told by a trusted peer), a
trusted peer, the path `/agents/{agent}/v1`, the header `x-weir-agent`, the default. Path and header may only narrow
what a key allows; without a key they are believed where `identity.trust_headers` says so. A caller is *vouched for* if
it holds a key, stands on this machine (and is no web page from elsewhere), is a trusted peer, or if anonymous callers
are allowed: only such callers may spend the keys that Weir holds. Others bring a credential of their own, and it serves
only upstreams that take the caller's (`may_use`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from proxy.errors import BadRequest, Forbidden, Unauthorized, UnknownPath
from proxy.exchange import Caller
from proxy.live import CallerKey, Snapshot
from proxy.ports import Headers, Incoming
from proxy.server.book import Book
from proxy.server.deployments import plain
from proxy.upstream.endpoint import KEY_PROTOCOL

AGENT: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,64}")
HEADERS: Final = frozenset(
    {
        "authorization", "x-api-key", "api-key", "sec-websocket-protocol", "host", "origin", "x-weir-agent",
        "x-weir-user", "x-weir-session", "x-weir-priority", "x-weir-deadline-ms", "x-weir-debug", "forwarded",
        "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via",
    }
)  # fmt: skip
FORWARDED: Final = frozenset({"forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"})
"""Who sends one of them speaks for somebody who stands elsewhere."""
CREDENTIALS: Final = frozenset({"authorization", "x-api-key", "api-key", "sec-websocket-protocol"})
PRIORITY_MOST: Final = 100
DEADLINE_MOST_MS: Final = 24 * 3600 * 1000
NAME_CHARS_MOST: Final = 256
ANONYMOUS: Final = "this call needs a key: Authorization: Bearer ..., x-api-key or api-key"
UNKNOWN: Final = "this key is not known here"


@dataclass(frozen=True, slots=True)
class Identified:
    caller: Caller
    path: str
    """As sent, without an agent's prefix, and below /v1."""
    credential_is_ours: bool
    """It is a key of Weir's own and never goes to a provider, neither in a header nor as a websocket's protocol."""
    model: str = ""
    """That the path names, where it is one of Azure's (`server.deployments`): it goes before the body's."""


OURS = "weir-"
"""How keys begin that `weir key` makes. One that is not known (any more) is not a provider's, and goes to none."""


class Auth:
    """Identifies callers. Keeps no credential: a fingerprint costs about a microsecond and is made anew each time."""

    def __init__(self, wall: Callable[[], float]) -> None:
        """`wall`: seconds since the epoch. Asked once for each snapshot: whoever keeps this makes a new one when a key
        ends (`server.expiry`), so that no call has to look at the clock."""
        self._wall = wall
        self._snapshot: Snapshot | None = None
        self._book: Book | None = None

    def identify(self, snapshot: Snapshot, incoming: Incoming, secret: bytes) -> Identified:
        """Who asks. Raises Unauthorized, Forbidden, BadRequest (a header that cannot be read), UnknownPath."""
        book = self._book
        if book is None or self._snapshot is not snapshot:
            book = self._book = Book(snapshot, self._wall())
            self._snapshot = snapshot
        peer_header = book.identity.peer_header
        said: dict[str, str] = {}
        shown: list[tuple[str, str]] = []
        told: list[str] = []
        for name, value in incoming.headers:
            lower = name.lower()
            if lower in HEADERS:
                said[lower] = value
                if lower in CREDENTIALS:
                    shown.append((lower, value))
            elif lower == peer_header:
                told.append(value)
        credential = presented(shown) if shown else ""
        path, path_agent = split(incoming.path)
        path, model = plain(path)
        key = book.key(credential) if credential else None
        if key is None and credential.startswith(OURS):
            raise Unauthorized("This key of Weir's is not known here.")
        ours = True
        if key is None and book.certificates:
            key = book.certified(incoming, ",".join(told) if told else None)
            if key is not None:
                # What it brings beside its certificate may be a provider's; where none is passed on it is nothing.
                ours, credential = not book.identity.pass_through, f"certificate {key.certificate}"
        if key is None:
            return _stranger(book, incoming, said, credential, (path, path_agent, model), secret)
        wanted = path_agent or agent_named(said)
        caller = Caller(
            agent=_granted(key, wanted),
            tenant=key.tenant,
            user=_user(key, _name(said, "x-weir-user")),
            session=_name(said, "x-weir-session"),
            key=key.name,
            credential=fingerprints(credential, secret)[0],
            priority=_priority(said, key.priority, key.priority),
            deadline_s=_deadline_s(said),
            debug=key.debug and "x-weir-debug" in said,
        )
        return Identified(caller, path, credential_is_ours=ours, model=model)


def identify(snapshot: Snapshot, incoming: Incoming, secret: bytes, now_s: float = 0.0) -> Identified:
    """As `Auth.identify`, with nothing kept between calls: for tools and tests. A worker keeps an `Auth`, so that many
    keys cost a call no more than one."""
    return Auth(lambda: now_s).identify(snapshot, incoming, secret)


def _stranger(
    book: Book, incoming: Incoming, said: dict[str, str], credential: str, where: tuple[str, str, str], secret: bytes
) -> Identified:
    """A caller without a key of Weir's: in pass-through, on this machine, or anonymous."""
    identity = book.identity
    path, path_agent, model = where
    forwarded = not FORWARDED.isdisjoint(said)
    peer = book.peer(incoming.remote, said.get("origin"), said.get("host", ""), forwarded=forwarded)
    if identity.keys and not identity.pass_through and (credential or not identity.allow_anonymous):
        raise Unauthorized(UNKNOWN if credential else ANONYMOUS)
    brings_own = bool(credential) and identity.pass_through
    if not peer.vouched and (not brings_own or book.gives_away):
        raise Unauthorized(UNKNOWN if credential else ANONYMOUS)
    fingerprint, tenant = fingerprints(credential, secret) if brings_own else ("", "default")
    wanted = path_agent or agent_named(said)
    caller = Caller(
        agent=wanted if wanted and peer.believed else "default",
        tenant=tenant,
        user=_name(said, "x-weir-user"),
        session=_name(said, "x-weir-session"),
        credential=fingerprint,
        priority=_priority(said, 0, PRIORITY_MOST if peer.believed else 0),
        deadline_s=_deadline_s(said),
        debug=peer.debug and "x-weir-debug" in said,
        vouched=peer.vouched,
    )
    return Identified(caller, path, credential_is_ours=False, model=model)


def allowed(snapshot: Snapshot, key: str | None, model: str) -> bool:
    """Whether the key of this name (None: no key) may use this model. Patterns end in `*` or are exact."""
    if key is None:
        return True
    found = snapshot.identity.key(key)
    if found is None:
        return False
    return not found.models or any(
        model.startswith(pattern[:-1]) if pattern.endswith("*") else model == pattern for pattern in found.models
    )


def presented(shown: Headers) -> str:
    """The one credential a call brings, or nothing, from its credential headers (names in lower case).
    Two different ones are refused: they may speak for two callers."""
    found: set[str] = set()
    for name, value in shown:
        if name == "authorization":
            scheme, _, token = value.partition(" ")
            value = token if scheme.lower() == "bearer" else value
        elif name == "sec-websocket-protocol":
            offered = [item.strip() for item in value.split(",")]
            value = next((item[len(KEY_PROTOCOL) :] for item in offered if item.startswith(KEY_PROTOCOL)), "")
        value = value.strip()
        if value:
            found.add(value)
    if len(found) > 1:
        raise Unauthorized("two different credentials were sent; keep one of Authorization, x-api-key and api-key")
    return found.pop() if found else ""


def split(path: str) -> tuple[str, str]:
    """The path without its `/agents/{agent}` prefix, and that agent; no agent where there is no prefix."""
    if not path.startswith("/agents/"):
        return path, ""
    agent, slash, rest = path[len("/agents/") :].partition("/")
    if not AGENT.fullmatch(agent):
        raise BadRequest("an agent's name has 1 to 64 of A-Z a-z 0-9 . _ -", code="bad_agent")
    if not slash or not (rest == "v1" or rest.startswith(("v1/", "openai/"))):
        raise UnknownPath("below /agents/{agent} there is only /v1")
    return "/" + rest, agent


def agent_named(said: Mapping[str, str]) -> str:
    agent = said.get("x-weir-agent")
    if agent is None:
        return ""
    agent = agent.strip()
    if agent and not AGENT.fullmatch(agent):
        raise BadRequest("x-weir-agent has 1 to 64 of A-Z a-z 0-9 . _ -", code="bad_agent")
    return agent


def _granted(key: CallerKey, wanted: str) -> str:
    own = key.agent or "default"
    if not wanted or wanted == own:
        return own
    if not any(wanted.startswith(one[:-1]) if one.endswith("*") else wanted == one for one in key.agents):
        raise Forbidden("this key may not speak for that agent", code="agent_not_allowed")
    return wanted


def _user(key: CallerKey, named: str | None) -> str | None:
    if not key.user:
        return named
    if named is not None and named != key.user:
        raise Forbidden("this key may not speak for that user", code="user_not_allowed")
    return key.user


def fingerprints(credential: str, secret: bytes) -> tuple[str, str]:
    """Two keyed digests of a credential, for record and tenant; neither leads back to it or to the other."""
    key = secret if len(secret) <= hashlib.blake2b.MAX_KEY_SIZE else hashlib.sha256(secret).digest()
    digest = hashlib.blake2b(
        credential.encode("utf-8", "surrogateescape"), key=key, digest_size=32, person=b"weir-credential"
    ).hexdigest()
    return digest[:32], "t-" + digest[32:]


def _name(said: Mapping[str, str], header: str) -> str | None:
    value = said.get(header)
    value = value.strip() if value else None
    if not value:
        return None
    if len(value) > NAME_CHARS_MOST:
        raise BadRequest(f"{header} has at most {NAME_CHARS_MOST} characters", code="bad_header")
    return value


def _priority(said: Mapping[str, str], unsaid: int, ceiling: int) -> int:
    if "x-weir-priority" not in said:
        return unsaid
    asked = _number(said, "x-weir-priority", int)
    return max(-PRIORITY_MOST, min(int(asked), ceiling))


def _deadline_s(said: Mapping[str, str]) -> float | None:
    if "x-weir-deadline-ms" not in said:
        return None
    asked = _number(said, "x-weir-deadline-ms", float)
    return max(1.0, min(asked, DEADLINE_MOST_MS)) / 1000


def _number(said: Mapping[str, str], header: str, read: Callable[[str], float]) -> float:
    value = said[header]
    try:
        number = read(value) if len(value) <= 20 and value.isascii() and "_" not in value else None
    except ValueError:
        number = None
    if number is None or number != number:
        raise BadRequest(f"{header} is not a number", code="bad_header")
    return number
