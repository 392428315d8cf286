"""Telephone numbers of the world: by their own form, by a numbering plan, or by a label beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from proxy.detection import labels
from proxy.detection.span import Span

TYPE: Final = "PHONE"
SAYS: Final = frozenset((None, labels.PHONE, labels.CALL))
"""What the words before a number may say if it is to be a telephone's by its form."""
END: Final = r"(?:(?=x[0-9]{1,6}(?![0-9A-Za-z]))|(?![0-9A-Za-z_@]|[-./]?[0-9]))"
EXTENSION = re.compile(
    r"(?:(?: ?[,;])? ?(?:x|ext|extn|extension|poste|durchwahl|dw|int)\.?:? ?[0-9]{1,6}| ?# ?[0-9]{1,6})"
    r"(?![0-9A-Za-z_])",
    re.IGNORECASE,
)
AMERICAN = re.compile(
    r"(?:\+?1[ .-]?)?(?:\([0-9]{3}\)[ .-]?[0-9]{3}[ .-]?[0-9]{4}|[0-9]{3}[ -][0-9]{3}[ .-]?[0-9]{4}"
    r"|[0-9]{3}\.[0-9]{3}[.-][0-9]{4})" + END
)
"""The specification's separated form: always found."""
ABROAD = re.compile(r"(?:\+|00)[ ]?[1-9][0-9]{0,14}+(?:(?:[ ./-]{1,3}\(?|\(|(?<=\)))[0-9]{1,12}+\)?){0,8}")
_PLANS: Final = """
    1:10:10 7:10:10 20:8:10 27:9:9 30:10:10 31:9:9 32:8:9 33:9:9 34:9:9 36:8:9 39:6:11 40:9:9 41:9:9 43:4:13
    44:9:10     45:8:8 46:7:10 47:8:8 48:9:9 49:5:12 51:8:9 52:10:11 53:6:8 54:10:11 55:10:11 56:9:9 57:8:10
    58:10:10     60:8:10 61:9:9 62:7:12 63:8:10 64:8:10 65:8:8 66:8:9 81:9:10 82:8:11 84:9:10 86:10:11 90:10:10
    91:10:10     92:9:10 93:9:9 94:9:9 95:7:10 98:10:10 211:9:9 212:9:9 213:8:9 216:8:8 218:8:9 220:7:7 221:9:9
    222:8:8     223:8:8 224:8:9 225:10:10 226:8:8 227:8:8 228:8:8 229:8:10 230:7:8 231:7:9 232:8:8 233:9:9
    234:8:10 235:8:8     236:8:8 237:8:9 238:7:7 239:7:7 240:9:9 241:7:8 242:9:9 243:7:9 244:9:9 245:7:9 246:7:7
    248:7:7 249:9:9     250:8:9 251:9:9 252:7:9 253:8:8 254:9:10 255:9:9 256:9:9 257:8:8 258:8:9 260:9:9 261:9:10
    262:9:9 263:5:10     264:8:9 265:7:9 266:8:8 267:7:8 268:8:8 269:7:7 290:4:5 291:7:7 297:7:7 298:6:6 299:6:6
    350:8:8 351:9:9     352:4:11 353:7:9 354:7:9 355:8:9 356:8:8 357:8:8 358:5:12 359:7:9 370:8:8 371:8:8 372:7:8
    373:8:8 374:8:8     375:9:9 376:6:9 377:8:9 378:6:10 380:9:9 381:7:12 382:8:8 383:8:9 385:8:9 386:8:8 387:8:8
    389:8:8 420:9:9     421:9:9 423:7:9 500:5:5 501:7:7 502:8:8 503:8:8 504:8:8 505:8:8 506:8:8 507:7:8 508:6:6
    509:8:8 590:9:9     591:8:8 592:7:7 593:8:9 594:9:9 595:7:9 596:9:9 597:6:7 598:7:8 599:7:8 670:7:8 672:6:6
    673:7:7 674:7:7     675:7:8 676:5:7 677:5:7 678:5:7 679:7:7 680:7:7 681:6:6 682:5:5 683:4:4 685:5:7 686:5:8
    687:6:6 688:5:6     689:6:8 690:4:4 691:7:7 692:7:7 800:8:8 808:8:8 850:7:10 852:8:8 853:8:8 855:8:9 856:8:10
    870:9:9 878:12:12     880:6:10 881:8:9 882:7:12 883:7:12 886:8:9 888:11:11 960:7:7 961:7:8 962:8:9 963:8:9
    964:8:10 965:7:8     966:9:9 967:7:9 968:7:8 970:8:9 971:8:9 972:8:9 973:8:8 974:7:8 975:8:8 976:8:8 977:8:10
    979:9:9 992:9:9     993:8:8 994:9:9 995:9:9 996:9:9 998:9:9
"""
CODES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {code: (int(least), int(most)) for code, least, most in (plan.split(":") for plan in _PLANS.split())}
)
"""Calling code -> fewest and most digits of a number in that plan (ITU-T E.164 and the national plans)."""
NATIONAL = re.compile(r"\(?0[0-9]{1,4}\)?(?:(?: ?/ ?| - |[ .-])[0-9]{2,8}){1,4}" + END)
"""With a trunk zero and separators, as most of the world writes to itself."""
PLANS = re.compile(
    r"(?:1[3-9][0-9][ -][0-9]{4}[ -][0-9]{4}"  # China
    r"|[679][0-9]{2} [0-9]{2} [0-9]{2} [0-9]{2}|[6-9][0-9]{4} [0-9]{5}"  # Spain, India
    r"|8[ -]?\(?9[0-9]{2}\)?[ -]?[0-9]{3}[ -][0-9]{2}[ -][0-9]{2}"  # Russia
    r"|\(?[1-9][0-9]\)? ?9[0-9]{4}-[0-9]{4}|\([0-9]{2,4}\) ?[0-9]{3,4}[ -][0-9]{4})" + END  # Brazil, Latin America
)
"""Ways of writing that only telephones have, without a trunk zero."""
LOOSE = re.compile(r"\(?[0-9]{1,13}+(?: [0-9])?\)?(?:(?:[ ./-]{1,3}\(?|\(|(?<=\)))[0-9]{1,10}+\)?){0,6}" + END)
"""Whatever may be a number where a label says so."""

