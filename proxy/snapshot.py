"""The snapshot on its way from control to the workers: plain JSON with the field names of `live`.

Read by workers: no pydantic here. On disk secrets are references; `load` puts the values in their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Protocol, get_args, get_origin, get_type_hints

import orjson

from proxy.errors import ConfigError
from proxy.live import Snapshot, Upstream

SECRET_BYTES = 64 * 1024


class Freezable(Protocol):
    """What has a snapshot: `settings.Settings`."""

    def freeze(self, version: int) -> Snapshot: ...


def dump(settings: Freezable, version: int) -> bytes:
    """The snapshot as JSON; holds no secret."""
    made = settings.freeze(version)
    return orjson.dumps({item.name: getattr(made, item.name) for item in fields(made) if item.name != "resolve"})


def load(raw: bytes, environ: Mapping[str, str]) -> Snapshot:
    """The snapshot with its secrets. Raises ConfigError where it is damaged, of another version, or a secret is not
    there."""
    try:
        made = _build(Snapshot, orjson.loads(raw))
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"the settings snapshot cannot be read ({type(error).__name__}): {error}") from error
    assert isinstance(made, Snapshot)
    return replace(made, upstreams={name: _opened(upstream, environ) for name, upstream in made.upstreams.items()})


def secret(reference: str, environ: Mapping[str, str]) -> str:
    """The value behind `env:NAME` or `file:PATH`; other text is its own value. Raises ConfigError where there is
    none; the message never holds the value."""
    if reference.startswith("env:"):
        value = environ.get(reference[4:], "").strip()
        if not value:
            raise ConfigError(f"the environment has no {reference[4:]}")
        return _one_line(value, f"what the environment has as {reference[4:]}")
    if not reference.startswith("file:"):
        return reference
    path = Path(reference[5:]).expanduser()
    try:
        with path.open("rb") as file:
            value = file.read(SECRET_BYTES).decode().strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"the file {path} cannot be read ({type(error).__name__})") from error
    if not value:
        raise ConfigError(f"the file {path} is empty")
    return _one_line(value, f"what the file {path} holds")


def _one_line(value: str, what: str) -> str:
    """In a header it would otherwise begin another one, or fail with every call."""
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
        raise ConfigError(f"{what} has a line break or another control character within: a secret is one line")
    return value


def _opened(upstream: Upstream, environ: Mapping[str, str]) -> Upstream:
    try:
        return replace(
            upstream,
            key=secret(upstream.key, environ) if upstream.key else None,
            proxy=secret(upstream.proxy, environ) if upstream.proxy else None,
            headers=tuple((name, secret(value, environ)) for name, value in upstream.headers),
            query=tuple((name, secret(value, environ)) for name, value in upstream.query),
        )
    except ConfigError as error:
        raise ConfigError(error.message, key=f"upstreams.{upstream.name}") from error


def _build(hint: Any, value: Any) -> Any:
    """A value of `live` from plain JSON, by the types of its fields."""
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint)
        return hint(**{name: _build(hints[name], item) for name, item in value.items()})
    origin, inner = get_origin(hint), get_args(hint)
    if origin is tuple:
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(_build(kind, item) for kind, item in zip(kinds, value, strict=True))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return {name: _build(inner[1], item) for name, item in value.items()}
    return value
