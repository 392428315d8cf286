"""Raw sockets against the front door: what must be refused is refused, clearly, and nothing behind it is served."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.live import Limits
from proxy.server.encodings import inflate
from proxy.server.incoming import Incoming
from proxy.server.reply import Reply
from proxy.server.sharing import Patience
from tests.raw import HOST, Answer, chunked, echo, get, hear, opened, post, say

TE = b"POST /v1/x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: "
CL = b"POST /v1/x HTTP/1.1\r\n" + HOST + b"Content-Length: "
FIELD = b"GET /v1/x HTTP/1.1\r\n" + HOST

REFUSED: dict[str, tuple[bytes, set[int]]] = {
    "length and chunks": (CL + b"5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    "chunks and length": (TE + b"chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", {400}),
    "gzip, chunked": (TE + b"gzip, chunked\r\n\r\n0\r\n\r\n", {501}),
    "identity, chunked": (TE + b"identity, chunked\r\n\r\n0\r\n\r\n", {501}),
    "empty, chunked": (TE + b", chunked\r\n\r\n0\r\n\r\n", {501}),
    "chunked twice": (TE + b"chunked, chunked\r\n\r\n0\r\n\r\n", {400, 501}),
    "identity": (TE + b"identity\r\n\r\nabc", {400, 501}),
    "xchunked": (TE + b"xchunked\r\n\r\n0\r\n\r\n", {400, 501}),
    "chunked with a parameter": (TE + b"chunked;q=1\r\n\r\n0\r\n\r\n", {400, 501}),
    "chunked behind a vertical tab": (TE + b"\x0bchunked\r\n\r\n0\r\n\r\n", {400}),
    "chunks over HTTP/1.0": (
        b"POST /v1/x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400, 501},
    ),
    "chunk extension of 70 kB": (
        TE + b"chunked\r\n\r\n3;" + b"a" * 70_000 + b"\r\nabc\r\n0\r\n\r\n", {400},
    ),
    "chunk size that is no number": (TE + b"chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n", {400}),
    "chunk size 0x3": (TE + b"chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", {400}),
    "chunk size past 64 bits": (TE + b"chunked\r\n\r\nffffffffffffffffff\r\nabc\r\n0\r\n\r\n", {400}),
    "chunk lines without CR": (TE + b"chunked\r\n\r\n3\nabc\n0\n\n", {400}),
    "length in a trailer": (TE + b"chunked\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n", {400}),
    "two lengths": (CL + b"3\r\nContent-Length: 4\r\n\r\nabcd", {400}),
    "the same length twice": (CL + b"3\r\nContent-Length: 3\r\n\r\nabc", {400}),
    "length +3": (CL + b"+3\r\n\r\nabc", {400}),
    "length -3": (CL + b"-3\r\n\r\nabc", {400}),
    "length 3, 3": (CL + b"3, 3\r\n\r\nabc", {400}),
    "length 1_0": (CL + b"1_0\r\n\r\nabc", {400}),
    "no length at all in the length": (CL + b"\r\n\r\nabc", {400}),
    "length past 64 bits": (CL + b"99999999999999999999\r\n\r\nabc", {400}),
    "the largest length there is": (CL + b"18446744073709551615\r\n\r\nabc", {413}),
    "HTTP/2.0": (b"GET /v1/x HTTP/2.0\r\n" + HOST + b"\r\n", {400, 505}),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
    "HTTP/0.9": (b"GET /v1/x\r\n\r\n", {400, 505}),
    "HTTP/0.9 by name": (b"GET /v1/x HTTP/0.9\r\n\r\n", {400, 505}),
    "HTTP/1.2": (b"GET /v1/x HTTP/1.2\r\n" + HOST + b"\r\n", {400, 505}),
    "absolute target": (b"GET http://elsewhere/v1/x HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "absolute target without host": (b"GET http:///v1/x HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "target with two slashes": (b"GET //elsewhere/v1/x HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "target with a broken host": (b"GET //[elsewhere HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "fragment": (b"GET /v1/x#y HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "NUL in the target": (b"GET /v1/\0x HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "tab in the target": (b"GET /v1/\tx HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "bytes in the target": (b"GET /v1/\xff HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    "dot segments": (b"GET /v1/../admin HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
    "coded dot segments": (b"GET /v1/%2e%2e/admin HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
    "twice coded dot segments": (b"GET /v1/%252e%252e/admin HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
    "dot segments behind a coded slash": (b"GET /v1/x%2f..%2fadmin HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
    "dot segments with a backslash": (b"GET /v1/..\\admin HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
    "coded NUL in the path": (b"GET /v1/%00 HTTP/1.1\r\n" + HOST + b"\r\n", {400, 404}),
    "NUL in a header": (FIELD + b"X: a\0b\r\n\r\n", {400}),
    "control byte in a header": (FIELD + b"X: a\x01b\r\n\r\n", {400}),
    "escape in a header": (FIELD + b"X: a\x1b[31m\r\n\r\n", {400}),
    "delete in a header": (FIELD + b"X: a\x7fb\r\n\r\n", {400}),
    "CR in a header": (FIELD + b"X: a\rb\r\n\r\n", {400}),
    "bytes that are no UTF-8 in a header": (FIELD + b"X: \xff\xfe\r\n\r\n", {400}),
    "bytes in a header's name": (FIELD + b"X\xe9: y\r\n\r\n", {400}),
    "no name": (FIELD + b": y\r\n\r\n", {400}),
    "space before the colon": (b"GET /v1/x HTTP/1.1\r\nHost : a\r\n\r\n", {400}),
    "folded header": (FIELD + b"X: a\r\n b\r\n\r\n", {400}),
    "folded first header": (b"GET /v1/x HTTP/1.1\r\n Host: a\r\n\r\n", {400}),
    "lines without CR": (b"GET /v1/x HTTP/1.1\nHost: a\n\n", {400}),
    "no host": (b"GET /v1/x HTTP/1.1\r\n\r\n", {400}),
    "two hosts": (FIELD + b"Host: b\r\n\r\n", {400}),
    "two content types": (FIELD + b"Content-Type: a\r\ncontent-type: b\r\n\r\n", {400}),
    "129 headers beside the host": (FIELD + b"a: b\r\n" * 129 + b"\r\n", {400, 431}),
    "one header of 100 kB": (FIELD + b"X: " + b"y" * 100_000 + b"\r\n\r\n", {400, 431}),
    "60 kB in headers of 1 kB": (FIELD + (b"X: " + b"y" * 1000 + b"\r\n") * 60 + b"\r\n", {400, 431}),
    "10,000 headers": (FIELD + b"".join(b"x%d: y\r\n" % n for n in range(10_000)) + b"\r\n", {400, 431}),
    "10,000 trailers": (
        TE + b"chunked\r\n\r\n0\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(10_000)) + b"\r\n", {400, 431},
    ),
    "target of 100 kB": (b"GET /v1/" + b"x" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {400, 414, 431}),
    "lower-case method": (b"get /v1/x HTTP/1.1\r\n" + HOST + b"\r\n", {400, 405}),
    "TRACE": (b"TRACE /v1/x HTTP/1.1\r\n" + HOST + b"\r\n", {405}),
    "CONNECT": (b"CONNECT elsewhere:443 HTTP/1.1\r\n" + HOST + b"\r\n", {405}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", {400}),
    "no HTTP": (b"\x00\x01\x02hello\r\n\r\n", {400}),
    "unknown expectation": (FIELD + b"Expect: the-moon\r\n\r\n", {417}),
    "websocket over HTTP/1.0": (
        b"GET /v1/realtime HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", {400},
    ),
    "websocket with a body": (
        FIELD + b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nContent-Length: 3\r\n\r\nabc", {400},
    ),
    "websocket without a key": (
        FIELD + b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n", {400},
    ),
}  # fmt: skip


async def unreachable(incoming: Incoming, reply: Reply) -> None:
    """For requests that must not reach a handler, or at most fail there while their body is read."""
    await incoming.read()
    raise AssertionError(f"{incoming.method} {incoming.path} was served")


@pytest.mark.parametrize("name", REFUSED)
async def test_refuses_and_closes(name: str) -> None:
    data, statuses = REFUSED[name]
    async with opened(unreachable) as door:
        answer = await say(door.port, data)
    assert answer.status in statuses
    assert answer.closed
    assert answer.head.startswith(b"HTTP/1.1 ")
    error = orjson.loads(answer.body)["error"]
    assert error["type"] == "invalid_request_error"
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["code"], str)


@pytest.mark.parametrize("name", REFUSED)
async def test_nothing_behind_a_refused_request_is_served(name: str) -> None:
    """The smuggler's request rides behind: one error, the end, and no second answer."""
    data, _ = REFUSED[name]
    served: list[str] = []

    async def handle(incoming: Incoming, reply: Reply) -> None:
        await incoming.read()
        served.append(incoming.path)
        await reply.send(200, [], b"")

    async with opened(handle, patience=Patience(lingering_s=0.05)) as door:
        answer = await say(door.port, data + get(b"/smuggled"))
    assert served == []
    assert answer.closed


