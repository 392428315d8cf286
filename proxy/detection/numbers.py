"""Numbers: every stretch of digits is looked at once, and given to whoever knows its form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from proxy.detection import cards, documents, labels, networks, phones
from proxy.detection.columns import Columns
from proxy.detection.span import Span

STRETCH = re.compile(r"[0-9][0-9 ().\-/_]{5,}[0-9]")
SSN = re.compile(r"[0-9]{3}-[0-9]{2}-[0-9]{4}(?![0-9A-Za-z_]|-[0-9])")
NEVER = re.compile(r"000|666|...-00|...-..-0000")
SPACED_SSN = re.compile(r"(?!000|666)[0-9]{3}([ .])(?!00)[0-9]{2}\1(?!0000)[0-9]{4}(?![0-9A-Za-z_]|[ .-][0-9])")
CARD = re.compile(
    r"[0-9]{4}(?P<sep> - | {2,4}|[ ._-])[0-9]{4}(?P=sep)[0-9]{4}(?P=sep)"
    r"(?:[0-9]{4}(?:(?P=sep)[0-9]{3})?|[0-9]{1,3})(?![0-9A-Za-z])"
    r"|3[0-9]{3}(?P<amex> - | {2,4}|[ ._-])[0-9]{6}(?P=amex)[0-9]{4,5}(?![0-9A-Za-z])"
)
SIXTEEN = re.compile(r"[0-9]{4}(?P<sep> - | {2,4}|[ ._-])[0-9]{4}(?P=sep)[0-9]{4}(?P=sep)[0-9]{4}(?![0-9A-Za-z])")
QUAD = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?![0-9A-Za-z_]|\.[0-9]|-[0-9A-Za-z])")
DATE = re.compile(
    r"(?:19|20)[0-9]{2}([-/.])[01]?[0-9]\1[0-3]?[0-9](?![0-9])"
    r"|[0-3]?[0-9]([-/.])[0-3]?[0-9]\2(?:19|20)[0-9]{2}(?![0-9])"
)
BARE = re.compile(r"[0-9]+")
FORMS = re.compile(
    r"(?<![0-9])(?:"
    r"[0-9]{3}[ .-](?:[0-9]{2}[ .-][0-9]{4}|[0-9]{3}[ .-]?[0-9]{4}|[0-9]{3}\.[0-9]{3}-)(?![0-9])|[0-9]{2,4}\)"
    r"|[0-9]{4}(?:(?: - | {1,4}|[._-])[0-9]{4}){2}(?: - | {1,4}|[._-])[0-9]|3[0-9]{3}(?: - | {1,4}|[._-])[0-9]{6}[ ._-]"
    r"|(?<!\.)[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9]|\.[0-9])|[0-9]{7}|0[1-9][0-9]{0,3}[ ./-]|00 ?[1-9]|[0-9]{6}-[0-9]"
    r"|[0-9]{1,4}[/.-][0-9]{1,2}[/.-][0-9]{2}|1[0-9]{2}[ -][0-9]{4}[ -]|[0-9]{3}(?: [0-9]{2}){3}|[0-9]{5} [0-9]{5}"
    r"|8[ (-]|[0-9]{2}\)? ?9[0-9]{4}-)"
)
"""Where something may begin that is found without a word beside it."""
CPF = re.compile(
    r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}(?![0-9A-Za-z]|-[0-9])|756\.[0-9]{4}\.[0-9]{4}\.[0-9]{2}(?![0-9.])"
)
KOREAN = re.compile(r"[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])-[1-4][0-9]{6}(?![0-9-])")
GROUPED = re.compile(r"[0-9]{1,9}(?:[ ./-][0-9]{1,9}){1,7}(?![0-9A-Za-z])|[0-9]{6,17}(?![0-9A-Za-z])")
DECIMAL = re.compile(r"\.[0-9]+(?![0-9]|[./ -]?[0-9(])")
"""The rest of a number with decimals, of which none is anybody's."""
COMPACT = re.compile(r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])\Z")
FOURS = re.compile(r"(?:[0-9]{4}[ ._-])++")
GOING_ON = re.compile(r"[ ._-][0-9]")
BARE_END = re.compile(r"(?![0-9A-Za-z_]|\.[0-9])")
CARD_SIGNS, GROUP_SIGNS = frozenset(" -._"), frozenset(" -./)(")
LABELLED: Mapping[str, tuple[int, int]] = MappingProxyType(
    {labels.NATIONAL: (8, 16), labels.BANK: (6, 17), labels.PASSPORT: (7, 9), labels.LICENCE: (7, 12)}
)
"""Kinds that any number may be which is labelled so, with the fewest and most digits."""
CLASSIC: Mapping[int, str] = MappingProxyType({9: "SSN", 10: "PHONE", 16: "CREDIT_CARD"})


