"""The whole contract for plugin authors: Plugin, Filter, Hold, Tape, Kit.

A plugin is one object per process; it lives through reloads, and its options are resolved per call.
Hooks that are not overridden cost nothing. On the way out plugins run top to bottom as the configuration
lists them, on the way back bottom to top, starting from whoever answered. Nothing sorts the list.

To decide against a call, raise `errors.Refused` (or `Limited`): that is not a failure. Anything else that
a hook raises is one, and the plugin's envelope (`on_error: open | closed`) says what follows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, NamedTuple, Protocol, TypeVar

from proxy.errors import BadRequest
from proxy.exchange import Dialect, Exchange, Response, Segment, Target
from proxy.ports import Clock, Live, Metrics, Prices, Store, Tasks, Tokens

OptionsT = TypeVar("OptionsT")


@dataclass(frozen=True, slots=True)
class NoOptions:
    """For plugins without options."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Text that waits for a judgement. `check` gives the text to release, or raises `Refused`.
    Until then nothing after it is delivered."""

    text: str
    check: Callable[[], Awaitable[str]]


class Filter(Protocol):
    """Rewrites one text that arrives in pieces. What comes out must not depend on how it was cut."""

    def feed(self, piece: str) -> str | Hold:
        """The text that is now sure; may hold back; may raise `Refused`."""
        ...

    def close(self) -> str | Hold:
        """What was held back. Called once, at the text's end."""
        ...


class Tape(Protocol):
    """Takes the answer as it passes the plugin's place: SSE events as bytes, or one JSON body."""

    def write(self, data: bytes) -> None: ...

    def close(self, complete: bool) -> None:
        """`complete`: the answer ended properly and nothing was refused; only then may it be remembered."""
        ...


class AskKit(Protocol):
    """A sub-call without the chain, charged to its parent, at low priority."""

    async def __call__(self, exchange: Exchange, target: Target, call: dict[str, Any], purpose: str) -> Response: ...


class MemoryKit(Protocol):
    """What was found in texts that agents send again each turn: spans, scores, counts, masked text, no original.
    `fingerprint` stands for the options and the model that the finding depends on."""

    def recall(self, plugin: str, fingerprint: str, exchange: Exchange, segment: Segment) -> Any: ...

    def recall_all(
        self, plugin: str, fingerprint: str, exchange: Exchange, segments: Sequence[Segment]
    ) -> list[Any]: ...

    def remember(self, plugin: str, fingerprint: str, exchange: Exchange, segment: Segment, found: Any) -> None: ...


class Spent(NamedTuple):
    """What calls of one tenant and name (and model, where that was asked for) took in a day."""

    tenant: str
    name: str
    model: str
    requests: int
    tokens: int
    unpriced_tokens: int
    """Those of them that had no price."""
    nano_usd: int
    """Of the others."""


class SpentKit(Protocol):
    """What was spent before: sums of the calls of a day (`YYYY-MM-DD`, UTC) that began before a moment, by whom limits
    of a kind count (agent, user, key, tenant, model, all; `own`: what a key has for itself). The first thousands."""

    async def __call__(self, by: str, day: str, until_s: float, *, models: bool = False) -> list[Spent]:
        """`models`: each model for itself. Raises WeirError where nobody knows."""
        ...


class TargetsKit(Protocol):
    """Where this call would go if it asked for `model`, a name or an alias: the first choice and its fallbacks."""

    def __call__(self, exchange: Exchange, model: str) -> Sequence[Target]:
        """Raises UnknownModel where no upstream serves it in the dialect of the call."""
        ...


class Verdict(NamedTuple):
    """Somebody's word on the answer to a call."""

    call: str
    name: str
    """What was judged of it last, in the caller's word."""
    score: float
    """From 0 (bad) to 1 (good): the mean, where several things of one call are judged."""
    before: float | None
    """The score that it takes the place of, where this plugin has heard that one; None: it is the first."""
    tenant: str
    agent: str
    note: Any
    """What the plugin left with the call (`Exchange.lesson`), as JSON."""


