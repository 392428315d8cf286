"""A call as plugins see it: Exchange, Request, Response, Segment, Usage, Caller, Target, Key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field
from operator import add
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import orjson

from proxy.findings import WOULD as WOULD
from proxy.findings import AuditEntry as AuditEntry
from proxy.findings import Finding as Finding
from proxy.findings import Saving as Saving
from proxy.findings import Step as Step
from proxy.findings import dumped as dumped
from proxy.notes import LESSONS as LESSONS
from proxy.notes import Key as Key
from proxy.notes import Mask as Mask
from proxy.notes import Notes as Notes
from proxy.ports import Headers as Headers
from proxy.ports import Json as Json
from proxy.ports import Pairs as Pairs
from proxy.segment import Insert as Insert
from proxy.segment import Kind as Kind
from proxy.segment import Role as Role
from proxy.segment import Segment as Segment
from proxy.timeline import Timeline

if TYPE_CHECKING:
    from proxy.plugin import Plugin

T = TypeVar("T")

Dialect = Literal["chat", "responses", "completions", "embeddings", "messages", "relay"]
Outcome = Literal["ok", "refused", "limited", "caller_error", "provider_error", "weir_error", "cancelled"]
UsageSource = Literal["provider", "estimated", "cached", "none"]
"""`cached`: what the provider counted when it made the answer that is now given again; nobody is charged for it."""
CacheState = Literal["", "HIT", "SEMANTIC", "COALESCED", "MISS", "BYPASS"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `credential` is a keyed fingerprint (hex) of what was presented, never the thing itself."""

    agent: str = "default"
    tenant: str = "default"
    user: str | None = None
    session: str | None = None
    key: str | None = None
    credential: str = ""
    priority: int = 0
    deadline_s: float | None = None
    """Seconds from the start of the call."""
    debug: bool = False
    vouched: bool = True
    """May spend the upstream keys that Weir holds: known to Weir, not just bringing a credential of its own."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a call goes: the upstream's name and the model as that upstream calls it."""

    upstream: str
    model: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, normalised: `input` is what was neither read from nor written to the provider's cache."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    """Part of `output`, not beside it."""
    audio_input: int = 0
    """Part of `input`."""
    audio_output: int = 0
    """Part of `output`."""
    cache_write_1h: int = 0
    """Part of `cache_write`: kept for an hour, which has a price of its own."""

    @property
    def plain(self) -> bool:
        """Nothing of it has a price of its own but what was read from the cache."""
        return not (self.cache_write or self.reasoning or self.audio_input or self.audio_output)

    @property
    def total(self) -> int:
        return self.input + self.cache_read + self.cache_write + self.output

    def plus(self, more: Usage) -> Usage:
        return Usage(*map(add, astuple(self), astuple(more)))


