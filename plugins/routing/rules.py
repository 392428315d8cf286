"""Whether a rule is for a call: pure questions, each asked only where some rule wants to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from time import gmtime

from plugins.routing.capabilities import has_images
from plugins.routing.features import asked_text
from plugins.routing.language import language
from plugins.routing.options import HOURS, Condition, fits
from proxy.exchange import BUDGET_LEFT, Exchange

CHARS_PER_TOKEN = 4
TAGS_HEADER = "x-weir-tags"
MOST_TAGS = 64
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Facts:
    """What rules may ask of a call; each thing is looked at once."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    @cached_property
    def tokens(self) -> int:
        """Of the prompt, by its length."""
        return sum([len(segment.text) for segment in self.exchange.request.segments]) // CHARS_PER_TOKEN

    @cached_property
    def tags(self) -> frozenset[str]:
        request = self.exchange.request
        found = [value for name, value in request.headers if name.lower() == TAGS_HEADER]
        tags = [tag.strip() for value in found for tag in value.split(",")]
        metadata = request.get("metadata")
        listed = metadata.get("tags") if isinstance(metadata, dict) else None
        if isinstance(listed, list):
            tags += [tag for tag in listed if isinstance(tag, str)]
        elif isinstance(listed, str):
            tags += [tag.strip() for tag in listed.split(",")]
        return frozenset(tags[:MOST_TAGS])

    @cached_property
    def language(self) -> str:
        return language(asked_text(self.exchange.request.segments, newest=True))

    @cached_property
    def minute(self) -> int:
        """Of the day, UTC."""
        return int(self.exchange.at_s // 60) % 1440

    @property
    def day(self) -> str:
        return DAYS[gmtime(self.exchange.at_s).tm_wday]

    @property
    def tools(self) -> bool:
        request = self.exchange.request
        return bool(request.get("tools") or request.get("functions"))


Test = Callable[[Facts], bool]


@dataclass(frozen=True, slots=True)
class Matcher:
    """A rule's condition, made ready: only what is asked is looked at, the cheap first."""

    tests: tuple[Test, ...]

    @classmethod
    def of(cls, condition: Condition) -> Matcher:
        """But for agents and models, which are settled before."""
        return cls(tuple(_tests(condition)))

    def fits(self, facts: Facts) -> bool:
        return all(test(facts) for test in self.tests)


def _tests(when: Condition) -> list[Test]:
    """In the order of what they cost."""
    found: list[Test] = []
    if when.stream is not None:
        found.append(lambda facts: facts.exchange.request.stream == when.stream)
    if when.hours:
        found.append(lambda facts: within(when.hours, facts.minute))
    if when.days:
        found.append(lambda facts: facts.day in when.days)
    if when.tools is not None:
        found.append(lambda facts: facts.tools == when.tools)
    if when.budget_below is not None:
        found.append(lambda facts: _less(facts.exchange.notes.read(BUDGET_LEFT), when.budget_below))
    if when.headers:
        found.append(lambda facts: all(_has(facts.exchange, name, value) for name, value in when.headers.items()))
    if when.tags:
        found.append(lambda facts: not facts.tags.isdisjoint(when.tags))
    if when.tokens_from is not None:
        found.append(lambda facts: facts.tokens >= (when.tokens_from or 0))
    if when.tokens_below is not None:
        found.append(lambda facts: facts.tokens < (when.tokens_below or 0))
    if when.images is not None:
        found.append(lambda facts: has_images(facts.exchange) == when.images)
    if when.languages:
        found.append(lambda facts: facts.language in when.languages)
    return found


def within(hours: str, minute: int) -> bool:
    """Whether a minute of the day lies in `22:00-06:00`; the same time twice is the whole day."""
    found = HOURS.fullmatch(hours)
    if found is None:
        return False
    start, end = (int(found[at]) * 60 + int(found[at + 1]) for at in (1, 3))
    if start < end:
        return start <= minute < end
    return minute >= start or minute < end


def _less(left: float | None, most: float | None) -> bool:
    return left is not None and most is not None and left < most


def _has(exchange: Exchange, name: str, value: str) -> bool:
    wanted = name.lower()
    return any(fits((value,), told) for header, told in exchange.request.headers if header.lower() == wanted)
