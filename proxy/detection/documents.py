"""Papers of a person: identity numbers, passports, driving licences and dates of birth, by form and by label."""

from __future__ import annotations

import re
from typing import Final

from proxy.detection import labels
from proxy.detection.columns import Columns
from proxy.detection.span import Span

NATIONAL, PASSPORT, LICENCE, DOB = labels.NATIONAL, labels.PASSPORT, labels.LICENCE, labels.DOB
DNI: Final = "TRWAGMYFPDXBNJZSQVHLCKE"
MONTHS: Final = (
    r"jan(?:uary|uar|vier|eiro)?|feb(?:ruary|ruar|rero|braio)?|mar(?:ch|s|zo|[csz]o)?|apr(?:il|ile)?|may|june?|july?|"
    r"aug(?:ust|ustus)?|sept?(?:ember|embre|tembre)?|oct(?:ober|ubre|obre)?|nov(?:ember|embre|iembre|embro)?|"
    r"dec(?:ember|embre)?|j\?nner|m\?rz|mai|maj|juni|juli|okt(?:ober)?|dez(?:ember|embro)?|f\?vrier|avril|juin|juillet|"
    r"ao\?t|septembre|octobre|d\?cembre|enero|abril|mayo|junio|julio|agosto|septiembre|diciembre|gennaio|febbraio|"
    r"aprile|maggio|giugno|luglio|settembre|ottobre|dicembre|janeiro|fevereiro|mar\?o|maio|junho|julho|setembro|outubro|"
    r"dezembro|januari|februari|maart|mei|stycznia|lutego|marca|kwietnia|maja|czerwca|lipca|sierpnia|wrze\?nia|"
    r"pa\?dziernika|listopada|grudnia|ocak|temmuz|ekim|toukokuuta"
)
"""As the text stands after what is not ASCII has become question marks."""
ANCHOR: Final = "|".join(
    (
        rf"\b(?i:{MONTHS})\.? [0-9]{{1,2}}(?:st|nd|rd|th)?,? (?:19|20)[0-9]{{2}}\b",
        r"\b[0-9]{1,2}(?:st|nd|rd|th|\.|er)?[ -](?i:(?:de|of) )?"
        rf"(?i:{MONTHS})\.?,?[ -](?i:de |del )?(?:19|20)[0-9]{{2}}\b",
        r"\b[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]\b",
        r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]\b",
        r"\b(?:[0-9]{2}\.?[0-9]{3}\.?[0-9]{3}|[XYZ]-?[0-9]{7})-?[A-Z]\b",
        r"\b[0-9]{17}[0-9Xx]\b|\b[0-9]{6}[-+A][0-9]{3}[0-9A-FHJ-NPR-Y]\b",
        r"\b[A-Z9]{5}[0-9]{6}[A-Z0-9]{5}\b|\b[A-Z]{1,5}-?[0-9]{6,14}[A-Z0-9]?\b",
        r"\b[A-Z][A-Z0-9]{2}[0-9A-Z]{5,7}\b|\b[A-Z][0-9]{3}-[0-9-]{8,14}[0-9]\b|\b[A-Z]{5}[0-9]{4}[A-Z]\b",
        r"\b[0-9]{2}[A-Z]{2}[0-9]{5}\b",
    )
)
DATE = re.compile(
    r"[^\W\d_]+\.? [0-9]{1,2}(?:st|nd|rd|th)?,? [0-9]{4}"
    r"|[0-9]{1,2}[^\W\d_]{0,2}\.?[ -](?:[^\W\d_]+\.?,?[ -]){1,3}[0-9]{4}"
)
SOME = re.compile(r"[0-9A-Za-z.-]{6}|[0-9]{1,2}[^\W\d_]{0,2}\.?[ -][^\W\d_]|[A-Z]{2} [0-9]{2} |[^\W\d_]{3,}\.? [0-9]")
"""The least that any of the forms has."""
FISCAL = re.compile(r"[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]")
NINO = re.compile(r"[A-Z]{2}( ?)[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]")
NIF = re.compile(r"(?:[0-9]{2}\.?[0-9]{3}\.?[0-9]{3}|[XYZ]-?[0-9]{7})-?[A-Z]")
CHINESE = re.compile(r"[1-9][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx]")
FINNISH = re.compile(r"(?:0[1-9]|[12][0-9]|3[01])(?:0[1-9]|1[0-2])[0-9]{2}[-+A][0-9]{3}[0-9A-FHJ-NPR-Y]")
PAPER = re.compile(
    r"[0-9]{2}[A-Z]{2}[0-9]{5}|[A-Z][A-Z0-9]{5,17}(?:-[0-9]{2,4}){0,4}|[A-Z][0-9]{3}(?:-[0-9]{1,4}){2,5}|[A-Z]-?[0-9]{6,9}"
)
UNUSED: Final = frozenset(("BG", "GB", "KN", "NK", "NT", "TN", "ZZ"))
HETU: Final = "0123456789ABCDEFHJKLMNPRSTUVWXY"
CHINESE_SUM: Final = "10X98765432"
PAPERS: Final = frozenset((PASSPORT, LICENCE, NATIONAL))


