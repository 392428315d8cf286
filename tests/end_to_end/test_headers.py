"""Headers: what passes, what is this hop's own, and which credentials go where."""

from __future__ import annotations

import gzip
import hashlib

from benchmarks.simulated.call import Received
from proxy.live import CallerKey, Identity
from tests.pairs import Got, Opened, body
from tests.raw import Answer, post, say

FRAMING = {"content-length", "transfer-encoding", "connection", "keep-alive", "date", "server"}
PASSED = {
    b"Authorization": b"Bearer sk-caller",
    b"Content-Type": b"application/json; charset=utf-8",
    b"User-Agent": b"OpenAI/Python 3.3.0",
    b"OpenAI-Organization": b"org-1",
    b"OpenAI-Beta": b"assistants=v2",
    b"X-Stainless-Retry-Count": b"0",
    b"X-Request-Id": b"caller-1",
    b"Idempotency-Key": b"stainless-python-retry-1",
    b"traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    b"tracestate": b"vendor=1,other=2",
    b"baggage": b"key=va%20lue",
    b"X-Empty": b"",
    b"X-Unicode": "né".encode(),
}
OF_THIS_HOP = {
    b"Connection": b"keep-alive, X-Hop",
    b"X-Hop": b"1",
    b"Keep-Alive": b"timeout=5",
    b"TE": b"trailers",
    b"Trailer": b"X-Checksum",
    b"Proxy-Authorization": b"Basic c2VjcmV0",
    b"Proxy-Connection": b"keep-alive",
    b"X-Weir-Agent": b"tax-eu-001",
    b"X-Weir-User": b"u",
    b"X-Weir-Session": b"s",
    b"X-Weir-Anything": b"1",
}


def lines(*groups: dict[bytes, bytes]) -> list[bytes]:
    return [b"%b: %b" % pair for group in groups for pair in group.items()]


def names(received: Received) -> list[str]:
    return [name.decode().lower() for name, _ in received.headers]


async def call(opened: Opened, *headers: bytes, path: bytes = b"/v1/chat/completions", **more: object) -> Received:
    async with opened(**more) as pair:
        answer = await say(pair.running.port, post(body("chat"), *headers, path=path))
        assert answer.status == 200
        received: Received = pair.sent
        return received


async def test_the_callers_headers_pass_in_their_order_and_case(opened: Opened) -> None:
    received = await call(opened, *lines(PASSED))
    came = [(name, value) for name, value in received.headers if name in PASSED]
    assert came == list(PASSED.items())
    assert set(names(received)) - {name.decode().lower() for name in PASSED} == {
        "host",
        "content-length",
        "accept-encoding",
    }
    assert received.header("host") != "127.0.0.1"


async def test_what_is_of_one_hop_or_meant_for_weir_stays_behind(opened: Opened) -> None:
    received = await call(opened, *lines(PASSED, OF_THIS_HOP))
    left = {name.decode().lower() for name in OF_THIS_HOP} - {"connection"}
    assert left.isdisjoint(names(received))
    assert (received.header("connection") or "keep-alive") == "keep-alive"


async def test_an_answer_that_is_read_is_asked_for_uncompressed_and_one_that_is_not_as_the_caller_likes(
    opened: Opened,
) -> None:
    read = await call(opened, b"Accept-Encoding: gzip, br")
    assert [value for name, value in read.headers if name.lower() == b"accept-encoding"] == [b"identity"]
    kept = await call(opened, b"Accept-Encoding: gzip, br", b"Content-Type: application/json", path=b"/v1/moderations")
    assert kept.header("accept-encoding") == "gzip, br"


async def test_repeated_headers_pass_repeated_and_are_not_joined(opened: Opened) -> None:
    received = await call(opened, b"X-Many: a", b"X-Many: b, c", b"X-Many: a")
    assert [value for name, value in received.headers if name == b"X-Many"] == [b"a", b"b, c", b"a"]


async def test_the_answers_headers_come_back_as_they_were_beside_weirs_own(opened: Opened) -> None:
    async with opened() as pair:
        for path, sent in (
            ("/v1/chat/completions", body("chat")),
            ("/v1/chat/completions", body("chat", stream=True)),
            ("/v1/messages", body("messages")),
            ("/v1/moderations", b'{"input":"x"}'),
            ("/v1/chat/completions", body("chat", "gpt-4o[[sim status=429 retry_after=1.5]]")),
        ):
            direct, through = await pair.direct(path, sent), await pair.through(path, sent)
            assert _theirs(through) == _theirs(direct), path
            assert through.header("x-weir-request-id")
            assert (through.header("x-request-id") or through.header("request-id") or "").startswith("req_")


def _theirs(got: Got) -> list[tuple[str, str]]:
    """Without framing, and without the provider's number of the request."""
    return [
        pair
        for pair in got.headers
        if pair[0].lower() not in FRAMING | {"x-request-id", "request-id"} and not pair[0].lower().startswith("x-weir-")
    ]


async def test_lengths_are_right_for_what_is_sent_and_chunks_for_what_has_none(opened: Opened) -> None:
    async with opened() as pair:
        whole = await pair.through("/v1/chat/completions", body("chat"))
        assert whole.header("content-length") == str(len(whole.body))
        assert whole.header("transfer-encoding") is None
        stream = await pair.through("/v1/chat/completions", body("chat", stream=True))
        assert stream.header("content-length") is None
        assert stream.header("transfer-encoding") == "chunked"
        assert stream.header("cache-control") == (
            await pair.direct("/v1/chat/completions", body("chat", stream=True))
        ).header("cache-control")
        packed = gzip.compress(body("chat", more=b'"stream":true,'))
        await pair.through(
            "/v1/chat/completions", packed, headers=(("Content-Encoding", "gzip"), ("content-type", "application/json"))
        )
        assert pair.sent.header("content-length") == str(len(pair.sent.body))


async def test_a_configured_key_takes_the_place_of_the_callers(opened: Opened) -> None:
    for auth, name, value in (
        ("bearer", "authorization", "Bearer sk-weir"),
        ("x-api-key", "x-api-key", "sk-weir"),
        ("api-key", "api-key", "sk-weir"),
    ):
        received = await call(
            opened, b"Authorization: Bearer sk-caller", b"x-api-key: sk-caller", b"api-key: sk-caller",
            upstream={"key": "sk-weir", "auth": auth},
        )  # fmt: skip
        assert received.header(name) == value
        assert not any(b"sk-caller" in held for _, held in received.headers)
        assert sum(1 for found in names(received) if found in ("authorization", "x-api-key", "api-key")) == 1


async def test_a_key_of_weirs_own_is_never_forwarded(opened: Opened) -> None:
    key = b"weir_sk_0123456789abcdef"
    identity = Identity(keys=(CallerKey("one", hashlib.sha256(key).hexdigest(), agent="a"),), pass_through=False)
    async with opened(identity=identity) as pair:
        for path in (b"/v1/chat/completions", b"/v1/moderations", b"/agents/a/v1/chat/completions"):
            for how in (b"Authorization: Bearer " + key, b"x-api-key: " + key):
                answer: Answer = await say(
                    pair.running.port, post(body("chat"), how, b"Content-Type: application/json", path=path)
                )
                assert answer.status == 200, (path, how, answer.body)
        assert len(pair.provider.requests) == 6
        assert not any(key in value for received in pair.provider.requests for _, value in received.headers)
        refused = await say(pair.running.port, post(body("chat"), b"Authorization: Bearer sk-other"))
        assert refused.status == 401
        assert len(pair.provider.requests) == 6