CALLED = re.compile(r"1?[2-9][0-9]{2}[2-9][0-9]{6}|0[1-9][0-9]{7,10}|1[3-9][0-9]{9}")
SEPARATORS: Final = frozenset(" -./")
DECIMAL = re.compile(r"[0-9]+\.[0-9]+|(?:19|20)[0-9]{2}[ /-](?:19|20)[0-9]{2}")


def extended(text: str, end: int) -> int:
    """The end with an extension, if one follows."""
    found = EXTENSION.match(text, end)
    return found.end() if found else end


def bounded(text: str, start: int) -> bool:
    """Whether no letter or digit touches the start."""
    if start == 0:
        return True
    char = text[start - 1]
    if char.isascii() and (char.isalnum() or char == "_"):
        return False
    return not (char in "-./+#$" and start > 1 and text[start - 2].isascii() and text[start - 2].isalnum())


def american(text: str, start: int) -> Span | None:
    """A separated number of the North American form."""
    found = AMERICAN.match(text, start)
    if found is None:
        return None
    return Span(start, extended(text, found.end()), TYPE, 0.9)


def abroad(text: str, start: int) -> Span | None:
    """A number with its calling code, in front of it a plus or two zeros."""
    found = ABROAD.match(text, start)
    if found is None:
        return None
    plus = text[start] == "+"
    end = found.end()
    while end > start + 7:
        digits = "".join(filter(str.isdigit, text[start:end].replace("(0)", "")))
        if not plus:
            digits = digits[2:]
        if _planned(digits, lenient=plus) and _closed(text, end):
            separated = any(char in " ./-" for char in text[start + 3 : end])
            if not plus and not separated and labels.nearest(text, start) != labels.PHONE:
                return None
            return Span(start, extended(text, end), TYPE, 0.95 if plus else 0.85)
        end = _shorter(text, start, end)
    return None


def _closed(text: str, end: int) -> bool:
    following = text[end : end + 1]
    return not (following.isascii() and (following.isalnum() or following == "_")) or bool(EXTENSION.match(text, end))


def _shorter(text: str, start: int, end: int) -> int:
    """Where the number ends without its last group."""
    end -= 1
    while end > start and text[end].isdigit():
        end -= 1
    while end > start and not text[end - 1].isdigit():
        end -= 1
    return end


def _planned(digits: str, *, lenient: bool) -> bool:
    """Whether the number has a length that its calling code knows; one more or less is a slip, and still a number."""
    for size in (1, 2, 3):
        plan = CODES.get(digits[:size])
        if plan is not None:
            rest = len(digits) - size
            slack = 1 if lenient and size > 1 else 0
            return plan[0] - slack <= rest <= plan[1] + slack
    return False


def national(text: str, start: int, nearby: str | None) -> Span | None:
    """A separated number with a trunk zero; a label that says otherwise forbids it."""
    found = NATIONAL.match(text, start)
    if found is None or nearby not in SAYS:
        return None
    written = found.group()
    groups = re.findall("[0-9]+", written)
    digits = sum(map(len, groups))
    if nearby == labels.PHONE:
        return Span(start, extended(text, found.end()), TYPE, 0.9) if 7 <= digits <= 13 else None
    short = digits == 9 and (len(groups) < 3 or list(map(len, groups)) == [3, 2, 4])
    if short or not 9 <= digits <= 12 or written.startswith("00") or ("." in written and len(groups) < 4):
        return None
    return Span(start, extended(text, found.end()), TYPE, 0.7)


def planned(text: str, start: int, nearby: str | None) -> Span | None:
    """A number written as one country writes its telephones; a label that says otherwise forbids it."""
    found = PLANS.match(text, start) if nearby in SAYS else None
    return Span(start, extended(text, found.end()), TYPE, 0.7) if found else None


def called(text: str, start: int, end: int) -> Span | None:
    """A bare run that a word like `call` makes a number of, if it has the form of one."""
    return Span(start, end, TYPE, 0.7) if CALLED.fullmatch(text, start, end) else None


def labelled(text: str, start: int, nearby: str | None) -> Span | None:
    """Any plausible number where a label before it says that it is one; separated, if the label is a weak one."""
    found = LOOSE.match(text, start)
    if found is None:
        return None
    written, end = found.group(), found.end()
    if written.endswith(")") and "(" not in written:
        end -= 1
    digits = sum(map(str.isdigit, written))
    plain = nearby == labels.CALL and not any(sign in SEPARATORS for sign in written)
    if plain or not 7 <= digits <= 13 or DECIMAL.fullmatch(written):
        return None
    return Span(start, extended(text, end), TYPE, 0.75)