class Request:
    """What goes out. The body as sent stays the truth: `doc` points into it, edits are written into it on encoding."""

    __slots__ = ("_read", "_segments", "_walk", "_write", "body", "dialect", "doc", "edits", "headers", "inserts",
                 "known", "method", "model", "path", "query", "stream", "uninspected")  # fmt: skip

    def __init__(
        self,
        dialect: Dialect,
        method: str,
        path: str,
        query: str,
        headers: Pairs,
        body: bytes,
        *,
        doc: Any = None,
        model: str = "",
        stream: bool = False,
        walk: Callable[[Any], tuple[list[Segment], list[str]]] | None = None,
        write: Callable[[Request], bytes] | None = None,
    ) -> None:
        self.dialect: Dialect = dialect
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        """As the caller sent them, to be read: what goes out is the upstream's settings' to say."""
        self.body = body
        """As the caller sent it, content coding taken off."""
        self.doc = doc
        """The parsed body: read it, never write it."""
        self.model = model
        """As the caller asked for it."""
        self.stream = stream
        self.edits: dict[str, Json] = {}
        """Top-level parameters to set (None: remove); the codec writes them by splice."""
        self.inserts: list[Insert] = []
        self.uninspected: list[str] = []
        """Parts that no codec reads (`image`, `audio`, `file`, ...): filled by the walk."""
        self._walk, self._write = walk, write
        self._segments: list[Segment] | None = None
        self.known: dict[str, Any] | None = None
        """What plugins have found in the headers, each under its name, where calls that have the same share it (all but
        the length of the body); None: these have not come before."""

    @property
    def segments(self) -> list[Segment]:
        """Every text of the call with its place, in the order of the body. Walked on first use."""
        if self._segments is None:
            self._segments, uninspected = self._walk(self.doc) if self._walk else ([], [])
            self.uninspected.extend(uninspected)
        return self._segments

    def walked_by(
        self, walk: Callable[[Any], tuple[list[Segment], list[str]]], write: Callable[[Request], bytes] | None = None
    ) -> None:
        """Says how the texts are found in `doc`, and how the body is written with what was changed."""
        self._walk, self._write = walk, write

    @property
    def walked(self) -> bool:
        return self._segments is not None

    def fold(self, read: Callable[[bytes], Json]) -> None:
        """Lets `doc` go where nothing points into it: whoever asks for it once more has the body `read` anew."""
        if self._segments is None and self.doc is not None:
            self._read = read
            del self.doc

    if not TYPE_CHECKING:  # (asked for what is not there only; a checker would take every name for an attribute)

        def __getattr__(self, name: str) -> Any:
            if name != "doc":
                raise AttributeError(name, name=name, obj=self)
            self.doc = found = self._read(self.body)
            return found

    def unread(self) -> list[str]:
        """The parts that no codec reads; walks the body for them."""
        return self.uninspected if self.segments is not None else []

    @property
    def changed(self) -> bool:
        if self.edits or self.inserts:
            return True
        for segment in self._segments or ():  # (asked several times of every call, with hundreds of texts in some)
            if segment.text is not segment.original and segment.text != segment.original:
                return True
        return False

    def present(self) -> Json:
        """The body as it would be sent now, parsed: to be read, never written. Where nothing is changed it is `doc`."""
        return orjson.loads(self._write(self)) if self._write is not None and self.changed else self.doc

    def get(self, name: str, default: Json = None) -> Json:
        """A top-level parameter as it will be sent."""
        if name in self.edits:
            return self.edits[name]
        return self.doc.get(name, default) if isinstance(self.doc, dict) else default

    def set(self, name: str, value: Json) -> None:
        self.edits[name] = value

    def insert(self, role: Role, text: str, source: str, index: int = 0) -> None:
        self.inserts.append(Insert(role, text, source, index))

    def view(self) -> Request:
        """A copy for shadow hooks: what they change is theirs."""
        twin = Request(
            self.dialect, self.method, self.path, self.query, self.headers, self.body,
            doc=self.doc, model=self.model, stream=self.stream, walk=self._walk, write=self._write,
        )  # fmt: skip
        twin.edits = dict(self.edits)
        twin.inserts = list(self.inserts)
        twin._segments = [segment.copy() for segment in self.segments]
        twin.uninspected = list(self.uninspected)
        return twin


@dataclass(slots=True)
class Response:
    """What comes back. From the provider, or from the plugin named in `source`.

    A plugin that answers gives one of: `text` (the codec builds the answer in the caller's dialect, stream or not),
    `body` (a complete JSON answer) or `events` (a complete recorded stream, as bytes)."""

    status: int = 200
    headers: Headers = field(default_factory=list)
    source: str = "upstream"
    text: str | None = None
    body: bytes | None = None
    events: Sequence[bytes] | None = None
    said: list[Segment] | Callable[[], list[Segment]] = field(default_factory=list)
    """`segments`, or what finds them."""
    usage: Usage | None = None
    usage_source: UsageSource = "none"
    id: str = ""
    """The provider's own id of the answer."""
    model: str = ""
    """The model that served, as the answer names it."""
    finish: str = ""
    """Why it ended: stop, length, tool_calls, content_filter, ... in the dialect's word; empty while it runs."""
    complete: bool = False
    """It ended properly: only then may it be remembered."""
    delivered_bytes: int = 0
    text_sample: Callable[[], tuple[str, float]] | None = None
    """Streams without a filter: the text of what was delivered first, and by how much to scale its count."""
    again: Callable[[Exchange], Callable[[], Response] | None] | None = None
    """Of a plugin that answers at once: what gives its answer, but for the body, to a call that is the same byte for
    byte; None where it does not stand any more."""

    @property
    def segments(self) -> list[Segment]:
        """The texts of the answer as delivered (streams: filled as they come). Found on first use."""
        if not isinstance(self.said, list):
            self.said = self.said()
        return self.said

    @segments.setter
    def segments(self, texts: list[Segment]) -> None:
        self.said = texts


@dataclass(slots=True)
class Discarded:
    """A provider's answer that nobody got, for another target was asked instead (a cascade, a fallback): what it used
    is paid for all the same."""

    target: Target
    response: Response
    cost_nano_usd: int | None = None
    """Told by metering."""

    @property
    def model(self) -> str:
        """That served, as the answer names it."""
        return self.response.model or self.target.model


DURABLE: Key[dict[str, Any]] = Key("durable")
"""A line that must be on disk before the upstream is called (`audit.strict`)."""
MASK: Key[Mask] = Key("mask")
"""Left by `pii`, in shadow too. Where nobody has left it, nothing was masked and no text is kept."""

