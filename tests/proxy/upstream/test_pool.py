from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from proxy.errors import StreamCut, Unauthorized, UnknownModel, Unreachable, UpstreamFailed, UpstreamTimeout
from proxy.exchange import Caller, Exchange, Request, Target
from proxy.live import Identity, Limits, Snapshot, Streams, Upstream
from proxy.ports import Headers
from proxy.upstream.link import Answering, Done, Outgoing, header_of
from proxy.upstream.pool import NO_USAGE, NO_USAGE_S, Pool
from proxy.upstream.retry import Policy


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def wall_s(self) -> float:
        return self.now_s

    def monotonic_s(self) -> float:
        return self.now_s


@dataclass
class FakeAnswer:
    status: int
    body: bytes = b"{}"
    headers: Headers = field(default_factory=list)
    reused: bool = False
    closed: bool = False
    cut: bool = False

    def header(self, name: str) -> str | None:
        return header_of(self.headers, name)

    def lines(self, changed: bool) -> bytes | None:
        return None

    async def read(self, limit: int) -> bytes:
        return self.body

    async def chunks(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self.body), 10):
            yield self.body[at : at + 10]
        if self.cut:
            raise StreamCut("cut")

    def close(self) -> None:
        self.closed = True


class FakeLink:
    """Answers in turn; every answer takes a second."""

    def __init__(self, clock: FakeClock, *answers: FakeAnswer | Exception) -> None:
        self.clock = clock
        self.answers = list(answers)
        self.sent: list[tuple[str, Outgoing]] = []

    def begin(self, upstream: Upstream, outgoing: Outgoing, done: Done) -> Answering | None:
        return None

    async def send(self, upstream: Upstream, outgoing: Outgoing) -> Answering:
        self.sent.append((upstream.name, outgoing))
        self.clock.now_s += 1
        answer = self.answers.pop(0) if self.answers else FakeAnswer(200)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def websocket(self, upstream: Upstream, target: str, headers: Headers, protocols: list[str]) -> Any:
        raise NotImplementedError

    async def stop(self) -> None: ...


class FakeMetrics:
    def __init__(self) -> None:
        self.counts: dict[tuple[str, ...], float] = {}

    def counter(self, name: str, **labels: str) -> FakeCounter:
        assert name == "weir_upstream_attempts_total"
        return FakeCounter(self.counts, (labels["upstream"], labels["outcome"]))

    def histogram(self, name: str, **labels: str) -> Any:
        raise NotImplementedError

    def gauge(self, name: str, **labels: str) -> Callable[[float], None]:
        raise NotImplementedError


@dataclass
class FakeCounter:
    counts: dict[tuple[str, ...], float]
    key: tuple[str, ...]

    def add(self, amount: float = 1.0) -> None:
        self.counts[self.key] = self.counts.get(self.key, 0) + amount


UPSTREAMS = (
    Upstream("a", "http://a", key="ka"),
    Upstream("b", "http://b", key="kb"),
    Upstream("open", "http://open"),
    Upstream("free", "http://free", auth="none"),
    Upstream("always", "http://x", key="k", ask_usage="always"),
    Upstream("never", "http://x", key="k", ask_usage="never"),
)


def call(*targets: str, vouched: bool = True, deadline_s: float | None = None) -> Exchange:
    snapshot = Snapshot(
        1, {one.name: one for one in UPSTREAMS}, {}, (), {}, Identity(), Limits(), Streams()
    )  # fmt: skip
    request = Request("chat", "POST", "/v1/chat/completions", "", [], b"{}")
    made = Exchange(
        "x", Caller(vouched=vouched, deadline_s=deadline_s), request, at_s=0.0, start=100.0, snapshot=snapshot
    )  # fmt: skip
    first, *rest = [Target(name, "m") for name in targets]
    made.target, made.fallbacks = first, rest
    return made


def build(target: Target, upstream: Upstream, ask_usage: bool) -> Outgoing:
    body = b'{"stream_options":{"include_usage":true}}' if ask_usage else b"{}"
    return Outgoing("POST", f"/{target.model}", [("auth", upstream.auth)], body)


COMPLAINT = b'{"error": {"message": "Unknown parameter: stream_options"}}'


def pool(*answers: FakeAnswer | Exception, policy: Policy | None = None) -> tuple[Pool, FakeLink, FakeMetrics]:
    clock, metrics = FakeClock(), FakeMetrics()
    link = FakeLink(clock, *answers)
    return Pool(link, clock, metrics, policy), link, metrics


def names(link: FakeLink) -> Sequence[str]:
    return [name for name, _ in link.sent]


