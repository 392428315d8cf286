"""What operators set for the output filter: what follows from each kind of find, and where addresses may point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from proxy.detection.span import TYPES
from proxy.errors import ConfigError

Action = Literal["refuse", "redact", "tag", "off"]


@dataclass(frozen=True, slots=True)
class OutputFilterOptions:
    """What an answer must not carry out, and what follows: `refuse` ends it, `redact` takes the place out, `tag` leaves
    it and makes an event, `off` does not look."""

    secrets: Action = "redact"
    """Keys, tokens, passwords that did not come from the caller: invented, or from the system prompt."""
    certain: float = 0.95
    """Of secrets, those by rules so sure at least are acted upon; others (`password = ...`, as in examples) are
    tagged."""
    personal: Action = "redact"
    """Personal data that stands in no text of the call."""
    types: tuple[str, ...] = ("SSN", "CREDIT_CARD", "IBAN", "EMAIL", "PHONE", "PASSPORT", "NATIONAL_ID", "BANK_ACCOUNT")
    """Which personal data."""
    links: Action = "redact"
    """Addresses of images and links that carry data out, to hosts that are not allowed."""
    hosts: tuple[str, ...] = ()
    """Hosts that addresses may point to with anything in them, `*.` before a name for all under it; added to those of
    `config/output_filter.toml`."""
    prompt: Action = "tag"
    """The system prompt in the answer, word by word. `redact` holds the answer word by word and takes the run out."""
    prompt_words: int = 24
    """So many words in a row are a leak; a shorter system prompt is none."""
    calls: Action = "tag"
    """Calls of tools whose arguments a rule calls unsafe. `redact` takes the argument out."""
    rules: tuple[str, ...] = ()
    """Files with rules of your own, in the form of `config/output_filter.toml`; one of an id that is there already
    takes its place."""
    refuse_as: Literal["error", "answer"] = "error"
    """A refused JSON answer is an error (400), or a normal completion that ends with `content_filter`."""

    def __post_init__(self) -> None:
        if strange := sorted(set(self.types) - TYPES):
            raise ValueError(f"there is no type {strange[0]!r} of personal data; there are {', '.join(sorted(TYPES))}")
        if not 0 <= self.certain <= 1:
            raise ValueError(f"certain is a share from 0 to 1, not {self.certain:g}")
        if self.rules:
            from plugins.output_filter.rules import read  # noqa: PLC0415  (the rules' engine, for those who have rules)

            try:
                read(self.rules)
            except ConfigError as error:
                raise ValueError(str(error)) from error
