"""The environment: `WEIR_*` for every option, the specification's own names, and what a value in text means.

`WEIR_LIMITS__BODY_BYTES` is `limits.body_bytes`. A name that the file has already (an agent, an upstream) is found
whatever stands for its `-` and `.`: `WEIR_AGENTS__TAX_EU_001__CACHE`. Empty variables count as not set. A secret is not
taken over but referred to: the option becomes `env:NAME`, or `file:PATH` where the variable ends in `_FILE`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

from proxy.configuration import document
from proxy.configuration.fields import refers
from proxy.configuration.settings import at, below, reference, secret
from proxy.configuration.wording import Path, parts
from proxy.errors import ConfigError

Json = Any

RESERVED = frozenset({"WEIR_CONFIG", "WEIR_URL", "WEIR_AUDIT_KEY", "WEIR_AUDIT_KEY_FILE"})
"""No options: read by the command line, told by `weir run` to its command, the audit trail's own key."""
SPECIFIED: tuple[tuple[str, Path], ...] = (
    ("CACHE_ENABLED", ("cache", "enabled")),
    ("CACHE_TTL", ("cache", "ttl_s")),
    ("CACHE_STRATEGY", ("cache", "strategy")),
    ("LEARNING_ENABLED", ("learning", "enabled")),
    ("MIN_FEEDBACK_BATCH", ("learning", "min_feedback_batch")),
    ("DRIFT_THRESHOLD", ("learning", "drift_threshold")),
    ("MONITORING_ENABLED", ("monitoring", "enabled")),
    ("METRICS_INTERVAL", ("monitoring", "interval_s")),
    ("ALERT_WEBHOOK_URL", ("monitoring", "alert_webhook_url")),
    ("AUTO_SCALING_ENABLED", ("autoscaling", "enabled")),
    ("DEFAULT_MIN_INSTANCES", ("autoscaling", "min_instances")),
    ("DEFAULT_MAX_INSTANCES", ("autoscaling", "max_instances")),
    ("REDIS_URL", ("store",)),
)
KUBERNETES = re.compile(r"WEIR_([A-Z0-9]+_)*?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
LINK = re.compile(r"(tcp|udp|sctp)://\S+:\d+")


@dataclass(frozen=True, slots=True)
class Given:
    """One variable and the option it sets."""

    name: str
    path: Path
    value: Json


@dataclass(frozen=True, slots=True)
class Found:
    given: tuple[Given, ...]
    errors: tuple[ConfigError, ...]
    warnings: tuple[str, ...]


def read(environ: Mapping[str, str], values: Mapping[str, Json]) -> Found:
    """What the environment sets, weakest first. `values` is what is configured so far: its names are recognised."""
    given = [Given(name, path, meaning(environ[name], path, name)) for name, path in SPECIFIED if environ.get(name, "")]
    errors: list[ConfigError] = []
    warnings: list[str] = []
    for name in sorted(environ):
        text = environ[name]
        if not name.startswith("WEIR_") or not text or name in RESERVED:
            continue
        if linked(name, text):
            warnings.append(f"{name} is ignored: Kubernetes sets it for a service (enableServiceLinks)")
            continue
        try:
            given.append(_given(name, text, environ, values))
        except ConfigError as error:
            errors.append(error)
    return Found(tuple(given), tuple(errors), tuple(warnings))


def linked(name: str, text: str) -> bool:
    """Whether Kubernetes made the variable for a service that happens to be called `weir`."""
    return KUBERNETES.fullmatch(name) is not None or (name.endswith("_PORT") and LINK.fullmatch(text) is not None)


def _given(name: str, text: str, environ: Mapping[str, str], values: Mapping[str, Json]) -> Given:
    try:
        path = locate(name, values)
    except ConfigError:
        option = _beside(name, values)
        if not option:
            raise
        if environ.get(name.removesuffix("_FILE")):
            raise ConfigError(f"is set beside {name}; unset one of them", key=name.removesuffix("_FILE")) from None
        return Given(name, option, f"file:{text}")
    return Given(name, path, meaning(text, path, name))


def _beside(name: str, values: Mapping[str, Json]) -> Path:
    """The secret whose file a variable names; empty where it names none."""
    if not name.endswith("_FILE"):
        return ()
    try:
        path = locate(name.removesuffix("_FILE"), values)
    except ConfigError:
        return ()
    return path if secret(path) else ()


def locate(name: str, values: Mapping[str, Json]) -> Path:
    """The option that a variable sets. Raises ConfigError with the nearest right name."""
    path: Path = ()
    words = name.removeprefix("WEIR_").split("__")
    here: Json = values
    for place, word in enumerate(words):
        part = _part(word, path, here)
        if part is None:
            raise ConfigError(f"there is no such option{_nearest(name, words[:place], word, path)}", key=name)
        path = (*path, part)
        here = here.get(part) if isinstance(here, Mapping) else None
    return path


def _part(word: str, path: Path, here: Json) -> str | None:
    """The next part of a path: an option's name, or a name of the operator's choice."""
    lower = word.lower()
    if not lower or at((*path, lower)) is None:
        return None
    if get_origin(at(path)) is not dict and at(path) is not Any:
        return lower
    known = [name for name in here if _flat(name) == _flat(word)] if isinstance(here, Mapping) else []
    if len(known) > 1:
        raise ConfigError(f"{word} may mean {' or '.join(known)}: set it in the file", key=word)
    return str(known[0]) if known else lower


def _flat(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower())


def _nearest(name: str, done: list[str], word: str, path: Path) -> str:
    known = [option.env for option in reference() if "<" not in option.env]
    close = get_close_matches(name, known, n=1, cutoff=0.85)
    if not close:
        section = below(at(path)) if path else None
        names = [field.upper() for field in section.model_fields] if section else []
        close = ["WEIR_" + "__".join([*done, found]) for found in get_close_matches(word, names, n=1)]
    close = close or get_close_matches(name, known, n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else ""


def meaning(text: str, path: Path, name: str) -> Json:
    """What a text from a variable means as a value of that option; a wrong one is left for the validator to refuse."""
    text = text.strip()
    if secret(path) and name:
        return _referred(text, path, name)
    kind = at(path)
    if kind is str:
        return text
    if get_origin(kind) is Literal:
        return text.lower() if text.lower() in get_args(kind) else text
    if kind is bool:
        return {"1": True, "0": False}.get(text, document.plain(text))
    if get_origin(kind) is tuple or path == ("plugins",):
        return _json(text) if text[:1] in "[{" else [item.strip() for item in text.split(",") if item.strip()]
    if get_origin(kind) is dict or below(kind) is not None or kind is Any:
        return _json(text)
    return document.plain(text)


def _json(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:
        return document.plain(text)


def _referred(text: str, path: Path, name: str) -> str:
    """The reference for a value that may be a secret; what cannot be one stays as it is."""
    if refers(text):
        return text
    if path == ("store",) or path[-1] == "proxy":
        return f"env:{name}" if "@" in urlsplit(text).netloc else text
    return f"env:{name}"


def flags(given: Mapping[str, Json]) -> Iterator[tuple[Path, Json]]:
    """What flags set, by option; None means not given. `upstream` is left to the caller."""
    for key, value in given.items():
        if value is None or key == "upstream":
            continue
        path = parts(key)
        yield path, meaning(value, path, "") if isinstance(value, str) else value
