"""The settings while they run: reload of the file, changes at run time, and the snapshot that workers read.

A new configuration is judged as a whole before anything happens; a wrong one leaves the running one in place and says
so. A right one is written to `run/snapshot.json` with the next version, and workers are told. Every change of what is
in effect is an entry of the audit trail; what an administrator changes stands there before it takes effect.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from proxy import snapshot
from proxy.configuration import blame, pricelist
from proxy.configuration import overlay as overlays
from proxy.configuration.overlay import CODE, TRUSTED, Overlay, reaches, veiled
from proxy.configuration.settings import AT_START, Settings
from proxy.configuration.sources import ConfigErrors, Loaded, frozen
from proxy.configuration.wording import parts
from proxy.errors import BadRequest, ConfigError, Forbidden, WeirError
from proxy.ports import Clock

Json = Any
LOG = logging.getLogger("weir.settings")
Read = Callable[[Overlay], Loaded]
Note = Callable[[str, str, Mapping[str, Any]], Awaitable[Any]]
OFFLINE_MOST = 20
KEY_CHARS, REASON_CHARS, VALUE_BYTES = 512, 1_000, 64 * 1024


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the configuration reaches of the world. `read` merges and judges (`sources.read` with file and flags bound),
    `note` writes an audit entry, `publish` is told of each version that took effect (it pushes to workers)."""

    data: Path
    run: Path
    clock: Clock
    read: Read
    note: Note
    publish: Callable[[Loaded, int], None]
    rejected: Callable[[], None]
    file: Path | None = None


@dataclass(slots=True)
class Rejection:
    """A configuration that was not taken."""

    at: float
    errors: list[str] = field(default_factory=list)


