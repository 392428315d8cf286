"""What follows from a judgement: refused, replaced, sanitised or tagged, by where the text stands: Plan."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from plugins.injection import templates
from plugins.injection.options import TEMPLATED, UNTRUSTED, Action, InjectionOptions
from plugins.injection.position import Position
from plugins.injection.screen import Seen
from plugins.injection.spotlight import lit
from proxy.exchange import Exchange, Finding, Request, Segment

Deed = Literal["refuse", "replace", "sanitise", "neutralise", "tag", "record", "pass"]
"""`sanitise`: suspicious, marked as data; `neutralise`: only the tokens of a template are broken."""
WHAT: MappingProxyType[Position, str] = MappingProxyType(
    {
        "user": "message",
        "tool": "tool result",
        "document": "document",
        "description": "tool description",
        "arguments": "tool argument",
        "assistant": "message",
        "system": "system prompt",
    }
)
REMOVED = "[Weir removed this"
TYPE = "prompt_injection"
TEMPLATE = "chat_template"
"""The reason where control tokens alone are the matter."""
MOST_FINDINGS = 16
"""Of one call; further texts are counted in the last of them."""
NEAR = 0.5
"""Of a threshold: what reaches this part of it is left as a note for those who watch what the model does."""
SAID: frozenset[Position] = frozenset({"assistant", "arguments"})
"""What the model said or called: in the history from the start, so never new."""
ALL_NEW = frozenset({"completions", "embeddings"})
"""Surfaces without a conversation: every input is the newest."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Of one position: what is done, and from which score on (None: as the judge says)."""

    action: Action
    threshold: float | None


Limits = MappingProxyType[Position, Limit]


@dataclass(frozen=True, slots=True)
class Case:
    """One text with what was found in it and what it meets."""

    segment: Segment
    position: Position
    seen: Seen
    deed: Deed
    new: bool
    """It is new in this call."""
    first: bool = False
    """It was judged in this call, not remembered from an earlier one."""

    @property
    def told(self) -> bool:
        """Whether it has an event of its own: what is new, and what the model said and called when it is first met."""
        return self.segment.fresh or (self.first and self.position in SAID)


def suspicious(seen: Seen, limit: Limit, options: InjectionOptions) -> bool:
    """Whether a text at this position acts on the call."""
    if seen.classic and options.classic == "refuse":
        return True
    return seen.flagged if limit.threshold is None else seen.score >= limit.threshold


def newest(request: Request) -> int:
    """The index of the message with the newest words of the user; below all where every input is new."""
    if request.dialect in ALL_NEW:
        return -2
    said = [one.index for one in request.segments if one.fresh and one.role == "user" and one.kind == "text"]
    return max(said, default=-2)


def case(segment: Segment, position: Position, seen: Seen, limit: Limit, options: InjectionOptions, last: int) -> Case:
    """What one text meets. Only what is new may refuse a call: older texts are replaced, so that a conversation
    outlives its refused turn."""
    new = segment.fresh and segment.index >= last
    deed: Deed = "pass"
    if suspicious(seen, limit, options):
        deed = _deed(limit.action, segment, position, new)
    elif seen.templated and options.templates != "off" and position in TEMPLATED and not segment.sealed:
        if options.templates == "neutralise":
            deed = "neutralise"
        else:
            deed = _deed("refuse" if position == "user" else "replace", segment, position, new)
    elif seen.classic:
        deed = "record"
    return Case(segment, position, seen, deed, new)


def _deed(wanted: Action, segment: Segment, position: Position, new: bool) -> Deed:
    if wanted in ("off", "tag"):
        return "tag"
    if wanted == "refuse" and not new and position != "description":
        wanted = "replace"
    if segment.sealed:  # (a signature covers it, so it can be read and refused, never changed)
        return "refuse"
    return wanted  # type: ignore[return-value]


def sentence(one: Case) -> str:
    """What stands where a text was replaced: the same in every turn, and nothing of the text."""
    return f"{REMOVED} {WHAT[one.position]}: it was taken for a prompt injection (rule: {reason(one.seen)}).]"


def reason(seen: Seen) -> str:
    """The first of the reasons that names what was found (and not how it was hidden)."""
    named = (one for one in seen.reasons if not one.startswith("in "))
    return next(named, TEMPLATE if seen.templated else "words")


def edit(one: Case, mark: str, spotlight: bool) -> None:
    """Changes the text of a case that asks for it."""
    segment = one.segment
    if segment.sealed:
        return
    if one.deed == "replace":
        segment.text = sentence(one)
        return
    if one.deed in ("sanitise", "neutralise"):
        segment.text = templates.broken(segment.text)
    if one.position in UNTRUSTED and (spotlight or one.deed == "sanitise"):
        segment.text = lit(segment.text, mark)


def record(exchange: Exchange, plugin: str, cases: list[Case]) -> None:
    """An event for each text that is new, and one for those that were found in earlier turns."""
    new = [one for one in cases if one.told]
    for one in new[: MOST_FINDINGS - 1]:
        exchange.find(_finding(plugin, one))
    rest = new[MOST_FINDINGS - 1 :]
    if rest:
        exchange.find(_several(plugin, rest, max(rest, key=lambda one: one.seen.score).deed, "high"))
    old = [one for one in cases if not one.told and one.deed not in ("record", "tag")]
    if old:
        exchange.find(_several(plugin, old, old[0].deed, "low"))


def _finding(plugin: str, one: Case) -> Finding:
    seen = one.seen
    acted = one.deed in ("refuse", "replace")
    severity: Literal["medium", "high"] = "high" if seen.classic or acted else "medium"
    block = seen.classic or acted or one.deed == "tag"
    reasons = seen.reasons if not seen.templated else (*seen.reasons, TEMPLATE)
    return Finding(
        plugin, TYPE, severity, one.deed, round(seen.score, 4), reasons, ((one.position, 1),),
        recommended="block" if block else "",
    )  # fmt: skip


def _several(plugin: str, cases: list[Case], deed: str, severity: Literal["low", "high"]) -> Finding:
    counts: dict[str, int] = {}
    for one in cases:
        counts[one.position] = counts.get(one.position, 0) + 1
    worst = max(cases, key=lambda one: one.seen.score).seen
    reasons = tuple(dict.fromkeys(reason(one.seen) for one in cases))[:MOST_FINDINGS]
    return Finding(plugin, TYPE, severity, deed, round(worst.score, 4), reasons, tuple(counts.items()))
