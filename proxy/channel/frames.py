"""The framing of the channel between workers and control, pure: length (u32), kind (u8), payload.

A batch's payload is its sequence number (u64) and its lines, joined by line feeds; an acknowledgement's is the number
alone; all other payloads are JSON objects.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import orjson

FRAME_BYTES = 32 * 1024 * 1024
HEAD = struct.Struct("!IB")
NUMBER = struct.Struct("!Q")


class Kind(IntEnum):
    HELLO = 1
    BATCH = 2
    ACK = 3
    ASK = 4
    REPLY = 5
    PUSH = 6
    PUSHED = 7


class BadFrame(Exception):
    """The other side does not speak this protocol. The connection is of no use any more."""


def frame(kind: Kind, payload: bytes) -> bytes:
    return HEAD.pack(len(payload), kind) + payload


def json_frame(kind: Kind, message: dict[str, Any]) -> bytes:
    return frame(kind, orjson.dumps(message))


def batch_frame(number: int, payload: bytes) -> bytes:
    """`payload` is lines joined by line feeds; no line contains one (JSON does not)."""
    return HEAD.pack(len(payload) + NUMBER.size, Kind.BATCH) + NUMBER.pack(number) + payload


def ack_frame(number: int) -> bytes:
    return frame(Kind.ACK, NUMBER.pack(number))


def read_batch(payload: bytes) -> tuple[int, list[bytes]]:
    number = read_number(payload)
    return number, payload[NUMBER.size :].split(b"\n")


def read_number(payload: bytes) -> int:
    if len(payload) < NUMBER.size:
        raise BadFrame("a number is missing")
    number: int = NUMBER.unpack_from(payload)[0]
    return number


def read_json(payload: bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise BadFrame("a message is not JSON") from error
    if not isinstance(message, dict):
        raise BadFrame("a message is not an object")
    return message


class Frames:
    """Cuts a byte stream into frames, however it was cut before."""

    __slots__ = ("_held", "_limit")

    def __init__(self, limit_bytes: int = FRAME_BYTES) -> None:
        self._held = bytearray()
        self._limit = limit_bytes

    def feed(self, data: bytes) -> Iterator[tuple[Kind, bytes]]:
        """The frames that are now complete. Raises `BadFrame` for an unknown kind and for a size over the limit."""
        self._held += data
        while len(self._held) >= HEAD.size:
            size, number = HEAD.unpack_from(self._held)
            if size > self._limit:
                raise BadFrame(f"a frame of {size} bytes")
            try:
                kind = Kind(number)
            except ValueError as error:
                raise BadFrame(f"a frame of kind {number}") from error
            if len(self._held) < HEAD.size + size:
                return
            payload = bytes(self._held[HEAD.size : HEAD.size + size])
            del self._held[: HEAD.size + size]
            yield kind, payload
