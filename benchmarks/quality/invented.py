"""Made-up documents with personal data in known places, in wordings and formats that no rule was written from.

A wording says what stands where (`{phone}`, `{email}`...), a form how a value is written: `#` is a digit, `N` one from
2 to 9, `~` a hexadecimal one. Both are in `corpora/pii/invented.toml`. The same on every machine.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Final

from benchmarks.quality.scoring import Document, Place

SEED: Final = 20261122
_TYPES: Final = (
    "phone:PHONE us:PHONE bare:PHONE email:EMAIL ssn:SSN card:CREDIT_CARD iban:IBAN ip:IP crypto:CRYPTO dob:DOB"
)
TYPES: Mapping[str, str] = MappingProxyType(dict(pair.split(":") for pair in _TYPES.split()))
SLOT = re.compile(rf"\{{({'|'.join(TYPES)})\}}")
FORMS = Path(__file__).resolve().parent.parent / "corpora" / "pii" / "invented.toml"
MONTHS: Final = ("January", "March", "May", "August", "October", "December")


class Inventor:
    """Makes values and documents, each from the one before."""

    def __init__(self, seed: int = SEED) -> None:
        self._random = Random(seed)
        self._forms: Mapping[str, list[str]] = tomllib.loads(FORMS.read_text(encoding="utf-8"))
        self._makers: Mapping[str, Callable[[], str]] = {
            "phone": lambda: self._form("phones"),
            "us": lambda: self._form("american"),
            "bare": lambda: self._form("bare"),
            "email": self._email,
            "ssn": self._ssn,
            "card": self._card,
            "iban": self._iban,
            "ip": self._ip,
            "crypto": self._crypto,
            "dob": self._dob,
        }

    def documents(self, each: int, *, second: bool = False) -> Iterator[Document]:
        """So many of every wording, with something personal and without. `second`: of those that were written last."""
        for number, wording in enumerate(self._forms["second" if second else "wordings"]):
            yield from (self._filled(wording, f"invented-{number}-{round_}") for round_ in range(each))
        for number, form in enumerate(self._forms["second_clean" if second else "clean"]):
            for round_ in range(each):
                yield Document(f"clean-{number}-{round_}", self._written(form), (), "invented clean", "")

    def _filled(self, wording: str, name: str) -> Document:
        text, places, at = "", [], 0
        for slot in SLOT.finditer(wording):
            text += wording[at : slot.start()]
            value = self._makers[slot[1]]()
            places.append(Place(len(text), len(text) + len(value), TYPES[slot[1]]))
            text, at = text + value, slot.end()
        return Document(name, text + wording[at:], tuple(places), "invented", "")

    def _one(self, choices: Sequence[str]) -> str:
        return self._random.choice(choices)

    def _form(self, name: str) -> str:
        return self._written(self._one(self._forms[name]))

    def _written(self, form: str) -> str:
        signs = {"#": "0123456789", "N": "23456789", "~": "0123456789abcdef"}
        return "".join(self._random.choice(signs[sign]) if sign in signs else sign for sign in form)

    def _email(self) -> str:
        name, host = self._one(self._forms["names"]), self._one(self._forms["hosts"])
        written = self._one((" at ", "[at]", " (at) ", "@", "@", "@", "@", "@"))
        if written == "@" or not host.isascii():
            return f"{name}@{host}"
        return (
            name + written + host.replace(".", " dot " if written == " at " else self._one((".", "[dot]", " (dot) ")))
        )

    def _ssn(self) -> str:
        area = self._random.choice([*range(1, 666), *range(667, 900)])
        return f"{area:03}-{self._random.randint(1, 99):02}-{self._random.randint(1, 9999):04}"

    def _card(self) -> str:
        digits = self._form("cards")[:-1]
        digits += next(last for last in "0123456789" if _luhn(digits + last))
        sign = self._one((" ", "-", "", ""))
        sizes = (4, 6, 5) if len(digits) == 15 else (4, 4, 4, 4)
        ends = [sum(sizes[:count]) for count in range(len(sizes) + 1)]
        return sign.join(digits[one:other] for one, other in pairwise(ends))

    def _iban(self) -> str:
        letters = (self._random.choice("ABCDEFGHKLMNPRSTUVW") if sign == "A" and place > 1 else sign for place, sign in
                   enumerate(self._one(self._forms["ibans"])))  # fmt: skip
        plain = self._written(
            "".join(sign if place > 1 else sign.lower() for place, sign in enumerate(letters))
        ).upper()
        rest = int("".join(str(int(char, 36)) for char in plain[4:] + plain[:2] + "00")) % 97
        plain = f"{plain[:2]}{98 - rest:02}{plain[4:]}"
        return " ".join(re.findall(".{1,4}", plain)) if self._random.random() < 0.4 else plain

    def _ip(self) -> str:
        if self._random.random() < 0.3:
            return self._one(
                (self._written("2001:db8:~~~~::~~"), self._written("2a01:~~~:~~~:~~~~:~~~~:~~~~:~~~~:~~~~"))
            )
        return ".".join(str(self._random.randint(low, 254)) for low in (11, 0, 0, 1)).replace("127.", "126.", 1)

    def _crypto(self) -> str:
        return self._one((self._written("0x" + "~" * 40), "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
                          "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"))  # fmt: skip

    def _dob(self) -> str:
        year, month, day = self._random.randint(1940, 2008), self._random.randint(1, 12), self._random.randint(1, 28)
        return self._one((f"{year}-{month:02}-{day:02}", f"{day:02}.{month:02}.{year}", f"{day:02}/{month:02}/{year}",
                          f"{self._one(MONTHS)} {day}, {year}", f"{day} {self._one(MONTHS)} {year}"))  # fmt: skip


def _luhn(digits: str) -> bool:
    return sum(sum(divmod(int(digit) * (1 + place % 2), 10)) for place, digit in enumerate(reversed(digits))) % 10 == 0