PINNED: Key[str] = Key("pinned")
"""Left by the plugin of this name, which has chosen the model of the call: who stands below leaves it."""
RETRIEVED: Key[str] = Key("retrieved")
"""Of a call that reads what a provider keeps, or adds to it: the id of that answer or conversation (empty: a list)."""
BUDGET_LEFT: Key[float] = Key("budget_left")
"""Left by `ratelimit` where a budget in USD counts the call: the share that is left of the tightest one, 0 to 1."""
KEEP: Key[dict[str, bytes]] = Key("keep")
"""What plugins want kept beside an answer that the provider stores, by plugin: under `kept_key`, before the caller
learns its id, and as long as the provider keeps it by default."""


def kept_key(tenant: str, id: str, plugin: str) -> str:
    """Where the store has what a plugin left under `KEEP`."""
    return f"held:{tenant}:{id[:256]}:{plugin}"


DEBUG = "x-weir-debug"
DEBUG_SIZE = len(DEBUG)
NOTHING = Response(status=0, source="")
"""Of a call that has no answer."""


def asks_debug(headers: Pairs) -> bool:
    """Whether the caller wants to be told (`x-weir-debug: 1`)."""
    return any(len(name) == DEBUG_SIZE and value == "1" and name.lower() == DEBUG for name, value in headers)


class Exchange:
    """One call and its answer, from the first byte to the record."""

    __slots__ = (
        "at_s", "attempts", "audit", "cache", "caller", "conversation", "cost_nano_usd", "discarded", "error",
        "explained", "fallbacks", "findings", "flight", "id", "notes", "outcome", "parent", "patience", "place",
        "price_source", "purpose", "request", "resolved", "response", "savings", "snapshot", "state", "steps", "target",
        "timeline", "variant", "verdicts", "wants_text",
    )  # fmt: skip

    def __init__(self, id: str, caller: Caller, request: Request, *, at_s: float, start: float, snapshot: Any) -> None:
        self.id = id
        self.at_s = at_s
        """Wall time of the start, seconds since the epoch."""
        self.caller = caller
        self.request = request
        self.response: Response | None = None
        self.target: Target | None = None
        self.fallbacks: list[Target] = []
        self.attempts = 0
        self.error: Exception | None = None
        self.outcome: Outcome = "ok"
        self.timeline = Timeline(start)
        self.notes = Notes()
        self.findings: list[Finding] = []
        self.steps: list[Step] = []
        self.snapshot = snapshot
        """The settings this exchange began with; it keeps them."""
        self.state: dict[str, Any] = {}
        """A plugin's own state of this exchange, by plugin name."""
        self.conversation = ""
        self.variant = ""
        self.cache: CacheState = ""
        """What the cache had for this call; empty where no cache was asked."""
        self.patience: Callable[[], float | None] | None = None
        """Until when (monotonic) somebody waits for the answer, where others may wait for it as well."""
        self.flight = ""
        """Calls with the same may share one upstream call while it is under way: set by the cache."""
        self.savings: list[Saving] = []
        self.discarded: list[Discarded] = []
        """Answers that were thrown away. Their usage and cost are part of the call's."""
        self.parent: str | None = None
        self.purpose = ""
        self.audit: AuditEntry | None = None
        """What the audit plugin wants chained, becomes part of the record."""
        self.cost_nano_usd: int | None = None
        self.price_source = "none"
        self.place = -1
        """How far down the chain the call has come: kept by the chain."""
        self.explained = False
        """It goes nowhere: `weir explain` wants to know what would become of it."""
        self.wants_text = False
        """A plugin wants the delivered text in `response.segments`, also of streams (audit with content)."""
        self.verdicts: list[Any] = []
        """Guards that judge beside the upstream call: kept by the chain."""
        self.resolved: dict[str, Any] = {}
        """Options of plugins, of calls that are in no test: shared by those of one caller under the same settings."""

    def options(self, plugin: Plugin[T]) -> T:
        """The plugin's options, resolved for this agent and variant."""
        name, variant = plugin.name, self.variant
        found: T | None = None if variant else self.resolved.get(name)
        if found is None:
            found = self.snapshot.options(name, self.caller.agent, variant)
            if not variant:
                self.resolved[name] = found
        return found

    @property
    def until_s(self) -> float | None:
        """When (monotonic) nobody waits for the answer any more; None: somebody will."""
        if self.patience is not None:
            return self.patience()
        deadline_s = self.caller.deadline_s
        return None if deadline_s is None else self.timeline.start + deadline_s

    @property
    def tells(self) -> bool:
        """Somebody asks what is done with this call, and why what is not done is not: worth steps that others lack."""
        return self.explained or (self.caller.debug and asks_debug(self.request.headers))

    def find(self, finding: Finding) -> None:
        self.findings.append(finding)

    def lesson(self, plugin: str, note: Any) -> None:
        """Leaves, for the record, what the plugin is to be told with a verdict on this call: a little JSON, no text."""
        self.notes.setdefault(LESSONS, {})[plugin] = note

    def step(self, plugin: str, hook: str, what: str) -> None:
        self.steps.append(Step(plugin, hook, what))