async def test_refusals_quote_nothing_of_what_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    canary = b"sk-canary-4711"
    sent = [
        FIELD + b"Authorization: Bearer " + canary + b"\0\r\n\r\n",
        b"GET /v1/" + canary + b"\t HTTP/1.1\r\n\r\n",
        canary + b" / HTTP/1.1\r\n\r\n",
        TE + b"chunked\r\n\r\n" + canary + b"\r\n\r\n",
    ]
    async with opened(unreachable) as door:
        answers = [await say(door.port, data) for data in sent]
    assert all(answer.status == 400 and canary not in answer.head + answer.body for answer in answers)
    assert canary.decode() not in caplog.text


async def test_a_declared_body_over_the_limit_is_refused_before_it_is_read() -> None:
    async with opened(unreachable, limits=Limits(body_bytes=1000)) as door:
        answer = await say(door.port, CL + b"1073741824\r\n\r\n")
    assert (answer.status, answer.code) == (413, "too_large")
    assert answer.headers["connection"] == "close"


async def test_a_chunked_body_over_the_limit_is_refused() -> None:
    async with opened(unreachable, limits=Limits(body_bytes=1000)) as door:
        whole = await say(door.port, chunked(*[b"x" * 100] * 11))
        endless = await say(door.port, *[TE + b"chunked\r\n\r\n", *[b"64\r\n" + b"x" * 100 + b"\r\n"] * 11])
    assert [answer.status for answer in (whole, endless)] == [413, 413]


