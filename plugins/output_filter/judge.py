"""The judgement on a stretch of an answer: what in it must not pass, and what goes out in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from plugins.output_filter.examples import example
from plugins.output_filter.known import Known
from plugins.output_filter.links import MARKS, Hosts, links
from plugins.output_filter.options import Action, OutputFilterOptions
from plugins.output_filter.report import Kind, Report, Severity
from plugins.output_filter.rules import Sheet
from proxy.detection import disguises
from proxy.detection.secrets import Secrets
from proxy.detection.span import Span

DIGITS = 7
_OPEN_DOMAINS = (".test", ".example", ".invalid", ".localhost", ".local")


class Finds(Protocol):
    def find(self, text: str) -> list[Span]: ...


class Place(NamedTuple):
    """`text[start:end]` must not pass as it is."""

    start: int
    end: int
    kind: Kind
    action: Action
    instead: str
    what: str
    severity: Severity
    score: float


@dataclass(frozen=True, slots=True)
class Eyes:
    """All that judges, made once for each set of options."""

    options: OutputFilterOptions
    sheet: Sheet
    hosts: Hosts
    secrets: Secrets
    finder: Finds

    def places(self, text: str, start: int, known: Known) -> list[Place]:
        """In order; those that end behind `start`. Of those that are acted upon, none overlaps another."""
        options = self.options
        found: list[Place] = []
        if options.secrets != "off":
            found += self._secrets(text, start, known)
        if options.links != "off" and any([mark in text for mark in MARKS]):  # noqa: C419  a list is faster here
            found += self._links(text, start, known)
        if options.personal != "off" and (
            "@" in text or sum(map(str.isdigit, text[start:])) >= DIGITS or disguises.read(text) is not None
        ):
            found += self._personal(text, start, known)
        found.sort(key=lambda one: (one.start, -one.end))
        return _apart(found)

    def _secrets(self, text: str, start: int, known: Known) -> list[Place]:
        options = self.options
        places = []
        for one in self.secrets.found(text):
            if one.end <= start or known.secret(text[one.start : one.end]):
                continue
            action = options.secrets if one.score >= options.certain else "tag"
            severity: Severity = "high" if one.score >= options.certain else "medium"
            places.append(
                Place(
                    max(one.start, start), one.end, "secret", action, "[SECRET_REDACTED]", one.rule, severity,
                    one.score,
                )
            )  # fmt: skip
        return places

    def _links(self, text: str, start: int, known: Known) -> list[Place]:
        action = self.options.links
        return [
            Place(
                one.start, one.end, "link", "tag" if one.way == "text" and action != "refuse" else action,
                "[LINK_REDACTED]", f"{one.way}: {one.reason}", "high" if one.way == "image" else "medium", 1.0,
            )
            for one in links(text, start, self.hosts, self.sheet.parameters, known.told)
        ]  # fmt: skip

    def _personal(self, text: str, start: int, known: Known) -> list[Place]:
        options = self.options
        places = []
        for one in self.finder.find(text):
            value = disguises.undone(text[one.start : one.end])
            if one.type not in options.types or one.end <= start or self._public(one.type, value):
                continue
            if known.personal(value) or known.personal(text[one.start : one.end]):
                continue
            places.append(
                Place(
                    max(one.start, start), one.end, "personal", options.personal, f"[{one.type}_REDACTED]", one.type,
                    "medium", one.score,
                )
            )  # fmt: skip
        return places

    def _public(self, type_: str, value: str) -> bool:
        """An example, or what everybody may know."""
        if type_ != "EMAIL":
            return example(type_, value)
        box, _, domain = value.lower().rpartition("@")
        return box in self.sheet.mailboxes or domain in self.sheet.domains or domain.endswith(_OPEN_DOMAINS)


class Judging:
    """The judgement on one text."""

    __slots__ = ("_eyes", "_known", "_report")

    def __init__(self, eyes: Eyes, known: Known, report: Report) -> None:
        self._eyes = eyes
        self._known = known
        self._report = report

    def __call__(self, text: str, start: int) -> str:
        """What goes out for `text[start:]`. Raises Refused."""
        places = self._eyes.places(text, start, self._known)
        if not places:
            return text[start:] if start else text
        out: list[str] = []
        at = start
        for one in places:
            self._report.note(one.kind, one.action, one.what, severity=one.severity, score=one.score)
            if one.action == "redact":
                out.append(text[at : one.start] + one.instead)
                at = one.end
        out.append(text[at:])
        return "".join(out)


def _apart(found: list[Place]) -> list[Place]:
    kept: list[Place] = []
    end = -1
    for one in found:
        if one.action == "tag":  # changes nothing, so it stands in nobody's way
            kept.append(one)
        elif one.start >= end:
            kept.append(one)
            end = one.end
    return kept
