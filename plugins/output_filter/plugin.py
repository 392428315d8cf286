"""OutputFilter: what an answer must not carry out is taken out of it, while it streams.

It stands below `pii`: the answer is not restored yet, so what is raw personal data in it did not come from the caller.
Text passes at once but for regions in which something could stand (`regions`); these are held until they are whole and
judged (`judge`). Arguments of tool calls are held to their end, and judged by the rules for calls as well.
"""

from __future__ import annotations

from typing import Any

from plugins.output_filter.calls import Calls, serves
from plugins.output_filter.judge import Eyes, Judging
from plugins.output_filter.known import Known
from plugins.output_filter.links import Hosts
from plugins.output_filter.options import OutputFilterOptions
from plugins.output_filter.prompt import Listener, Prompt, Prompts, Telling
from plugins.output_filter.regions import Anchors
from plugins.output_filter.report import Report
from plugins.output_filter.rules import Sheet, read
from plugins.output_filter.windows import Judge, Whole, Window
from proxy.detection.finder import Finder
from proxy.detection.secrets import Secrets
from proxy.exchange import Exchange, Segment
from proxy.plugin import Filter, Kit, Plugin

POLICIES = 512


class OutputFilter(Plugin[OutputFilterOptions]):
    name = "output_filter"
    Options = OutputFilterOptions
    positions = frozenset({"answer"})
    after = frozenset({"pii"})
    again = frozenset()

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._prompts = Prompts()
        self._ready: dict[int, Policy] = {}
        """By the identity of their options, which they keep."""
        self._secrets: Secrets | None = None
        self._anchors: Anchors | None = None

    async def start(self) -> None:
        """Raises ConfigError where a file of rules cannot be used."""
        await self.kit.tasks.in_thread(self._load)
        for options in self.configured():
            self._policy(options)

    def _load(self) -> None:
        self._secrets = Secrets.packaged()
        self._anchors = Anchors(self._secrets.rules)

    def _policy(self, options: OutputFilterOptions) -> Policy:
        found = self._ready.get(id(options))
        if found is None:
            if self._secrets is None or self._anchors is None:
                self._load()
            assert self._secrets is not None and self._anchors is not None
            if len(self._ready) >= POLICIES:
                self._ready.clear()
            found = self._ready[id(options)] = Policy(options, self._secrets, self._anchors)
        return found

    def filter(self, exchange: Exchange, segment: Segment) -> Filter | None:
        options = exchange.options(self)
        policy = self._ready.get(id(options)) or self._policy(options)
        known = exchange.state.get(self.name)
        if known is None:
            known = exchange.state[self.name] = Known(exchange)
        report = Report(exchange, self.name, as_answer=options.refuse_as == "answer")
        judging = Judging(policy.eyes, known, report)
        if segment.kind == "tool_arguments":
            if policy.calls is None:
                return _Closing(Whole(judging), report)
            return _Closing(Whole(_CallJudge(exchange, policy, known, report, judging)), report)
        window = Window(policy.anchors, judging)
        if options.prompt == "off" or segment.kind != "text":
            return _Closing(window, report)
        if options.prompt == "tag":
            return _Listening(window, report, exchange, self._prompts, options.prompt_words)
        prompt = self._prompts.of(exchange)
        if prompt is None or len(prompt) < options.prompt_words:
            return _Closing(window, report)
        return _Guarded(window, report, prompt, options)

    def scan(self, row: dict[str, Any], options: OutputFilterOptions) -> dict[str, Any]:
        """What would be found in a text of an answer, by an empty call."""
        places = self._policy(options).eyes.places(row["text"], 0, _Nothing())
        return {
            "flagged": bool(places),
            "spans": [{"start": one.start, "end": one.end, "type": one.kind, "what": one.what} for one in places],
        }


class Policy:
    """One set of options, made ready. Raises ConfigError."""

    def __init__(self, options: OutputFilterOptions, secrets: Secrets, anchors: Anchors) -> None:
        sheet: Sheet = read(options.rules)
        self.options = options
        self.anchors = anchors
        hosts = Hosts((*sheet.hosts, *(host.lower() for host in options.hosts)))
        self.eyes = Eyes(options, sheet, hosts, secrets, Finder(frozenset(options.types)))
        self.calls = Calls(sheet.calls) if options.calls != "off" else None


class _Closing:
    """A filter that tells its findings when it ends."""

    __slots__ = ("_filter", "_report", "feed")

    def __init__(self, filter_: Filter, report: Report) -> None:
        self._filter = filter_
        self._report = report
        self.feed = filter_.feed

    def close(self) -> str:
        out = self._filter.close()
        self._report.close()
        assert isinstance(out, str)
        return out


class _Listening:
    """Lets pass what its filter does, and tells in the end whether it was the system prompt."""

    __slots__ = ("_exchange", "_listener", "_prompts", "_report", "_window", "_words")

    def __init__(self, window: Window, report: Report, exchange: Exchange, prompts: Prompts, words: int) -> None:
        self._window = window
        self._report = report
        self._exchange = exchange
        self._prompts = prompts
        self._words = words
        self._listener = Listener()

    def feed(self, piece: str) -> str:
        self._listener.hear(piece)
        return self._window.feed(piece)

    def close(self) -> str:
        out = self._window.close()
        prompt = self._prompts.of(self._exchange)
        if prompt is not None and (run := self._listener.told(prompt, self._words)):
            share = min(1.0, run / max(1, len(prompt)))
            self._report.note("prompt", "tag", f"{run} words in a row", severity="medium", score=round(share, 3))
        self._report.close()
        return out


class _Guarded:
    """Word by word: the system prompt does not pass."""

    __slots__ = ("_action", "_report", "_seen", "_telling", "_window")

    def __init__(self, window: Window, report: Report, prompt: Prompt, options: OutputFilterOptions) -> None:
        self._window = window
        self._report = report
        self._action = options.prompt
        self._telling = Telling(prompt, options.prompt_words)
        self._seen = 0

    def feed(self, piece: str) -> str:
        out = self._telling.feed(piece)
        self._look()
        return self._window.feed(out) if out else ""

    def close(self) -> str:
        out = self._telling.close()
        self._look()
        out = (self._window.feed(out) if out else "") + self._window.close()
        self._report.close()
        return out

    def _look(self) -> None:
        while self._seen < self._telling.found:
            self._seen += 1
            self._report.note("prompt", self._action, "words in a row", severity="medium")


class _CallJudge:
    """The judgement on an argument of a tool call."""

    __slots__ = ("_calls", "_exchange", "_inner", "_known", "_options", "_report")

    def __init__(self, exchange: Exchange, policy: Policy, known: Known, report: Report, inner: Judge) -> None:
        self._exchange = exchange
        self._calls = policy.calls
        self._options = policy.options
        self._known = known
        self._report = report
        self._inner = inner

    def __call__(self, text: str, start: int) -> str:
        assert self._calls is not None
        action = self._options.calls
        unsafe = False
        for one in self._calls.unsafe("", text):
            unsafe = True
            self._report.note("call", action, one.rule, severity=one.severity)
        if serves(self._exchange, text, self._known):
            self._report.note("call", "tag" if action == "redact" else action, "serves an injection", severity="high")
        if unsafe and action == "redact":
            return "[UNSAFE_ARGUMENT_REDACTED]"
        return self._inner(text, start)


class _Nothing(Known):
    """Nobody has said anything."""

    def __init__(self) -> None:
        """There is no call."""

    def personal(self, value: str) -> bool:
        return False

    def secret(self, value: str) -> bool:
        return False

    def told(self, value: str) -> bool:
        return False
