"""Where each value comes from: flag > environment > run-time overlay > file > default, merged and judged as a whole.

Theory of operation
-------------------
Layers are put on a tree (`merge`) from the weakest up. A file that lists `plugins` or `upstreams` replaces the
defaults, because what is listed is what runs; the stronger layers change single values in it. Then pydantic judges the
tree, what it finds is told with the place of the value, the wrong branches are cut off, and the rules of `refusals`
judge what is left: so every error is told, not only the first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as File
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from proxy.configuration import document, environment, refusals
from proxy.configuration.example import shape
from proxy.configuration.merge import Merge, Origin, mentioned, shaped
from proxy.configuration.overlay import Overlay
from proxy.configuration.sections import Plugin
from proxy.configuration.settings import AT_START, CHAIN, PROVIDERS, Settings, at, below, reference
from proxy.configuration.wording import Path, dotted, nearest, parts, sentence
from proxy.errors import ConfigError

Json = Any
LISTED = "must be a list: one plugin a line, as `- pii` or `- pii: {mode: shadow}`"
FILE_BYTES = 4 * 1024 * 1024
SHORT: Mapping[Path, str] = MappingProxyType({("data_dir",): "--data"})
"""Flags that are not named as their option is."""
WATCHERS = frozenset({"audit", "metering"})
"""Touch nothing by themselves: the profile `observe` leaves them as they are."""


class ConfigErrors(Exception):
    """Everything that is wrong, in the order of the file. `advice`: lines about what is to be done."""

    def __init__(self, errors: Iterable[ConfigError], advice: tuple[str, ...] = ()) -> None:
        self.advice = advice
        self.errors = tuple(sorted(errors, key=lambda error: (error.file is None, error.line or 0)))
        super().__init__("\n".join(str(error) for error in self.errors))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that may run. `origins` says for every value, by dotted key, where it comes from."""

    settings: Settings
    origins: Mapping[str, Origin]
    warnings: tuple[str, ...]
    file: str | None
    places: Mapping[Path, Origin]
    overruled: Mapping[str, Json] = field(default_factory=dict)
    """What a flag is stronger than: what file, environment or overlay say of its option."""

    def place(self, path: Path) -> Origin:
        """Who mentioned a value or section, or what is around it: where an error in it is told."""
        return mentioned(self.places, path)


def read(file: File | None, flags: Mapping[str, Json], environ: Mapping[str, str], overlay: Overlay | None) -> Loaded:
    """The configuration, or ConfigErrors with everything that is wrong in it."""
    merge = Merge()
    listed = _read_file(merge, file, environ)
    _read_overlay(merge, overlay or Overlay())
    found = environment.read(environ, merge.values)
    merge.errors.extend(found.errors)
    merge.warnings.extend(found.warnings)
    for given in found.given:
        merge.put(given.path, given.value, Origin("env", given.name))
    overruled: dict[str, Json] = {}
    for path, value in environment.flags(flags):
        if merge.has(path):
            overruled[dotted(path)] = merge.find(path)
        merge.put(path, value, Origin("flag", SHORT.get(path, f"--{'.'.join(path).replace('_', '-')}")))
    _providers(merge, environ, flags.get("upstream"), listed)
    _profile(merge)
    return replace(_judge(merge, environ, str(file) if file else None), overruled=overruled)


def frozen(old: Loaded, new: Loaded) -> list[str]:
    """Options that differ but are read at start only: what a reload must say has to wait; those too that a flag is
    stronger than (the port always is one: it is bound)."""
    return sorted(
        name
        for name in AT_START
        if getattr(old.settings, name) != getattr(new.settings, name)
        or old.overruled.get(name) != new.overruled.get(name)
    )


