"""Small plugins that use one part of the contract each; configured by dotted path, as a third party's would be."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from proxy import wire
from proxy.errors import ConfigError, Limited, Refused
from proxy.exchange import Exchange, Response, Segment, Target
from proxy.live import Entry
from proxy.plugin import Filter, Hold, Kit, NoOptions, Plugin, Tape
from tests.streams import Forbid, Swap

HERE = "tests.plugins_for_tests"


def listed(cls: type[Plugin[Any]], name: str = "", *, options: dict[str, Any] | None = None, **envelope: Any) -> Entry:
    """The entry that names this class by its path."""
    return Entry(name or cls.__name__.lower(), f"{HERE}:{cls.__name__}", options=options or {}, **envelope)


@dataclass(frozen=True, slots=True)
class WordOptions:
    """What to look for."""

    word: str = "say"
    """The word."""
    by: str = "SHOUT"
    """What is put in its place."""
    as_answer: bool = False
    """Whether a refusal is an answer."""
    tags: tuple[str, ...] = ()
    """Nothing."""


class Edits(Plugin[WordOptions]):
    name = "edits"
    Options = WordOptions

    async def request(self, exchange: Exchange) -> None:
        said = exchange.options(self)
        for segment in exchange.request.segments:
            if not segment.sealed:
                segment.text = segment.text.replace(said.word, said.by)


class Sets(Plugin[NoOptions]):
    name = "sets"

    async def request(self, exchange: Exchange) -> None:
        exchange.request.set("temperature", 0)
        exchange.request.insert("system", "Be kind.", self.name)


class Refuses(Plugin[WordOptions]):
    """Refuses a call with the word in it."""

    name = "refuses"
    Options = WordOptions
    positions = frozenset({"request"})
    overlap = True

    async def request(self, exchange: Exchange) -> None:
        said = exchange.options(self)
        await asyncio.sleep(0)
        if any(said.word in segment.original for segment in exchange.request.segments):
            raise Refused(self.name, "Rule 7 does not let this pass.", code="rule_7", as_answer=said.as_answer)

    def scan(self, row: dict[str, Any], options: WordOptions) -> dict[str, Any]:
        return {"refused": options.word in row["text"], "role_seen": row.get("role", "user")}


class Limits(Plugin[NoOptions]):
    name = "limits"

    async def request(self, exchange: Exchange) -> None:
        raise Limited("That was too much.", retry_after_s=7)


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How to answer."""

    form: str = "text"
    """text, body or events."""
    text: str = "mine: say no more"
    """What."""


class Answers(Plugin[AnswerOptions]):
    """Answers every call itself."""

    name = "answers"
    Options = AnswerOptions

    async def request(self, exchange: Exchange) -> Response:
        said = exchange.options(self)
        if said.form == "text":
            return Response(text=said.text, headers=[("x-weir-cache", "HIT"), ("x-own", "1")])
        stream = said.form == "events"
        whole = wire.codec(exchange.request.dialect).compose(
            said.text, model="own-model", id="own_1", stream=stream, finish="stop", usage=None
        )
        return Response(events=[whole]) if stream else Response(body=whole)


class Calls(Plugin[NoOptions]):
    """Answers with a recorded call of a tool."""

    name = "calls"

    async def request(self, exchange: Exchange) -> Response:
        call = b'{"id":"c","type":"function","function":{"name":"f","arguments":"{\\"a\\": \\"b\\"}"}}'
        message = b'{"role":"assistant","content":null,"tool_calls":[%b]}' % call
        choice = b'{"index":0,"message":%b,"finish_reason":"tool_calls"}' % message
        return Response(body=b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[%b]}' % choice)


class Swaps(Plugin[WordOptions]):
    """Changes a word of the answer, however it was cut."""

    name = "swaps"
    Options = WordOptions

    def filter(self, exchange: Exchange, segment: Segment) -> Filter:
        said = exchange.options(self)
        return Swap(said.word, said.by)


class Forbids(Plugin[WordOptions]):
    """Refuses an answer with the word in it."""

    name = "forbids"
    Options = WordOptions

    def filter(self, exchange: Exchange, segment: Segment) -> Filter:
        return Forbid(exchange.options(self).word)


class _Holding:
    def __init__(self, wait: asyncio.Event | None) -> None:
        self._wait = wait

    def feed(self, piece: str) -> str | Hold:
        async def check() -> str:
            if self._wait is not None:
                await self._wait.wait()
            return piece.upper()

        return Hold(piece, check)

    def close(self) -> str:
        return ""


class Holds(Plugin[NoOptions]):
    """Has every piece judged before it goes on."""

    name = "holds"

    def filter(self, exchange: Exchange, segment: Segment) -> Filter:
        return _Holding(None)


class Hangs(Plugin[NoOptions]):
    """Has pieces judged by somebody who never answers."""

    name = "hangs"

    def filter(self, exchange: Exchange, segment: Segment) -> Filter:
        return _Holding(asyncio.Event())


class Blocks(Plugin[NoOptions]):
    """Holds the event loop for ever where a text asks for it."""

    name = "blocks"

    async def request(self, exchange: Exchange) -> None:
        if any("hold still" in segment.original for segment in exchange.request.segments):
            time.sleep(600)


class Breaks(Plugin[NoOptions]):
    """Breaks in the middle of an answer."""

    name = "breaks"

    def filter(self, exchange: Exchange, segment: Segment) -> Filter:
        class Broken:
            pieces = 0

            def feed(self, piece: str) -> str:
                self.pieces += 1
                if self.pieces > 1:
                    raise RuntimeError("broken")
                return piece

            def close(self) -> str:
                return ""

        return Broken()


