"""What llhttp finds in a provider's answers: status, headers and framing, judged; pieces of the body, as they come."""

from __future__ import annotations

from typing import Literal

from httptools import HttpResponseParser

from proxy.upstream import failure, head
from proxy.upstream.arrival import Arrival
from proxy.upstream.shape import Shapes

Phase = Literal["idle", "upload", "first", "body", "closed"]


class Reading:
    """The half of a `Connection` that the parser speaks to; `on_body` is `pieces.append`."""

    __slots__ = (
        "_arrival", "_bodyless", "_ended", "_endless", "_fruitless_bytes", "_interim", "_names", "_parser", "_phase",
        "_reusable", "_shapes", "_values", "on_body", "pieces",
    )  # fmt: skip

    def __init__(self, shapes: Shapes) -> None:
        self.pieces: list[bytes] = []
        """Of the present answer's body, come and not yet taken."""
        self.on_body = self.pieces.append
        self._parser = HttpResponseParser(self)
        self._phase: Phase = "closed"
        self._arrival: Arrival | None = None
        self._names: list[bytes] = []
        self._values: list[bytes] = []
        self._shapes = shapes
        self._fruitless_bytes = 0
        """Come since the last piece of a body."""
        self._interim = self._ended = self._bodyless = self._endless = self._reusable = False

    def on_message_begin(self) -> None:
        if self._ended:  # more than the answer said there would be
            raise failure.invalid()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._names.append(name)
        self._values.append(value)

    def on_headers_complete(self) -> None:
        parser, arrival = self._parser, self._arrival
        assert arrival is not None
        status = parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._interim = True
            self._names.clear()
            self._values = []
            return
        wrong = head.usable(status, parser.get_http_version())
        if wrong is not None:
            raise wrong
        length, chunked = self._read_head(arrival, status)
        self._reusable = parser.should_keep_alive()
        if self._bodyless:
            # The parser cannot be told, and would wait for the body: the next call gets another.
            self._ended = True
        else:
            arrival.length = length
            self._endless = not chunked and length is None and status not in (204, 304)
        self._phase = "body"

    def _read_head(self, arrival: Arrival, status: int) -> tuple[int | None, bool]:
        """Gives the answer its headers. The length they tell, and whether the body is chunked."""
        names, values, self._values = tuple(self._names), self._values, []
        self._names.clear()
        shape = self._shapes.get(names)
        if shape is not None and self._fruitless_bytes <= head.FIELD_BYTES:
            framing = head.framing(shape, values)
            arrival.opened_as(status, shape, values)
            self._shapes.latest = shape
            return framing
        headers, length, chunked = head.read(list(zip(names, values, strict=True)), self._fruitless_bytes)
        self._shapes.learn(names)
        arrival.opened(status, headers)
        return length, chunked

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        else:
            self._ended = True