class TestOneTarget:
    async def test_that_answers_is_what_comes_back_with_the_times_kept(self) -> None:
        one, _, metrics = pool(FakeAnswer(200, b"body"))
        exchange = call("a")
        answering, target, upstream = await one.send(exchange, build)
        assert await answering.read(10) == b"body"
        assert (target, upstream.name) == (Target("a", "m"), "a")
        assert (exchange.attempts, exchange.timeline.sent, exchange.timeline.headers) == (1, 100.0, 101.0)
        assert metrics.counts == {("a", "ok"): 1}

    @pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
    async def test_that_fails_is_returned_as_it_is(self, status: int) -> None:
        answer = FakeAnswer(status, b"oh", [("retry-after", "3"), ("x-should-retry", "true")])
        one, link, _ = pool(answer)
        answering, _, _ = await one.send(call("a"), build)
        assert (answering.status, answering.headers, await answering.read(10)) == (status, answer.headers, b"oh")
        assert not answer.closed
        assert len(link.sent) == 1

    @pytest.mark.parametrize("error", [Unreachable("u"), UpstreamTimeout("t")])
    async def test_that_cannot_be_had_raises_its_error(self, error: UpstreamFailed) -> None:
        one, _, metrics = pool(error)
        with pytest.raises(type(error)) as caught:
            await one.send(call("a"), build)
        assert caught.value is error
        assert error.headers == ()
        assert metrics.counts == {("a", error.code): 1}


class TestSeveralTargets:
    @pytest.mark.parametrize(
        "failure", [FakeAnswer(429), FakeAnswer(503), FakeAnswer(529), Unreachable("u"), UpstreamTimeout("t")]
    )
    async def test_are_tried_in_order_until_one_answers(self, failure: FakeAnswer | Exception) -> None:
        one, link, _ = pool(failure, FakeAnswer(200, b"b"))
        exchange = call("a", "b", "free")
        answering, target, _ = await one.send(exchange, build)
        assert (await answering.read(10), target.upstream, exchange.attempts) == (b"b", "b", 2)
        assert names(link) == ["a", "b"]
        assert not isinstance(failure, FakeAnswer) or failure.closed

    async def test_stop_at_an_answer_about_the_call(self) -> None:
        one, link, _ = pool(FakeAnswer(400, b"wrong"))
        answering, _, _ = await one.send(call("a", "b"), build)
        assert (answering.status, names(link)) == (400, ["a"])

    async def test_that_all_fail_tell_the_client_to_let_it_be(self) -> None:
        last = FakeAnswer(503, b"no", [("Retry-After", "9"), ("X-Should-Retry", "true")])
        one, _, _ = pool(Unreachable("u"), last)
        answering, _, _ = await one.send(call("a", "b"), build)
        assert answering.headers == [("Retry-After", "9"), ("x-should-retry", "false")]
        assert await answering.read(10) == b"no"
        assert [piece async for piece in answering.chunks()] == [b"no"]
        one, _, _ = pool(FakeAnswer(503), Unreachable("u"))
        with pytest.raises(Unreachable) as caught:
            await one.send(call("a", "b"), build)
        assert caught.value.headers == (("x-should-retry", "false"),)

    async def test_are_bounded_and_then_the_client_may_come_again(self) -> None:
        one, link, _ = pool(*(FakeAnswer(503) for _ in range(9)), policy=Policy(total=3))
        answering, _, _ = await one.send(call("a", "b", "a", "b", "a"), build)
        assert (len(link.sent), answering.headers) == (3, [])

    async def test_are_not_tried_past_the_deadline(self) -> None:
        one, link, _ = pool(FakeAnswer(503), FakeAnswer(503))
        answering, _, _ = await one.send(call("a", "b", "free", deadline_s=1.5), build)
        assert names(link) == ["a", "b"]
        assert answering.status == 503

    async def test_are_not_tried_with_a_body_that_is_gone(self) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield b"x"

        one, link, _ = pool(Unreachable("u"))
        with pytest.raises(Unreachable):
            await one.send(call("a", "b"), lambda *_: Outgoing("POST", "/", [], body()))
        assert len(link.sent) == 1

    async def test_that_the_settings_no_longer_have_are_left_out(self) -> None:
        one, link, _ = pool(FakeAnswer(503))
        await one.send(call("a", "gone", "b"), build)
        assert names(link) == ["a", "b"]
        for exchange in (call("gone", "a"), call("a")):
            if exchange.target == Target("a", "m"):
                exchange.target = None
            with pytest.raises(UnknownModel):
                await one.send(exchange, build)

    async def test_may_be_tried_again_after_a_pause(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pauses = []

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)

        monkeypatch.setattr(asyncio, "sleep", sleep)
        one, link, _ = pool(FakeAnswer(503), FakeAnswer(429, headers=[("retry-after", "2")]), policy=Policy(same=3))
        answering, _, _ = await one.send(call("a", "b"), build)
        assert (answering.status, names(link), pauses) == (200, ["a", "a", "a"], [0.5, 2.0])

    async def test_a_cancelled_call_is_counted_and_nothing_else_tried(self) -> None:
        one, link, metrics = pool(asyncio.CancelledError())  # type: ignore[arg-type]
        with pytest.raises(asyncio.CancelledError):
            await one.send(call("a", "b"), build)
        assert (names(link), metrics.counts) == (["a"], {("a", "cancelled"): 1})


