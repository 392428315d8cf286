"""International bank account numbers: country, length, and the sum modulo 97 (ISO 13616)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from proxy.detection.span import Span

TYPE: Final = "IBAN"
_LENGTHS = """AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20
    EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28
    LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29
    RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30
    DZ26 AO25 BJ28 BF28 CM27 CV25 CF27 TD27 KM27 CG27 CI28 GA27 GQ27 GW25 HN28 IR26 MG27 ML28 MA28 MZ25 NE28
    SN28 TG28"""
LENGTHS: Mapping[str, int] = MappingProxyType({entry[:2]: int(entry[2:]) for entry in _LENGTHS.split()})
"""Characters of a whole number, by country: SWIFT's registry, and states that use the form without being in it."""
_CODES: Final = "|".join(sorted(LENGTHS))
ANCHOR: Final = rf"\b(?:(?i:{_CODES})|(?:{_CODES})[ -])[0-9]{{2}}[ -]?[0-9A-Za-z]{{2,4}}"
VALUES = str.maketrans({chr(ord("A") + place): str(10 + place) for place in range(26)})
SPREAD = str.maketrans("", "", " -")


def mod97(written: str) -> bool:
    """Whether the check digits of a number without separators are right."""
    return int((written[4:] + written[:4]).upper().translate(VALUES)) % 97 == 1


def iban(text: str, start: int) -> Span | None:
    """The number that begins here, of just its country's length and with right check digits."""
    left = LENGTHS.get(text[start : start + 2].upper())
    if left is None:
        return None
    written = text[start : start + left + left // 2].translate(SPREAD)[:left]
    if len(written) < left or not (written.isascii() and written.isalnum() and mod97(written)):
        return None
    return _placed(text, start, left)


def _placed(text: str, start: int, left: int) -> Span | None:
    """The span of so many characters, with single separators between them and no more of them behind."""
    end = start
    while left:
        end += text[end] in " -"
        if not text[end].isalnum():
            return None
        end += 1
        left -= 1
    return Span(start, end, TYPE) if not text[end : end + 1].isalnum() else None
