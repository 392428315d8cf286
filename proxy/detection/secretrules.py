"""The rules by which secrets are found, as read from TOML: what is allowed in one, and what is wrong with it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import re2

from proxy.errors import ConfigError

Scope = Literal["word", "value", "line", "block"]
Check = Literal["none", "token", "password", "basic", "header", "userpass", "address", "key"]
PACKAGED = "secrets.toml"
_EXCLUDING = re.compile(r"\[\^[^\]]*\]")
_BLANK = re.compile(r" |\\[snrt]")


@dataclass(frozen=True, slots=True)
class Rule:
    """What one kind of secret looks like."""

    id: str
    pattern: str
    """RE2. The groups `secret`, `secret2`, ... are what is secret, the first that matched; without them, all of it."""
    keywords: tuple[str, ...] = ()
    """Literals without blanks; in a text without any of them, in any case of letters, the pattern cannot match."""
    anchor: str = ""
    """The same as an RE2 pattern, instead of them."""
    entropy: float = 0.0
    """Bits per character (Shannon) that the secret has at least."""
    stop: tuple[str, ...] = ()
    """Words (lower case) that make the secret a placeholder."""
    unless: tuple[str, ...] = ()
    """Words (lower case) that the group `name` does not contain."""
    check: Check = "none"
    score: float = 1.0
    scope: Scope = "word"
    """How far from the keyword the match can reach: to the next blank, over an operator to one more word, within the
    line, over many lines."""

    @property
    def openers(self) -> tuple[str, ...]:
        """Patterns without blanks, one of which stands where a match begins or shortly after."""
        return tuple(f"(?i:{re2.escape(word)})" for word in self.keywords) or (self.anchor,)


@cache
def packaged() -> tuple[Rule, ...]:
    """The rules of `config/secrets.toml`. Their patterns are tried by the tests, not at every start."""
    return read(sheet(PACKAGED), f"config/{PACKAGED}", tried=True)


def sheet(name: str) -> str:
    """The text of a file of `config/`. (It has no code, so it is a namespace: where a finder of an editable install
    stands in its path beside the folder, `importlib.resources` cannot open it.)"""
    found = find_spec("config")
    for place in (found.submodule_search_locations or ()) if found else ():
        file = Path(place) / name
        if file.is_file():
            return file.read_text("utf-8")
    raise ConfigError(f"config/{name} is not there: this installation is not complete, install weir-proxy again")


def read_file(file: str) -> tuple[Rule, ...]:
    """The rules of an operator's file. Raises ConfigError."""
    try:
        text = Path(file).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the rules {file} cannot be read ({type(error).__name__}): name a file of TOML that Weir may read"
        ) from error
    return read(text, file)


def read(text: str, file: str = "rules", *, tried: bool = False) -> tuple[Rule, ...]:
    """The rules of a TOML text; `tried` says that the patterns are known to be good. Raises ConfigError that says what
    to write instead."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"is not TOML: {error}", file=file, line=1) from None
    if strange := sorted(set(found) - {"rule", "stop"}):
        raise ConfigError(f"has no [[{strange[0]}]]: write [[rule]] tables, and stop = [...]", file=file, line=1)
    return made(found.get("rule", ()), tuple(found.get("stop", ())), file, tried=tried)


def made(
    rows: Sequence[Mapping[str, Any]], stop: tuple[str, ...] = (), file: str = "rules", *, tried: bool = False
) -> tuple[Rule, ...]:
    """Rules from what TOML or options hold. Raises ConfigError."""
    rules = tuple(_rule(row, stop, file) for row in rows)
    for rule in rules:
        _examine(rule, file)
        for pattern in () if tried else filter(None, (rule.pattern, rule.anchor)):
            compiled(pattern, rule.id, file)
    names = [rule.id for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two rules are called {name}: give each its own id", file=file, line=1)
    return rules


def _rule(row: Mapping[str, Any], stop: tuple[str, ...], file: str) -> Rule:
    name = str(row.get("id", ""))
    unknown = sorted(set(row) - set(Rule.__slots__))
    if unknown:
        raise ConfigError(_at(name, f"{unknown[0]} is not known; there are {', '.join(Rule.__slots__)}"), file=file)
    if not name or not row.get("pattern"):
        raise ConfigError(_at(name, "a rule needs an id and a pattern"), file=file)
    try:
        return Rule(
            id=name,
            pattern=str(row["pattern"]),
            keywords=tuple(str(word).lower() for word in row.get("keywords", ())),
            anchor=str(row.get("anchor", "")),
            entropy=float(row.get("entropy", 0.0)),
            stop=tuple(str(word).lower() for word in row.get("stop", stop)),
            unless=tuple(str(word).lower() for word in row.get("unless", ())),
            check=row.get("check", "none"),
            score=float(row.get("score", 1.0)),
            scope=row.get("scope", "word"),
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(_at(name, f"has a value of the wrong kind ({error})"), file=file) from None


def _examine(rule: Rule, file: str) -> None:
    if not rule.keywords and not rule.anchor:
        raise ConfigError(_at(rule.id, "needs keywords or an anchor: what a text must have to be looked at"), file=file)
    if any(not word or any(letter.isspace() for letter in word) for word in rule.keywords):
        raise ConfigError(_at(rule.id, "a keyword has no blanks and is not empty: choose one word of it"), file=file)
    if rule.check not in get_args(Check):
        raise ConfigError(_at(rule.id, f"check is one of {', '.join(get_args(Check))}"), file=file)
    if rule.scope not in get_args(Scope):
        raise ConfigError(_at(rule.id, f"scope is one of {', '.join(get_args(Scope))}"), file=file)
    if not 0.0 <= rule.score <= 1.0:
        raise ConfigError(_at(rule.id, "score is between 0 and 1"), file=file)
    if not rule.keywords and _BLANK.search(_EXCLUDING.sub("", rule.anchor)):
        raise ConfigError(_at(rule.id, "an anchor that matches blanks needs keywords beside it"), file=file)


def compiled(pattern: str, name: str = "", file: str = "rules") -> Any:
    """The pattern, ready. RE2 has neither look-around nor back-references: what it takes runs in linear time."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 32 << 20
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        said = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise ConfigError(_at(name, f"the pattern is not RE2 syntax ({said})"), file=file) from None


def _at(name: str, what: str) -> str:
    return f"rule {name or '(without id)'}: {what}"
