"""Under which key an answer lies: the canonical call, and its hashes.

Two calls have one key where nothing differs that could make their answers differ. What may: tenant and agent, dialect,
path, query, the upstream (with its address) and the model after routing, the variant, whether it is a stream, the
models that the caller's key may use (so that no hit widens a right), headers by which callers choose a behaviour, and
the whole body as it would be sent. What may not, and is left out: who the end user is (`user`, `safety_identifier`,
`metadata`), the order of keys in JSON objects, and of `stream_options` what is not set. Numbers stay as they are
written: 1 and 1.0 are two.

In a process the hash is XXH3-128 with a seed of its own, for colliding texts can be constructed for a known one; beyond
the process it is BLAKE2b under the fleet's secret.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable
from typing import Any, Final

import orjson
import xxhash

from proxy.exchange import Exchange, Json, Request
from proxy.ports import Pairs

IGNORED: Final = frozenset({"user", "safety_identifier", "metadata", "stream", "model"})
"""Top-level names that are no part of the key, or stand in it another way."""
HEARD: Final = frozenset(
    {
        "anthropic-version", "anthropic-beta", "openai-beta", "openai-organization", "openai-project",
        "x-goog-api-key", "x-goog-user-project", "ocp-apim-subscription-key",
    }
)  # fmt: skip
"""What providers go by, accounts included that no tenant is told by."""
CONTROL: Final = "x-weir-cache"
_OF_INTEREST: Final = frozenset({*HEARD, CONTROL})
_LONG: Final = re.compile(rb"\d{19}")
SHARED_BYTES: Final = 32


def heard(headers: Pairs) -> tuple[str, list[str] | None]:
    """What the caller says of the cache, and the headers by which it chooses a behaviour, sorted."""
    said, chosen = "", None
    for name, value in headers:
        low = name.lower()
        if low in _OF_INTEREST:
            if low == CONTROL:
                said = f"{said}, {value}" if said else value
            elif chosen is None:
                chosen = [f"{low}: {value}"]
            else:
                chosen.append(f"{low}: {value}")
    if chosen is not None:
        chosen.sort()
    return said, chosen


def told(request: Request) -> tuple[str, list[str] | None]:
    """`heard` of its headers, once for all calls that have the same."""
    known = request.known
    if known is None:
        return heard(request.headers)
    found: tuple[str, list[str] | None] | None = known.get("cache")
    if found is None:
        found = known["cache"] = heard(request.headers)
    return found


def canonical(exchange: Exchange, doc: Json, chosen: list[str] | None) -> bytes:
    """The call as bytes: equal for calls that may share an answer, different for all others. `doc` is the body as it
    would be sent. Needs `exchange.target`."""
    request, caller, target = exchange.request, exchange.caller, exchange.target
    assert target is not None
    said: dict[str, Any] = {name: value for name, value in doc.items() if name not in IGNORED}
    if request.stream and "stream_options" in said:
        options = said["stream_options"]
        kept = {name: value for name, value in options.items() if value} if type(options) is dict else options
        if kept:
            said["stream_options"] = kept
        else:
            del said["stream_options"]
    snapshot = exchange.snapshot
    key = snapshot.identity.key(caller.key) if caller.key is not None else None
    upstream = snapshot.upstreams.get(target.upstream)
    whole = [
        caller.tenant, caller.agent, request.dialect, request.path, request.query, target.upstream,
        upstream.url if upstream is not None else "", target.model,
        exchange.variant, request.stream, key.models if key is not None else (), chosen, said,
    ]  # fmt: skip
    try:
        return orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers of more than 64 bits, which only the slow way writes whole
        return b"\0" + json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()


def loses(body: bytes, doc: Json) -> bool:
    """Whether a body that was changed has integers that reading it anew would round (`Request.present`)."""
    return _LONG.search(body) is not None and _huge(doc)


def _huge(value: Json) -> bool:
    if type(value) is int:
        return not -(2**63) <= value < 2**64
    if type(value) is dict:
        return any(map(_huge, value.values()))
    return type(value) is list and any(map(_huge, value))


class Keys:
    """The hashes of one process."""

    __slots__ = ("_secret", "_seed")

    def __init__(self, secret: Callable[[str], bytes]) -> None:
        self._seed = secrets.randbits(64)
        self._secret = secret("cache keys")

    def local(self, canonical: bytes) -> bytes:
        """16 bytes, for this process alone."""
        return xxhash.xxh3_128_digest(canonical, seed=self._seed)

    def shared(self, canonical: bytes) -> bytes:
        """32 bytes: the same in every process of the fleet, and known to nobody else."""
        return hashlib.blake2b(canonical, key=self._secret, digest_size=SHARED_BYTES).digest()

    def person(self, user: str | None) -> bytes:
        """Who the user is, for whoever forgets one; empty: nobody. The same in all tenants."""
        if user is None:
            return b""
        return hashlib.blake2b(
            user.encode("utf-8", "replace"), key=self._secret, digest_size=16, person=b"user"
        ).digest()