async def test_a_body_at_the_limit_passes() -> None:
    async with opened(echo, limits=Limits(body_bytes=1000)) as door:
        assert (await say(door.port, post(b"x" * 1000))).status == 200
        assert (await say(door.port, chunked(*[b"x" * 100] * 10))).status == 200


async def test_a_body_over_the_limit_once_inflated_is_refused_and_broken_gzip_is_a_bad_request() -> None:
    async def handle(incoming: Incoming, reply: Reply) -> None:
        body = inflate(incoming.headers, await incoming.read(), 1000)
        await reply.send(200, [], body)

    bomb, fine = gzip.compress(b"0" * 1_000_000), gzip.compress(b"0" * 1000)
    async with opened(handle, limits=Limits(body_bytes=2000)) as door:
        assert (await say(door.port, post(bomb, b"Content-Encoding: gzip"))).status == 413
        assert (await say(door.port, post(fine, b"Content-Encoding: gzip"))).body == b"0" * 1000
        assert (await say(door.port, post(fine[:-4], b"Content-Encoding: gzip"))).code == "broken_encoding"
        assert (await say(door.port, post(b"junk", b"Content-Encoding: gzip"))).status == 400
        assert (await say(door.port, post(b"junk", b"Content-Encoding: lzma"))).status == 415


async def test_a_slow_head_gets_408_and_the_end() -> None:
    async with opened(unreachable, patience=Patience(header_s=0.05)) as door:
        answer = await say(door.port, b"POST /v1/x HTTP/1.1\r\nHost:")
    assert (answer.status, answer.code, answer.closed) == (408, "request_timeout", True)


async def test_a_head_that_drips_gets_408_all_the_same() -> None:
    async with opened(unreachable, patience=Patience(header_s=0.1)) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(FIELD + b"X: ")
        answering = asyncio.ensure_future(hear(reader))
        while not answering.done():
            writer.write(b"y")
            await asyncio.wait([answering], timeout=0.02)
        writer.close()
    assert answering.result().status == 408


async def test_a_slow_body_gets_408_and_the_end() -> None:
    async with opened(unreachable, limits=Limits(body_timeout_s=0.05), patience=Patience(lingering_s=0.01)) as door:
        answer = await say(door.port, CL + b"10\r\n\r\nabc")
    assert (answer.status, answer.closed) == (408, True)


async def test_a_silent_connection_is_closed() -> None:
    async with opened(unreachable, patience=Patience(keepalive_s=0.05)) as door:
        assert (await say(door.port, b"")) == Answer(closed=True)


async def test_framing_that_breaks_while_the_body_is_read_wakes_the_reader() -> None:
    async with opened(unreachable, limits=Limits(body_timeout_s=60)) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(TE + b"chunked\r\n\r\n3\r\nabc\r\n")
        await _until(lambda: door.front.running == 1)
        writer.write(b"zz\r\n")
        async with asyncio.timeout(1):
            answer = await hear(reader)
        writer.close()
    assert (answer.status, answer.code, answer.closed) == (400, "bad_framing", True)


