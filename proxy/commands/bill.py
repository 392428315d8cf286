"""A provider's export of usage or costs, as CSV: whatever its columns are called, made one row for a day and a model.

Known are OpenAI's exports of usage (`input_tokens` with the cached ones in it) and of costs (`line_item`), Anthropic's
(`usage_input_tokens_no_cache` beside the cached ones), and files with names alike; others are named by the caller.
"""

from __future__ import annotations

import csv
import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import MappingProxyType

FILE_BYTES = 256 * 1024 * 1024
COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "day": ("usage_date_utc", "usage_date", "date", "day", "start_time_iso", "start_time", "timestamp", "date_utc",
            "time", "created", "usage_start_time"),
    "model": ("model_version", "model", "snapshot_id", "model_name", "line_item"),
    "calls": ("num_model_requests", "n_requests", "num_requests", "requests", "calls", "request_count"),
    "input": ("input_tokens", "prompt_tokens", "n_context_tokens_total", "tokens_in"),
    "uncached": ("usage_input_tokens_no_cache", "uncached_input_tokens", "input_tokens_no_cache",
                 "input_uncached_tokens"),
    "cached": ("usage_input_tokens_cache_read", "cache_read_input_tokens", "cache_read_tokens", "input_cached_tokens",
               "cached_tokens", "n_cached_context_tokens_total"),
    "written": ("usage_input_tokens_cache_write_5m", "usage_input_tokens_cache_write_1h",
                "cache_creation_input_tokens", "cache_write_tokens", "input_cache_write_tokens"),
    "output": ("usage_output_tokens", "output_tokens", "completion_tokens", "n_generated_tokens_total", "tokens_out"),
    "usd": ("amount_value", "cost_usd", "cost_in_usd", "total_cost_usd", "cost", "total_cost", "amount", "usd",
            "amount_usd"),
    "currency": ("amount_currency", "currency"),
})  # fmt: skip
"""What is looked for, and what providers call it; of `written` all that are there are summed."""
MEASURES = ("calls", "input", "uncached", "cached", "written", "output", "usd")
BESIDE = frozenset({"cache_read_input_tokens", "cache_creation_input_tokens"})
"""Names under which Anthropic counts what is not in `input_tokens`."""
DELIMITERS = ",;\t|"
GROUPED = re.compile(r"-?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")
"""A number with commas between its thousands. Any other comma may be a decimal one, which is not guessed at."""
DATED = re.compile(r"-(?:20\d{2}-\d{2}-\d{2}|20\d{6}|latest)$")


class BadExport(Exception):
    """The file cannot be taken: a sentence for people."""


@dataclass(slots=True)
class Charge:
    """What a provider charges for, of a day and a model. `input` has the cached tokens in it."""

    calls: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    usd: Decimal = Decimal(0)

    def add(self, other: Charge) -> None:
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))


@dataclass(frozen=True, slots=True)
class Bill:
    """An export. `knows`: which of a charge's fields it tells; without `models` it tells of days only."""

    charges: Mapping[tuple[str, str], Charge]
    knows: frozenset[str]
    models: bool
    skipped: int
    """Rows with nothing in them to compare, such as totals."""

    @property
    def days(self) -> list[str]:
        return sorted({day for day, _ in self.charges})


def alike(model: str) -> str:
    """A model's name as it is compared: without its date, its maker's prefix and capitals."""
    return DATED.sub("", model.strip().lower().rpartition("/")[2])


def parsed_columns(text: str) -> dict[str, str]:
    """`day=Date,model=Name`: which column is what. Raises BadExport."""
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, column = pair.partition("=")
        if name.strip() not in COLUMNS or not column.strip():
            known = ", ".join(COLUMNS)
            raise BadExport(f"--columns is written as NAME=COLUMN, with a NAME of {known}; not {pair!r}")
        found[name.strip()] = column.strip()
    return found


def read(path: Path, given: Mapping[str, str]) -> Bill:
    """Raises BadExport with what is wrong, and in which line."""
    try:
        if path.stat().st_size > FILE_BYTES:
            raise BadExport(f"{path.name} has more than {FILE_BYTES // 2**20} MB")
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(DELIMITERS, key=first.count)
            return _bill(path.name, csv.reader(file, delimiter=delimiter), given)
    except UnicodeDecodeError:
        raise BadExport(f"{path.name} is no text in UTF-8; is it a CSV file?") from None
    except csv.Error as error:
        raise BadExport(f"{path.name} is no CSV file: {error}") from None
    except OSError as error:
        raise BadExport(f"{path.name} cannot be read: {error.strerror}") from None