class Configuration:
    """`start` once; then `poll` every second and `reload` on SIGHUP."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._lock = asyncio.Lock()
        self._path = around.data / overlays.NAME
        self._seen: tuple[tuple[int, int, int], ...] = ()
        self._snapshot = b""
        self.loaded: Loaded
        self._started: Loaded
        """What this process began with: what is read at start only stays as it says."""
        self.overlay = Overlay()
        self.version = 0
        self.rejection: Rejection | None = None

    def start(self) -> None:
        """Reads everything and writes the first snapshot. Raises ConfigError or ConfigErrors."""
        self._seen = self._signature()
        self.overlay = overlays.read(self._path)
        self.loaded = self._started = blame.read(self._around.read, self.overlay, self._around.data)
        self.version = _version_on_disk(self._around.run)
        self._adopt(self.loaded)

    async def note_start(self) -> None:
        """What this process began with: whatever was changed while nothing ran shows here."""
        offline = [change.id for change in self.overlay.changes if change.undone_by.endswith(overlays.OFFLINE)]
        undone = {"undone_offline": offline[-OFFLINE_MOST:]} if offline else {}
        await self._around.note("weir", "settings.start", {**self._mark(), "overlay": self.overlay.version, **undone})
        if standing := len(self.overlay.standing()):
            LOG.info("settings changed at run time are in effect: %d (weir overlay list shows them)", standing)

    async def poll(self) -> bool:
        """Reloads if the file was touched. True where something new took effect."""
        seen = await asyncio.to_thread(self._signature)
        if seen == self._seen:
            return False
        self._seen = seen
        return await self.reload("the file changed")

    async def reload(self, why: str) -> bool:
        """Reads the configuration anew; a wrong one is told and changes nothing."""
        async with self._lock:
            self._seen = self._signature()
            try:
                loaded = await asyncio.to_thread(blame.read, self._around.read, self.overlay)
            except (ConfigErrors, ConfigError) as error:
                self._reject(error)
                return False
            self.rejection = None
            if waiting := frozen(self._started, loaded):
                LOG.warning("read at start only, so it waits for the next one: %s", ", ".join(waiting))
            _remind(self.loaded, loaded)
            changed = self._adopt(loaded)
            if changed:
                LOG.info("settings version %d is in effect (%s)", self.version, why)
                await self._around.note("weir", "settings.reload", {**self._mark(), "why": why})
            return changed

    async def apply(self, key: str, value: Json, who: str, reason: str, action: str = "overlay.apply") -> Json:
        """Sets one option at run time. BadRequest says what is wrong; then nothing has changed. `action`: what the
        audit trail calls it. Gives the change, with `notes` on what will not do what is written."""
        path = parts(key)
        if not path or len(key) > KEY_CHARS:
            raise BadRequest("names no option", param="key")
        if len(reason) > REASON_CHARS or len(orjson.dumps(value)) > VALUE_BYTES:
            raise BadRequest("is too long", param="reason" if len(reason) > REASON_CHARS else "value")
        if reaches(path, CODE):
            raise Forbidden("which plugins there are, and what they load, is for the configuration file", param="key")
        self._permit(path)
        async with self._lock:
            old = _value_at(self.loaded.settings, path)
            at = self._around.clock.wall_s()
            made = self.overlay.apply(key, value, old=old, who=who, reason=reason, at=at)
            change = made.changes[-1]
            said = {
                "id": change.id,
                "key": key,
                "reason": reason,
                "old": veiled(path, old),
                "new": veiled(path, value),
            }
            before = self.loaded
            await self._take(made, who, action, said)
            notes = _fresh(before, self.loaded)
            return {**overlays.shown(change), **({"notes": notes} if notes else {})}

    async def undo(self, number: int, who: str) -> Json:
        """Takes a change back; an earlier one of the same option is in effect again."""
        async with self._lock:
            change = next((each for each in self.overlay.changes if each.id == number), None)
            if change is None:
                raise BadRequest(f"there is no change {number} to undo", param="id")
            if change.undone_at is not None:
                raise BadRequest(f"change {number} is already undone", param="id")
            self._permit(parts(change.key))
            made = self.overlay.undo(number, who=who, at=self._around.clock.wall_s())
            change = next(each for each in made.changes if each.id == number)
            await self._take(made, who, "overlay.undo", {"id": number, "key": change.key})
            return overlays.shown(change)

    async def forget(self, user: str) -> None:
        """No caller's key names this user any more, nor does any change that once bound one to it."""
        async with self._lock:
            made = self.overlay.forget(user)
            if made is not self.overlay:
                await self._take(made, "weir", "overlay.forget", {})

    def changes(self) -> Json:
        return overlays.listed(self.overlay)

    def export(self) -> str:
        """What is in effect, for the file: with all that runs by default where it names nothing else."""
        origins = {name: self.loaded.places.get((name,)) for name in overlays.WHOLE}
        return self.overlay.export(
            [name for name, origin in origins.items() if origin is None or origin.kind != "file"]
        )

    def view(self) -> Json:
        """Every value in use with its source, and the value that waits for the next start; what may be a secret is not
        shown."""
        next_values = self.loaded.settings.model_dump(mode="json")
        in_use = next_values | self._started.settings.model_dump(mode="json", include=set(AT_START))
        origins = {key: origin for key, origin in self.loaded.origins.items() if parts(key)[0] not in AT_START}
        origins |= {key: origin for key, origin in self._started.origins.items() if parts(key)[0] in AT_START}
        values = {}
        for key, origin in sorted(origins.items()):
            path = parts(key)
            value, after = _leaf(in_use, path), _leaf(next_values, path)
            values[key] = {"value": veiled(path, value), "source": str(origin)}
            if after != value:
                values[key]["after_restart"] = veiled(path, after)
        return {"version": self.version, "file": self.loaded.file and Path(self.loaded.file).name, "values": values}

    def state(self) -> Json:
        """For /readyz: the version, and what was wrong with one that was not taken."""
        if self.rejection is None:
            return {"version": self.version}
        return {"version": self.version, "rejected_at": self.rejection.at, "errors": self.rejection.errors}

    def _permit(self, path: tuple[str, ...]) -> None:
        """Without a token any process of this machine may call: it must not turn calls, keys or files its way."""
        if self._started.settings.admin_token is None and reaches(path, TRUSTED):
            raise Forbidden(
                "secrets, addresses, callers, plugins' code and what is kept of calls are changed with the admin token "
                "only: start Weir with WEIR_ADMIN_TOKEN set",
                code="admin_token_needed",
                param="key",
            )

    async def _take(self, made: Overlay, who: str, action: str, details: Mapping[str, Any]) -> None:
        """Judge, note, write, put in effect: nothing takes effect that is not noted."""
        try:
            loaded = await asyncio.to_thread(self._around.read, made)
        except (ConfigErrors, ConfigError) as error:
            raise BadRequest("; ".join(_sentences(error)), param="value", code="wrong_setting") from None
        await self._around.note(who, action, {**details, "overlay": made.version})
        try:
            await asyncio.to_thread(overlays.write, self._path, made)
        except OSError as error:
            await self._around.note("weir", f"{action}.failed", {**details, "error": type(error).__name__})
            raise WeirError("the change could not be written", code="not_written") from error
        self.overlay = made
        self.rejection = None
        _remind(self.loaded, loaded)
        self._adopt(loaded)
        LOG.info("settings version %d is in effect (%s by %s)", self.version, action, who)

    def _adopt(self, loaded: Loaded) -> bool:
        """Writes the snapshot and tells; False where workers would see no difference."""
        self.loaded = loaded
        core = snapshot.dump(loaded.settings, 0)
        if core == self._snapshot:
            return False
        raw = snapshot.dump(loaded.settings, self.version + 1)
        write_whole(self._around.run / "snapshot.json", raw)
        self._snapshot = core
        self.version += 1
        self._around.publish(loaded, self.version)
        return True

    def _reject(self, error: ConfigErrors | ConfigError) -> None:
        said = _sentences(error)
        self.rejection = Rejection(self._around.clock.wall_s(), said)
        self._around.rejected()
        LOG.error("the new configuration is wrong, the running one stays: %s", "; ".join(said))

    def _signature(self) -> tuple[tuple[int, int, int], ...]:
        """Of the file, and of the prices beside it."""
        file = self._around.file
        return () if file is None else (_stamp(file), _stamp(pricelist.beside(file)))

    def _mark(self) -> Json:
        return {"version": self.version, "sha256": hashlib.sha256(self._snapshot).hexdigest()}