async def test_chunk_extensions_that_come_in_pieces_are_bounded() -> None:
    async with opened(unreachable) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(TE + b"chunked\r\n\r\n3;")
        await _until(lambda: door.front.running == 1)
        for _ in range(10):
            writer.write(b"a" * 7000)
            await asyncio.sleep(0)
        async with asyncio.timeout(1):
            answer = await hear(reader)
        writer.close()
    assert (answer.status, answer.closed) == (400, True)


async def test_bodies_in_tiny_chunks_pass() -> None:
    """Five bytes of framing for each byte of body, far past what extensions may cost: honest all the same."""
    async with opened(echo) as door:
        answer = await say(door.port, chunked(*[b"x"] * 20_000))
    assert orjson.loads(answer.body)["bytes"] == 20_000


async def test_a_call_behind_another_on_one_connection_is_served() -> None:
    async with opened(echo) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(post(b"1" * 50_000) + chunked(b"22") + get(b"/v1/models?limit=2"))
        async with asyncio.timeout(1):
            told = [orjson.loads((await hear(reader, more=True)).body) for _ in range(3)]
        writer.close()
    assert [(one["method"], one["bytes"]) for one in told] == [("POST", 50_000), ("POST", 2), ("GET", 0)]
    assert told[2]["query"] == "limit=2"


H2C = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__")


async def test_a_call_that_would_rather_speak_http_2_is_served_with_its_body() -> None:
    """As Java's client asks. A parser that takes such a body for the other protocol takes it for a call."""
    line = b"POST /v1/x HTTP/1.1\r\n" + b"".join(header + b"\r\n" for header in H2C)
    async with opened(echo) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(post(get(b"/smuggled"), *H2C) + chunked(get(b"/smuggled"), line=line) + get(b"/v1/x", *H2C))
        told = [orjson.loads((await hear(reader, more=True)).body) for _ in range(3)]
        writer.close()
    assert [one["path"] for one in told] == ["/v1/chat/completions", "/v1/x", "/v1/x"]
    assert [one["bytes"] for one in told] == [len(get(b"/smuggled"))] * 2 + [0]


async def test_paths_reach_the_handler_as_sent() -> None:
    async with opened(echo) as door:
        for path in (b"/v1/models/meta%2FLlama-3.1", b"/v1/a//b", b"/v1/.well-known", b"/v1/x..y", b"/v1/%E2%82%AC"):
            told = orjson.loads((await say(door.port, get(path + b"?q=%2e%2e/../&r=a+b%20c"))).body)
            assert (told["path"], told["query"]) == (path.decode(), "q=%2e%2e/../&r=a+b%20c")


async def test_expectations_are_met_before_the_body_is_sent() -> None:
    async with opened(echo) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(CL + b"3\r\nExpect: 100-continue\r\n\r\n")
        async with asyncio.timeout(1):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"abc")
            assert (await hear(reader)).status == 200
        writer.close()


async def test_a_caller_who_asks_first_about_a_body_that_is_too_large_is_told_at_once() -> None:
    async with opened(echo, limits=Limits(body_bytes=10)) as door:
        answer = await say(door.port, CL + b"11\r\nExpect: 100-continue\r\n\r\n")
    assert answer.status == 413


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_caller_that_leaves_cancels_its_handler_within_100_ms(loop: str) -> None:
    async def scene() -> dict[str, float]:
        clock = asyncio.get_running_loop().time
        cancelled: dict[str, float] = {}
        begun: set[str] = set()

        async def handle(incoming: Incoming, reply: Reply) -> None:
            await incoming.read()
            begun.add(incoming.path)
            try:
                if incoming.path == "/stream":
                    await reply.start(200, [("content-type", "text/event-stream")])
                    while True:
                        await reply.write(b"data: x\n\n")
                        await asyncio.sleep(0.005)
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled[incoming.path] = clock()
                raise

        took: dict[str, float] = {}
        async with opened(handle) as door:
            for path in ("/stream", "/waiting"):
                _, writer = await asyncio.open_connection("127.0.0.1", door.port)
                writer.write(post(b"{}", path=path.encode()))
                await _until(lambda path=path: path in begun)  # type: ignore[misc]
                left = clock()
                writer.close()
                await _until(lambda path=path: path in cancelled)  # type: ignore[misc]
                took[path] = cancelled[path] - left
            assert door.front.running == 0
        return took

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        took = runner.run(scene())
    assert set(took) == {"/stream", "/waiting"}
    assert max(took.values()) < 0.1


