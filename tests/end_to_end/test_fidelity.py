"""Byte for byte: what the provider receives is what was sent, and what the caller gets is what the provider said."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
import orjson
import pytest
import zstandard

from proxy.live import Alias
from proxy.wire.sse import Reader
from tests.pairs import JSON, STREAMING, SURFACES, Got, Opened, body

BIG_BYTES = 5 * 1024 * 1024
MODEL = b'"model":"gpt-4o-mini",'
NASTY: dict[str, Callable[[bytes, bytes], bytes]] = {
    "pretty-printed": lambda text, end: b'{\r\n\t"model" : "gpt-4o-mini" ,\n\n  ' + text + b"  " + end + b"\n}",
    "escaped": lambda text, end: (
        b"{" + MODEL + rb'"x":"caf\u00e9 \ud83d\ude00 \/ \u0061 \u2028 \u0000 \b\f\n\r\t\"\\",' + text + end + b"}"
    ),
    "escaped keys": lambda text, end: rb'{"m\u006fdel":"gpt-4o-mini","\u0078":1,' + text + end + b"}",
    "raw unicode": lambda text, end: (
        b"{" + MODEL + '"x":"café 😀 \u2028\x7f 漢字 e\u0301",'.encode() + text + end + b"}"
    ),
    "big integers": lambda text, end: (
        b"{" + MODEL + b'"x":123456789012345678901234567890,"y":-9223372036854775809,"z":18446744073709551616,'
        + text + end + b"}"
    ),
    "floats": lambda text, end: (
        b"{" + MODEL + b'"x":[1.50,1e5,1E+2,-0.0,0.1e-7,1.0,100000000000000000000.0,3.141592653589793238462643],'
        + text + end + b"}"
    ),
    "key order": lambda text, end: b'{"z":1,"b":{"y":2,"a":1},' + text + end + b',"a":null,"model":"gpt-4o-mini"}',
    "unknown": lambda text, end: (
        b"{" + MODEL + b'"provider":{"order":["a","b"],"":[[],{},[{}]]},"x.y":true,"$":null,' + text + end + b"}"
    ),
    "blanks around": lambda text, end: b" \n\t{" + MODEL + text + end + b"} \r\n\t \n\n",
    "5 MB": lambda text, end: b"{" + MODEL + b'"x":"' + b"0123456789" * (BIG_BYTES // 10) + b'",' + text + end + b"}",
}  # fmt: skip
"""Bodies that no parser and encoder would give back as they were."""
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}
WAYS = [(surface, False) for surface in SURFACES] + [(surface, True) for surface in STREAMING]
ways = pytest.mark.parametrize(("surface", "stream"), WAYS, ids=[f"{s}-{'sse' if e else 'json'}" for s, e in WAYS])


def nasty(surface: str, stream: bool) -> dict[str, bytes]:
    text, end = SURFACES[surface][1], b',"stream" :true' if stream else b""
    return {name: make(text, end) for name, make in NASTY.items()}


def events(got: Got) -> list[bytes]:
    assert not got.cut
    reader = Reader()
    return [event.raw for event in [*reader.feed(got.body), *reader.close()]]


@ways
async def test_nothing_is_changed_on_either_way(opened: Opened, surface: str, stream: bool) -> None:
    path = SURFACES[surface][0]
    async with opened(upstream={"ask_usage": "never"}) as pair:
        for name, sent in nasty(surface, stream).items():
            direct = await pair.direct(path, sent)
            assert direct.status == 200, name
            through = await pair.through(path, sent)
            assert pair.sent.body == sent, name
            assert pair.sent.target == path
            assert through.status == 200, name
            assert through.body == direct.body, name
            assert through.header("content-type") == direct.header("content-type")
            assert not through.cut
        records = await pair.sink.wait_for(len(NASTY))
        assert {record["outcome"] for record in records} == {"ok"}
        assert all(record["complete"] for record in records if surface != "embeddings")


@ways
async def test_with_an_alias_and_usage_asked_only_the_spliced_spans_differ(
    opened: Opened, surface: str, stream: bool
) -> None:
    path = SURFACES[surface][0]
    asks = stream and surface in ("chat", "completions")
    async with opened(
        upstream={"ask_usage": "always", "models": ("gpt-4o",)}, aliases={"gpt-4o-mini": Alias("gpt-4o")}
    ) as pair:
        for name, sent in nasty(surface, stream).items():
            through = await pair.through(path, sent)
            assert through.status == 200, name
            received = pair.sent.body
            assert orjson.loads(received)["model"] == "gpt-4o"
            assert (b"include_usage" in received) == asks
            assert without_splices(received, asks) == sent, name
            direct = await pair.direct(path, received)
            if asks:
                *before, usage, done = events(direct)
                assert b'"choices":[]' in usage
                assert b"[DONE]" in done
                assert events(through) == [*before, done], name
            else:
                assert through.body == direct.body, name
        records = await pair.sink.wait_for(len(NASTY))
        assert {record["usage_source"] for record in records} == {"provider"}


def without_splices(received: bytes, asked: bool) -> bytes:
    """The body as it was before the model's name and the question for usage were written into it."""
    received = received.replace(b'"gpt-4o"', b'"gpt-4o-mini"', 1)
    if not asked:
        return received
    question = b'"stream_options":{"include_usage":true}'
    assert received.count(question) == 1
    for spliced in (b"," + question, question + b","):
        if spliced in received:
            return received.replace(spliced, b"", 1)
    raise AssertionError("the question stands alone")