def _fresh(old: Loaded, new: Loaded) -> list[str]:
    """What deserves a second look now and did not before; of files only the name is told."""
    found = [words for words in new.warnings if words not in old.warnings]
    return [words.replace(new.file, Path(new.file).name) for words in found] if new.file else found


def _remind(old: Loaded, new: Loaded) -> None:
    for words in _fresh(old, new):
        LOG.warning("note: %s", words)


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def write_whole(path: Path, raw: bytes) -> None:
    """Replaces a file of the run directory as a whole; only its owner may read it."""
    beside = path.with_name(f".{path.name}.new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(raw)
    beside.replace(path)


def _sentences(error: ConfigErrors | ConfigError) -> list[str]:
    """What is wrong; of files only the name is told."""
    found = error.errors if isinstance(error, ConfigErrors) else (error,)
    said = []
    for each in found:
        where = f"{Path(each.file).name}:{each.line}: " if each.file and each.line else ""
        said.append(f"{where}{f'{each.key}: ' if each.key else ''}{each.message}")
    advice = error.advice if isinstance(error, ConfigErrors) else ()
    return [*said, " ".join(line.strip() for line in advice)] if advice else said


def _version_on_disk(run: Path) -> int:
    """Of a control process before this one: versions go on rising."""
    try:
        return int(orjson.loads((run / "snapshot.json").read_bytes())["version"])
    except (OSError, ValueError, TypeError, KeyError):
        return 0


def _value_at(settings: Settings, path: tuple[str, ...]) -> Json:
    return _leaf(settings.model_dump(mode="json"), path)


def _leaf(node: Json, path: tuple[str, ...]) -> Json:
    for part in path:
        if not isinstance(node, dict) or part not in node:
            return None
        node = node[part]
    return node
