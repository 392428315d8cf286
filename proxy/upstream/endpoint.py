"""Which upstream serves a model, and what a call looks like on its way there and back: pure functions.

A model is looked for in this order, always among the upstreams that serve the call's dialect:

    1. an alias            its target, then its fallbacks
    2. its exact name      the first upstream that lists it; others that list it too are fallbacks
    3. a pattern           the longest prefix (`gpt-*`), the first upstream that has it
    4. `upstream/model`    where the part before the slash names an upstream that serves the rest
    5. `*`                 the first upstream that takes everything
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, urlencode, urlsplit

from proxy.errors import BadRequest, MalformedBody, UnknownModel, UnknownPath
from proxy.exchange import Caller, Exchange, Target
from proxy.live import Snapshot, Upstream
from proxy.ports import Headers, Pairs

NAMED = 20
"""Known models that an error names at most."""
SEARCHED = 500
"""Known models among which the nearest is looked for."""
SHOWN = 100
"""Characters of an unknown model that are given back."""
KEY_PROTOCOL = "openai-insecure-api-key."
"""How browsers send a key for a websocket: as one of the subprotocols they offer."""

HOP_BY_HOP = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip
CREDENTIALS = frozenset({"authorization", "x-api-key", "api-key"})
_NOT_SENT = HOP_BY_HOP | {"host", "content-length", "expect"}
_NOT_RETURNED = HOP_BY_HOP | {"alt-svc"}
_OF_THE_BYTES = frozenset(
    {"content-length", "content-encoding", "content-md5", "digest", "content-digest", "repr-digest"}
)
"""What an answer says of its bytes, and which is wrong once they are others."""

_PLAIN = re.compile(r"(?:/[\w~!$&'()*+,;=:@-][\w.~!$&'()*+,;=:@-]*)+/?", re.ASCII)
"""Paths with nothing in them that two readers could read differently."""
_VISIBLE = re.compile(r"[!\"$-~]*")
_ENCODED = {"%2e": ".", "%2f": "/", "%5c": "\\"}
_ENCODED_RE = re.compile("|".join(_ENCODED), re.IGNORECASE)
_ENCODED_CONTROL = re.compile(r"%[01][0-9a-f]|%7f", re.IGNORECASE)


def serves(upstream: Upstream, model: str) -> bool:
    """Whether one of the upstream's patterns takes this model."""
    return any(_matches(pattern, model) for pattern in upstream.models)


def speaks(upstream: Upstream, dialect: str) -> bool:
    return not upstream.dialects or dialect in upstream.dialects


def takes_credential(upstream: Upstream) -> bool:
    """Whether it is paid for with the caller's own credential."""
    return upstream.key is None and upstream.auth != "none"


def may_use(caller: Caller, upstream: Upstream) -> bool:
    """A caller who is not vouched for spends no key that Weir holds."""
    return caller.vouched or takes_credential(upstream)


def resolve(snapshot: Snapshot, dialect: str, model: str) -> list[Target]:
    """The first choice and its fallbacks. Raises UnknownModel, which names models that are known."""
    candidates = [upstream for upstream in snapshot.upstreams.values() if speaks(upstream, dialect)]
    alias = snapshot.aliases.get(model)
    if alias is None:
        targets = _served(candidates, model)
    elif alias.upstream is None:
        targets = _served(candidates, alias.model)
    else:
        targets = [Target(one.name, alias.model) for one in candidates if one.name == alias.upstream]
    if not targets and not model:
        raise MalformedBody("`model` is missing: say which one is asked.", param="model")
    if not targets:
        raise _unknown(snapshot, candidates, model)
    if alias is not None:
        for fallback in alias.fallbacks:
            targets.extend(_served(candidates, fallback)[:1])
    return list(dict.fromkeys(targets))


def targets_of(exchange: Exchange, model: str) -> list[Target]:
    """As `resolve`, for a call that would ask for this model (`plugin.TargetsKit`)."""
    return resolve(exchange.snapshot, exchange.request.dialect, model)


