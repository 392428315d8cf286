"""How often it was wrong: verdicts on answers that were or would have been given, and what follows from them.

Every verdict is one bit: the provider, asked all the same, gave the answer that was about to be given, or another; or
somebody who was given it called it good, or bad.

  an answer     that was wrong once is given again only to texts nearer than that one was (so not to that one); wrong
                twice, to none
  an agent      is asked again once it is proven that more than the permitted share is wrong: by a likelihood ratio
                against larger shares, mixed, which is an e-process: at any moment, however often one looks, it exceeds
                20 with a probability of at most 5 % where the share is what is permitted (Ville's inequality)
  the report    says how large the share is at most: the upper bound of Clopper and Pearson at 95 %
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from operator import add

AGENTS = 1024
ANSWERS = 8192
PROVEN = 20.0
"""From this value of the e-process on: 1 / 0.05."""
LARGER = (2.0, 5.0, 20.0)
"""Times the permitted share: the alternatives that are mixed."""
MOST = 0.9
BARRED = 2.0
"""A similarity that none reaches."""
BETWEEN = "\0"
"""Between tenant and agent, where both say whose hits are judged."""


@dataclass(slots=True)
class Tally:
    """What became of one agent's hits."""

    would: int = 0
    served: int = 0
    right: int = 0
    wrong: int = 0
    unclear: int = 0
    told_right: int = 0
    told_wrong: int = 0
    """Of the right and wrong ones, those that somebody said: every worker hears of them."""

    @property
    def judged(self) -> int:
        return self.right + self.wrong

    def plus(self, other: Tally) -> Tally:
        return Tally(*map(add, astuple(self), astuple(other)))

    def wrong_at_most(self) -> float:
        """At 95 %."""
        return upper_bound(self.wrong, self.judged)

    def evidence(self, permitted: float) -> float:
        """That the share of wrong ones is larger than permitted: the value of the e-process."""
        total = 0.0
        for times in LARGER:
            share = min(MOST, times * permitted)
            exponent = self.wrong * math.log(share / permitted) + self.right * math.log((1 - share) / (1 - permitted))
            total += math.exp(min(exponent, 50.0))
        return total / len(LARGER)


class Learned:
    """Bounded: agents and answers of which nothing was heard for longest are forgotten."""

    def __init__(self) -> None:
        self._agents: OrderedDict[str, Tally] = OrderedDict()
        self._least: OrderedDict[bytes, tuple[int, float]] = OrderedDict()
        """Of an answer that was wrong: how often, and how near the text was."""

    def tally(self, agent: str) -> Tally:
        found = self._agents.get(agent)
        if found is None:
            found = self._agents[agent] = Tally()
            if len(self._agents) > AGENTS:
                self._agents.popitem(last=False)
        else:
            self._agents.move_to_end(agent)
        return found

    def least(self, key: bytes) -> float:
        """A text must be nearer than this to the one that was answered; 0: nothing is known against it."""
        times, near = self._least.get(key, (0, 0.0))
        return BARRED if times > 1 else near

    def permits(self, key: Callable[[], bytes], near: float) -> bool:
        """Whether nothing is known against giving an answer to a text so near. `key`: asked where anything is known."""
        if not self._least:
            return True
        least = self.least(key())
        return not least or near > least

    def trusted(self, agent: str, permitted: float) -> bool:
        """Whether nothing is proven against giving this agent answers."""
        found = self._agents.get(agent)
        return found is None or found.wrong < 2 or found.evidence(permitted) < PROVEN

    def untell(self, agent: str, right: bool) -> None:
        """A verdict is taken back. What it brought against an answer stays: others may be asked for it."""
        tally = self.tally(agent)
        if right:
            tally.right, tally.told_right = max(0, tally.right - 1), max(0, tally.told_right - 1)
        else:
            tally.wrong, tally.told_wrong = max(0, tally.wrong - 1), max(0, tally.told_wrong - 1)

    def told(self, agent: str, key: bytes | None, near: float, right: bool) -> None:
        """A verdict of somebody who had the answer. `key`: None where it is not known which."""
        tally = self.tally(agent)
        if right:
            tally.told_right += 1
        else:
            tally.told_wrong += 1
        self.tell(agent, key, near, right)

    def tell(self, agent: str, key: bytes | None, near: float, right: bool | None) -> None:
        """A verdict; None: nobody can say. `key`: the answer; None where it is not known which."""
        tally = self.tally(agent)
        if right is None:
            tally.unclear += 1
        elif right:
            tally.right += 1
        else:
            tally.wrong += 1
            if key is None:
                return
            times, before = self._least.pop(key, (0, 0.0))
            self._least[key] = (times + 1, max(near, before))
            if len(self._least) > ANSWERS:
                self._least.popitem(last=False)

    def stricter(self) -> tuple[int, int]:
        """Answers given only to nearer texts since they were wrong once, and those given to none."""
        barred = sum(times > 1 for times, _ in self._least.values())
        return len(self._least) - barred, barred

    def report(self) -> dict[str, Mapping[str, float]]:
        """By agent, of all its tenants; `wrong_at_most` is a share, at 95 %."""
        agents: dict[str, Tally] = {}
        for whose, one in self._agents.items():
            agent = whose.rpartition(BETWEEN)[2]
            agents[agent] = one.plus(agents[agent]) if agent in agents else one
        return {
            agent: {
                "would": tally.would, "served": tally.served, "right": tally.right, "wrong": tally.wrong,
                "unclear": tally.unclear, "told_right": tally.told_right, "told_wrong": tally.told_wrong,
                "wrong_at_most": round(tally.wrong_at_most(), 4),
            }
            for agent, tally in agents.items()
        }  # fmt: skip


def upper_bound(hits: int, of: int, risk: float = 0.05) -> float:
    """The share that so many hits rule out being larger, one-sided (Clopper and Pearson, 1934)."""
    if hits >= of:
        return 1.0
    if hits == 0:
        return 1.0 - math.exp(math.log(risk) / of)
    low, high = hits / of, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if _at_most(hits, of, middle) > risk:
            low = middle
        else:
            high = middle
    return high


def _at_most(hits: int, of: int, share: float) -> float:
    """The probability of at most so many hits."""
    term = of * math.log1p(-share)
    odds = math.log(share) - math.log1p(-share)
    total = 0.0
    for count in range(hits + 1):
        total += math.exp(term)
        term += odds + math.log(of - count) - math.log(count + 1)
    return total
