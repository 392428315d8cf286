"""The sections of the configuration: every option with its default, its unit in the name and one line of help.

A section has the fields and defaults of its twin in `live`. Where the engine behind an option comes with a later
release, its help says so.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from proxy.configuration import fields
from proxy.configuration.fields import (
    AgentOrNone,
    Bytes,
    Content,
    Count,
    Dialect,
    Json,
    Moment,
    Most,
    Names,
    Seconds,
    Secret,
    Share,
    Texts,
    Usd,
)


class Section(BaseModel):
    """Strict: unknown names and wrong types are refused, and no error repeats a value."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )


class Log(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    """From which severity on lines are written."""
    format: Literal["json", "text"] = "json"
    """One JSON object a line, or text for people."""


class Timeouts(Section):
    example: ClassVar[str] = "{first_byte_s: 60}"
    connect_s: Seconds = 10.0
    """Until the connection stands, TLS included; 0: no limit."""
    first_byte_s: Seconds = 300.0
    """From the call sent to the first byte of the answer; 0: no limit."""
    idle_s: Seconds = 300.0
    """Longest silence within an answer; 0: no limit."""
    total_s: Seconds = 0.0
    """The whole call; 0: no limit, so that long streams are not cut."""


class Upstream(Section):
    url: Annotated[str, AfterValidator(fields.address)]
    """Where the provider is; without a path it gets /v1; {model} in it becomes the model (Azure deployments)."""
    dialects: tuple[Dialect, ...] = ()
    """What it speaks: chat, responses, completions, embeddings, messages; empty: all of them."""
    models: Texts = ("*",)
    """What it serves: exact names, or beginnings that end in *; the longest that fits wins."""
    auth: Literal["auto", "bearer", "x-api-key", "api-key", "none"] = "auto"
    """How the key is sent; auto: x-api-key for messages alone, api-key for *.openai.azure.com, else bearer."""
    key: Secret | None = None
    """The provider's key as env:NAME or file:PATH; without one the caller's own credential is passed on."""
    headers: Annotated[dict[str, str], AfterValidator(fields.headers)] = {}
    """Headers added to every call; a value may be env:NAME or file:PATH."""
    query: Annotated[dict[str, str], AfterValidator(fields.no_secret)] = {}
    """Query parameters added to every call (Azure: api-version); a value may be env:NAME or file:PATH."""
    timeouts: Timeouts = Timeouts()
    """How long to wait for what."""
    ca_file: str | None = None
    """PEM file of the authorities that may vouch for it, instead of the system's."""
    client_cert: str | None = None
    """PEM file with certificate and key that Weir shows to it."""
    verify: bool = True
    """Whether its certificate is checked."""
    proxy: Annotated[str, AfterValidator(fields.no_password)] | None = None
    """Outbound HTTP proxy on the way to it; may be env:NAME or file:PATH."""
    pool_size: Count = 512
    """Connections to it at once, per worker."""
    ask_usage: Literal["auto", "always", "never"] = "auto"
    """Whether streams are asked to report usage; auto stops asking where the provider refuses it."""


class Alias(Section):
    model: Annotated[str, Field(min_length=1)]
    """What the name stands for."""
    upstream: str | None = None
    """Which upstream serves it; without one it is found by the model."""
    fallbacks: Texts = ()
    """What to try next when that fails, within the same dialect: models, or upstream/model."""


class When(Section):
    agents: Texts = ()
    """Agents it is for, exact or ending in *; empty: all."""
    models: Texts = ()
    """Models it is for, exact or ending in *; empty: all."""
    paths: Texts = ()
    """Paths it is for, exact or ending in *; empty: all."""
    share: Share = 1.0
    """Share of the calls it is for, 0 to 1."""


class Plugin(Section):
    example: ClassVar[str] = "{mode: shadow}"
    uses: str | None = None
    """The class: an entry point's name or package.module:Class; without it the plugin's own name."""
    enabled: bool = True
    """Whether it runs."""
    when: When = When()
    """Which calls it is for."""
    mode: Literal["enforce", "shadow"] = "enforce"
    """enforce: it acts; shadow: what it would have done is recorded and nothing else."""
    on_error: Literal["open", "closed"] = "open"
    """When it breaks: open lets the call pass without it, closed refuses the call."""
    timeout_ms: Annotated[float, Field(ge=0, le=600_000, allow_inf_nan=False)] = 1000.0
    """Longest time for one of its hooks; 0: no limit."""
    overlap: bool = False
    """Yes/no guards: judge while the call is under way, the answer waits for the verdict."""
    options: dict[str, Json] = {}
    """The plugin's own options."""


class Override(Section):
    example: ClassVar[str] = "{enabled: false}"
    enabled: bool | None = None
    """Whether it runs for this agent."""
    mode: Literal["enforce", "shadow"] | None = None
    """enforce or shadow for this agent."""
    on_error: Literal["open", "closed"] | None = None
    """open or closed for this agent."""
    timeout_ms: Annotated[float, Field(ge=0, le=600_000, allow_inf_nan=False)] | None = None
    """Longest time for one of its hooks for this agent."""
    options: dict[str, Json] = {}
    """The plugin's own options that differ for this agent."""


class Agent(Section):
    cache: bool | None = None
    """Cache on or off for this agent; acts on the plugin `cache` where the list has it."""
    streaming: bool | None = None
    """Whether its answers are streamed from the provider where it asked for JSON; left out: as `streams.streaming`."""
    compression: bool | None = None
    """Compression on or off for this agent; acts on the plugin `compression` where the list has it."""
    min_instances: Count | None = None
    """Fewest instances. Accepted now; used from the scaling release on."""
    max_instances: Count | None = None
    """Most instances. Accepted now; used from the scaling release on."""
    target_utilisation: Share | None = None
    """Load to aim for, 0 to 1. Accepted now; used from the scaling release on."""
    content: Content | None = None
    """What is kept of its texts; without it what `audit.content` says."""
    plugins: dict[str, Override] = {}
    """What differs in a plugin's envelope and options, by the plugin's name."""


class CallerKey(Section):
    example: ClassVar[str] = "{sha256: DIGEST, agent: billing}"
    sha256: Annotated[str, AfterValidator(fields.digest_or_none)] = ""
    """The sha256 of the key in hex; the key itself is known to its caller only."""
    certificate: Annotated[str, Field(max_length=1024)] = ""
    """Instead, or beside it: subject (CN=bob,O=Acme) or a URI, DNS or e-mail name of the caller's certificate."""
    agent: AgentOrNone = ""
    """The agent it speaks for."""
    tenant: Annotated[str, Field(min_length=1, max_length=128)] = "default"
    """Whose data it may touch: cache, limits, maps and history are apart by tenant."""
    user: Annotated[str, Field(max_length=256)] = ""
    """The one user it speaks for; empty: whoever the call names."""
    agents: Texts = ()
    """Further agents it may name; * for any."""
    models: Texts = ()
    """Models it may use, exact or ending in *; empty: all."""
    debug: bool = False
    """Whether it may ask for x-weir-debug."""
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    """Highest priority it may claim."""
    expires: Moment = ""
    """From when on it is refused, as 2027-01-31T12:00:00Z; empty: never."""
    revoked: bool = False
    """Whether it is refused from now on."""
    previous_sha256: Annotated[str, AfterValidator(fields.digest_or_none)] = ""
    """The key before its rotation, still good until previous_until."""
    previous_until: Moment = ""
    """From when on the key before its rotation is refused; empty: at once."""
    usd_per_day: Usd | None = None
    """Budget in USD a day (UTC); kept by the plugin ratelimit, as all limits of a key."""
    usd_per_month: Usd | None = None
    """Budget in USD a month (UTC)."""
    requests_per_minute: Count | None = None
    """Calls a minute."""
    tokens_per_minute: Annotated[int, Field(ge=1, le=10**12)] | None = None
    """Tokens a minute, in and out."""
    concurrent: Count | None = None
    """Calls at once."""
    choices: Most = 0
    """As limits.choices, where that is tighter; likewise the following three."""
    output_tokens: Most = 0
    """As limits.output_tokens."""
    messages: Most = 0
    """As limits.messages."""
    tools: Most = 0
    """As limits.tools."""


class Identity(Section):
    trust_headers: Literal["loopback", "always", "never"] = "loopback"
    """Whether a caller without a key may name its agent by path or header."""
    trusted_peers: Annotated[Texts, AfterValidator(fields.networks)] = ()
    """Addresses or networks whose X-Forwarded-* and x-weir-agent are believed."""
    peer_header: Annotated[str, AfterValidator(fields.header_name)] = ""
    """Header in which trusted peers name the caller, such as x-forwarded-client-cert; a key's certificate says who."""
    allow_anonymous: bool = False
    """Whether callers beyond this machine may come without any credential."""
    pass_through: bool = True
    """Whether a provider's credential that the caller brings is accepted and passed on."""
    keys: dict[Names, CallerKey] = {}
    """Weir's own keys for callers, by name."""
    debug: bool = True
    """Whether callers on this machine may use x-weir-debug without a key."""


class Limits(Section):
    example: ClassVar[str] = "{output_tokens: 4096}"
    body_bytes: Bytes = 32 * 1024 * 1024
    """Largest call that a codec reads, after inflating; more is answered 413."""
    relay_bytes: Bytes = 512 * 1024 * 1024
    """Largest body that is relayed without being read (uploads)."""
    answer_bytes: Bytes = 64 * 1024 * 1024
    """Largest JSON answer that is read as a whole."""
    header_bytes: Annotated[int, Field(ge=1024, le=1024 * 1024)] = 32 * 1024
    """All header fields of a call together."""
    depth: Annotated[int, Field(ge=8, le=250)] = 128
    """Deepest nesting of a call's JSON."""
    body_timeout_s: Seconds = 60.0
    """A call's body must have arrived after this; 0: no limit."""
    choices: Most = 0
    """Answers that one call may ask for at once (n, for each of its prompts); 0: no limit."""
    output_tokens: Most = 0
    """Tokens that one call may ask for, in all its answers together; 0: no limit."""
    messages: Most = 0
    """Messages, input items or prompts of one call; 0: no limit."""
    tools: Most = 0
    """Tools that one call may name; 0: no limit."""


class Streams(Section):
    heartbeat_s: Seconds = 15.0
    """A comment after this long without an event keeps the connection open; 0: none."""
    early_answer_s: Seconds = 10.0
    """Without the provider's headers a stream gets its 200 and heartbeats after this; 0: never."""
    hold_bytes: Annotated[int, Field(ge=0, le=64 * 1024 * 1024)] = 16 * 1024
    """How much of a stream's start may be held back so that an early error can still fail over."""
    hold_s: Seconds = 1.0
    """How long it may be held back."""
    streaming: Literal["asked", "auto"] = "asked"
    """asked: as callers ask; auto: also streamed from the provider where a caller asked for JSON, and put together."""


class Records(Section):
    retention_days: Annotated[int, Field(ge=1, le=36_500)] = 30
    """Days that records of calls are kept, users and security events in them; one file a day, deleted whole."""


class Audit(Section):
    strict: bool = False
    """Whether an entry must be safe on disk before the provider is called."""
    content: Content = "none"
    """What is kept of texts: none, masked (by pii), or full (encrypted with content_key)."""
    content_key: Secret | None = None
    """Key that encrypts kept texts, as env:NAME or file:PATH; content: full needs it."""
    content_days: Annotated[int, Field(ge=1, le=36_500)] = 7
    """Days that texts are kept; the entries stay."""
    person_days: Annotated[int, Field(ge=1, le=36_500)] = 365
    """Days that entries tell user and session; then they are nobody's."""


class Cache(Section):
    enabled: bool = True
    """Whether the plugin `cache` runs, where the list has it."""
    ttl_s: Annotated[int, Field(ge=0, le=31_536_000)] = 3600
    """How long an answer is given again, in seconds; 0: never. The plugin's own option goes before."""
    strategy: Literal["lru", "lfu"] = "lru"
    """What goes first when memory is full: lru, or lfu (W-TinyLFU). The plugin's own option goes before."""


class Learning(Section):
    enabled: bool = True
    """Whether plugins learn from feedback; it is kept either way."""
    min_feedback_batch: Count = 10
    """Feedback collected before it is analysed. Accepted now; used from the learning release on."""
    drift_threshold: Share = 0.1
    """Change of accuracy that counts as drift, 0 to 1. Accepted now; used from the learning release on."""


class Monitoring(Section):
    enabled: bool = True
    """Whether trends and alerts are computed. Accepted now; used from the monitoring release on."""
    interval_s: Annotated[float, Field(ge=0.1, le=86_400, allow_inf_nan=False)] = 5.0
    """How often they are computed. Accepted now; used from the monitoring release on."""
    alert_webhook_url: Annotated[str, AfterValidator(fields.webhook)] | None = None
    """Where alerts are sent; may be env:NAME or file:PATH. Accepted now; used from the monitoring release on."""


class Autoscaling(Section):
    enabled: bool = False
    """Whether instances are scaled. Accepted now; used from the scaling release on."""
    min_instances: Count = 2
    """Fewest instances per agent. Accepted now; used from the scaling release on."""
    max_instances: Count = 10
    """Most instances per agent. Accepted now; used from the scaling release on."""
