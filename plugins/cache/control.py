"""What a caller says of the cache in one call: `x-weir-cache: no-cache | no-store | only-if-kept | ttl=SECONDS`."""

from __future__ import annotations

from typing import NamedTuple

from plugins.cache.options import CacheOptions
from proxy.errors import Refused

TTL_DIGITS = 9
KEPT = "only-if-kept"


class Control(NamedTuple):
    """What holds for one call."""

    fresh: bool = False
    """`no-cache`: the provider is asked; its answer may be kept."""
    unkept: bool = False
    """`no-store`: neither kept nor shared with calls under way; what is kept may answer."""
    ttl_s: float | None = None
    """`ttl=N`: kept for so long, and nothing older answers."""
    ignored: str = ""
    """What was said and is not heard."""


PLAIN = Control()


def control(said: str, options: CacheOptions) -> Control:
    """Words with commas between, within what `options` allow. `no-store=...` and `no-cache=...` count as without what
    follows: who says so wants the cache to keep off, and is not served from it because of a slip. Raises Refused where
    nothing is to be kept and nothing else is wanted."""
    if not said:
        return PLAIN
    fresh, unkept, ttl_s, ignored = False, False, None, ""
    for word in said.lower().replace(";", ",").split(","):
        name, _, value = word.partition("=")
        name, value = name.strip().replace("_", "-"), value.strip()
        allowed = name in options.callers
        if name == "no-cache" and allowed:
            fresh = True
        elif name == "no-store" and allowed:
            unkept = True
        elif name == "ttl" and allowed and value.isascii() and value.isdigit() and len(value) <= TTL_DIGITS:
            ttl_s = min(float(value), options.most_ttl_s)
        elif name and name != KEPT:
            ignored = "not allowed" if name in ("no-cache", "no-store", "ttl") and not allowed else "not understood"
    if unkept or ttl_s == 0:
        insist("cache", said, "the caller wants it so")
    return Control(fresh, unkept, ttl_s, ignored)


def insist(plugin: str, said: str, why: str) -> None:
    """Of a call whose answer cannot be kept: raises Refused where its caller would have nothing else (`only-if-kept`:
    who fills the cache does not want to spend on what never comes into it)."""
    if said and KEPT in said.lower().replace("_", "-"):
        refused = Refused(plugin, f"No answer to this call can be kept ({why}).", code="answer_not_kept")
        refused.headers += (("x-weir-cache", "BYPASS"),)
        raise refused
