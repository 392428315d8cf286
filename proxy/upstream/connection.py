"""One connection to a provider: a call is written, llhttp reads the answer, one timer watches over both.

A call costs one write, one future per thing waited for, and no task, queue or timer of its own: what arrives moves a
due time, and the connection's one timer looks at it when it fires. Its phases:

    idle --request--> upload --body written--> first --headers of the answer--> body --end of the answer--> idle
                         |                       |                                |
                         +--- nothing moves -----+------ nothing comes -----------+--> time-out: the call fails
    idle, and a byte comes: nobody asked for it, so the connection is cut before the next call could take it as answer.

Bodies that are written at once skip `upload`. The parser appends what it finds to `pieces` without a call into Python;
a reader takes them, or waits. Who reads slowly stops the provider: past `HIGH_BYTES` nothing more is read from the
socket. At its end an answer takes the rest along, and the connection is free, read or not.
"""

from __future__ import annotations

import asyncio
import math
from typing import Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from proxy.bells import Bells
from proxy.cork import Cork
from proxy.live import Timeouts
from proxy.ports import Clock
from proxy.upstream import failure, head, tls
from proxy.upstream.arrival import Arrival, Sink
from proxy.upstream.body import Pieces, Upload
from proxy.upstream.link import Done
from proxy.upstream.reading import Reading
from proxy.upstream.shape import Shapes

HIGH_BYTES = 64 * 1024
"""An answer of which so much lies unread is not read on; one more read of the socket (256 KB at most) may be on top."""
JOINED_BYTES = 64 * 1024
"""Bodies up to here go out in one piece with their head."""


class Owner(Protocol):
    """Who keeps connections."""

    def released(self, connection: Connection) -> None:
        """It has carried a call to its end and can carry another."""
        ...

    def lost(self, connection: Connection) -> None:
        """It is closed. Told once."""
        ...


