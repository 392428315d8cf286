"""Payment cards: brands by prefix and length, and the Luhn sum."""

from __future__ import annotations

from typing import Final

DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def luhn(digits: str) -> bool:
    """Whether the last digit is right for the others (ISO/IEC 7812-1); ASCII digits only."""
    total = sum(map(int, digits[-1::-2])) + sum(DOUBLED[int(digit)] for digit in digits[-2::-2])
    return total % 10 == 0


def brand(digits: str) -> str:
    """Whose card a number of this beginning and length would be; empty if nobody's."""
    size, two, four = len(digits), int(digits[:2]), int(digits[:4])
    if digits[0] == "4":
        return "visa" if size in (13, 16, 19) else ""
    if size == 16 and (51 <= two <= 55 or 2221 <= four <= 2720):
        return "mastercard"
    if two in (34, 37):
        return "amex" if size == 15 else ""
    if 3528 <= four <= 3589:
        return "jcb" if 16 <= size <= 19 else ""
    if two in (36, 38, 39) or 300 <= int(digits[:3]) <= 305 or four == 3095:
        return "diners" if 14 <= size <= 19 else ""
    if four == 6011 or two in (64, 65):
        return "discover" if 16 <= size <= 19 else ""
    return _others(digits, size, two, four)


def _others(digits: str, size: int, two: int, four: int) -> str:
    if two in (62, 81):
        return "unionpay" if 16 <= size <= 19 else ""
    if 2200 <= four <= 2204:
        return "mir" if 16 <= size <= 19 else ""
    if two in (50, 56, 57, 58) or (two in (60, 61, 63, 66, 67, 68, 69)):
        return "maestro" if 12 <= size <= 19 else ""
    if four == 9792:
        return "troy" if size == 16 else ""
    return ""


def sure(digits: str, *, labelled: bool) -> float:
    """How surely a bare run of digits is a card, 0 to 1. A label makes every brand believable, and none needed."""
    if not 12 <= len(digits) <= 19 or not luhn(digits) or digits.count(digits[0]) == len(digits):
        return 0.0
    name = brand(digits)
    if labelled:
        return 0.95 if name else 0.8
    if not name or name == "maestro" or (len(digits) != 16 and name == "visa"):
        return 0.0
    return 0.8