def _bill(name: str, rows: Iterator[list[str]], given: Mapping[str, str]) -> Bill:
    heads = [head.strip() for head in next(rows, [])]
    places = _places(name, heads, given)
    charges: dict[tuple[str, str], Charge] = {}
    skipped = 0
    for number, row in enumerate(rows, 2):
        cells = _Row(name, number, row, places)
        if not any(cell.strip() for cell in row):
            continue
        day = cells.day()
        if day is None or not cells.says(*MEASURES):
            skipped += 1
            continue
        cells.check_currency()
        charges.setdefault((day, cells.model()), Charge()).add(cells.charge())
    models = any(model for _, model in charges)
    return Bill(charges, _known(places), models, skipped)


def _known(places: Mapping[str, Sequence[int]]) -> frozenset[str]:
    known = {name for name in ("calls", "cached", "output", "usd") if places.get(name)}
    return frozenset(known | ({"input"} if places.get("input") or places.get("uncached") else set()))


def _places(name: str, heads: Sequence[str], given: Mapping[str, str]) -> dict[str, list[int]]:
    """Where each thing stands in a row."""
    plain = [re.sub(r"[^a-z0-9]+", "_", head.lower()).strip("_") for head in heads]
    places: dict[str, list[int]] = {}
    for what, names in COLUMNS.items():
        if what in given:
            if given[what] not in heads:
                raise BadExport(f"{name} has no column {given[what]!r}; it has: {', '.join(heads)}")
            places[what] = [heads.index(given[what])]
            continue
        found = [plain.index(one) for one in names if one in plain]
        places[what] = found if what == "written" else found[:1]
    if "input" not in given and places["input"] and not places["uncached"] and not BESIDE.isdisjoint(plain):
        places["uncached"], places["input"] = places["input"], []
    if not heads:
        raise BadExport(f"{name} is empty: its first line names the columns")
    if not places["day"]:
        raise BadExport(f"{name} has no column with a day: name it with --columns day=...; it has: {', '.join(heads)}")
    if not any(places[what] for what in MEASURES if what != "calls"):
        raise BadExport(
            f"{name} has neither tokens nor costs: name them with --columns input=...,output=...,usd=...; "
            f"it has: {', '.join(heads)}"
        )
    return places


class _Row:
    """One row, read by what stands where."""

    def __init__(self, name: str, number: int, cells: Sequence[str], places: Mapping[str, Sequence[int]]) -> None:
        self._where = f"{name}:{number}"
        self._cells = cells
        self._places = places

    def _texts(self, what: str) -> list[str]:
        return [self._cells[place].strip() for place in self._places.get(what, ()) if place < len(self._cells)]

    def says(self, *names: str) -> bool:
        return any(text for name in names for text in self._texts(name))

    def day(self) -> str | None:
        """UTC. None where there is none: of totals."""
        text = next(iter(self._texts("day")), "")
        if not text or text.lower().startswith(("total", "sum")):
            return None
        try:
            if re.fullmatch(r"\d{9,11}(\.\d+)?", text):
                at = datetime.datetime.fromtimestamp(float(text), datetime.UTC)
            else:
                at = datetime.datetime.fromisoformat(text.removesuffix("UTC").strip())
        except ValueError:
            raise BadExport(f"{self._where}: {text!r} is no day such as 2026-11-22") from None
        return (at.astimezone(datetime.UTC) if at.tzinfo else at).date().isoformat()

    def model(self) -> str:
        """As it is compared. A line item names what was charged behind the model."""
        return alike(next(iter(self._texts("model")), "").partition(",")[0])

    def check_currency(self) -> None:
        for currency in self._texts("currency"):
            if currency and currency.lower() not in ("usd", "$"):
                raise BadExport(f"{self._where}: amounts are in {currency}; only USD can be compared")

    def charge(self) -> Charge:
        cached, written = self._tokens("cached"), self._tokens("written")
        asked = self._tokens("input") if self._places.get("input") else self._tokens("uncached") + cached + written
        return Charge(self._tokens("calls"), asked, cached, self._tokens("output"), self._number("usd"))

    def _tokens(self, what: str) -> int:
        return int(self._number(what))

    def _number(self, what: str) -> Decimal:
        total = Decimal(0)
        for text in self._texts(what):
            plain = text.removeprefix("$").strip()
            if plain in ("", "-", "null", "None"):
                continue
            if "," in plain and not GROUPED.fullmatch(plain):
                raise BadExport(f"{self._where}: write {text!r} with a decimal point ({what})")
            plain = plain.replace(",", "")
            try:
                number = Decimal(plain)
            except InvalidOperation:
                number = Decimal("nan")
            if not number.is_finite():
                raise BadExport(f"{self._where}: {text!r} is no number ({what})")
            total += number
        return total