class _Recorder:
    def __init__(self) -> None:
        self.data = b""
        self.closed: list[bool] = []

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self, complete: bool) -> None:
        self.closed.append(complete)


class Tapes(Plugin[NoOptions]):
    """Remembers every answer as it passes."""

    name = "tapes"

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self.tapes: list[_Recorder] = []

    def tape(self, exchange: Exchange) -> Tape:
        self.tapes.append(_Recorder())
        return self.tapes[-1]


@dataclass(frozen=True, slots=True)
class JudgeOptions:
    """What to do about an answer."""

    upstream: str = ""
    """Ask this one instead."""
    text: str = ""
    """Say this instead."""
    when: str = "failure"
    """failure, or a word that the answer holds."""


class Judges(Plugin[JudgeOptions]):
    """Replaces answers, or sends the call elsewhere."""

    name = "judges"
    Options = JudgeOptions

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self.seen: list[tuple[str, str]] = []

    async def answer(self, exchange: Exchange, error: Exception | None) -> Response | Target | None:
        said = exchange.options(self)
        response = exchange.response
        text = "".join(one.text for one in response.segments) if response is not None else ""
        self.seen.append((text, type(error).__name__ if error else ""))
        if error is None if said.when == "failure" else said.when not in text:
            return None
        if said.upstream:
            return Target(said.upstream, exchange.request.model)
        return Response(text=said.text)


class Watches(Plugin[NoOptions]):
    """Notes which hooks ran, with the outcome at the end."""

    name = "watches"

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self.seen: list[str] = []

    async def request(self, exchange: Exchange) -> None:
        self.seen.append("request")

    async def response(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        exchange.response.headers.append(("x-weir-seen", "yes"))
        self.seen.append(f"response {exchange.response.status}")

    async def finish(self, exchange: Exchange) -> None:
        self.seen.append(f"finish {exchange.outcome}")


class Asks(Plugin[NoOptions]):
    """Asks a model about the call."""

    name = "asks"

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self.heard: list[str] = []

    async def request(self, exchange: Exchange) -> None:
        assert exchange.target is not None
        call = {"messages": [{"role": "user", "content": "is this fine?"}]}
        try:
            found = await self.kit.ask(exchange, exchange.target, call, "judge")
        except Exception as error:
            self.heard.append(type(error).__name__)
            raise
        self.heard.append("".join(one.text for one in found.segments))


class Keeps(Plugin[NoOptions]):
    """Uses everything of the kit that keeps something."""

    name = "keeps"

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self.found: list[Any] = []

    async def request(self, exchange: Exchange) -> None:
        count = await self.kit.store.add("keeps:count", 1)
        taken = await self.kit.store.take([Pot("keeps:pot", 2, 0.0)], [1])
        segment = exchange.request.segments[-1]
        known = self.kit.memory.recall(self.name, "v1", exchange, segment)
        if known is None:
            self.kit.memory.remember(self.name, "v1", exchange, segment, len(segment.original))
        self.found.append((count, taken.ok, known))


@dataclass(frozen=True, slots=True)
class Pot:
    key: str
    capacity: int
    refill_per_s: float


@dataclass(frozen=True, slots=True)
class Inner:
    """One of several."""

    level: int = 1


@dataclass(frozen=True, slots=True)
class DeepOptions:
    """Options of every shape."""

    inner: Inner = field(default_factory=Inner)
    several: tuple[Inner, ...] = ()
    names: frozenset[str] = frozenset()
    maybe: Inner | None = None


class Deep(Plugin[DeepOptions]):
    name = "deep"
    Options = DeepOptions


class Sends(Plugin[WordOptions]):
    """Sends text elsewhere."""

    name = "sends"
    egress = True


class Below(Plugin[NoOptions]):
    """Has its place below `edits`."""

    name = "below"
    after = frozenset({"edits"})


class Starts(Plugin[NoOptions]):
    """Notes when it is started and stopped."""

    name = "starts"

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self.life: list[str] = []

    async def start(self) -> None:
        self.life.append("started")

    async def stop(self) -> None:
        self.life.append("stopped")


class FailsToStart(Plugin[NoOptions]):
    name = "fails"

    async def start(self) -> None:
        raise ConfigError("its model is not there")


class FailsOddly(Plugin[NoOptions]):
    name = "fails_oddly"

    async def start(self) -> None:
        raise RuntimeError("no such file")


class FailsToStop(Plugin[NoOptions]):
    name = "fails_to_stop"

    async def stop(self) -> None:
        raise RuntimeError("stuck")


LEFT: ContextVar[str] = ContextVar("left", default="")
FOUND: list[str] = []


class Leaves(Plugin[NoOptions]):
    """Leaves something in the air, and notes what was there."""

    name = "leaves"

    async def request(self, exchange: Exchange) -> None:
        FOUND.append(LEFT.get())
        LEFT.set(exchange.id)


class Remembers(Plugin[Any]):
    """Holds two things of everybody until it is told to forget them."""

    name = "remembers"

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self.forgotten: set[str] = set()

    async def forget(self, user: str) -> int:
        known = user not in self.forgotten
        self.forgotten.add(user)
        return 2 if known else 0

    async def export(self, user: str) -> list[dict[str, Any]]:
        return [] if user in self.forgotten else [{"user": user}] * 2
