"""One text made shorter: each region by what suits its content, judged by counting, and never larger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plugins.compression import blocks, logs, prose, schema, table
from plugins.compression.minify import minified
from plugins.compression.regions import WRAPPED, Region, is_code, is_code_line, regions

if TYPE_CHECKING:
    from plugins.compression.options import CompressionOptions

Count = Callable[[str], int]
TABLE_SHARE = 0.9
"""A table is taken where it has at most this share of the characters of compact JSON."""
SURE_SHARE = 0.5
"""Compact JSON is hardly ever shorter than this share of what it was."""
FOLD_SHARE = 0.93
"""A folded log likewise, of what it was."""
BOLD_SHARE = 0.75
"""And what is no log, but as uniform as one: the output of a command."""
LEAST_SAVED = 4
"""Fewer tokens are not worth a change."""
LEAST_CHARS = 8
MOST_CHARS = 524_288
"""Longer texts stay as they are."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which techniques may be used on a text."""

    json: bool = True
    tables: bool = True
    logs: bool = True
    repeats: bool = True
    prose: bool = True
    boilerplate: bool = True
    schemas: bool = False

    @classmethod
    def of(cls, options: CompressionOptions) -> Rules:
        """For what tools and documents say."""
        return cls(
            options.json, options.tables, options.logs, options.repeats, options.prose, options.prose,
            options.tool_schemas,
        )  # fmt: skip

    @classmethod
    def careful(cls, options: CompressionOptions) -> Rules:
        """For what people and the model say."""
        return cls(options.json, False, False, False, options.prose, False, False)


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What became of a text. Where nothing did, there are no techniques and nothing was counted."""

    text: str
    techniques: tuple[str, ...] = ()
    """The one that gained most first."""
    before: int = 0
    after: int = 0

    @property
    def saved(self) -> int:
        return self.before - self.after


def shrunk(text: str, rules: Rules, count: Count) -> Shrunk:
    """The shortest of what can be made of it; the text itself where nothing is shorter, or it is very long."""
    if len(text) > MOST_CHARS:
        return Shrunk(text)
    made, gains = rewritten(text, rules)
    before = 0
    while gains:
        before = before or count(text)
        after = count(made)
        if after <= before - LEAST_SAVED:
            return Shrunk(made, tuple(sorted(gains, key=lambda name: -gains[name])), before, after)
        bold = Rules(rules.json, False, False, False, rules.prose, False, False)
        if rules == bold or not (gains.keys() & {"table", "log", "repeat", "schema"}):
            break
        rules = bold
        made, gains = rewritten(text, rules)
    return Shrunk(text)


def rewritten(text: str, rules: Rules) -> tuple[str, dict[str, int]]:
    """The text made shorter, and how many characters each technique took out of it."""
    gains: dict[str, int] = {}
    wrapped = WRAPPED.fullmatch(text)
    if wrapped is not None:
        inner, gains = rewritten(wrapped["inner"], rules)
        return wrapped["head"] + inner + wrapped["tail"], gains
    out: list[str] = []
    for region in regions(text):
        made, names = _region(region, rules)
        if len(made) > len(region.text) - LEAST_CHARS:
            out.append(region.text)
            continue
        out.append(made)
        for name in names:
            gains[name] = gains.get(name, 0) + (len(region.text) - len(made)) // len(names)
    return "".join(out), gains


def _region(region: Region, rules: Rules) -> tuple[str, list[str]]:
    if region.content == "json":
        return _json(region.text, rules)
    if region.content == "rows" and rules.tables:
        lines = [line for line in region.text.split("\n") if line.strip()]
        made = table.tabled_lines(lines)
        if made is not None and len(made) <= TABLE_SHARE * len(region.text):
            return made, ["table"]
    if region.content == "text":
        return _text(region.text, rules)
    return region.text, []


def _json(text: str, rules: Rules) -> tuple[str, list[str]]:
    if rules.schemas and '"properties"' in text:
        tools = table.value_of(text)
        if schema.is_tools(tools):
            return table.written(schema.trimmed_tools(tools)), ["schema"]
    rows = table.tabled(text) if rules.tables and text.count("{") > table.LEAST_ROWS - 1 else None
    if rows is not None and len(rows) <= SURE_SHARE * len(text):
        return rows, ["table"]
    compact = minified(text) if rules.json else text
    if rows is not None and len(rows) <= TABLE_SHARE * len(compact):
        return rows, ["table"]
    return compact, ["json"]


def _text(text: str, rules: Rules) -> tuple[str, list[str]]:
    lines = text.split("\n")
    if rules.logs and logs.looks(lines):
        return _log(text, lines, rules, FOLD_SHARE)
    if is_code(lines):
        return text, []
    if rules.logs and logs.uniform(lines) and not any(map(is_code_line, lines)):
        made, told = _log(text, lines, rules, BOLD_SHARE)
        if told:
            return made, told
    names: list[str] = []
    if rules.prose:
        tidy = prose.tidied(lines, boilerplate=rules.boilerplate)
        if tidy != lines:
            lines, names = tidy, ["prose"]
    if rules.repeats and len(lines) >= 2 * blocks.LEAST_LINES:
        lines, names = _folded(lines, names)
    return "\n".join(lines), names


def _folded(lines: list[str], names: list[str]) -> tuple[list[str], list[str]]:
    once = blocks.folded(lines)
    if once is not None and sum(map(len, once)) <= FOLD_SHARE * sum(map(len, lines)):
        return once, [*names, "repeat"]
    return lines, names


def _log(text: str, lines: list[str], rules: Rules, share: float) -> tuple[str, list[str]]:
    names: list[str] = []
    if rules.repeats:
        lines, names = _folded(lines, names)
    made = logs.folded(lines)
    if made is not None and sum(map(len, made)) <= share * sum(map(len, lines)):
        lines, names = made, ["log", *names]
    return ("\n".join(lines), names) if names else (text, [])
