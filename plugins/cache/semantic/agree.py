"""The second stage: whether two texts ask the same; what is not known to mean the same, means something else.

A vector says that two texts are about the same; the traps are those that differ in one word. So here every word of
the one must have its like in the other: the same, the same in another form, a known synonym, or the same misspelt; and
the phrases must be the same, their words in the same order. What is left over decides the reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from plugins.cache.semantic import gist, numbers, tongues, words
from plugins.cache.semantic.lexicon import Lexicon, distance, misspelt, plain
from plugins.cache.semantic.reading import Reading, Word, read
from plugins.cache.semantic.synonyms import weakly

Answer = Literal["same", "unsure", "differs"]
"""`unsure`: nothing speaks against it, and not all is explained: the same if an embedder says so too."""
MOST_MISSPELT = 3
MOST_UNSURE = 2
DAYS = words.WEEKDAYS | words.MONTHS
DAYS_AND_PLURALS = DAYS | frozenset(f"{day}s" for day in DAYS)
SMALL = words.listed("to for of it that me i get have so then")
"""What may be missing on one side where an embedder finds the rest the same."""
ENDINGS = words.listed("s ing ion ation ment ance ence")
ASIDE = words.FUNCTION | words.listed(
    "please kindly could would following below above text hi hello thanks convert list show give tell"
)
"""What may differ where a text asks about words."""
GENITIVE = frozenset({"of", "for", "loc"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found, and why: numbers, names, negation, order, words, language, repeat, spelling, form, synonym."""

    answer: Answer
    reason: str
    near: float
    """Share of words that the two have in common, 0 to 1."""


def agree(a: Reading, b: Reading, lexicon: Lexicon) -> Verdict:
    """Pure and symmetric."""
    if a.text == b.text and a.exact == b.exact:
        return Verdict("same", "repeat", 1.0)
    found = _compared(a, b)
    literal = a.exact or b.exact or a.worded or b.worded or a.quotes != b.quotes
    if found.answer == "same" or literal or not (a.unknown or b.unknown):
        return found
    one, other = _respelt(a, b, lexicon), _respelt(b, a, lexicon)
    if one is a and other is b:
        return found
    again = _compared(one, other)
    return Verdict("same", "spelling", again.near) if again.answer == "same" else again


def _compared(a: Reading, b: Reading) -> Verdict:
    if a.exact != b.exact and a.quotes == b.quotes and tongues.same(a.gist, b.gist):
        return Verdict("same", "gist", 1.0)
    if a.exact or b.exact:
        same = a.exact == b.exact
        return Verdict("same" if same else "differs", "repeat" if same else "exact text", float(same))
    if _free(a, b) and gist.same(a.gist, b.gist):
        return Verdict("same", "gist", 1.0)
    left, right, near = _left_over(a.words, b.words)
    if a.quotes != b.quotes:
        return Verdict("differs", "quotes", near)
    if (a.worded or b.worded) and _said(a) != _said(b):
        return Verdict("differs", "wording", near)
    if left or right:
        joined = _joined(a, b)
        if joined is not None:
            a, b = joined
            left, right, _ = _left_over(a.words, b.words)
    if left or right:
        return _explained(a, b, left, right, near)
    if reason := _conflict(a, b) or gist.number(a.gist, b.gist):
        return Verdict("differs", reason, near)
    return Verdict("same", "repeat" if _said(a) == _said(b) else "form", near)


def _free(a: Reading, b: Reading) -> bool:
    """Whether other words may stand for those of the text: not where it asks about the words themselves."""
    if a.quotes != b.quotes:
        return False
    return (
        bool(a.quotes)
        or not (a.worded or b.worded)
        or all(word in ASIDE or word.isdigit() or word in numbers.ONES for word in a.said ^ b.said)
    )


def _respelt(one: Reading, other: Reading, lexicon: Lexicon) -> Reading:
    """The one as it would be with the words of the other that it has misspelt; itself where there are none."""
    text, wrong = one.text, 0
    for word in one.unknown:
        meant = {each for each in other.said if misspelt(word, each, lexicon)}
        if len(meant) == 1 and (word not in one.names or meant <= DAYS_AND_PLURALS):
            wrong += 1
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", meant.pop(), text, flags=re.IGNORECASE)
    return one if not wrong or wrong > MOST_MISSPELT else read(text, lexicon)


def _said(reading: Reading) -> list[str]:
    return [word.said for word in reading.words]


def _left_over(one: Sequence[Word], other: Sequence[Word]) -> tuple[list[Word], list[Word], float]:
    """What each has that the other has not, and the share of what both have."""
    ours, theirs = Counter(word.key for word in one), Counter(word.key for word in other)
    both = sum((ours & theirs).values())
    near = 2 * both / max(1, len(one) + len(other))
    return _beyond(one, theirs), _beyond(other, ours), near


def _beyond(mine: Sequence[Word], theirs: Counter[str]) -> list[Word]:
    have, over = Counter(theirs), []
    for word in mine:
        if have[word.key] > 0:
            have[word.key] -= 1
        else:
            over.append(word)
    return over


def _joined(a: Reading, b: Reading) -> tuple[Reading, Reading] | None:
    """Both, where two words of the one stand in the other as one (take away, takeaway)."""
    one, other = _joining(a, {word.said for word in b.words}), _joining(b, {word.said for word in a.words})
    return None if one is a and other is b else (one, other)


def _joining(reading: Reading, whole: set[str]) -> Reading:
    found: list[Word] = []
    for word in reading.words:
        before = found[-1] if found else None
        if (
            before is not None
            and before.phrase == word.phrase
            and _content(before)
            and before.said + word.said in whole
        ):
            said = before.said + word.said
            found[-1] = Word(said, plain(said), before.owner, before.phrase, before.name)
            continue
        found.append(word)
    return reading if len(found) == len(reading.words) else replace(reading, words=tuple(found))


