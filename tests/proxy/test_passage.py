"""The way back: filters bottom to top, tapes at their place, holds, failures, refusals in mid-stream."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import wire
from proxy.chain import Chain
from proxy.errors import PluginFailed, Refused
from proxy.exchange import Exchange, Response, Segment
from proxy.passage import Passage
from proxy.plugin import Filter, Hold
from tests.kit import FakeClock, entry, exchange, scripted, snapshot


def delta(text: str) -> bytes:
    doc = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
           "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}  # fmt: skip
    return b"data: " + orjson.dumps(doc) + b"\n\n"


END = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


def texts(stream: bytes) -> str:
    found = []
    for line in stream.split(b"\n\n"):
        if line.startswith(b"data: {"):
            for choice in orjson.loads(line[6:]).get("choices", []):
                found.append(choice["delta"].get("content") or "")
    return "".join(found)


class Upper:
    def feed(self, piece: str) -> str:
        return piece.upper()

    def close(self) -> str:
        return ""


class Keeps:
    """Holds everything back until the end."""

    def __init__(self) -> None:
        self.held = ""

    def feed(self, piece: str) -> str:
        self.held += piece
        return ""

    def close(self) -> str:
        return f"<{self.held}>"


class Tape:
    def __init__(self) -> None:
        self.data = b""
        self.closed: list[bool] = []

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self, complete: bool) -> None:
        self.closed.append(complete)


def giving(filter_: Any) -> Any:
    def make(_: Exchange, segment: Segment) -> Filter:
        found: Filter = filter_()
        return found

    return make


def passage(*plugins: Any, **envelopes: Any) -> tuple[Passage, Exchange]:
    made = snapshot(*(entry(one.name, **envelopes.get(one.name, {})) for one in plugins))
    chain = Chain(made, {one.name: one for one in plugins}, FakeClock().monotonic_s)
    call = exchange(made, {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]})
    call.response = Response()
    found = Passage(chain, call, chain.route("default", "m", call.request.path), len(plugins), wire.codec("chat"))
    found.open_stream(False)
    return found, call


async def run(found: Passage, *pieces: bytes) -> bytes:
    out = b""
    for piece in pieces:
        out += await found.feed(piece)
        if found.broken is not None:
            return out
    return out + await found.drain()


async def test_without_filters_the_bytes_are_the_providers_own() -> None:
    found, _ = passage(scripted("a"))
    sent = delta("one") + delta("two") + END
    assert await run(found, sent[:37], sent[37:]) == sent
    assert found.inner.complete


async def test_filters_run_bottom_to_top() -> None:
    class Mark:
        def __init__(self, word: str) -> None:
            self.word = word

        def feed(self, piece: str) -> str:
            return piece + self.word if piece else ""

        def close(self) -> str:
            return ""

    found, _ = passage(
        scripted("top", filter=giving(lambda: Mark("t"))), scripted("low", filter=giving(lambda: Mark("l")))
    )
    assert texts(await run(found, delta("x"), END)) == "xlt"


@given(st.lists(st.text(max_size=5), max_size=6), st.data())
async def test_what_is_delivered_does_not_depend_on_how_the_bytes_were_cut(
    words: list[str], data: st.DataObject
) -> None:
    found, _ = passage(scripted("a", filter=giving(Keeps)), scripted("b", filter=giving(Upper)))
    sent = b"".join(map(delta, words)) + END
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=5)))
    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]

    got = texts(await run(found, *pieces))

    assert got == (f"<{''.join(words).upper()}>" if any(words) else got)


async def test_a_tape_takes_what_the_filters_below_it_made_and_not_what_those_above_will() -> None:
    tape = Tape()
    found, _ = passage(
        scripted("top", filter=giving(Keeps)),
        scripted("cache", tape=lambda _: tape),
        scripted("low", filter=giving(Upper)),
    )
    out = await run(found, delta("abc"), END)
    found.close(True)

    assert texts(tape.data) == "ABC"
    assert texts(out) == "<ABC>"
    assert tape.closed == [True]


async def test_a_hold_is_awaited_and_nothing_overtakes_it() -> None:
    async def check() -> str:
        return "checked"

    class Holds:
        def feed(self, piece: str) -> str | Hold:
            return Hold(piece, check) if piece == "first" else piece

        def close(self) -> str:
            return ""

    found, _ = passage(scripted("a", filter=giving(Holds)))
    assert texts(await run(found, delta("first"), delta(" second"), END)) == "checked second"


async def test_a_filter_that_breaks_open_gives_what_it_held_and_is_gone() -> None:
    class Breaks:
        def __init__(self) -> None:
            self.count = 0

        def feed(self, piece: str) -> str:
            self.count += 1
            if self.count == 3:
                raise RuntimeError("broken")
            return ""

        def close(self) -> str:
            return "never"

    found, call = passage(scripted("a", filter=giving(Breaks)))
    assert texts(await run(found, delta("a"), delta("b"), delta("c"), delta("d"), END)) == "abcd"
    assert call.steps[0].what == "failed RuntimeError"


async def test_a_filter_that_breaks_closed_ends_the_stream() -> None:
    class Breaks:
        def feed(self, piece: str) -> str:
            raise RuntimeError("broken")

        def close(self) -> str:
            return ""

    found, _ = passage(scripted("a", filter=giving(Breaks)), a={"on_error": "closed"})
    await run(found, delta("a"))
    assert isinstance(found.broken, PluginFailed)


async def test_a_refusal_in_mid_stream_delivers_what_came_before_it() -> None:
    class Refuses:
        def feed(self, piece: str) -> str:
            if "bad" in piece:
                raise Refused("a", "no", code="no")
            return piece

        def close(self) -> str:
            return ""

    found, _ = passage(scripted("a", filter=giving(Refuses)))
    out = await run(found, delta("good ") + delta("bad") + delta("after"))
    assert texts(out) == "good "
    assert isinstance(found.broken, Refused)
    assert b"content_filter" in found.outer.refuse(found.broken)


async def test_a_filter_in_shadow_changes_nothing_and_is_recorded() -> None:
    found, call = passage(scripted("a", filter=giving(Upper)), a={"mode": "shadow"})
    assert texts(await run(found, delta("abc"), END)) == "abc"
    assert ("a", "would edit") in {(step.plugin, step.what) for step in call.steps}


async def test_a_json_answer_passes_the_same_filters() -> None:
    found, _ = passage(scripted("a", filter=giving(Keeps)), scripted("b", filter=giving(Upper)))
    raw = orjson.dumps({"id": "c", "object": "chat.completion", "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "abc"}, "finish_reason": "stop"}]})  # fmt: skip
    answer = wire.codec("chat").answer(raw)
    assert answer is not None
    assert orjson.loads(await found.whole(answer))["choices"][0]["message"]["content"] == "<ABC>"


async def test_the_sample_is_the_text_of_what_was_delivered() -> None:
    found, _ = passage(scripted("a"))
    await run(found, delta("one "), delta("two"), END)
    text, scale = found.text_sample()
    assert (text, scale) == ("one two", 1.0)


@pytest.mark.parametrize("collect", [True, False])
async def test_delivered_text_is_collected_only_when_asked(collect: bool) -> None:
    found, call = passage(scripted("a", filter=giving(Upper)))
    found.collect = collect
    await run(found, delta("one "), delta("two"), END)
    assert call.response is not None
    assert [one.text for one in call.response.segments] == (["ONE TWO"] if collect else [])
