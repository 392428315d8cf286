"""Numbers, units, money, times and dates as they are written in questions, each brought to one form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from plugins.cache.semantic.words import DAYS, MONTHS


def _row(words: str) -> list[str]:
    return words.split()


YEAR = tuple(_row("january february march april may june july august september october november december"))
ONES: Mapping[str, int] = MappingProxyType(
    {
        word: value
        for value, word in enumerate(
            _row(
                "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
                " seventeen eighteen nineteen"
            )
        )
    }
)
TENS: Mapping[str, int] = MappingProxyType(
    {word: 10 * value for value, word in enumerate(_row("twenty thirty forty fifty sixty seventy eighty ninety"), 2)}
)
SCALES: Mapping[str, int] = MappingProxyType({"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9})
ORDINALS: Mapping[str, str] = MappingProxyType(
    {
        word: f"{value}th"
        for value, word in enumerate(
            _row("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"), 1
        )
    }
)
UNITS: Mapping[str, str] = MappingProxyType(
    {
        other: lines.split()[0]
        for lines in (
            "kg kgs kilo kilos kilogram kilograms kilogramme kilogrammes", "gram g grams gramme grammes",
            "mg milligram milligrams", "lb lbs", "oz ounce ounces", "km kilometre kilometres kilometer kilometers",
            "metre m metres meter meters", "cm centimetre centimetres centimeter centimeters",
            "mm millimetre millimetres millimeter millimeters", "mile miles mi", "ft foot feet", "inch inches",
            "litre l litres liter liters ltr", "ml millilitre millilitres milliliter milliliters",
            "second seconds sec secs s", "minute minutes min mins", "hour hours hr hrs h", "day days",
            "week weeks wk wks", "month months", "year years yr yrs", "gb gigabyte gigabytes gig gigs",
            "mb megabyte megabytes meg megs", "kb kilobyte kilobytes", "tb terabyte terabytes", "percent %",
            "pound pounds quid gbp £", "dollar dollars usd $ bucks", "euro euros eur €", "pence p", "cent cents",
            "celsius °c", "fahrenheit °f", "kwh", "mph", "px pixel pixels", "k",
        )
        for other in lines.split()
    }
)  # fmt: skip
"""As they stand behind a number; the first of a line stands for all."""
SIGNS = "£$€"
NUMBER = re.compile(r"#\S+|(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?![\w]|[._]\w)")
DATE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
MONTH = "|".join(sorted([*MONTHS, *(short for short, name in DAYS.items() if name in MONTHS)], key=len, reverse=True))
DAY_MONTH = re.compile(rf"\b(?:the )?(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({MONTH})\b(?:,? (\d{{4}})\b)?")
MONTH_DAY = re.compile(rf"\b({MONTH}) (?:the )?(\d{{1,2}})(?:st|nd|rd|th)?\b(?!\d)(?:,? (\d{{4}})\b)?")
CLOCK = re.compile(r"\b(\d{1,2})(?:[:.](\d{2}))? ?(am|pm|a\.m\.|p\.m\.|o'clock)(?=\W|$)")
CLOCK_24 = re.compile(r"\b([01]?\d|2[0-3]):([0-5]\d)\b")
SPELT = re.compile(r"\b(?:(?:{words})(?:[ -]+(?:and )?|(?=\W|$)))+".format(words="|".join([*ONES, *TENS, *SCALES])))
TH = re.compile(r"\b(\d+)(?:st|nd|rd|th)\b")
MONEY = re.compile(rf"([{SIGNS}])\s?(\d[\d,]*(?:\.\d+)?)(k|m|bn)?\b")
JOINED = re.compile(r"(?<![\w.])(\d[\d,]*(?:\.\d+)?)[ -]?(" + "|".join(
    sorted((re.escape(unit) for unit in UNITS), key=len, reverse=True)) + r")(?![\w])")  # fmt: skip


def written(text: str) -> str:
    """The text, in lower case, with every number in digits (`#15`), its unit behind it, dates and times as one."""
    text = DATE.sub(lambda found: _date(int(found[3]), int(found[2]), found[1]), text)
    text = SPELT.sub(_spelt, text)
    text = DAY_MONTH.sub(lambda found: _named(found[1], found[2], found[3]), text)
    text = MONTH_DAY.sub(lambda found: _named(found[2], found[1], found[3]), text)
    text = CLOCK.sub(_clock, text)
    text = CLOCK_24.sub(lambda found: f" #t{int(found[1]):02d}:{found[2]} ", text)
    text = MONEY.sub(lambda found: f" {found[2]}{found[3] or ''} {UNITS[found[1]]} ", text)
    text = JOINED.sub(lambda found: f" {found[1]} {UNITS[found[2]]} ", text)
    text = TH.sub(lambda found: f" #{found[1]}th ", text)
    return NUMBER.sub(_plainly, text)


def _plainly(found: re.Match[str]) -> str:
    return f" #{found[1].replace(',', '')}{found[2] or ''} " if found[1] else found[0]


def _spelt(found: re.Match[str]) -> str:
    """A run of number words; where it is no one number (`one two`), each for itself."""
    said = [word for word in re.split(r"[ -]+", found[0].strip()) if word]
    numbers: list[int] = []
    whole = part = 0
    last = 10**12
    for word in said:
        if word == "and":
            continue
        scale = SCALES.get(word)
        if scale is not None:
            part = max(1, part) * scale
            if scale > 100:
                whole, part = whole + part, 0
            last = scale
            continue
        value = ONES.get(word, TENS.get(word, 0))
        if value >= last or (last < 100 and not (value < 10 <= last and last % 10 == 0)):
            numbers.append(whole + part)
            whole = part = 0
        part += value
        last = max(value, 1)
    numbers.append(whole + part)
    return " " + " ".join(map(str, numbers)) + " "


def _date(day: int, month: int, year: str | None) -> str:
    return f" #d{year or ''}-{month:02d}-{day:02d} "


def _named(day: str, month: str, year: str | None) -> str:
    name = DAYS.get(month, month)
    number = 1 + YEAR.index(name)
    return _date(int(day), number, year)


def _clock(found: re.Match[str]) -> str:
    hour = int(found[1])
    half = found[3][0]
    if half == "o":
        return f" #{hour} oclock "
    hour = hour % 12 + (12 if half == "p" else 0)
    return f" #t{hour:02d}:{found[2] or '00'} "