class Numbers:
    """The numbers of one text."""

    def __init__(self, text: str, *, classic: bool) -> None:
        self._text = text
        self._classic = classic
        self._columns = Columns(text)
        self._alone = False
        self._told: tuple[int, str | None] = -1, None
        self._floor = 0
        """Where the last finding or date ends."""

    def __iter__(self) -> Iterator[Span | None]:
        """What stretches of digits are; None for each place where a number begins that is nothing."""
        for found in STRETCH.finditer(self._text):
            yield from self._inside(found.start(), found.end())

    def _inside(self, start: int, end: int) -> Iterator[Span | None]:
        text, place = self._text, start
        while place < end - 5:
            self._alone = place - start > labels.REACH
            if self._alone:  # no word is near: only forms of their own are left to find
                form = FORMS.search(text, place, end)
                if form is None:
                    return
                place = form.start()
            elif not "0" <= text[place] <= "9":
                place += 1
                continue
            span = self._at(place) if _opens(text, place) else None
            if span is not None:
                self._floor = span.end
            yield span
            place = max(span.end, place + 1) if span is not None else self._past(place, end)

    def _past(self, place: int, end: int) -> int:
        """Over what was nothing: a date, a run of digits, a chain of fours (of which only the end could be a card)."""
        fours = FOURS.match(self._text, place)
        if fours is not None and fours.end() - place > 50 and self._inner(place):
            return fours.end() - 25
        date = DATE.match(self._text, place)
        if date is not None:
            self._floor = date.end()
            return date.end()
        run = BARE.match(self._text, place)
        return run.end() if run else end

    def _inner(self, place: int) -> bool:
        """Whether this is the middle of a longer number in groups that was nothing from its start."""
        text = self._text
        return place - 1 > self._floor and text[place - 1] in " -./_" and "0" <= text[place - 2] <= "9"

    def _at(self, place: int) -> Span | None:
        """What begins at this digit (with the sign or bracket before it), surest form first."""
        text = self._text
        end = BARE.match(text, place).end()  # type: ignore[union-attr]  # it stands on a digit
        size, sign = end - place, text[end : end + 1]
        if sign == "." and DECIMAL.match(text, end) is not None:
            return None
        if size == 4 and sign in CARD_SIGNS and CARD.match(text, place) is not None:
            found = _card(text, place, self._floor)
            if found is not None or self._inner(place):
                return found
        if size == 3 and sign == "-" and (ssn := SSN.match(text, place)) is not None:
            return self._ssn(place, ssn.end())
        if (text[place] == "0" or text[place - 1 : place] == "+") and (found := _abroad(text, place)) is not None:
            return found
        if size >= 6 and BARE_END.match(text, end) and (found := self._bare(place, end)) is not None:
            return found
        if size <= 3 and sign == "." and (quad := QUAD.match(text, place)) is not None:
            return networks.quad(text, place, quad.end())
        if size <= 4 and (date := DATE.match(text, place)) is not None:
            return documents.born(text, place, date.end(), self._columns)
        return self._separated(place) if sign and sign in GROUP_SIGNS else None

    def _ssn(self, place: int, end: int) -> Span | None:
        """Always, but for numbers that were never given out and are said to be something else."""
        if NEVER.match(self._text, place) and not self._classic and self._near(place) == labels.OTHER:
            return None
        return Span(place, end, "SSN", 0.95)

    def _near(self, place: int) -> str | None:
        """What the head of the column says, else the words before."""
        if self._alone:
            return None
        if place != self._told[0]:
            kind = self._columns.kind(place)
            self._told = place, labels.nearest(self._text, place) if kind is None else kind
        return self._told[1]

    def _separated(self, place: int) -> Span | None:
        text = self._text
        opened = place - 1 if place and text[place - 1] == "(" else place
        nearby = self._near(opened)
        named = self._labelled(place, nearby)
        if named is not None:
            return named
        spaced = SPACED_SSN.match(text, place)
        inner = self._inner(opened)
        if spaced is not None and not inner and nearby in (None, labels.SSN):
            return Span(place, spaced.end(), "SSN", 0.9 if nearby else 0.6)
        later = nearby is None and not inner and _after(text, opened)
        if nearby in (labels.PHONE, labels.CALL) or later:
            said = phones.labelled(text, opened, nearby)
            if said is not None:
                return said
        return self._formed(place, opened, nearby)

    def _formed(self, place: int, opened: int, nearby: str | None) -> Span | None:
        """By its form alone."""
        text = self._text
        american = phones.american(text, opened) or phones.american(text, place)
        if american is not None:
            return american
        if self._inner(opened):
            return None
        for pattern in (CPF, KOREAN):
            found = pattern.match(text, place)
            if found is not None:
                return Span(place, found.end(), labels.NATIONAL, 0.8)
        if text[place] == "0" and (national := phones.national(text, opened, nearby)) is not None:
            return national
        return phones.planned(text, opened, nearby)

    def _labelled(self, place: int, nearby: str | None) -> Span | None:
        sizes = LABELLED.get(nearby or "")
        found = GROUPED.match(self._text, place) if sizes else None
        if sizes is None or found is None or nearby is None:
            return None
        digits = sum(map(str.isdigit, found.group()))
        return Span(place, found.end(), nearby, 0.95) if sizes[0] <= digits <= sizes[1] else None

    def _bare(self, place: int, end: int) -> Span | None:
        """A run of six digits and more: by a validator, by its label, or by the specification's own forms."""
        text, size = self._text, end - place
        nearby = self._near(place)
        named = self._labelled(place, nearby)
        if named is not None:
            return named
        if nearby == labels.DOB and COMPACT.match(text, place, end):
            return Span(place, end, labels.DOB, 0.8)
        if size >= 12 and (nearby != labels.OTHER or self._classic):
            score = cards.sure(text[place:end], labelled=nearby == labels.CARD)
            if score:
                return Span(place, end, "CREDIT_CARD", score)
        if nearby == labels.SSN and size == 9:
            return Span(place, end, "SSN", 0.85)
        if size <= 13 and (nearby == labels.PHONE or (nearby is None and labels.after(text, end) == labels.PHONE)):
            return phones.labelled(text, place, nearby)
        if nearby == labels.CALL and (called := phones.called(text, place, end)) is not None:
            return called
        if self._classic and size in CLASSIC:
            return Span(place, end, CLASSIC[size], 0.5)
        return None