async def test_who_asks_for_usage_gets_it_and_the_body_stays_as_it_was(opened: Opened) -> None:
    sent = body("chat", stream=True, more=b'"stream_options": { "include_usage" : true },')
    async with opened(upstream={"ask_usage": "always"}) as pair:
        through, direct = (
            await pair.through("/v1/chat/completions", sent),
            await pair.direct("/v1/chat/completions", sent),
        )
        assert pair.provider.requests[0].body == sent
        assert through.body == direct.body


async def test_a_provider_that_refuses_the_question_is_asked_again_without_it(opened: Opened) -> None:
    sent = body("chat", stream=True)
    async with opened(upstream={"ask_usage": "auto"}) as pair:
        pair.provider.rejects_stream_options = True
        for _ in range(2):
            through = await pair.through("/v1/chat/completions", sent)
            assert through.status == 200
            assert pair.sent.body == sent
        assert len(pair.provider.requests) == 3
        assert through.body == (await pair.direct("/v1/chat/completions", sent)).body


@pytest.mark.parametrize("coding", CODINGS)
async def test_an_unchanged_compressed_body_goes_on_as_it_came(opened: Opened, coding: str) -> None:
    plain = body("chat", more=b'"x":"' + b"weir " * 2000 + b'",')
    packed = CODINGS[coding](plain)
    headers = (*JSON, ("Content-Encoding", coding))
    async with opened(upstream={"ask_usage": "never"}) as pair:
        through = await pair.through("/v1/chat/completions", packed, headers=headers)
        assert pair.sent.body == packed
        assert pair.sent.header("content-encoding") == coding
        assert pair.sent.header("content-length") == str(len(packed))
        assert through.body == (await pair.direct("/v1/chat/completions", packed, headers=headers)).body


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_changed_compressed_body_goes_on_as_identity(opened: Opened, coding: str) -> None:
    plain = body("chat", "fast")
    async with opened(aliases={"fast": Alias("gpt-4o")}) as pair:
        through = await pair.through(
            "/v1/chat/completions", CODINGS[coding](plain), headers=(*JSON, ("Content-Encoding", coding))
        )
        assert through.status == 200
        assert pair.sent.body == plain.replace(b"fast", b"gpt-4o")
        assert pair.sent.header("content-encoding") is None
        assert pair.sent.header("content-length") == str(len(pair.sent.body))


@pytest.mark.parametrize("wish", ["split=1", "split=7", "crlf=1", "comments=1", "tools=2", "reasoning=1", "refusal=1"])
@pytest.mark.parametrize("surface", STREAMING)
async def test_streams_of_every_kind_and_cut_come_through_whole(opened: Opened, surface: str, wish: str) -> None:
    path = SURFACES[surface][0]
    sent = body(surface, f"gpt-4o-mini[[sim {wish}]]", stream=True)
    async with opened(upstream={"ask_usage": "never"}) as pair:
        direct = await pair.direct(path, sent)
        assert (await pair.through(path, sent)).body == direct.body
        (record,) = await pair.sink.wait_for(1)
        assert record["complete"] is True


@pytest.mark.parametrize("wish", ["gzip=1", "chunked=1", "close=1", "headers=30000"])
async def test_json_answers_come_through_however_they_are_sent(opened: Opened, wish: str) -> None:
    sent = body("chat", f"gpt-4o-mini[[sim {wish}]]")
    async with opened() as pair:
        direct, through = (
            await pair.direct("/v1/chat/completions", sent),
            await pair.through("/v1/chat/completions", sent),
        )
        assert through.body == direct.body
        assert through.header("content-encoding") == direct.header("content-encoding")
        (record,) = await pair.sink.wait_for(1)
        assert record["usage_source"] == "provider"
