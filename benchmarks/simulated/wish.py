"""The control language by which a caller asks the simulated provider to behave in a certain way.

A wish is `[[sim key=value ...]]` in the model name or in the last user text, or the header `x-sim: key=value ...`
(that one wins, then the model, then the text). Commas are spaces, values may be quoted, a key alone means 1. The wish
itself is taken out of model and text before they are echoed. Events are counted from 1, start-up events included.

    delay=S          seconds before anything is answered        first=S       seconds before the second event
    interval=S       seconds between events                     chunks=N      content comes in N pieces
    text="..."       what to say                                size=N        say N bytes (streams: pieces of 1,000)
    tools=N          make N tool calls                          finish=WORD   the finish or stop reason
    refusal=1        refuse                                     reasoning=1   think aloud first
    redacted=1       with redacted thinking                     cached=N      N of the input came from the cache
    written=N        N of the input were written to the cache   usage=0       give no usage at all
    status=N         answer with this error                     code=WORD     its code
    retry_after=S    with Retry-After                           times=N       only the first N times, then answer well
    cut=K            end the connection after K events (0: in the headers; JSON: in the middle of the body)
    reset=1          cut by RST                                 hang=1        no answer at all
    stall=K          hang after K events                        error=K       error event after K events
    garbage=WHAT     not HTTP: 1 (noise), status, chunk, lengths, http09, json, header
    junk=K           noise between events after K events        no_done=1     leave out the last event
    split=N          cut the stream's bytes every N bytes       crlf=1        events end in CRLF
    comments=1       a comment before each event                headers=N     N bytes of additional header
    gzip=1           compress JSON answers                      close=1       connection: close
    chunked=1        JSON answers without content-length        reject_stream_options=1   400 about stream_options
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

_MARK = re.compile(r"\s?\[\[sim\b([^\]]*)\]\]")


@dataclass(frozen=True, slots=True)
class Wish:
    delay: float = 0.0
    first: float = 0.0
    interval: float = 0.0
    chunks: int = 0
    text: str = ""
    size: int = 0
    tools: int = 0
    finish: str = ""
    refusal: bool = False
    reasoning: bool = False
    redacted: bool = False
    cached: int = 0
    written: int = 0
    usage: bool = True
    status: int = 0
    code: str = ""
    retry_after: float = 0.0
    times: int = 0
    cut: int = -1
    reset: bool = False
    hang: bool = False
    stall: int = -1
    error: int = -1
    garbage: str = ""
    junk: int = -1
    no_done: bool = False
    split: int = 0
    crlf: bool = False
    comments: bool = False
    headers: int = 0
    gzip: bool = False
    close: bool = False
    chunked: bool = False
    reject_stream_options: bool = False

    @property
    def plain(self) -> bool:
        """Nothing about the way of answering is asked: the fast path may be taken."""
        return self is PLAIN or (self.answered and not self.delay)

    @property
    def answered(self) -> bool:
        """JSON answers go out as they are."""
        return (
            not (self.hang or self.garbage or self.headers or self.gzip or self.close or self.chunked) and self.cut < 0
        )


PLAIN = Wish()
_KINDS: Mapping[str, type] = {field.name: type(getattr(PLAIN, field.name)) for field in fields(Wish)}


def take(text: str) -> tuple[str, str]:
    """The text without its wishes, and the wishes."""
    if "[[sim" not in text:
        return text, ""
    return _MARK.sub("", text), " ".join(_MARK.findall(text))


def understand(*said: str) -> Wish:
    """The wish, from its sources; what is said first wins. An unknown key is an error, not a silence."""
    words: dict[str, Any] = {}
    for source in said:
        if not source:
            continue
        parts = shlex.shlex(source, posix=True)
        parts.whitespace += ","
        parts.whitespace_split = True
        for part in parts:
            key, _, value = part.partition("=")
            if key not in _KINDS:
                raise ValueError(f"unknown wish {key!r}; known are {', '.join(_KINDS)}")
            words.setdefault(key, _value(_KINDS[key], value or "1"))
    return Wish(**words) if words else PLAIN


def _value(kind: type, value: str) -> Any:
    return value not in ("0", "false", "no") if kind is bool else kind(value)