def _read_file(merge: Merge, file: File | None, environ: Mapping[str, str]) -> bool:
    """Places the file's values; says whether it names upstreams."""
    if file is None:
        return False
    try:
        text = _text(file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        merge.errors.append(ConfigError(f"the file cannot be read: {reason}", file=str(file)))
        merge.broken = True
        return False
    found = document.read(text, str(file), environ)
    merge.errors.extend(found.errors)
    merge.told.update(parts(error.key) for error in found.errors if error.key)
    merge.broken = bool(found.errors) and not found.values
    values, moved = shaped((), found.values)
    for path, written in moved.items():
        found.lines.update({
            (*path, *known[len(written) :]): line
            for known, line in list(found.lines.items())
            if known[: len(written)] == written
        })  # fmt: skip
    merge.lay((), values, lambda path: Origin("file", str(file), found.line(path)))
    merge.places |= {  # of what stands in lists as well
        path: Origin("file", str(file), line) for path, line in found.lines.items() if path not in merge.places
    }
    return bool(values.get("upstreams"))


def _text(file: File) -> str:
    """Raises ValueError for what is no text of a sensible size. Pipes and devices may never end."""
    if not file.is_file() and file.exists():
        raise ValueError("it is a directory" if file.is_dir() else "it is no regular file")
    with file.open("rb") as opened:
        raw = opened.read(FILE_BYTES + 1)
    if len(raw) > FILE_BYTES:
        raise ValueError("it is larger than 4 MiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def _read_overlay(merge: Merge, overlay: Overlay) -> None:
    for change in overlay.standing():
        path = parts(change.key)
        origin = Origin("overlay", f"change {change.id} by {change.who}")
        if not path:
            merge.complain(("overlay",), "a change names no option", origin)
        elif path[0] in AT_START:
            merge.complain(path, "is read at start only: set it in the file and start again", origin)
        else:
            merge.put(path, change.new, origin)


def _providers(merge: Merge, environ: Mapping[str, str], address: str | None, listed: bool) -> None:
    """The upstreams that nobody had to name, and what `OPENAI_*` and `ANTHROPIC_*` say about them."""
    if address is not None:
        _only(merge, environ, address)
        return
    named = merge.values.setdefault("upstreams", {})
    if not isinstance(named, dict):
        return
    if not listed and set(named) <= set(PROVIDERS):
        merge.values["upstreams"] = named = {name: named.get(name, {}) for name in PROVIDERS}
    for name, known in PROVIDERS.items():
        variable = f"{name.upper()}_BASE_URL"
        if name not in named:
            if environ.get(variable):
                merge.warnings.append(f"{variable} is not used: the configuration names its own upstreams")
            continue
        if not isinstance(named[name], dict):
            continue
        if environ.get(variable) and merge.leaf(("upstreams", name, "url")).kind not in ("env", "flag"):
            merge.put(("upstreams", name, "url"), _base(name, environ[variable].strip()), Origin("env", variable))
        for option in ("url", "dialects"):
            named[name].setdefault(option, known.model_dump(mode="json")[option])
        _key(merge, environ, name, name)


def _base(name: str, url: str) -> str:
    """Anthropic's SDK adds /v1 to its base address by itself, OpenAI's does not."""
    url = url.rstrip("/")
    return f"{url}/v1" if name == "anthropic" and not url.endswith("/v1") else url


def _key(merge: Merge, environ: Mapping[str, str], upstream: str, provider: str) -> None:
    """The provider's key from its usual variable, where the configuration says nothing of a key."""
    path = ("upstreams", upstream, "key")
    if merge.has(path):
        return
    variable = f"{provider.upper()}_API_KEY"
    if environ.get(variable):
        merge.put(path, f"env:{variable}", Origin("env", variable))
    elif environ.get(f"{variable}_FILE"):
        merge.put(path, f"file:{environ[f'{variable}_FILE']}", Origin("env", f"{variable}_FILE"))


def _only(merge: Merge, environ: Mapping[str, str], address: str) -> None:
    """`--upstream URL`: one upstream named `default` for all dialects, instead of all others. A provider's usual key
    goes there only if that is the provider's own address."""
    present = merge.find(("upstreams",))
    for name in list(present) if isinstance(present, dict) else ():
        if name != "default":
            merge.drop(("upstreams", name))
    merge.put(("upstreams", "default", "url"), address, Origin("flag", "--upstream"))
    for name, known in PROVIDERS.items():
        if _place(address) in (_place(known.url), _place(environ.get(f"{name.upper()}_BASE_URL", ""))):
            _key(merge, environ, "default", name)
            if name == "anthropic" and not merge.has(("upstreams", "default", "auth")):
                merge.put(("upstreams", "default", "auth"), "x-api-key", Origin("flag", "--upstream"))
            return


def _place(url: str) -> tuple[str, str]:
    """Scheme, host and port; never equal for no address."""
    found = urlsplit(url)
    return (found.scheme, found.netloc.lower()) if found.netloc else ("", url or "none")


def _profile(merge: Merge) -> None:
    """`observe` touches nothing, whatever else is written: plugins in shadow, usage not asked, nothing refused."""
    if merge.values.get("profile") != "observe":
        return
    merge.values.setdefault("plugins", {name: {} for name in CHAIN})
    chosen: list[tuple[Path, Json]] = [(("uninspected",), "record")]
    chosen += [(("upstreams", name, "ask_usage"), "never") for name in _names(merge, ("upstreams",))]
    chosen += [(("plugins", name, "mode"), "shadow") for name in _names(merge, ("plugins",)) if name not in WATCHERS]
    for agent in _names(merge, ("agents",)):
        above = ("agents", agent, "plugins")
        modes = [(*above, name, "mode") for name in _names(merge, above)]
        chosen += [(mode, "shadow") for mode in modes if merge.has(mode)]
    for path, value in chosen:
        if not isinstance(merge.find(path[:-1]), dict):
            continue
        if merge.has(path) and merge.find(path) not in (value, "auto"):
            merge.warnings.append(f"{dotted(path)}: {merge.find(path)} is not followed, because the profile is observe")
        merge.put(path, value, Origin("profile", "observe"))


def _names(merge: Merge, path: Path) -> list[str]:
    found = merge.find(path)
    return list(found) if isinstance(found, dict) else []


def _judge(merge: Merge, environ: Mapping[str, str], file: str | None) -> Loaded:
    given = frozenset(merge.leaves)
    _repeated(merge)
    settings = _validate(merge)
    if settings is not None and not merge.broken:
        sections = frozenset(path[0] for path in merge.told if path)
        for path, words in list(refusals.faults(settings, environ, sections)):
            merge.complain(path, words)
    if merge.errors or settings is None:
        raise ConfigErrors(merge.errors)
    merge.warnings.extend(refusals.warnings(settings, given))
    leaves = refusals.leaves(settings.model_dump(mode="json"))
    origins = {dotted(path): merge.leaf(path) for path, _ in leaves}
    return Loaded(settings, origins, tuple(merge.warnings), file, merge.places)


def _repeated(merge: Merge) -> None:
    """A plugin's name is how it is found again, so it stands in the list once."""
    lines = merge.values.get("plugins")
    names: list[str] = []
    for line in lines if isinstance(lines, list) else ():
        for name in [line] if isinstance(line, str) else line if isinstance(line, dict) else ():
            if name in names:
                merge.complain(
                    ("plugins",),
                    f"{name} stands there twice; remove one (a second one of its own name has `uses: {name}`)",
                )
            names.append(name)


def _validate(merge: Merge) -> Settings | None:
    """The settings, where wrong branches are cut off; None where nothing sound is left."""
    for _ in range(4):
        try:
            return Settings.model_validate_json(json.dumps(merge.values))
        except ValidationError as error:
            for item in error.errors(include_url=False):
                path = tuple(str(part) for part in item["loc"] if part != "[key]")
                unknown = item["type"] == "extra_forbidden"
                words = shape(item["type"], Settings, path, merge.values) or sentence(item)
                words = LISTED if path == ("plugins",) else words
                merge.complain(path, f"there is no such option{_near(path)}" if unknown else words)
                _cut(merge, path)
    return None


def _cut(merge: Merge, path: Path) -> None:
    """Takes the wrong value out; where it is missing, the section that lacks it."""
    while path and not merge.has(path):
        path = path[:-1]
    if path:
        merge.drop(path)


def _near(path: Path) -> str:
    """The nearest option beside it, or the same name elsewhere."""
    section = below(at(path[:-1]))
    if path[-3:-2] == ("plugins",) and path[-1] not in Plugin.model_fields:
        found = nearest(path[-1], Plugin.model_fields)
        return found if "did you mean" in found else "; a plugin's own options stand under `options:`"
    found = nearest(path[-1], section.model_fields if section else ())
    if "did you mean" in found:
        return found
    elsewhere = [option.key for option in reference() if option.path[-1] == path[-1]]
    return f"; did you mean {elsewhere[0]}?" if elsewhere else found