class Connection(Reading, asyncio.Protocol):
    """Carries one call at a time: `begin`, then `wait` for headers (0) or bytes; the `Arrival` has what came."""

    __slots__ = (
        "_cork", "_drained", "_due_s", "_end_s", "_heard", "_loop", "_moved_bytes", "_now", "_owner", "_paused",
        "_sink", "_timeouts", "_transport", "_turn", "_upload", "_waiter", "_wanted_bytes", "_watch", "_watch_s",
        "_written_bytes", "bell", "calls", "done", "held_bytes", "idle_since_s",
    )  # fmt: skip

    def __init__(
        self,
        owner: Owner,
        clock: Clock,
        timeouts: Timeouts,
        shapes: Shapes | None = None,
        bells: Bells | None = None,
        cork: Cork | None = None,
    ) -> None:
        super().__init__(Shapes() if shapes is None else shapes)
        self.calls = 0
        self.held_bytes = 0
        """Of the present answer's body, come and not yet taken, or a little more."""
        self.idle_since_s = 0.0
        self._owner = owner
        self._now = clock.monotonic_s
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._waiter: asyncio.Future[bool] | None = None
        self.done: Done | None = None
        """Told once, of an answer that nobody waits for: see `Link.begin`."""
        self._sink: Sink | None = None
        """Takes the body as long as `_waiter` is not done."""
        self._wanted_bytes = 0
        self._heard = self._paused = False
        self._upload: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._written_bytes = 0
        self._moved_bytes = -1
        self._due_s = self._end_s = self._watch_s = math.inf
        self._watch, self.bell = Bells() if bells is None else bells, 0
        self._turn, self._cork = -1, Cork() if cork is None else cork

    @property
    def idle(self) -> bool:
        return self._phase == "idle"

    def begin(self, request: bytes, body: bytes | Pieces | Upload, *, bodyless: bool, end_s: float) -> Arrival:
        """Writes a call. `bodyless`: its answer will have no body, whatever its headers say (HEAD). `end_s`: when all
        of it must be over."""
        self.calls += 1
        arrival = self._arrival = Arrival(self, reused=self.calls > 1)
        self._bodyless, self._end_s = bodyless, end_s
        self._heard = self._ended = self._endless = False
        self._fruitless_bytes = 0
        self._names.clear()
        self._values = []  # of the trailers of the answer before
        if not isinstance(body, bytes):
            self._phase = "upload"
            self._moved_bytes = -1
            self._write(request)
            self._upload = self._loop.create_task(self._send(body))
        else:
            self._phase = "first"
            if len(body) <= JOINED_BYTES:
                self._cork.upward(self._transport, request + body)
                self._turn = self._cork.turn if self._cork.full else -1
            else:
                self._cork.pull()
                self._transport.writelines((request, body))
        self._extend(self._timeouts.first_byte_s)
        return arrival

    def wait(self, wanted_bytes: int) -> asyncio.Future[bool]:
        """Done when the headers are there (0), so many bytes of the body are, or no more will come."""
        waiter = self._loop.create_future()
        if wanted_bytes and self.held_bytes >= wanted_bytes:
            waiter.set_result(True)
            return waiter
        self._wanted_bytes = wanted_bytes
        self._waiter = waiter
        if self._paused:
            self._resume()
        return waiter

    def pour(self, sink: Sink) -> asyncio.Future[bool]:
        """`sink` is given what comes of the body, from here on. Done with False when it wants no more, with what it
        raises, or with True when no more will come."""
        waiter = self.wait(1)
        self._extend(self._timeouts.idle_s)
        self._sink = sink
        return waiter

    def take(self) -> bytes:
        """What has come of the body since the last time."""
        pieces = self.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.held_bytes = 0
        if self._paused:
            self._resume()
        return data

    def fail(self, error: Exception) -> None:
        """The call is over before its answer was whole; so is the connection."""
        arrival, self._arrival = self._arrival, None
        self._paused = False
        if arrival is not None:
            arrival.settle(self.take(), error)
        self.close()
        self._wake()
        if arrival is not None and self.done is not None:
            self._tell(arrival)

    def close(self) -> None:
        """At once: a graceful close would first write out what the call still had to say."""
        if self._phase == "closed":
            return
        self._phase = "closed"
        self._watch.drop(self)
        if self._upload is not None:
            self._upload.cancel()
            self._upload = None
        self._transport.abort()
        self._owner.lost(self)

    # For the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._phase = "idle"

    def data_received(self, data: bytes) -> None:
        arrival = self._arrival
        if arrival is None:
            self.close()
            return
        if not self._heard:
            if self._cork.full and self._turn == self._cork.turn:  # an answer to what has not been asked yet
                self.fail(failure.invalid())
                return
            self._heard = True
            if self.calls == 1:
                tls.remember(self._transport.get_extra_info("ssl_object"))
            elif self._phase == "first" and self._at_once(arrival, data):
                return
        pieces, sink = self.pieces, self._sink
        before = 0
        if sink is None:  # (else all that came before has been taken)
            before = len(pieces)
            self._fruitless_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self.fail(failure.invalid())
            return
        if self._ended:
            self._finish(arrival, self._last())
            return
        if sink is not None and pieces and self._given(arrival, sink):
            self._fruitless_bytes = 0
            return
        if sink is not None:
            self._fruitless_bytes += len(data)
        if len(pieces) > before:
            self._fruitless_bytes = 0
            self.held_bytes += len(data)
        elif self._fruitless_bytes > head.HEAD_BYTES:
            self.fail(failure.invalid())
            return
        if self._phase == "body":
            self._came()

    def eof_received(self) -> None:
        # Not left to the transport, which would first write out what is still unsent.
        self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        arrival = self._arrival
        if arrival is not None:
            if self._phase != "body":
                arrival.stale = arrival.reused and not self._heard
                self.fail(failure.unanswered(heard=self._heard))
            elif self._endless and error is None:
                self._finish(arrival, self._last())
            else:
                self.fail(failure.cut())
        self.close()
        del self._parser  # it and this object hold each other

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    def _at_once(self, arrival: Arrival, data: bytes) -> bool:
        """The whole answer, where it is like one before: then the parser need not see it."""
        shape = self._shapes.latest
        found = None if shape is None or self._bodyless else shape.match(data)
        if shape is None or found is None or found[1] > head.FIELD_BYTES:
            return False
        status, start, values = found
        arrival.opened_as(status, shape, values)
        arrival.length = len(data) - start
        self._reusable = True
        self._finish(arrival, data[start:])
        return True

    def _came(self) -> None:
        """The headers, or something of the body: wakes who waits for it, or stops reading where nobody does."""
        arrival = self._arrival
        if self.done is not None and arrival is not None:
            self._extend(self._timeouts.idle_s)
            if arrival.length is None or arrival.length > HIGH_BYTES:
                self._tell(arrival)
        elif self._waiter is not None:
            self._extend(self._timeouts.idle_s)
            if self.held_bytes >= self._wanted_bytes:
                self._wake()
        elif self.held_bytes <= HIGH_BYTES:
            self._extend(self._timeouts.idle_s)
        elif not self._paused:
            self._paused = True
            self._transport.pause_reading()
            self._extend(0)

    def _tell(self, arrival: Arrival) -> None:
        done, self.done = self.done, None
        if done is not None:
            done(arrival)

    def _given(self, arrival: Arrival, sink: Sink) -> bool:
        """What has come, to who takes it at once. False where nobody waits any more."""
        waiter, pieces, straight = self._waiter, self.pieces, arrival.straight
        if waiter is None or waiter.done():
            self._sink = self._waiter = None
            return False
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        now_s = self._now()
        idle_s = self._timeouts.idle_s
        if idle_s > 0:  # later than before: the timer that rings by then is there, see `pour`
            due_s = now_s + idle_s
            self._due_s = due_s if due_s < self._end_s else self._end_s
        try:
            if sink(data) if straight is None else straight(data, now_s):
                return True
            waiter.set_result(False)
        except Exception as error:  # noqa: BLE001 - the sink's own, and who gave it waits here
            waiter.set_exception(error)
        self._sink = self._waiter = None
        return True

    def _resume(self) -> None:
        self._paused = False
        self._transport.resume_reading()
        self._extend(self._timeouts.idle_s)

    def _last(self) -> bytes:
        self._paused = False
        return self.take() if self.pieces else b""

    def _finish(self, arrival: Arrival, rest: bytes) -> None:
        """The answer is whole. The connection can be used again if nothing of either message is left on it."""
        if self._bodyless:
            self._parser = HttpResponseParser(self)
            self._reusable = self._reusable and not rest
            rest = b""
        self._arrival = None
        arrival.settle(rest, None)
        if self._reusable and self._upload is None and self._transport.get_write_buffer_size() == 0:
            self._phase, self._due_s = "idle", math.inf
            self.idle_since_s = self._now()
            self._owner.released(self)
        else:
            self.close()
        self._wake()
        if self.done is not None:
            self._tell(arrival)

    def _wake(self) -> None:
        waiter, self._waiter, self._sink = self._waiter, None, None
        if waiter is not None and not waiter.done():
            waiter.set_result(True)

    async def _send(self, body: Pieces | Upload) -> None:
        chunked = isinstance(body, Upload) and body.length is None
        try:
            async for piece in body:
                if piece:
                    self._write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                if self._drained is not None:
                    await self._drained
        except Exception as error:  # noqa: BLE001 - whatever ails the caller's body is the caller's to hear
            self._upload = None
            self.fail(error)
            return
        if chunked:
            self._write(b"0\r\n\r\n")
        self._upload = None
        if self._phase == "upload":
            self._phase = "first"
            self._extend(self._timeouts.first_byte_s)

    def _write(self, data: bytes) -> None:
        self._written_bytes += len(data)
        self._transport.write(data)

    def _extend(self, seconds: float) -> None:
        """What is under way has so long from now, or for ever (0), but not longer than the whole call."""
        now_s = self._now()
        due_s = now_s + seconds if seconds > 0 else math.inf
        if due_s > self._end_s:
            due_s = self._end_s
        self._due_s = due_s
        if due_s < self._watch_s:
            self._arm(due_s - now_s)

    def _arm(self, seconds: float) -> None:
        self._watch_s = self._due_s
        self._watch.after(seconds, self)

    def rung(self) -> None:
        self._watch_s = math.inf
        if self._due_s == math.inf:
            return
        now_s = self._now()
        left_s = self._due_s - now_s
        late = now_s >= self._end_s - 0.001
        if left_s > 0.001:
            self._arm(left_s)
        elif self._phase != "body":
            if self._phase == "upload" and not late and self._moves():
                self._extend(self._timeouts.first_byte_s)
            else:
                self.fail(failure.unanswered_in_time())
        else:
            self.fail(failure.unfinished_in_time() if late else failure.silent())

    def _moves(self) -> bool:
        """Whether the upload goes on: the provider took bytes since the last look, or waits for the caller's."""
        waiting_bytes = self._transport.get_write_buffer_size()
        before, self._moved_bytes = self._moved_bytes, self._written_bytes - waiting_bytes
        return waiting_bytes == 0 or before != self._moved_bytes
