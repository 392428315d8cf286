"""Takes what workers send: rows into the history, audit entries into the chain, committed before it is acknowledged.

Batches that wait while one is being written are written together, so commits keep up with any load. Everything touches
the disk in one thread. A line that cannot be understood is counted and dropped; a disk that fails is not: the batch
is refused, and the worker keeps it and sends it again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from orjson import loads

from proxy.control.ledger import Ledger, Prepared, prepared, reason, reference
from proxy.control.vault import Vault
from proxy.record import HEAD
from proxy.store.history import History, Row

T = TypeVar("T")
LOG = logging.getLogger("weir.records")
TICK_S = 1.0
REDACTED = ("error", "model", "target_model", "served_model", "path")
"""Texts of a record that callers or providers can write into."""
REDACTED_METADATA = ("model", "served_model", "path")
"""The same of an audit entry."""
ERROR_CHARS = 2_000
ERROR = HEAD.index("error")
NAMED = tuple(HEAD.index(name) for name in REDACTED if name != "error")
"""Where a line's head has them."""
REMEMBERED, REMEMBERED_CHARS = 4096, 256
NO_RECORD = (ValueError, TypeError, LookupError)
"""What a line raises that is no JSON, no record, no text."""

Batch = tuple[Sequence[bytes], "asyncio.Future[None]"]


