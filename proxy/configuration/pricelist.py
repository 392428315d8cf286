"""Prices of one's own: `prices.yaml` beside the configuration file, for models whose price is another or not known.

A list under `prices`; each entry names a model (pattern with `*`), optionally an upstream (pattern) and a date `from`
which it holds, and dollars per million tokens: see `prices.parse_overrides`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path as File
from typing import Any

from proxy.configuration import document
from proxy.configuration.sources import ConfigErrors
from proxy.errors import ConfigError
from proxy.prices import parse_overrides

Json = Any
NAME = "prices.yaml"
FILE_BYTES = 1024 * 1024
ROWS = 10_000


def beside(file: File) -> File:
    """Where they stand for a configuration file."""
    return file.with_name(NAME)


def read(file: File | None, environ: Mapping[str, str]) -> list[dict[str, Json]]:
    """The entries, judged; none where there is no such file. Raises ConfigErrors with everything that is wrong."""
    path = None if file is None else beside(file)
    if path is None or not path.exists():
        return []
    try:
        raw = path.read_bytes()
        if len(raw) > FILE_BYTES:
            raise ConfigErrors([ConfigError(f"the file has more than {FILE_BYTES} bytes", file=str(path))])
        found = document.read(raw.decode(), str(path), environ)
    except (OSError, UnicodeError) as error:
        raise ConfigErrors([ConfigError(f"the prices cannot be read: {error}", file=str(path))]) from error
    errors = [*found.errors, *_faults(found)]
    if errors:
        raise ConfigErrors(errors)
    return list(found.values.get("prices") or [])


def _faults(found: document.Document) -> Iterator[ConfigError]:
    for name in found.values.keys() - {"prices"}:
        yield _wrong(found, (name,), "there is no such thing here; write a list under `prices`")
    rows = found.values.get("prices") or []
    if not isinstance(rows, list) or len(rows) > ROWS:
        yield _wrong(found, ("prices",), f"must be a list of at most {ROWS} entries")
        return
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            yield _wrong(found, ("prices", str(place)), "must be an entry such as {model: gpt-4o, input: 2.5}")
            continue
        try:
            parse_overrides([row])
        except ConfigError as error:
            name = (error.key or "").rpartition(".")[2]
            path = ("prices", str(place), *([name] if name in row else []))
            yield _wrong(found, path, error.message)


def _wrong(found: document.Document, path: tuple[str, ...], words: str) -> ConfigError:
    key = path[0] + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path[1:])
    return ConfigError(words, key=key, file=found.name, line=found.line(path))
