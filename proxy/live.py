"""Live settings: an immutable, versioned snapshot, swapped whole; a running exchange keeps the one it began with.

The control process validates the configuration (`settings`) and writes the snapshot as plain JSON; workers build these
values from it and import neither pydantic nor yaml. Secrets are references (`env:NAME`, `file:PATH`) and are resolved
here, in the worker, so that no snapshot on disk holds one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Json = Any


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; 0 means none."""

    connect_s: float = 10.0
    first_byte_s: float = 300.0
    idle_s: float = 300.0
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """One provider: where it is, how it wants to be spoken to, what it serves."""

    name: str
    url: str
    dialects: tuple[str, ...] = ()
    models: tuple[str, ...] = ("*",)
    auth: Literal["bearer", "x-api-key", "api-key", "none"] = "bearer"
    key: str | None = field(default=None, repr=False)
    """The secret itself (resolved), or None: the caller's own credential is passed on."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    timeouts: Timeouts = field(default_factory=Timeouts)
    ca_file: str | None = None
    client_cert: str | None = None
    verify: bool = True
    proxy: str | None = field(default=None, repr=False)
    pool_size: int = 512
    ask_usage: Literal["auto", "always", "never"] = "auto"


@dataclass(frozen=True, slots=True)
class Alias:
    """A name that callers may use for a model: what it stands for, and what to try when that fails."""

    model: str
    upstream: str | None = None
    fallbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class When:
    """Which calls a plugin is for. Empty means all; patterns end in `*` or are exact; share is 0 to 1."""

    agents: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the chain: a plugin and its envelope."""

    name: str
    uses: str
    """Entry-point name or dotted path of the class."""
    enabled: bool = True
    when: When = field(default_factory=When)
    mode: Literal["enforce", "shadow"] = "enforce"
    on_error: Literal["open", "closed"] = "open"
    timeout_ms: float = 1000.0
    overlap: bool = False
    options: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CallerKey:
    """A key of Weir's own. `sha256` is the hex digest of the key."""

    name: str
    sha256: str = ""
    certificate: str = ""
    """Instead of a key, or beside it: the subject or a name of the client certificate that stands for this caller."""
    agent: str = ""
    tenant: str = "default"
    user: str = ""
    """The one user it speaks for; empty: whoever the call names."""
    agents: tuple[str, ...] = ()
    """Further agents this key may name; `*` for any."""
    models: tuple[str, ...] = ()
    debug: bool = False
    priority: int = 0
    expires: str = ""
    """ISO 8601, UTC where it names no zone; empty: never. Read by `server.auth`."""
    revoked: bool = False
    previous_sha256: str = ""
    """The key before a rotation, good until `previous_until`."""
    previous_until: str = ""
    usd_per_day: float | None = None
    usd_per_month: float | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    """Limits of this key alone, for the plugin `ratelimit`; None: none of its own."""
    choices: int = 0
    output_tokens: int = 0
    messages: int = 0
    tools: int = 0
    """What one call of this key may ask for (`bounds`); 0: what `Limits` says."""


@dataclass(frozen=True, slots=True)
class Identity:
    trust_headers: Literal["loopback", "always", "never"] = "loopback"
    trusted_peers: tuple[str, ...] = ()
    allow_anonymous: bool = False
    pass_through: bool = True
    keys: tuple[CallerKey, ...] = ()
    debug: bool = True
    """Whether callers without a key may use `x-weir-debug` (loopback only)."""
    peer_header: str = ""
    """The header in which trusted peers name the caller they have verified; lower case, empty: none."""
    _by_name: Mapping[str, CallerKey] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {key.name: key for key in self.keys})

    def key(self, name: str | None) -> CallerKey | None:
        """The key of this name, among however many, at once."""
        return None if name is None else self._by_name.get(name)


@dataclass(frozen=True, slots=True)
class Limits:
    body_bytes: int = 32 * 1024 * 1024
    relay_bytes: int = 512 * 1024 * 1024
    answer_bytes: int = 64 * 1024 * 1024
    header_bytes: int = 32 * 1024
    depth: int = 128
    body_timeout_s: float = 60.0
    choices: int = 0
    output_tokens: int = 0
    messages: int = 0
    tools: int = 0
    """What one call may ask for (`bounds`); 0: whatever it likes."""


@dataclass(frozen=True, slots=True)
class Streams:
    heartbeat_s: float = 15.0
    early_answer_s: float = 10.0
    """After this long without the provider's headers a stream gets its 200 and heartbeats; 0 turns it off."""
    hold_bytes: int = 16 * 1024
    hold_s: float = 1.0
    streaming: Literal["asked", "auto"] = "asked"


@dataclass(frozen=True, slots=True)
class Agent:
    """What differs for one agent: envelope and options by plugin name, and what is kept of its texts."""

    plugins: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    content: Literal["none", "masked", "full"] = "none"
    streaming: bool | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that may change while running."""

    version: int
    upstreams: Mapping[str, Upstream]
    aliases: Mapping[str, Alias]
    chain: tuple[Entry, ...]
    agents: Mapping[str, Agent]
    identity: Identity
    limits: Limits
    streams: Streams
    uninspected: Literal["record", "refuse"] = "record"
    content: Literal["none", "masked", "full"] = "none"
    stream_buffer: bool = False
    bypass: bool = False
    """Break-glass: only audit and metering run."""
    audit_strict: bool = False
    """An audit entry must be durable before the upstream is called."""
    labels: tuple[str, ...] = ()
    """Variants for which options of plugins differ; set with `resolve`."""
    resolve: Callable[[str, str, str], Any] | None = None
    """(plugin, agent, variant) -> options; set by whoever knows the plugin classes."""

    def content_of(self, agent: str) -> Literal["none", "masked", "full"]:
        """What is kept of this agent's texts."""
        own = self.agents.get(agent)
        return own.content if own else self.content

    def streams_for(self, agent: str) -> bool:
        """Whether this agent's answers are streamed from their provider though it did not ask."""
        own = self.agents.get(agent)
        return self.streams.streaming == "auto" if own is None or own.streaming is None else own.streaming

    def options(self, plugin: str, agent: str, variant: str) -> Any:
        """`variant`: as `exchange.variant` has it, labels joined by commas; empty: of calls in no test."""
        if self.resolve is None:
            raise RuntimeError("the snapshot has no option resolver")
        return self.resolve(plugin, agent, variant)


class Live:
    """Holds the newest snapshot; listeners are told after each swap."""

    def __init__(self, first: Snapshot) -> None:
        self._current = first
        self._listeners: list[Callable[[Snapshot], None]] = []

    @property
    def current(self) -> Snapshot:
        return self._current

    def swap(self, snapshot: Snapshot) -> None:
        self._current = snapshot
        for listener in self._listeners:
            listener(snapshot)

    def listen(self, listener: Callable[[Snapshot], None]) -> None:
        self._listeners.append(listener)
