"""A websocket that echoes: handshake, frames, ping and close (RFC 6455, without extensions)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct

from benchmarks.simulated.call import Received

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def handshake(received: Received) -> bytes:
    key = (received.header("sec-websocket-key") or "").encode()
    accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    offered = (received.header("sec-websocket-protocol") or "").split(",")[0].strip().encode()
    chosen = b"sec-websocket-protocol: " + offered + b"\r\n" if offered else b""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
        b"x-request-id: req_websocket\r\nsec-websocket-accept: " + accept + b"\r\n" + chosen + b"\r\n"
    )


def frame(opcode: int, payload: bytes, final: bool = True) -> bytes:
    first = opcode | (0x80 if final else 0)
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", first, size) + payload
    if size < 65_536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


class Echo:
    """Sends every frame back as it came, unmasked."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data
        while (taken := self._take()) is not None:
            first, payload = taken
            opcode = first & 0x0F
            answer = PONG if opcode == PING else opcode
            if opcode != PONG:
                self._transport.write(frame(answer, payload, bool(first & 0x80)))
            if opcode == CLOSE:
                self._transport.close()
                return

    def _take(self) -> tuple[int, bytes] | None:
        held = self._buffer
        if len(held) < 2:
            return None
        size, at = held[1] & 0x7F, 2
        if size >= 126:
            wide = 2 if size == 126 else 8
            if len(held) < at + wide:
                return None
            size, at = int.from_bytes(held[at : at + wide], "big"), at + wide
        masked = bool(held[1] & 0x80)
        start = at + (4 if masked else 0)
        if len(held) < start + size:
            return None
        first, payload = held[0], bytes(held[start : start + size])
        if masked:
            payload = _unmask(payload, bytes(held[at:start]))
        del held[: start + size]
        return first, payload


def _unmask(payload: bytes, mask: bytes) -> bytes:
    if not payload:
        return payload
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload), "big")