class Recorder:
    """The only writer of history and audit trail. `dropped` is told how many lines were no records."""

    def __init__(
        self,
        history: History,
        ledger: Ledger,
        redact: Callable[[str], str],
        *,
        vault: Vault | None = None,
        dropped: Callable[[float], None] = lambda count: None,
    ) -> None:
        self.history = history
        self.ledger = ledger
        self.vault = vault
        self._redact = redact
        self._dropped = dropped
        self._plain: set[str | None] = {"", None}
        """Texts in which there is nothing to redact: models and paths repeat."""
        self._workers: set[str] = set()
        """Names of workers, as JSON."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="weir-writer")
        self._waiting: list[Batch] = []
        self._committed = asyncio.Event()
        self._ticking: asyncio.Task[None] | None = None
        self._busy = False
        self._stopped = False
        self.failing = ""
        """Why nothing can be written at present; empty while all is well."""

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ticking = self._loop.create_task(self._tick(), name="record tick")

    async def stop(self) -> None:
        """Writes what has arrived, signs the head and closes the files. Once; a second call does nothing."""
        if self._stopped:
            return
        self._stopped = True
        while (self._waiting or self._busy) and not self.failing:
            await self.next_commit(0.1)
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        for _, told in self._waiting:
            told.cancel()
        try:
            await self.in_writer(self.ledger.close)
            await self.in_writer(self.history.close)
        finally:
            self._thread.shutdown()

    async def write(self, lines: Sequence[bytes]) -> None:
        """Returns when the lines are committed; raises what the disk said. Bounded by who calls: a connection has one
        batch under way."""
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((lines, told))
        if not self._busy:
            self._begin()
        await told

    async def admin(self, who: str, action: str, details: Mapping[str, Any]) -> int:
        """An audit entry about an administrator's act; on disk when this returns."""
        return await self.in_writer(self.ledger.append_admin, who, action, details)

    async def in_writer(self, work: Callable[..., T], *arguments: Any) -> T:
        """Runs in the thread that may write."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def next_commit(self, timeout_s: float) -> bool:
        """Waits until something more was committed; False where nothing was in time."""
        self._committed.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._committed.wait()
        except TimeoutError:
            return False
        return True

    def _begin(self) -> None:
        batches, self._waiting, self._busy = self._waiting, [], True
        self._thread.submit(self._work, batches)

    def _work(self, batches: list[Batch]) -> None:
        """In the writer's thread."""
        bad, fault = 0, None
        try:
            bad = self._commit(batches[0][0] if len(batches) == 1 else [line for lines, _ in batches for line in lines])
        except Exception as error:  # noqa: BLE001 whatever it was, these batches are refused and the next one tried
            fault = error
        self._loop.call_soon_threadsafe(self._end, batches, bad, fault)

    def _end(self, batches: list[Batch], bad: int, fault: Exception | None) -> None:
        self._busy = False
        if self._waiting:
            self._begin()
        if fault is not None:
            self._fell(fault)
            for _, told in batches:
                _refuse(told, fault)
            return
        self._rose()
        if bad:
            LOG.warning("%d lines from workers were no records and were dropped", bad)
            self._dropped(bad)
        for _, told in batches:
            if not told.done():
                told.set_result(None)
        self._committed.set()

    def _commit(self, lines: Sequence[bytes]) -> int:
        """In the writer's thread. Returns how many lines were no records."""
        rows: list[Row] = []
        entries: list[Prepared] = []
        bad = 0
        try:
            awaited = self._take(lines, rows, entries)
        except NO_RECORD:
            rows, entries, awaited = [], [], False
            for line in lines:
                try:
                    awaited |= self._take([line], rows, entries)
                except NO_RECORD:
                    bad += 1
        if rows:
            bad += self.history.write(rows)
        if entries:
            self.ledger.extend(entries, durable=awaited)
        return bad

    def _take(self, lines: Sequence[bytes], rows: list[Row], entries: list[Prepared]) -> bool:
        """Lines as `record.line` writes them: their heads are read, all in one go, the rest is kept as it came. Raises
        where one of them is none; a single one leaves nothing behind then. Whether a call waits until they are safe."""
        plain, workers, awaited = self._plain, self._workers, False
        split = [line.decode().split("\t") for line in lines]
        heads = loads("".join(("[", ",".join([parts[0] for parts in split]), "]")))
        if len(heads) != len(split):
            raise ValueError("a line is one record")
        for row, parts in zip(heads, split, strict=True):
            if type(row) is not list:
                awaited |= self._take_object(row, rows, entries)
                continue
            call, _, _, _, model, target, served, path, error, _, _, _, _, _, user, session = row
            changed = False
            if model not in plain or path not in plain or error or target not in plain or served not in plain:
                changed = self._cleaned(row)
                plain = self._plain
            if type(call) is not str:
                raise TypeError("a call without an id")
            row.append(parts[1])
            if len(parts) > 2:
                _, _, worker, number, manifest, *content = parts
                if changed or manifest[:2] != '{"' or manifest[-1:] != "}":
                    manifest = self._rewritten(manifest)
                seq = int(number)
                if worker not in workers or not 0 < seq < 2**53:
                    self._check(worker, seq)
                said = self._kept(loads(content[0]), call) if content else None
                ref = call if call.isprintable() else reference(call)
                entries.append((ref, worker, seq, manifest, user, session, said))
            rows.append(row)
        return awaited

    def _cleaned(self, row: list[Any]) -> bool:
        """Redacts what others can write into a row; whether anything was found. What is plain is remembered."""
        changed = False
        if error := row[ERROR]:
            row[ERROR] = self._redact(str(error)[:ERROR_CHARS])
        for place in NAMED:
            if not (text := row[place]) or text in self._plain:
                continue
            clean = row[place] = self._redact(text if type(text) is str else str(text))
            if clean != text:
                changed = True
            elif len(text) <= REMEMBERED_CHARS:
                if len(self._plain) >= REMEMBERED:
                    self._plain = {"", None}
                self._plain.add(text)
        return changed

    def _check(self, worker: str, seq: int) -> None:
        if type(loads(worker)) is not str or not 0 < seq < 2**53:
            raise TypeError("an entry without worker and number")
        if len(self._workers) >= REMEMBERED:
            self._workers.clear()
        self._workers.add(worker)

    def _rewritten(self, manifest: str) -> str:
        """A manifest with something in it that must not be written down, or that is not as workers make them."""
        entry = loads(manifest)
        if type(entry) is not dict:
            raise TypeError("no manifest")
        return prepared(self._prepared(entry, {}))[3]

    def _take_object(self, record: Any, rows: list[Row], entries: list[Prepared]) -> bool:
        """A record as one JSON object, by name; whether it is an entry whose call waits until it is safe."""
        if type(record) is not dict:
            raise TypeError("no record")
        entry = record.pop("audit", None)
        if isinstance(entry, dict):
            entries.append(prepared(self._prepared(entry, record)))
        if isinstance(record.get("id"), str):
            if error := record.get("error"):
                record["error"] = str(error)[:ERROR_CHARS]
            rows.append(self._clean(record))
        elif isinstance(entry, dict):
            return True  # `audit.strict`
        else:
            raise TypeError("a call without an id")
        return False

    def _clean(self, record: dict[str, Any], names: tuple[str, ...] = REDACTED) -> dict[str, Any]:
        for name in names:
            if text := record.get(name):
                record[name] = self._redact(text if type(text) is str else str(text))
        return record

    def _prepared(self, entry: dict[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
        if not entry.get("call"):
            entry["call"] = record.get("id")
        metadata = entry.get("metadata")
        if isinstance(metadata, dict):
            self._clean(metadata, REDACTED_METADATA)
        content = entry.get("content")
        if content is not None:
            entry["content"] = self._kept(content, str(entry.get("call") or ""))
        return entry

    def _kept(self, content: Any, call: str) -> Any:
        """What is kept of a call's texts: all, encrypted, where that was asked for and there is a key; else masked."""
        try:
            if isinstance(content, dict) and content.get("mode") == "full" and self.vault is not None:
                return self.vault.lock(content, call)
            kept = {"mode": "masked", "texts": content} if not isinstance(content, dict) else content
            return {**masked(kept, self._redact), "mode": "masked"}
        except (TypeError, RecursionError):  # nested beyond what JSON is written in
            return {"mode": "unreadable"}

    async def _tick(self) -> None:
        """Signs the head once a second, and says which audit entries are lost."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self.in_writer(self._settle)
            except (sqlite3.Error, OSError) as error:
                self._fell(error)

    def _settle(self) -> None:
        self.ledger.settle()
        self.ledger.write_head()
        self.ledger.journal.fold()

    def _fell(self, error: Exception) -> None:
        if not self.failing:
            LOG.error("records cannot be written (%s): workers keep them for now", reason(error))
        self.failing = reason(error)

    def _rose(self) -> None:
        if self.failing:
            LOG.info("records are written again")
            self.failing = ""


def masked(value: Any, redact: Callable[[str], str]) -> Any:
    """The same structure with every text redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [masked(each, redact) for each in value]
    if isinstance(value, dict):
        return {name: masked(each, redact) for name, each in value.items()}
    return value


def _refuse(told: asyncio.Future[None], error: Exception) -> None:
    if not told.done():
        told.set_exception(error)