def _content(word: Word) -> bool:
    return word.said not in words.FUNCTION and not word.number and word.said != "loc"


def _explained(a: Reading, b: Reading, left: list[Word], right: list[Word], near: float) -> Verdict:
    """Words are left over: why the two differ, or that they may be the same all the same."""
    over = [*left, *right]
    if any(word.number for word in over):
        return Verdict("differs", "numbers", near)
    if any(word.said in words.NEGATIONS for word in over):
        return Verdict("differs", "negation", near)
    if any(map(_day, over)):
        return Verdict("differs", "dates", near)
    if any(word.name for word in over):
        return Verdict("differs", "names", near)
    if _genitive(a, b, left, right) or _at_a_day(a, b, left, right):
        return Verdict("same", "form", near)
    if not _softly(left, right):
        return (
            Verdict("unsure", "gist", near)
            if _free(a, b) and gist.close(a.gist, b.gist)
            else Verdict("differs", "words", near)
        )
    kept_a, kept_b = _without(a, left), _without(b, right)
    if reason := _conflict(kept_a, kept_b):
        return Verdict("differs", reason, near)
    return Verdict("unsure", "synonym" if left and right else "small words", near)


def _day(word: Word) -> bool:
    return word.said.removesuffix("s") in DAYS


def _at_a_day(a: Reading, b: Reading, left: list[Word], right: list[Word]) -> bool:
    """`on Mondys` is `Mondays`."""
    if len(left) + len(right) != 1 or [*left, *right][0].said != "loc":
        return False
    long = (a if left else b).words
    places = (at for at, word in enumerate(long[:-1]) if word.said == "loc" and _day(long[at + 1]))
    return any(
        [word.key for word in (*long[:at], *long[at + 1 :])] == [word.key for word in (b if left else a).words]
        for at in places
    )


def _softly(left: list[Word], right: list[Word]) -> bool:
    """Whether what is left are small words, and at most two pairs that may well mean the same."""
    if any(word.said in words.HEADS for word in left) and any(word.said in words.HEADS for word in right):
        return False
    mine = [word for word in left if word.said not in SMALL]
    theirs = [word for word in right if word.said not in SMALL]
    if len(mine) != len(theirs) or len(mine) > MOST_UNSURE:
        return False
    return all(any(_weakly(one, other) for other in theirs) for one in mine) and all(
        any(_weakly(one, other) for one in mine) for other in theirs
    )


def _weakly(one: Word, other: Word) -> bool:
    return weakly(plain(one.said), plain(other.said)) or _derived(one.said, other.said) or _slipped(one, other)


def _slipped(one: Word, other: Word) -> bool:
    """debit, debt: a letter inside too many or too few, and a word all the same."""
    short, long = sorted((one.said, other.said), key=len)
    return (
        len(short) >= 4 and len(long) == len(short) + 1 and short[0] == long[0] and short[-1] == long[-1]
        and not one.name and not other.name and distance(short, long, 1) == 1
    )  # fmt: skip


def _derived(one: str, other: str) -> bool:
    """quote, quotation; registered, registration: one stem with other endings, none of which says no."""
    short, long = sorted((one, other), key=len)
    stem = short.removesuffix("e").removesuffix("y").removesuffix("ed")
    ending = long[len(stem) :]
    return len(stem) >= 4 and long.startswith(stem) and ending in ENDINGS


def _without(reading: Reading, over: list[Word]) -> Reading:
    gone = list(over)
    kept = []
    for word in reading.words:
        if word in gone:
            gone.remove(word)
        else:
            kept.append(word)
    return replace(reading, words=tuple(kept))


def _conflict(a: Reading, b: Reading) -> str:
    """Of two readings with the same words: what is not the same all the same; empty: nothing."""
    if _owners(a, b):
        return "whose"
    if [word.key for word in a.words] == [word.key for word in b.words]:
        return ""
    return "" if _phrases(a) == _phrases(b) else "order"


def _owners(a: Reading, b: Reading) -> bool:
    """Whether something is mine here and yours there."""
    ours, theirs = ({(word.key, word.owner) for word in each.words if word.owner} for each in (a, b))
    shared = {key for key, _ in ours} & {key for key, _ in theirs}
    return any(key in shared for key, _ in ours ^ theirs)


def _phrases(reading: Reading) -> Counter[tuple[str, ...]]:
    """The phrases, whatever their order; each its words in theirs."""
    found: dict[int, list[str]] = {}
    for word in reading.words:
        found.setdefault(word.phrase, []).append(word.key)
    return Counter(map(tuple, found.values()))


def _genitive(a: Reading, b: Reading, left: list[Word], right: list[Word]) -> bool:
    """`the password for guests` is `the guest password`: of, for and what follows, before what it belongs to."""
    if len(left) + len(right) != 1:
        return False
    head = [*left, *right][0].said
    long, short = (a, b) if left else (b, a)
    at = next(place for place, word in enumerate(long.words) if word in (left or right))
    phrase = long.words[at].phrase
    of = [word.key for word in long.words[at + 1 :] if word.phrase == phrase]
    before = [word.key for word in long.words[:at]]
    behind = [word.key for word in long.words[at + 1 + len(of) :]]
    of_year = head == "in" and len(of) == 1 and of[0].startswith("#")
    if not of or len(of) > 2 or not before or not (head in GENITIVE or of_year):
        return False
    told = [word.key for word in short.words]
    return any(
        told == [*before[:place], *of, *before[place:], *behind]
        for place in range(max(0, len(before) - 2), len(before))
    )
