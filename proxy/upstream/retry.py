"""What to do after a failed attempt: try again, try the next target, or give up. Pure: time is passed in.

The rules of this version are modest, because the official clients retry by themselves: the same target is tried once
(the client's own second attempt on a stale connection apart); a failure that another provider might not have goes to
the next target. Later rules have their places here:

    breaker    a target that keeps failing is left out before it is tried: filter what `Pool` walks through
    gate       a call waits for its place before each attempt: around `Link.send` in `Pool`
    balance    equal targets are ordered by how well they do: where `Pool` takes the list of targets
    same       more than one attempt on one target: `Policy.same`, answered here with `Again`
"""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from proxy.ports import Headers

STATUSES = frozenset({408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
"""Answers that another provider, or this one a little later, might not give."""


@dataclass(frozen=True, slots=True)
class Policy:
    total: int = 4
    """Attempts for one call, over all targets."""
    same: int = 1
    """Attempts on one target."""
    pause_s: float = 0.5
    """Before a second attempt on a target that does not say how long to wait; doubled each time."""
    patience_s: float = 5.0
    """A target that wants a longer pause is not waited for."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a call has come."""

    attempts: int
    """Made so far, the failed one included."""
    on_target: int
    """Of these in a row on the present target."""
    targets_left: int


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt that failed, and when."""

    status: int | None = None
    """None: no answer came."""
    headers: Headers = field(default_factory=list)
    now_s: float = 0.0
    """Monotonic."""
    wall_s: float = 0.0
    deadline_s: float | None = None
    """Monotonic."""


@dataclass(frozen=True, slots=True)
class Again:
    after_s: float


@dataclass(frozen=True, slots=True)
class Next:
    pass


@dataclass(frozen=True, slots=True)
class GiveUp:
    exhausted: bool
    """Every target was tried and failed in a way that a repetition could have mended: the caller need not repeat it."""


Verdict = Again | Next | GiveUp


def fails(status: int) -> bool:
    """Whether an answer with this status is a failure of the target rather than of the call."""
    return status in STATUSES


def decide(failure: Failure, counts: Counts, policy: Policy) -> Verdict:
    if failure.status is not None and not fails(failure.status):
        return GiveUp(exhausted=False)
    exhausted = counts.attempts > 1 and not counts.targets_left
    late = failure.deadline_s is not None and failure.now_s >= failure.deadline_s
    if late or counts.attempts >= policy.total:
        return GiveUp(exhausted)
    if counts.on_target < policy.same:
        pause_s = _pause_s(failure, counts, policy)
        in_time = failure.deadline_s is None or failure.now_s + pause_s < failure.deadline_s
        if pause_s <= policy.patience_s and in_time:
            return Again(pause_s)
    return Next() if counts.targets_left else GiveUp(exhausted)


def retry_after_s(headers: Headers, wall_s: float) -> float | None:
    """Seconds that a provider asks to wait: `retry-after-ms`, else `retry-after` as seconds or as a date."""
    found = {name.lower(): value.strip() for name, value in headers if name.lower().startswith("retry-after")}
    milliseconds = _number(found.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    after = found.get("retry-after")
    seconds = _number(after)
    if seconds is not None or after is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(after).timestamp() - wall_s)
    except (ValueError, OverflowError):
        return None


def _pause_s(failure: Failure, counts: Counts, policy: Policy) -> float:
    asked = retry_after_s(failure.headers, failure.wall_s)
    doubled: float = policy.pause_s * 2 ** (counts.on_target - 1)
    return doubled if asked is None else asked


def _number(text: str | None) -> float | None:
    if text is None or not text.replace(".", "", 1).isdecimal() or len(text) > 12:
        return None
    return float(text)