def resolve_relay(snapshot: Snapshot, path: str, headers: Pairs) -> Target:
    """Where a call goes that no codec reads: to the dialect that its headers or its path belong to.
    An upstream that names this dialect comes before one that takes all."""
    anthropic = path.startswith("/v1/messages") or any(name.lower() == "anthropic-version" for name, _ in headers)
    dialect = "messages" if anthropic else "chat"
    able = [upstream for upstream in snapshot.upstreams.values() if speaks(upstream, dialect)]
    if not able:
        raise UnknownPath("No upstream serves this path.")
    return Target(next((one for one in able if one.dialects), able[0]).name, "")


def target(upstream: Upstream, model: str, path: str, query: str) -> str:
    """Path and query exactly as they go on the wire. `path` begins with `/v1/`; what follows stands below the
    upstream's URL. Nothing is rewritten: a path that two readers could read differently is refused."""
    if not path.startswith("/v1/"):
        if "://" in path[:12] or not path.startswith("/"):
            raise BadRequest("The request target must be a path.")
        raise UnknownPath("There is nothing at this path.")
    below = urlsplit(upstream.url).path.rstrip("/") or "/v1"
    if "{model}" in below:
        if not model:
            raise UnknownPath("This path names no model, and this upstream needs one.")
        below = below.replace("{model}", quote(model, safe=""))
    whole = below + path[3:]
    _check(whole)
    if not _VISIBLE.fullmatch(query):
        raise BadRequest("The query has characters that cannot be sent.")
    query = _with_parameters(query, upstream.query)
    return f"{whole}?{query}" if query else whole


def headers(
    inbound: Pairs,
    upstream: Upstream,
    *,
    body_length: int | None,
    identity: bool,
    credential_is_ours: bool,
    inflated: bool = False,
) -> Headers:
    """The headers of a call on its way out, in the caller's order and case; the host is the client's to set.

    `identity`: the answer will be read, so it must not be compressed. `inflated`: the body was compressed and is not
    any more. A credential goes out only if it is the caller's own and the upstream has none of its own."""
    dropped = _not_sent(inbound)
    if upstream.key is not None or credential_is_ours or upstream.auth == "none":
        dropped |= CREDENTIALS
    if identity:
        dropped |= {"accept-encoding"}
    if inflated:
        dropped |= {"content-encoding"}
    dropped |= {name.lower() for name, _ in upstream.headers}
    out: Headers = []
    for pair in inbound:
        name = pair[0].lower()
        if name in dropped or name.startswith("x-weir-"):
            continue
        if name == "cookie":
            pair = (pair[0], _foreign_cookies(pair[1]))
            if not pair[1]:
                continue
        out.append(pair)
    if identity:
        out.append(("accept-encoding", "identity"))
    out.extend(upstream.headers)
    if upstream.key is not None and upstream.auth != "none":
        out.append(
            ("authorization", f"Bearer {upstream.key}") if upstream.auth == "bearer" else (upstream.auth, upstream.key)
        )
    if body_length is not None:
        out.append(("content-length", str(body_length)))
    return out


def answer_headers(inbound: Headers, *, changed: bool) -> Headers:
    """The headers of an answer on its way back. `changed`: its bytes will not be those that the provider sent."""
    out: Headers = []
    for pair in inbound:
        becomes = fate(pair[0])
        if becomes == "sent" or (becomes == "of the bytes" and not changed):
            out.append(pair)
        elif becomes == "lists others" and (listed := _listed(inbound)):
            rest = [pair for pair in inbound if pair[0].lower() not in listed | {"connection"}]
            return answer_headers(rest, changed=changed)
    return out