class TestCredentials:
    async def test_of_the_caller_go_to_the_first_upstream_and_to_no_other(self) -> None:
        upstreams = {"open": UPSTREAMS[2], "other": replace(UPSTREAMS[2], name="other"), "a": UPSTREAMS[0]}
        exchange = call("open", "open", "other", "a")
        exchange.snapshot = replace(exchange.snapshot, upstreams=upstreams)
        one, link, _ = pool(*(FakeAnswer(503) for _ in range(3)))
        _, _, upstream = await one.send(exchange, build)
        assert [(name, outgoing.headers) for name, outgoing in link.sent] == [
            ("open", [("auth", "bearer")]), ("open", [("auth", "bearer")]), ("other", [("auth", "none")]),
            ("a", [("auth", "bearer")]),
        ]  # fmt: skip
        assert upstream is UPSTREAMS[0]

    async def test_of_weir_are_not_spent_by_strangers(self) -> None:
        one, link, _ = pool(FakeAnswer(503), FakeAnswer(503))
        await one.send(call("open", "a", "free", vouched=False), build)
        assert names(link) == ["open"]
        for first in ("a", "free"):
            with pytest.raises(Unauthorized):
                await one.send(call(first, "open", vouched=False), build)
        assert names(link) == ["open"]


class TestAskingForUsage:
    async def test_stops_for_an_hour_where_the_provider_does_not_know_the_question(self) -> None:
        complaint = FakeAnswer(400, COMPLAINT)
        one, link, metrics = pool(complaint)
        exchange = call("a")
        answering, _, _ = await one.send(exchange, build)
        assert (answering.status, exchange.attempts, complaint.closed) == (200, 2, True)
        await one.send(call("a"), build)
        await one.send(call("b"), build)
        link.clock.now_s += NO_USAGE_S
        await one.send(call("a"), build)
        asked = [(name, b"stream_options" in bytes(outgoing.body)) for name, outgoing in link.sent]  # type: ignore[arg-type]
        assert asked == [("a", True), ("a", False), ("a", False), ("b", True), ("a", True)]
        assert metrics.counts[("a", "status_4xx")] == 1

    @pytest.mark.parametrize("body", [b'{"error": "wrong model"}', b"x" * 100_000, b""])
    async def test_goes_on_after_a_400_about_something_else_which_the_caller_gets_whole(self, body: bytes) -> None:
        one, link, _ = pool(FakeAnswer(400, body), FakeAnswer(400, body))
        answering, _, _ = await one.send(call("a"), build)
        assert (answering.status, await answering.read(1 << 20), len(link.sent)) == (400, body, 1)
        answering, _, _ = await one.send(call("a"), build)
        assert b"".join([piece async for piece in answering.chunks()]) == body

    async def test_is_not_to_blame_where_the_caller_asked_itself(self) -> None:
        one, link, _ = pool(FakeAnswer(400, COMPLAINT))
        answering, _, _ = await one.send(call("a"), lambda *_: Outgoing("POST", "/", [], b"theirs"))
        assert (answering.status, await answering.read(1000), len(link.sent)) == (400, COMPLAINT, 1)

    @pytest.mark.parametrize(("name", "asked"), [("always", True), ("never", False)])
    async def test_is_as_the_settings_say(self, name: str, asked: bool) -> None:
        one, link, _ = pool(FakeAnswer(400, COMPLAINT))
        answering, _, _ = await one.send(call(name), build)
        assert (answering.status, len(link.sent)) == (400, 1)
        assert (b"stream_options" in bytes(link.sent[0][1].body)) is asked  # type: ignore[arg-type]

    async def test_whose_complaint_breaks_off_is_a_failed_attempt(self) -> None:
        one, link, _ = pool(FakeAnswer(400, b"half", cut=True))
        answering, _, _ = await one.send(call("a", "b"), build)
        assert (answering.status, names(link)) == (200, ["a", "b"])

    async def test_is_remembered_for_a_bounded_number_of_models(self) -> None:
        one, link, _ = pool()
        for number in range(NO_USAGE + 10):
            link.answers = [FakeAnswer(400, COMPLAINT)]
            exchange = call("a")
            exchange.target = Target("a", f"m{number}")
            await one.send(exchange, build)
        assert len(one._no_usage) == NO_USAGE

    async def test_twice_is_not_held_against_the_client(self) -> None:
        one, _, _ = pool(FakeAnswer(400, COMPLAINT), FakeAnswer(503))
        answering, _, _ = await one.send(call("a"), build)
        assert (answering.status, answering.headers) == (503, [])