@pytest.mark.parametrize("loop", LOOPS)
def test_100_mb_for_a_caller_that_does_not_read_stay_under_2_mb(loop: str) -> None:
    async def scene() -> tuple[int, int]:
        written = 0
        piece = bytes(16 * 1024)

        async def handle(incoming: Incoming, reply: Reply) -> None:
            nonlocal written
            await reply.start(200, [])
            for _ in range(100 * 1024 * 1024 // len(piece)):
                await reply.write(piece)
                written += len(piece)

        async with opened(handle) as door:
            await say(door.port, get(b"/livez"))
            before = _resident_bytes()
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port, limit=1)
            writer.write(get(b"/v1/x"))
            stalled = -1
            while stalled != written or not written:  # until nothing moves any more
                stalled = written
                await asyncio.sleep(0.05)
            grown = _resident_bytes() - before
            del reader
            writer.transport.abort()
        return grown, written

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        grown, written = runner.run(scene())
    assert written < 20 * 1024 * 1024  # what the kernel's own buffers took
    assert grown < 2 * 1024 * 1024


async def test_a_caller_that_never_reads_is_cut_off_in_the_end() -> None:
    ended: list[BaseException] = []

    async def handle(incoming: Incoming, reply: Reply) -> None:
        await reply.start(200, [])
        try:
            while True:
                await reply.write(bytes(64 * 1024))
        except ConnectionError as error:
            ended.append(error)
            raise

    async with opened(handle, patience=Patience(stall_s=0.1)) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port, limit=1)
        writer.write(get(b"/v1/x"))
        await _until(lambda: bool(ended), 3.0)
        del reader
        writer.close()
    assert isinstance(ended[0], ConnectionAbortedError)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def _until(true: Callable[[], bool], timeout_s: float = 1.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():
            await asyncio.sleep(0.002)


WORDS = st.sampled_from(
    [
        b"GET", b"POST", b"HEAD", b" ", b"/", b"/v1/x", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9", b"\r\n", b"\r\n\r\n",
        b"\n", b"\r", b":", b"Host: a\r\n", b"Content-Length: 3\r\n", b"Content-Length: -1\r\n", b"abc", b"0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n", b"Expect: 100-continue\r\n", b"Connection: close\r\n",
        b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Upgrade: h2c\r\n", b"\0", b"\xff", b"%2e%2e", b"..", b"#",
    ]
)  # fmt: skip
SENTENCES = st.lists(st.one_of(WORDS, st.binary(max_size=8)), max_size=25).map(b"".join)
CALLS = st.tuples(
    st.sampled_from([b"GET", b"POST", b"PUT", b"OPTIONS"]),
    st.binary(max_size=12),
    st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=12)), max_size=4),
    st.binary(max_size=20),
).map(
    lambda parts: (
        b"%b /%b HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b"
        % (parts[0], parts[1], b"".join(b"%b: %b\r\n" % pair for pair in parts[2]), len(parts[3]), parts[3])
    )
)


@pytest.mark.slow
def test_whatever_is_sent_the_answers_are_whole_and_the_door_stays_open(caplog: pytest.LogCaptureFixture) -> None:
    """Each fuzzed connection gets well-formed answers or an end; a good call is served afterwards."""

    async def scene(data: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        async with asyncio.timeout(2):
            heard = b""
            while piece := await _read(reader):
                heard += piece
        writer.close()
        _check_answers(heard)
        assert (await say(port, get(b"/livez"))).status == 200

    with asyncio.Runner() as runner:
        patience = Patience(header_s=0.01, keepalive_s=0.02, lingering_s=0.01)
        context = opened(echo, limits=Limits(body_timeout_s=0.01), patience=patience)
        port = runner.run(context.__aenter__()).port

        @settings(
            max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
        )
        @given(st.one_of(SENTENCES, CALLS))
        def fuzz(data: bytes) -> None:
            runner.run(scene(data))

        fuzz()
        runner.run(context.__aexit__(None, None, None))
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except ConnectionError:
        return b""


def _check_answers(heard: bytes) -> None:
    while heard:
        head, end, rest = heard.partition(b"\r\n\r\n")
        assert end, heard
        lines = head.split(b"\r\n")
        assert lines[0].startswith(b"HTTP/1.1 "), lines
        status = int(lines[0][9:12])
        assert status in (100, 200, 400, 404, 405, 408, 413, 417, 426, 431, 501, 505), lines
        length = next((int(line[16:]) for line in lines if line.lower().startswith(b"content-length: ")), 0)
        if rest[:length].startswith(b"{"):
            orjson.loads(rest[:length])
        heard = rest[length:]
