"""The gist of a text: what it asks for, in one form that does not depend on how it asks. Equal gists ask the same.

The form has a kind (how, what, who wants a thing), the words of the main part in order, and beside them what hangs on a
preposition that tells a direction or a condition: these may stand in any order. `the password of the guest`, `guest
password` and `password for guests` are one; `from A to B` and `from B to A` are two.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from plugins.cache.semantic.frames import TASKS
from plugins.cache.semantic.lexicon import plain
from plugins.cache.semantic.sayings import TECH
from plugins.cache.semantic.synonyms import weakly
from plugins.cache.semantic.words import FUNCTION, HEADS, LEFT_OUT, WEEKDAYS, listed

Link = tuple[str, str, str]
"""What hangs there, on which word, and what it belongs to."""
Whole = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]


class Said(Protocol):
    """A word of a text."""

    @property
    def said(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def owner(self) -> int: ...
    @property
    def phrase(self) -> int: ...


WITHIN = listed("of for loc in on about")
"""What hangs on these belongs to the word before."""
NEAR_ALIKE = frozenset(
    frozenset(pair) for pair in (("of", "loc"), ("of", "in"), ("of", "about"), ("on", "about"), ("of", "on"),
                                 ("in", "loc"), ("for", "loc"))
)  # fmt: skip
MOST_DIFFERING = 2
LEAST_NAMED = 3
DAYS = WEEKDAYS | listed("today tomorrow tonight yesterday")
BINDING = listed("by after before until since from to between through than and or of for this next last each")
OF_FOR = frozenset({"of", "for"})
SENT = listed("photo picture letter message gift email note card poem song video report story quote book present post")
"""What is of somebody is not for him."""
TOOLS = listed(TECH.removeprefix("(?:").removesuffix(")").replace("|", " "))
HANDS = listed(
    "add remove delete update cancel create make set turn sort count format convert check test find call send build"
    " implement extract generate kind locate"
)
"""What somebody who names a language or program and does not ask may have meant to ask how to do."""
UNITS = listed(
    "unitdate unitday unityear unitcity unitcountry unittown unitcontinent unitweek unithour unitminute unitmonth"
)
POINTING = listed("this that these those")
TIMES = listed(
    "week month year day morning afternoon evening night weekend quarter time season spring summer autumn winter hour"
    " minute century decade term semester"
)
AUXILIARIES = listed("was did will would have been")
"""Say when: wherever they stand."""
KINDS = {"qhow": "how", "iwant": "how", "qwhat": "what", "what": "what", "qgive": "give", "how": "how"}
MEASURES = listed("many much long often frequently far old tall big deep heavy fast soon")
LEASTS = listed(
    "only family apply reply supply early italy july ugly likely friendly elderly assembly anomaly butterfly"
)
MOVED = listed("forever online offline again now abroad faster quicker together separately twice")
DEFINITE = re.compile(
    r"\b(?:my|the|this|that|our|your|his|her|their|last|first|next|latest|newest|each|every|one|an?)\s+(?:([a-z]+)\s+)?([a-z]+)"
)
NOT_DEFINITE = re.compile(r"^an? ")


@dataclass(frozen=True, slots=True)
class Gist:
    """`words` in order; `beside`: what may stand in any order; `links`: what belongs to the word before, and how."""

    kind: str = ""
    words: tuple[str, ...] = ()
    beside: tuple[tuple[str, ...], ...] = ()
    links: tuple[Link, ...] = ()
    owners: tuple[tuple[str, int], ...] = ()
    many: frozenset[str] = frozenset()
    """The words that stand in the plural."""
    single: frozenset[str] = frozenset()
    """Those that stand in their plain form."""
    definite: frozenset[str] = frozenset()
    """Those of which one is meant: there the plural is another question."""
    units: frozenset[str] = frozenset()
    """In what the answer is wanted."""
    bare: bool = False
    """Only words that name things: typed as into a search box, in any order."""
    order: tuple[str, ...] = ()
    """Of another language than English: the words as they stand."""

    def __bool__(self) -> bool:
        return bool(self.words)

    @property
    def counted(self) -> bool:
        """Whether it tells how many."""
        return any(word.startswith("#") for word in self.words)

    @property
    def hanging(self) -> frozenset[str]:
        return frozenset(word for group, _, _ in self.links for word in group.split(" "))

    @property
    def whole(self) -> Whole:
        """Equal for all that may ask the same."""
        return self.words, self.beside


def gist(line: str, words: Sequence[Said]) -> Gist:
    """`line` is framed, and `words` are those of it."""
    kind, kept = _kind(list(_kept(words)))
    kept, times = _timed(kept)
    kept, tool = _tooled(kept)
    units = frozenset(word.said for word in kept if word.said in UNITS)
    kept = [word for word in kept if word.said not in units]
    main, groups = _groups(kept)
    links: list[Link] = []
    main, beside = _merged(main, groups, links)
    moved = sorted(key for key in main if _moves(key))
    main = [key for key in main if not _moves(key)]
    if moved:
        beside.append(("", *moved))
    if tool:
        beside.append(("tool", tool))
    if times:
        beside.append(("when", *sorted(times)))
    meant, things = _definite(line, kind, main), list(_things(words))
    return Gist(
        kind, tuple(main), tuple(sorted(beside)), tuple(sorted(links)),
        tuple(sorted((word.key, word.owner) for word in words if word.owner)),
        frozenset(word.key for word in things if _plural(word.said)),
        frozenset(word.key for word in things if plain(word.said) == word.said),
        frozenset(word.key for word in things if plain(word.said) in meant),
        units,
        not kind and not groups and not FUNCTION.intersection(line.split()),
    )  # fmt: skip


def same(one: Gist, other: Gist) -> bool:
    """Whether the two ask the same; False where that is not certain."""
    if not one or conflict(one, other):
        return False
    if one.whole != other.whole:
        return _named(one, other)
    done = one.words[:1] and one.words[0] in HANDS and any(group[0] == "tool" for group in one.beside)
    return alike(one.kind, other.kind, one.words) or (bool(done) and {one.kind, other.kind} == {"", "how"})


def _named(one: Gist, other: Gist) -> bool:
    """Whether one only names what the other asks for: there what belongs to a thing may stand before or behind it."""
    if one.bare == other.bare or one.beside != other.beside or len(one.words) + len(one.beside) < LEAST_NAMED:
        return False
    asked = other if one.bare else one
    return (
        bool(asked.links or asked.beside)
        and asked.kind in ("how", "what", "give", "")
        and sorted(one.words) == sorted(other.words)
    )


def close(one: Gist, other: Gist) -> bool:
    """Whether the two would ask the same if words that may well mean the same did."""
    if not one.words or not other.words or one.order or other.order:
        return False
    ours, theirs = (one.words, *one.beside), (other.words, *other.beside)
    if list(map(len, ours)) != list(map(len, theirs)):
        return False
    pairs = zip(itertools.chain(*ours), itertools.chain(*theirs), strict=True)
    differing = [(mine, facing) for mine, facing in pairs if mine != facing]
    return (
        0 < len(differing) <= MOST_DIFFERING
        and all(weakly(mine, facing) for mine, facing in differing)
        and alike(one.kind, other.kind, one.words)
        and alike(one.kind, other.kind, other.words)
        and not conflict(one, other)
    )


def conflict(one: Gist, other: Gist) -> str:
    """What is not the same although the words are: number, whose, place; empty: nothing."""
    if found := number(one, other):
        return found
    if one.units and other.units and one.units != other.units:
        return "unit"
    shared = dict(one.owners).keys() & dict(other.owners).keys()
    if any(word in shared for word, _ in set(one.owners) ^ set(other.owners)):
        return "whose"
    ours, theirs = set(one.links) - set(other.links), set(other.links) - set(one.links)
    if any(_elsewhere(mine, facing) for mine in ours for facing in theirs):
        return "place"
    return ""


def number(one: Gist, other: Gist) -> str:
    """`one or many` where one is meant here and more there; empty: nothing says so."""
    differing = (one.many & other.single) | (other.many & one.single)
    meant = (one.definite | other.definite) - one.hanging - other.hanging
    return "one or many" if not one.counted and differing & meant else ""


def _elsewhere(mine: Link, theirs: Link) -> bool:
    """Whether the same thing hangs on something else."""
    either = frozenset((mine[1], theirs[1]))
    if mine[0] != theirs[0]:
        return not set(mine[0].split(" ")).isdisjoint(theirs[0].split(" "))
    if either == OF_FOR:
        return mine[2] in SENT
    return len(either) > 1 and either not in NEAR_ALIKE


def alike(one: str, other: str, words: Sequence[str]) -> bool:
    """Whether two kinds of questions may be one; who only names a thing may want it or ask what it is."""
    if one == other:
        return True
    if {one, other} == {"", "how"}:
        return words[0] not in TASKS
    return {one, other} in ({"", "what"}, {"", "give"}, {"what", "give"})


def _kept(words: Iterable[Said]) -> Iterator[Said]:
    said = list(words)
    for at, word in enumerate(said):
        after = said[at + 1].key if at + 1 < len(said) else ""
        if word.said in POINTING and after not in TIMES and after:
            continue
        if word.said in LEFT_OUT:
            continue
        yield word


def _kind(words: list[Said]) -> tuple[str, list[Said]]:
    if not words:
        return "", words
    first = words[0].said
    second = words[1].said if len(words) > 1 else ""
    if first == "how" and second in MEASURES:
        return f"how {words[1].key}", words[2:]
    if first == "iwant" and words[1:] and words[1].key in TASKS:
        return "", words[1:]
    found = KINDS.get(first)
    if found == "what" and second == "qhave":
        return found, words[2:]
    return (found, words[1:]) if found is not None else ("", words)


def _timed(words: list[Said]) -> tuple[list[Said], list[str]]:
    """Days and hours stand where they like, unless something says before or after."""
    kept: list[Said] = []
    times: list[str] = []
    for word in words:
        bound = bool(kept) and kept[-1].key in BINDING
        day = word.key in DAYS or word.key.startswith(("#t", "#d"))
        if day and not bound:
            times.append(word.key)
        else:
            kept.append(word)
    return kept, times


def _tooled(words: list[Said]) -> tuple[list[Said], str]:
    """Without the one language or program that it is about, and which that is: `in Python`, `a Python list`."""
    found = [at for at, word in enumerate(words) if word.said in TOOLS]
    if len(found) != 1 or len(words) < 2:
        return words, ""
    at = found[0]
    before = words[at - 1].key if at else ""
    if before in HEADS and before not in WITHIN:
        return words, ""
    return [*words[: at - (before in WITHIN)], *words[at + 1 :]], words[at].key


def _groups(words: Sequence[Said]) -> tuple[list[str], list[list[str]]]:
    """The main part, and every phrase that a preposition begins, that first. One that opens the text goes last."""
    phrases: dict[int, list[str]] = {}
    for word in words:
        phrases.setdefault(word.phrase, []).append(word.key)
    found = list(phrases.values())
    main = [] if not found or _head(found[0]) else found.pop(0)
    if not main and len(found) > 1 and not _head(found[1]):
        first, main, found = found[0], found[1], found[2:]
        found.append(first)
    return main, found


def _head(phrase: Sequence[str]) -> bool:
    return phrase[0] in HEADS or phrase[0] == "loc" or phrase[0] == "."


def _merged(main: list[str], groups: list[list[str]], links: list[Link]) -> tuple[list[str], list[tuple[str, ...]]]:
    chain = [list(main), *map(list, groups)]
    for at in range(len(chain) - 1, 0, -1):
        group, before = chain[at], chain[at - 1]
        head, rest = group[0], group[1:]
        if not rest or not before or (before[0] in HEADS and len(before) == 1):
            continue
        if head in ("and", "or") and len(rest) == 1 and before[-1] not in HEADS:
            last = before.pop()
            one, other = sorted((last, rest[0]))
            before += [one, head, other]
        elif head in WITHIN and (head == "in" or not rest[0].startswith("#")):
            last = before.pop()
            links.append((" ".join(rest), head, last))
            before += [*rest, last]
        else:
            continue
        chain[at] = []
    return chain[0], [tuple(group) for group in chain[1:] if group]


def _moves(key: str) -> bool:
    return key in MOVED or key in AUXILIARIES or (key.endswith("ly") and len(key) > 4 and key not in LEASTS)


def _things(words: Sequence[Said]) -> Iterator[Said]:
    """Without those that only say of what kind another is: the exam of `exam results`."""
    for word, after in itertools.zip_longest(words, words[1:]):
        if after is None or after.phrase != word.phrase or not _thing(after):
            yield word


def _thing(word: Said) -> bool:
    said = word.said
    return not (said in FUNCTION or said.startswith("#") or _moves(word.key) or said.endswith(("ed", "ing")))


def _plural(said: str) -> bool:
    return said.endswith("s") and said not in FUNCTION and plain(said) != said and not said.startswith("#")


def _definite(line: str, kind: str, main: Sequence[str]) -> frozenset[str]:
    if kind == "give" or (main and main[0] in TASKS and not kind):
        return frozenset(map(plain, re.findall(r"[a-z]+", line.partition(" that ")[0])))
    return frozenset(
        plain(word) for found in DEFINITE.finditer(line) if not NOT_DEFINITE.match(found[0]) for word in found.groups()
        if word and word not in FUNCTION
    )  # fmt: skip