class Named(NamedTuple):
    """A model that options name."""

    path: tuple[str, ...]
    """Where it stands below the options."""
    name: str
    how: Literal["upstream", "target", "model", "asked"]
    """upstream: `upstream/model`, asked there and nowhere else; target: a model as `kit.targets` finds it, where
    `upstream/model` leads to that upstream; model: the same, as a caller would ask for it; asked: what callers ask for,
    exact or ending in *."""
    dialects: tuple[Dialect, ...] = ("chat", "messages", "responses", "completions")
    """One of these must be spoken where it leads."""
    asked: tuple[str, ...] = ()
    """What callers ask for who are sent there instead, exact or ending in *; empty: nobody knows."""


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around options that are judged before anything starts."""

    timeout_ms: float
    """For one hook of the plugin; 0: no limit."""
    dialects: Callable[[str], frozenset[Dialect]]
    """In which a model is served, as a target of options."""


@dataclass(frozen=True, slots=True)
class Kit:
    """All that a plugin may reach of the world."""

    clock: Clock
    store: Store
    tokens: Tokens
    prices: Prices
    metrics: Metrics
    tasks: Tasks
    live: Live
    ask: AskKit
    memory: MemoryKit
    secret: Callable[[str], bytes]
    """32 bytes for a purpose, derived from the secret of the fleet: the same in every worker and after a restart."""
    spent: SpentKit | None = None
    """None: nothing is known of what was before."""
    targets: TargetsKit | None = None
    """None: there is nowhere that calls go."""


class Plugin(Generic[OptionsT]):
    """Override what you need; the rest costs nothing."""

    name: ClassVar[str] = ""
    Options: ClassVar[type[Any]] = NoOptions
    """A frozen dataclass; the docstring under a field is its line in the reference."""
    after: ClassVar[frozenset[str]] = frozenset()
    """Plugins that must stand above this one where both are on: checked at start."""
    egress: ClassVar[bool] = False
    """Sends text elsewhere: gets only `segment.text` as at its place; above `pii` it is refused at start."""
    overlap: ClassVar[bool] = False
    """A yes/no guard that may judge while the upstream call is under way (option `overlap` of the envelope)."""
    paths: ClassVar[frozenset[str]] = frozenset()
    """The only calls it has to do with; empty: all."""
    patience_s: ClassVar[float] = 0.0
    """Its hooks wait for others, by design: where they have a time limit it is no shorter than this."""
    seldom: ClassVar[frozenset[str]] = frozenset()
    """Hooks with an `await` in them that hardly ever wait, and before they do use nothing of asyncio but a future:
    like hooks without one they keep no call from the short way."""
    again: ClassVar[frozenset[str] | None] = None
    """The hooks that run for a call that is the same, byte for byte, as one that was answered without a finding, from
    the same caller under the same settings (`proxy.repeats`); they edit nothing. All others find and decide the same
    once more. None: that is not so, and such calls take the whole way."""
    rows: ClassVar[tuple[str, ...]] = ("text",)
    """The texts that `scan` wants in a row."""
    whole: ClassVar[frozenset[str]] = frozenset()
    """Options that count for the whole process: what is written for an agent or a variant says nothing."""
    positions: ClassVar[frozenset[str]] = frozenset()
    """What the plugin inspects (`request`, `answer`): the rows of the coverage matrix."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit

    def configured(self) -> list[OptionsT]:
        """All options that a call may have under the present settings. None where a reload is about to bring the
        plugin: what it is to do, the first call says then."""
        current = self.kit.live.current
        try:
            found = [current.options(self.name, agent, "") for agent in ("", *current.agents)]
            for label in current.labels:
                varied = [current.options(self.name, agent, label) for agent in ("", *current.agents)]
                found += [options for options in varied if not any(options is known for known in found)]
        except KeyError:
            return []
        return [options for options in found if isinstance(options, self.Options)]

    @classmethod
    def varied(cls, options: OptionsT) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """Options that differ in the calls of a variant, of plugins that stand below: by the label that the plugin puts
        into `exchange.variant` (several joined by commas), by plugin, by option."""
        return {}

    @classmethod
    def named(cls, options: OptionsT) -> Iterable[Named]:
        """The models that options name: `weir check` and every start say which of them nobody serves."""
        return ()

    @classmethod
    def remarks(cls, options: OptionsT, around: Around) -> Iterable[tuple[tuple[str, ...], str]]:
        """What will not do what is written, by path below the options: a sentence with what to write instead. What
        cannot work at all is for the options to refuse."""
        return ()

    async def start(self) -> None:
        """Load models, open files. Raise `ConfigError` where the configuration cannot work."""

    async def stop(self) -> None:
        """Close what `start` opened."""

    async def request(self, exchange: Exchange) -> Response | None:
        """Out: edit segments, set parameters or target, refuse (raise), or answer at once (return)."""
        return None

    def filter(self, exchange: Exchange, segment: Segment) -> Filter | None:
        """Back: once for each text of the answer, JSON and streams alike."""
        return None

    def filters(self, exchange: Exchange) -> bool:
        """Whether `filter` may have anything to do in the answer to this call: asked once, before its first text. An
        answer that no filter wants passes unread."""
        return True

    def tape(self, exchange: Exchange) -> Tape | None:
        """Back: a recorder of the answer as it passes this place. Not called for an answer of the plugin itself."""
        return None

    async def response(self, exchange: Exchange) -> None:
        """Back: status and headers are known, no byte is sent yet."""

    async def answer(self, exchange: Exchange, error: Exception | None) -> Response | Target | None:
        """A complete answer (`exchange.response`) or a final failure (`error`), nothing sent yet: replace it, or name
        another target. Overriding it makes Weir hold JSON answers; streams reach it only with `stream_buffer`."""
        return None

    async def finish(self, exchange: Exchange) -> None:
        """Always, for every plugin whose `request` was entered; the caller waits no more."""

    def finish_waits(self, exchange: Exchange) -> bool:
        """Whether `finish`, where there is an `await` in it, may have to wait for this call. A call for which no hook
        waits costs less."""
        return True

    def needed(self, hook: str, snapshot: Any, agent: Any) -> bool:
        """Whether this hook has anything to do under these settings (`live.Snapshot`), in calls of an agent that has
        these of its own (`live.Agent`; None: of any other agent). Asked once for each kind of call; a hook that is not
        needed costs such calls nothing."""
        return True

    def given(self, snapshot: Any, agent: Any) -> dict[str, Any]:
        """For `needed`: the options as they were written, an agent's own over the chain's."""
        options: dict[str, Any] = {}
        for entry in snapshot.chain:
            if entry.name == self.name:
                options.update(entry.options)
        if agent is not None:
            options.update(agent.plugins.get(self.name, {}).get("options", {}))
        return options

    async def forget(self, user: str) -> int:
        """Erase whatever is held of this user, here and in `kit.store`; gives how many things that were. Every worker's
        plugin is asked; again, as often as somebody asks. Records and the audit trail are others' business."""
        return 0

    async def export(self, user: str) -> list[dict[str, Any]]:
        """Whatever is held of this user here and in `kit.store`, as JSON objects, for who may ask what Weir knows."""
        return []

    async def feedback(self, verdict: Verdict) -> None:
        """Somebody has judged a call of which this plugin wanted to be told. Every worker's plugin hears the same
        verdicts in the same order, the newest thousands of them once more after a start: what is learnt of nothing else
        is the same in all workers, and need not be kept."""

    async def ordered(self, order: dict[str, Any]) -> dict[str, Any]:
        """What the admin port wants of this plugin, in every worker; gives what is told there. Raises WeirError."""
        raise BadRequest(f"the plugin {self.name} takes no orders")

    def scan(self, row: dict[str, Any], options: OptionsT) -> dict[str, Any]:
        """The pure judgement behind `weir scan`, tune and explain: what to add to a row with the texts of `rows`, such
        as `text` (and `role`)."""
        raise NotImplementedError(f"{self.name} has no scan")


HOOKS = ("request", "filter", "tape", "response", "answer", "finish")


def overrides(plugin: Plugin[Any], hook: str) -> bool:
    """Whether the plugin has this hook of its own."""
    return getattr(type(plugin), hook) is not getattr(Plugin, hook)