@lru_cache(256)
def fate(name: str) -> Literal["sent", "of the bytes", "lists others", "dropped"]:
    """What becomes of an answer's header."""
    lower = name.lower()
    if lower == "connection":
        return "lists others"
    if lower in _NOT_RETURNED or lower.startswith("x-weir-"):
        return "dropped"
    return "of the bytes" if lower in _OF_THE_BYTES else "sent"


def _matches(pattern: str, model: str) -> bool:
    return model.startswith(pattern[:-1]) if pattern.endswith("*") else model == pattern


def _served(candidates: list[Upstream], model: str) -> list[Target]:
    if not model:  # some servers have one model and need no name
        return [Target(upstream.name, "") for upstream in candidates if "*" in upstream.models][:1]
    exact = [Target(upstream.name, model) for upstream in candidates if model in upstream.models]
    if exact:
        return exact
    longest, found = 1, None
    for upstream in candidates:
        for pattern in upstream.models:
            if len(pattern) > longest and pattern.endswith("*") and model.startswith(pattern[:-1]):
                longest, found = len(pattern), upstream
    if found is not None:
        return [Target(found.name, model)]
    before, slash, rest = model.partition("/")
    if slash and rest:
        for upstream in candidates:
            if upstream.name == before and serves(upstream, rest):
                return [Target(before, rest)]
    return [Target(upstream.name, model) for upstream in candidates if "*" in upstream.models][:1]


def _unknown(snapshot: Snapshot, candidates: Iterable[Upstream], model: str) -> UnknownModel:
    known = list(dict.fromkeys(_known(snapshot, candidates)))
    message = f"No upstream serves the model {model[:SHOWN]!r} here."
    nearest = difflib.get_close_matches(model[:SHOWN], known[:SEARCHED], n=1)
    if nearest:
        message += f" Did you mean {nearest[0]!r}?"
    if known:
        more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
        message += f" Known: {', '.join(known[:NAMED])}{more}."
    return UnknownModel(message, param="model")


def _known(snapshot: Snapshot, candidates: Iterable[Upstream]) -> Iterator[str]:
    names = {upstream.name for upstream in candidates}
    for name, alias in snapshot.aliases.items():
        if alias.upstream is None or alias.upstream in names:
            yield name
    for upstream in candidates:
        yield from upstream.models


def _check(path: str) -> None:
    if _PLAIN.fullmatch(path):
        return
    if not _VISIBLE.fullmatch(path) or "?" in path or _ENCODED_CONTROL.search(path):
        raise BadRequest("The path has characters that cannot be sent.")
    read = _ENCODED_RE.sub(lambda found: _ENCODED[found[0].lower()], path)
    segments = (segment.partition(";")[0] for segment in read.split("/"))
    if "\\" in read or "//" in read or any(segment in (".", "..") for segment in segments):
        raise UnknownPath("There is nothing at this path.")


def _with_parameters(query: str, added: tuple[tuple[str, str], ...]) -> str:
    """The caller's query as sent, and those of the upstream's parameters that are not in it."""
    if not added:
        return query
    sent = {part.partition("=")[0] for part in query.split("&")}
    more = urlencode([pair for pair in added if pair[0] not in sent], quote_via=quote)
    return f"{query}&{more}" if query and more else query or more


def _not_sent(inbound: Pairs) -> frozenset[str]:
    return _NOT_SENT | _listed(inbound)


def _listed(inbound: Pairs) -> frozenset[str]:
    """The headers that a Connection header declares to be of this hop only."""
    found: list[str] = []
    for name, value in inbound:
        if len(name) == 10 and name.lower() == "connection" and value.lower() not in ("keep-alive", "close"):
            found += [token.strip().lower() for token in value.split(",")]
    return frozenset(found)


def _foreign_cookies(value: str) -> str:
    """Cookies without those of Weir's own dashboard, which browsers send to every port of a host."""
    if "weir" not in value.lower():
        return value
    parts = [part.strip() for part in value.split(";")]
    return "; ".join(part for part in parts if not part.lower().startswith(("weir_", "weir-", "__host-weir")))