def _opens(text: str, place: int) -> bool:
    """Whether a number can begin here: nothing of a word, of a decimal or of a longer number before it."""
    if place == 0:
        return True
    char = text[place - 1]
    if char.isascii() and (char.isalnum() or char == "_"):
        return False
    return not (char in ".-" and place > 1 and "0" <= text[place - 2] <= "9")


def _abroad(text: str, place: int) -> Span | None:
    before = text[place - 1 : place] if place else ""
    if before == "(" and text[place - 2 : place - 1] == "+":
        return None
    if before == "+":
        return phones.abroad(text, place - 1)
    if text[place : place + 2] == "00":
        return phones.abroad(text, place)
    return None


def _card(text: str, place: int, floor: int) -> Span | None:
    """Separated: four groups of four always, other groupings by the Luhn sum; more groups are a parcel's number. With
    several blanks between them they may be a table's cells: then the sum must be right, and nothing stand beside."""
    for pattern in (CARD, SIXTEEN):
        found = pattern.match(text, place)
        if found is None:
            continue
        digits = "".join(filter(str.isdigit, found.group()))
        sep = found["sep"] or found.groupdict().get("amex") or "\0"
        wide = sep.startswith("  ")
        if wide and (text[max(0, place - 6) : place].rstrip()[-1:].isdigit() or _goes_on(text, found.end(), sep)):
            continue
        inner = place - len(sep) > floor and _follows_four(text, place - len(sep), sep)
        on = GOING_ON.match(text, found.end()) if inner else _goes_on(text, found.end(), sep)
        if cards.luhn(digits) and cards.brand(digits):
            if not (inner and (on or len(digits) < 16)):
                return Span(place, found.end(), "CREDIT_CARD")
        elif len(digits) == 16 and not inner and not on and not wide:
            return Span(place, found.end(), "CREDIT_CARD", 0.9)
    return None


def _follows_four(text: str, end: int, sep: str) -> bool:
    """Whether a group of just four stands before this separator."""
    group = text[max(0, end - 5) : end]
    return text.startswith(sep, end) and group[-4:].isdigit() and len(group) >= 4 and not group[:-4].isdigit()


def _goes_on(text: str, end: int, sep: str) -> bool:
    """Whether another group of four follows, as in the numbers of parcels."""
    size = len(sep)
    rest = text[end : end + size + 4]
    return rest[:size] == sep and len(rest) == size + 4 and rest[size:].isdigit()


def _after(text: str, place: int) -> bool:
    found = phones.LOOSE.match(text, place)
    return found is not None and labels.after(text, found.end()) == labels.PHONE
