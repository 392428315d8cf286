"""Control's side of the channel: takes batches and acknowledges them, answers questions, pushes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from proxy.channel.frames import FRAME_BYTES, HEAD, BadFrame, Kind, ack_frame, json_frame, read_batch, read_json

Message = dict[str, Any]
ASKS_PER_WORKER = 64
UNREAD_BYTES = 1024 * 1024
STREAMS = 256
BACKLOG = 64
AWAY_S = 3.0
"""How long a worker that was cut off because its batch could not be handled counts as connected: it redials sooner."""
BROKEN = (asyncio.IncompleteReadError, ConnectionError)


@dataclass(frozen=True, slots=True)
class Peer:
    """A worker as it introduced itself. `id` is its own for the life of the process."""

    id: str
    pid: int
    slot: int
    page: str


@dataclass(slots=True)
class _Stream:
    """What is known of a worker's batches, over its connections."""

    last: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True, eq=False)
class _Connection:
    peer: Peer
    writer: asyncio.StreamWriter
    task: asyncio.Task[Any]
    asks: set[asyncio.Task[None]] = field(default_factory=set)
    told: dict[int, asyncio.Future[Message]] = field(default_factory=dict)
    busy: bool = False
    draining: bool = False
    closing: bool = False


class Receiver:
    """Control's side. Batches of one worker are handled in order, those of several side by side.

    `on_batch` gets the lines of a batch; its return is the acknowledgement. What it raises goes to `on_error`, and the
    worker sends the batch again over a new connection. `on_ask` gets the worker and its question.
    """

    def __init__(
        self,
        path: str,
        on_batch: Callable[[list[bytes]], Awaitable[None]],
        *,
        on_ask: Callable[[Peer, Message], Awaitable[Message]] | None = None,
        on_join: Callable[[Peer], None] | None = None,
        on_leave: Callable[[Peer], None] | None = None,
        on_error: Callable[[BaseException], None] | None = None,
    ) -> None:
        self._path = path
        self._on_batch = on_batch
        self._on_ask = on_ask
        self._on_join = on_join
        self._on_leave = on_leave
        self._on_error = on_error
        self._connections: set[_Connection] = set()
        self._away: dict[str, _Connection] = {}
        self._streams: OrderedDict[str, _Stream] = OrderedDict()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None
        self._inode: tuple[int, int] | None = None
        self._told = 0

    @property
    def peers(self) -> list[Peer]:
        """The workers connected now, and those that are just coming back."""
        return [connection.peer for connection in self._known()]

    @property
    def serving(self) -> list[Peer]:
        """Those of them that take new calls."""
        return [connection.peer for connection in self._known() if not connection.draining]

    def _known(self) -> Iterable[_Connection]:
        here = {connection.peer.id: connection for connection in self._connections}
        return (self._away | here).values()

    async def start(self) -> None:
        """Binds the socket, in place of one that a dead process left behind."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            bound.bind(self._path)
            os.chmod(self._path, 0o600)
            self._inode = _inode(self._path)
            self._server = await asyncio.start_unix_server(self._accept, sock=bound, backlog=BACKLOG)
        except BaseException:
            bound.close()
            raise

    async def stop(self, timeout_s: float) -> None:
        """Batches in work are finished and acknowledged, at most for `timeout_s`; then every connection is closed."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.closing = True
            if not connection.busy:
                connection.task.cancel()
        tasks = set(self._tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._inode is not None and _inode(self._path) == self._inode:  # else a successor has it already
            os.unlink(self._path)

    def push(self, message: Message, to: Peer | None = None) -> int:
        """Sends to all workers, or to one. Returns to how many; whether they did it, `tell` knows."""
        return len(self._send({"body": message}, to))

    async def tell(self, message: Message, timeout_s: float, to: Peer | None = None) -> dict[Peer, Message]:
        """As `push`, and the acknowledgements of those who gave one in time: `{"body": ...}` or `{"error": ...}`."""
        self._told += 1
        number = self._told
        waiting: dict[Peer, asyncio.Future[Message]] = {}
        connections = self._send({"id": number, "body": message}, to)
        for connection in connections:
            waiting[connection.peer] = connection.told[number] = asyncio.get_running_loop().create_future()
        try:
            if waiting:
                await asyncio.wait(waiting.values(), timeout=timeout_s)
        finally:
            for connection in connections:
                connection.told.pop(number, None)
        return {peer: said.result() for peer, said in waiting.items() if said.done() and not said.cancelled()}

    def _send(self, message: Message, to: Peer | None) -> list[_Connection]:
        """A worker that does not read is cut off: it comes back and learns what is current."""
        sent: list[_Connection] = []
        for connection in list(self._connections):
            if to is not None and connection.peer.id != to.id:
                continue
            if connection.writer.transport.get_write_buffer_size() > UNREAD_BYTES:
                connection.writer.transport.abort()
                continue
            connection.writer.write(json_frame(Kind.PUSH, message))
            sent.append(connection)
        return sent

    # One connection

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="channel connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: _Connection | None = None
        try:
            kind, payload = await _next(reader)
            if kind is not Kind.HELLO:
                raise BadFrame("the first frame is no hello")
            connection = self._welcome(read_json(payload), writer)
            while not connection.closing:
                await self._handle(connection, *await _next(reader))
        except BROKEN:
            pass  # the worker is gone; it, or its successor, comes back
        except Exception as error:  # noqa: BLE001 one worker's connection must not end the others'
            self._failed(error)
            if connection is not None and not isinstance(error, BadFrame):
                self._keep_place(connection)
        finally:
            if connection is not None:
                self._part(connection)
            writer.close()
            with contextlib.suppress(*BROKEN, OSError):
                await writer.wait_closed()

    def _welcome(self, hello: Message, writer: asyncio.StreamWriter) -> _Connection:
        try:
            peer = Peer(str(hello["id"]), int(hello["pid"]), int(hello["slot"]), str(hello.get("page") or ""))
        except (KeyError, TypeError, ValueError) as error:
            raise BadFrame("a hello without id, pid and slot") from error
        task = asyncio.current_task()
        assert task is not None
        connection = _Connection(peer, writer, task, draining=hello.get("draining") is True)
        self._connections.add(connection)
        self._away.pop(peer.id, None)
        if self._on_join is not None:
            self._on_join(peer)
        return connection

    def _keep_place(self, connection: _Connection) -> None:
        """The fault is on this side: the worker serves on, and is back with its batch in a moment."""
        self._away[connection.peer.id] = connection

        def forget() -> None:
            if self._away.get(connection.peer.id) is connection:
                del self._away[connection.peer.id]

        asyncio.get_running_loop().call_later(AWAY_S, forget)

    def _part(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        for task in connection.asks:
            task.cancel()
        for waiting in connection.told.values():
            waiting.cancel()
        if self._on_leave is not None:
            self._on_leave(connection.peer)

    async def _handle(self, connection: _Connection, kind: Kind, payload: bytes) -> None:
        if kind is Kind.BATCH:
            connection.busy = True
            try:
                await self._batch(connection, *read_batch(payload))
            finally:
                connection.busy = False
        elif kind is Kind.ASK:
            self._asked(connection, read_json(payload))
        elif kind is Kind.PUSHED:
            said = read_json(payload)
            waiting = connection.told.get(said.pop("id", 0))
            if waiting is not None and not waiting.done():
                waiting.set_result(said)
        elif kind is Kind.HELLO:
            connection.draining = read_json(payload).get("draining") is True
        else:
            raise BadFrame(f"a worker sent a {kind.name}")

    async def _batch(self, connection: _Connection, number: int, lines: list[bytes]) -> None:
        """A batch that was handled over an earlier connection, whose acknowledgement was lost, is only acknowledged."""
        stream = self._stream(connection.peer.id)
        async with stream.lock:
            if number > stream.last:
                await self._on_batch(lines)
                stream.last = number
        connection.writer.write(ack_frame(number))

    def _stream(self, id: str) -> _Stream:
        stream = self._streams.setdefault(id, _Stream())
        self._streams.move_to_end(id)
        if len(self._streams) > STREAMS:
            self._streams.popitem(last=False)
        return stream

    def _asked(self, connection: _Connection, ask: Message) -> None:
        if len(connection.asks) >= ASKS_PER_WORKER:
            connection.writer.write(json_frame(Kind.REPLY, {"id": ask.get("id"), "error": "busy"}))
            return
        task = asyncio.get_running_loop().create_task(self._answer(connection, ask), name="channel ask")
        connection.asks.add(task)
        task.add_done_callback(connection.asks.discard)

    async def _answer(self, connection: _Connection, ask: Message) -> None:
        reply: Message = {"id": ask.get("id")}
        try:
            if self._on_ask is None:
                raise LookupError("nobody answers questions here")
            frame = json_frame(
                Kind.REPLY, {**reply, "body": await self._on_ask(connection.peer, ask.get("body") or {})}
            )
        except Exception as error:  # noqa: BLE001 the asker is told, whatever it was
            self._failed(error)
            frame = json_frame(Kind.REPLY, {**reply, "error": f"{type(error).__name__}: {error}"})
        connection.writer.write(frame)

    def _failed(self, error: BaseException) -> None:
        if self._on_error is not None:
            self._on_error(error)


async def _next(reader: asyncio.StreamReader) -> tuple[Kind, bytes]:
    size, number = HEAD.unpack(await reader.readexactly(HEAD.size))
    if size > FRAME_BYTES:
        raise BadFrame(f"a frame of {size} bytes")
    try:
        kind = Kind(number)
    except ValueError as error:
        raise BadFrame(f"a frame of kind {number}") from error
    return kind, await reader.readexactly(size)


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
