"""One agent's options, made ready: what is looked for, and what is put in its place."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from plugins.pii import mask, recogniser
from plugins.pii.mask import Finds, Found
from plugins.pii.options import Operator, PiiOptions
from plugins.pii.shapes import is_type
from proxy.detection import secretrules
from proxy.detection.finder import Finder
from proxy.detection.secrets import Secrets
from proxy.errors import ConfigError

COMES_BACK: Operator = "placeholder"
ALONE = frozenset({"placeholder", "redact", "off"})
"""Operators that need no library."""
WARMING = (
    "[EMAIL_1] mail someone@example.org or call +1 415-555-2671, (415) 555-2671, +44 20 7946 0958, +49 30 901820, "
    "+33 1 70 18 99 00, +34 912 345 678, +39 06 1234 5678, +31 20 123 4567, +55 11 2345 6789, +81 3 1234 5678, "
    "+86 10 1234 5678, +91 22 1234 5678; SSN 123-45-6789, 4111 1111 1111 1111, GB82 WEST 1234 5698 7654 32, 10.0.0.1, "
    "2001:db8::1, passport number 123456789, born 1970-01-31, account number 12345678"
)
"""Something of each type that has a form."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Made once for each set of options."""

    options: PiiOptions
    finder: Finds
    off: frozenset[str]
    fingerprint: str
    """Of all that decides what is found in a text, and of nothing else."""
    operators: Mapping[str, Operator]
    """Of the types that have one of their own."""

    @classmethod
    def of(cls, options: PiiOptions, packaged: Secrets) -> Policy:
        """Reads files and loads the recogniser, where they are asked for. Raises ConfigError."""
        wrong = sorted(name for name in options.types if not is_type(name))
        if wrong:
            raise ConfigError(
                f"{wrong[0]!r} is no name of a type: write it in capitals, such as CREDIT_CARD",
                key="plugins.pii.options.types",
            )
        off = frozenset(name for name, operator in options.types.items() if operator == "off")
        own = [rule for file in options.rules for rule in secretrules.read_file(file)]
        secrets = Secrets.packaged(*own) if own else packaged
        finder = Finder(classic=options.classic, secrets=secrets, recogniser=recogniser.load(options.recogniser))
        fingerprint = repr((options.classic, options.recogniser, sorted(off), own))
        return cls(options, finder, off, fingerprint, MappingProxyType(dict(options.types)))

    @property
    def needs_library(self) -> bool:
        return not ALONE.issuperset({self.options.operator, *self.operators.values()})

    @property
    def idle(self) -> bool:
        """There is nothing to look for."""
        return self.options.operator == "off" and all(one == "off" for one in self.operators.values())

    def operator(self, type: str) -> Operator:
        return self.operators.get(type, self.options.operator)

    def warm(self) -> None:
        """Looks into what makes the finder load all that it loads when first needed: no call has to wait for it. (The
        rules of secrets are not loaded: each is in a millisecond, when its keyword first comes, and few ever do.)"""
        self.look(WARMING)

    def look(self, text: str) -> Found:
        return mask.look(self.finder, self.off, text)

    def looking(self, text: str) -> Generator[None, None, Found]:
        """As `look`, resting now and then."""
        return mask.looking(self.finder, self.off, text)