def paper(text: str, start: int, columns: Columns) -> Span | None:
    """The paper or the date of birth that begins here, if its form or a label says so."""
    if start > 1 and text[start - 1] in ".,-" and text[start - 2].isdigit():
        return None
    if SOME.match(text, start) is None:
        return None
    date = DATE.match(text, start)
    if date is not None:
        return born(text, start, date.end(), columns)
    found = NINO.match(text, start)
    if found is not None and _ends(text, found.end()) and (_spaced(found) or _labelled(text, start)):
        return Span(start, found.end(), NATIONAL, 0.85)
    for pattern, right in ((FISCAL, None), (NIF, nif), (CHINESE, chinese), (FINNISH, finnish)):
        found = pattern.match(text, start)
        if found is None or not _ends(text, found.end()):
            continue
        nearby = labels.nearest(text, start)
        if nearby == NATIONAL or (nearby is None and (right is None or right(found.group()))):
            return Span(start, found.end(), NATIONAL, 0.9)
    return _by_label(text, start)


def _by_label(text: str, start: int) -> Span | None:
    found = PAPER.match(text, start)
    if found is None or not _ends(text, found.end()):
        return None
    kind = labels.nearest(text, start, 40)
    if kind is None or kind not in PAPERS or sum(map(str.isdigit, found.group())) < (1 if kind == PASSPORT else 3):
        return None
    return Span(start, found.end(), kind, 0.8)


def born(text: str, start: int, end: int, columns: Columns) -> Span | None:
    """A date, if it is said to be somebody's birthday."""
    if DOB in (columns.kind(start), labels.nearest(text, start), labels.after(text, end)):
        return Span(start, end, DOB, 0.85)
    return None


def _spaced(found: re.Match[str]) -> bool:
    """Whether the form says enough: spaces in their places, and letters that are given out."""
    return bool(found[1]) and found.group()[:2] not in UNUSED


def _labelled(text: str, start: int) -> bool:
    return labels.nearest(text, start) == NATIONAL


def _ends(text: str, end: int) -> bool:
    return not (text[end : end + 1].isalnum() or text[end : end + 1] == "_")


def nif(written: str) -> bool:
    """Whether the letter of a Spanish number is right."""
    plain = written.replace(".", "").replace("-", "")
    number = plain[:-1].translate(str.maketrans("XYZ", "012"))
    return DNI[int(number) % 23] == plain[-1]


def chinese(written: str) -> bool:
    """Whether the last character of a resident's number is right (GB 11643)."""
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(written[:17]))
    return CHINESE_SUM[total % 11] == written[17].upper()


def finnish(written: str) -> bool:
    """Whether the last character of a Finnish number is right."""
    return HETU[int(written[:6] + written[7:10]) % 31] == written[10]
