"""One kept answer: what is given again, and whose it is."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, fields
from typing import Any, Final

import orjson

from proxy.exchange import Saving, Usage

ENTRY_BYTES: Final = 1400
"""What an entry takes in memory beside its body: measured, rounded up."""
_LENGTH: Final = struct.Struct(">I")
_USAGE: Final = tuple(item.name for item in fields(Usage))


@dataclass(slots=True)
class Entry:
    """A complete answer as it passed the cache's place."""

    body: bytes
    """One JSON document, or all events of a stream."""
    stream: bool
    made_s: float
    """Wall time of the call that it answered."""
    ttl_s: float
    tenant: str
    agent: str
    upstream: str
    model: str
    """As the upstream calls it."""
    served: str = ""
    """As the answer names it."""
    finish: str = ""
    id: str = ""
    """The provider's own id of the answer."""
    call: str = ""
    """Weir's id of the call."""
    person: bytes = b""
    """Who the user was (`Keys.person`); empty: nobody."""
    usage: Usage | None = None
    named: tuple[Any, ...] | None = None
    """What of the call the answer repeats and the key does not hold (`echo`)."""
    saving: Saving | None = field(default=None, compare=False)
    """What one more hit saves, once that was asked."""

    @property
    def size_bytes(self) -> int:
        return ENTRY_BYTES + len(self.body)

    def age_s(self, at_s: float) -> float:
        return max(0.0, at_s - self.made_s)

    def matches(self, wanted: Filter) -> bool:
        return wanted.fits(self.tenant, self.agent, self.model, self.id, self.call, self.person) and (
            not wanted.before_s or self.made_s <= wanted.before_s
        )


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries; empty fields mean any."""

    tenant: str = ""
    agent: str = ""
    model: str = ""
    id: str = ""
    """Of the answer or of the call."""
    person: bytes = b""
    before_s: float = 0.0
    """Made up to this moment."""

    def fits(self, tenant: str, agent: str, model: str, id: str, call: str, person: bytes) -> bool:
        return (
            (not self.tenant or self.tenant == tenant)
            and (not self.agent or self.agent == agent)
            and (not self.model or self.model == model)
            and (not self.id or self.id in (id, call))
            and (not self.person or self.person == person)
        )


def packed(entry: Entry) -> bytes:
    """The entry as bytes: the length of a head, the head as JSON, the body."""
    usage = entry.usage
    head = orjson.dumps(
        [
            entry.stream, entry.made_s, entry.ttl_s, entry.tenant, entry.agent, entry.upstream, entry.model,
            entry.served, entry.finish, entry.id, entry.call, entry.person.hex(),
            None if usage is None else [getattr(usage, name) for name in _USAGE], entry.named,
        ],
        default=str,
    )  # fmt: skip
    return b"".join((_LENGTH.pack(len(head)), head, entry.body))


def unpacked(raw: bytes) -> Entry:
    """ValueError where it is none."""
    try:
        (length,) = _LENGTH.unpack_from(raw)
        head = orjson.loads(raw[_LENGTH.size : _LENGTH.size + length])
        stream, made_s, ttl_s, *texts, person, usage, named = head
        tenant, agent, upstream, model, served, finish, own, call = map(_text, texts)
        return Entry(
            raw[_LENGTH.size + length :], stream is True, float(made_s), float(ttl_s), tenant, agent, upstream, model,
            served, finish, own, call, bytes.fromhex(person), None if usage is None else Usage(*map(int, usage)),
            None if named is None else tuple(named),
        )  # fmt: skip
    except (struct.error, TypeError, ValueError, OverflowError) as error:
        raise ValueError("this is no entry") from error


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError("no text")
    return value
