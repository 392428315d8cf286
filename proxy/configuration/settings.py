"""Every option with its default, its unit in the name and one line of help; the JSON Schema and the reference from it.

Imported by control and the command line only. What is read at start only stands in `AT_START`. Secrets are references
(`env:NAME`, `file:PATH`), never values. What workers need of it is `Settings.freeze`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field
from pydantic.fields import FieldInfo

from proxy import live
from proxy.configuration import fields
from proxy.configuration.fields import Agents, Json, Names, Port, Seconds, Secret
from proxy.configuration.sections import (
    Agent,
    Alias,
    Audit,
    Autoscaling,
    Cache,
    Identity,
    Learning,
    Limits,
    Log,
    Monitoring,
    Plugin,
    Records,
    Section,
    Streams,
    Upstream,
)  # fmt: skip
from proxy.configuration.wording import Path, dotted

AT_START = frozenset({
    "host", "port", "admin_host", "admin_port", "admin_token", "metrics_listen", "tls_cert", "tls_key",
    "tls_client_ca", "data_dir", "workers", "worker_hang_s", "store", "secret", "drain_s", "unready_ms",
    "log",
})  # fmt: skip
"""Read when Weir starts; all else may change while it runs."""

REFERENCES: tuple[Path, ...] = (("admin_token",), ("secret",), ("upstreams", "*", "key"), ("audit", "content_key"))
"""Must be written as `env:NAME` or `file:PATH`."""
SECRETS: tuple[Path, ...] = (
    *REFERENCES, ("upstreams", "*", "headers", "*"), ("upstreams", "*", "query", "*"), ("upstreams", "*", "proxy"),
    ("store",), ("monitoring", "alert_webhook_url"),
)  # fmt: skip
"""May be written so, because a secret may be part of them."""
STANDARD: tuple[tuple[str, str], ...] = (
    ("audit", "on top: its entry has what all below it decided, refusals and cache hits included"),
    ("metering", "near the top: it times and prices the whole chain, and what plugins below answer"),
    ("ratelimit", "before anything costs work: a call over its limit goes no further"),
    ("injection", "a guard reads what the caller wrote, before anything changes or adds to it"),
    ("pii", "masks what goes out, restores what comes back; nothing below sees personal data"),
    ("output_filter", "below pii: raw personal data in an answer not yet restored is not the caller's"),
    ("variants", "chooses the prompt of an experiment before anything depends on it"),
    ("fewshot", "adds examples to the prompt that was chosen"),
    ("routing", "chooses the model for the prompt as it now stands"),
    ("cache", "below all that chooses, above what only shrinks; guards above still see its hits"),
    ("embeddings", "below the cache: of a batch that is new as a whole it knows the inputs that are not"),
    ("compression", "last: shrinks what really goes out"),
)
"""The plugins of the standard order, and why each stands where it does."""
CHAIN = (
    "audit", "metering", "ratelimit", "injection", "pii", "output_filter", "variants", "routing", "cache", "embeddings",
    "compression",
)  # fmt: skip
"""What runs by default: tests, pools and rules are to be given, until then `variants` and `routing` cost nothing. The
others of the standard order come with later releases."""
PROVIDERS: Mapping[str, Upstream] = MappingProxyType({
    "openai": Upstream(url="https://api.openai.com/v1", dialects=("chat", "responses", "completions", "embeddings")),
    "anthropic": Upstream(url="https://api.anthropic.com", dialects=("messages",)),
})  # fmt: skip
"""Where calls go when no upstream is named."""
LATER = ("learning", "monitoring", "autoscaling")
"""Sections whose engine comes with a later release."""
CACHE_FILE = "cache.sqlite"
"""In the data directory, where kept answers are to outlive a restart."""


def secret(path: Path) -> bool:
    """Whether the option may hold a secret."""
    return any(len(path) == len(known) and _fits(path, known) for known in SECRETS)


def _fits(path: Path, known: Path) -> bool:
    return all(want in ("*", have) for want, have in zip(known, path, strict=True))


class Settings(Section):
    profile: Literal["standard", "observe"] = "standard"
    """standard: plugins act; observe: every plugin in shadow, nothing is touched and usage is not asked."""
    host: Annotated[str, AfterValidator(fields.host)] = "127.0.0.1"
    """Where calls are taken; beyond this machine callers need a credential."""
    port: Port = 8080
    """Port for calls; 0: any free one."""
    admin_host: Annotated[str, AfterValidator(fields.host)] = "127.0.0.1"
    """Where the admin API and /metrics are served; beyond this machine admin_token is needed."""
    admin_port: Port = 8081
    """Port of the admin API; 0: any free one."""
    admin_token: Secret | None = None
    """Opens the admin API (bearer), as env:NAME or file:PATH; WEIR_ADMIN_TOKEN or WEIR_ADMIN_TOKEN_FILE set it."""
    metrics_listen: Annotated[str, AfterValidator(fields.listen)] | None = None
    """A second HOST:PORT that serves /metrics and probes only, without a token, for scrapers."""
    tls_cert: str | None = None
    """PEM file with the certificate of the port for calls; with tls_key."""
    tls_key: str | None = None
    """PEM file with its private key."""
    tls_client_ca: str | None = None
    """PEM file of the authorities for callers' certificates; identity.keys says who has which. With tls_cert."""
    data_dir: Annotated[str, Field(min_length=1)] = ".weir"
    """Where records, audit and run-time changes are kept; only its owner may enter."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that serve calls."""
    worker_hang_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 30.0
    """A worker whose event loop something has held for so long is killed and started again; 0: never."""
    store: Annotated[str, AfterValidator(fields.store)] = "auto"
    """Hot state: memory, redis://..., or auto (an embedded Valkey where the extra is installed, else memory)."""
    secret: Secret | None = None
    """Key of fingerprints and hashes, one for all Weirs of a redis://, as env:NAME or file:PATH; else one is made."""
    drain_s: Seconds = 30.0
    """Longest time that running calls get to end when Weir stops."""
    unready_ms: Annotated[float, Field(ge=0, le=600_000, allow_inf_nan=False)] = 500.0
    """How long /readyz says no before draining begins, so that balancers look elsewhere."""
    log: Log = Log()
    """What Weir says about itself."""
    upstreams: dict[Names, Upstream] = Field(default_factory=lambda: dict(PROVIDERS))
    """The providers, by name; of those that speak the dialect the one that names the model best gets the call."""
    aliases: dict[Annotated[str, Field(min_length=1, max_length=256)], Alias] = Field(default_factory=dict)
    """Names that callers may use for a model."""
    identity: Identity = Identity()
    """Who may call, and who is believed to be who."""
    plugins: dict[Names, Plugin] = Field(default_factory=lambda: {name: Plugin() for name in CHAIN})
    """The chain: runs top to bottom on the way out, bottom to top on the way back; the list is the order."""
    agents: dict[Agents, Agent] = Field(default_factory=dict)
    """What differs for single agents, by name."""
    uninspected: Literal["record", "refuse"] = "record"
    """What happens to what no codec reads (images, audio, unknown paths): relayed and counted, or refused."""
    limits: Limits = Limits()
    """How large and how slow a call may be."""
    streams: Streams = Streams()
    """How streams are kept alive and held back."""
    stream_buffer: bool = False
    """Whether streams are held until complete where a plugin wants to replace answers."""
    bypass: bool = False
    """Break-glass: only audit and metering run."""
    records: Records = Records()
    """Records of calls."""
    audit: Audit = Audit()
    """The audit trail, and what is kept of texts."""
    cache: Cache = Cache()
    """What the plugin `cache` does where its own options say nothing else."""
    learning: Learning = Learning()
    """Learning from feedback; the rest of its engine comes with the learning release, until then `enabled` counts."""
    monitoring: Monitoring = Monitoring()
    """Trends and alerts; their engine comes with the monitoring release, nothing reads this section before."""
    autoscaling: Autoscaling = Autoscaling()
    """Scaling of agents; its engine comes with the scaling release, nothing reads this section before."""

    def process(self) -> dict[str, Json]:
        """What is read at start, as plain values, for the supervisor; secrets as references."""
        return self.model_dump(mode="json", include=set(AT_START))

    def freeze(self, version: int) -> live.Snapshot:
        """What workers need, secrets still as references: `snapshot.dump` writes it."""
        return live.Snapshot(
            version=version,
            upstreams={name: _upstream(name, upstream) for name, upstream in self.upstreams.items()},
            aliases={name: live.Alias(**_plain(alias)) for name, alias in self.aliases.items()},
            chain=tuple(self._entry(name, plugin) for name, plugin in self.plugins.items()),
            agents={name: self._agent(agent) for name, agent in self.agents.items()},
            identity=_identity(self.identity),
            limits=live.Limits(**_plain(self.limits)),
            streams=live.Streams(**_plain(self.streams)),
            uninspected=self.uninspected,
            content=self.audit.content,
            stream_buffer=self.stream_buffer,
            bypass=self.bypass,
            audit_strict=self.audit.strict,
        )

    def _entry(self, name: str, plugin: Plugin) -> live.Entry:
        """The plugin `cache` has what the section `cache` says, where its own options say nothing else; `sqlite: true`
        means a file in the data directory."""
        made = _entry(name, plugin)
        if name != "cache":
            return made
        said = {key: getattr(self.cache, key) for key in self.cache.model_fields_set - {"enabled"}}
        options = said | dict(made.options)
        if options.get("sqlite") is True:
            options["sqlite"] = str(FilePath(self.data_dir).absolute() / CACHE_FILE)
        return replace(made, enabled=made.enabled and self.cache.enabled, options=options)

    def _agent(self, agent: Agent) -> live.Agent:
        plugins = {name: override.model_dump(exclude_unset=True) for name, override in agent.plugins.items()}
        for name, enabled in (("cache", agent.cache), ("compression", agent.compression)):
            if enabled is not None and name in self.plugins:
                plugins.setdefault(name, {}).setdefault("enabled", enabled)
        kept = {
            name: {key: value for key, value in override.items() if value is not None}
            for name, override in plugins.items()
        }
        return live.Agent(plugins=kept, content=agent.content or self.audit.content, streaming=agent.streaming)


def _plain(section: Section) -> dict[str, Any]:
    return {name: getattr(section, name) for name in type(section).model_fields}


def _upstream(name: str, upstream: Upstream) -> live.Upstream:
    plain = _plain(upstream) | {
        "url": base(upstream.url),
        "auth": style(upstream),
        "headers": tuple(upstream.headers.items()),
        "query": tuple(upstream.query.items()),
        "timeouts": live.Timeouts(**_plain(upstream.timeouts)),
    }
    return live.Upstream(name=name, **plain)


def base(url: str) -> str:
    """The address that a call's path is added to: without a path of its own it gets /v1."""
    stripped = url.rstrip("/")
    return stripped if urlsplit(stripped).path else f"{stripped}/v1"


def style(upstream: Upstream) -> str:
    """How the key is sent, with `auto` decided."""
    if upstream.auth != "auto":
        return upstream.auth
    if upstream.dialects == ("messages",):
        return "x-api-key"
    host = urlsplit(upstream.url).hostname or ""
    return "api-key" if host.endswith(".openai.azure.com") else "bearer"


def _entry(name: str, plugin: Plugin) -> live.Entry:
    plain = _plain(plugin) | {"uses": plugin.uses or name, "when": live.When(**_plain(plugin.when))}
    return live.Entry(name=name, **plain)


def _identity(identity: Identity) -> live.Identity:
    keys = tuple(live.CallerKey(name=name, **_plain(key)) for name, key in identity.keys.items())
    return live.Identity(**_plain(identity) | {"keys": keys})


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the reference. In `key`, `<name>` stands for a name of the operator's choice."""

    path: Path
    kind: str
    default: Json
    help: str
    section: bool
    """It holds further options."""

    @property
    def key(self) -> str:
        return dotted(self.path)

    @property
    def env(self) -> str:
        """The variable that sets it."""
        return "WEIR_" + "__".join("<NAME>" if part == "<name>" else part.upper() for part in self.path)

    @property
    def live(self) -> bool:
        """Whether it may change while Weir runs."""
        return self.path[0] not in AT_START


def reference(model: type[BaseModel] = Settings, above: Path = ()) -> Iterator[Option]:
    """Every option, sections before what they hold, in the order of the file."""
    for name, info in model.model_fields.items():
        path = (*above, name)
        found = inner(info)
        section = below(found)
        default = info.get_default(call_default_factory=True) if not info.is_required() else None
        yield Option(path, kind(found), _shown(default), info.description or "", section is not None)
        if section is not None:
            yield from reference(section, (*path, "<name>") if get_origin(found) is dict else path)


def _shown(default: object) -> Json:
    if isinstance(default, BaseModel):
        return default.model_dump(mode="json")
    if isinstance(default, dict):
        return {name: _shown(value) for name, value in default.items()}
    return list(default) if isinstance(default, tuple) else default


def bare(annotation: Any) -> Any:
    """The annotation without `Annotated` and without `None`."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return bare(get_args(annotation)[0])
    return annotation


def inner(info: FieldInfo) -> Any:
    """The kind of value of a field."""
    return bare(info.annotation)


def below(annotation: Any) -> type[BaseModel] | None:
    """The section inside: of a section itself, or of names that each have one."""
    found = bare(get_args(annotation)[1]) if get_origin(annotation) is dict else annotation
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def at(path: Path) -> Any:
    """The kind of value that stands at a path; None where there is no such option."""
    found: Any = Settings
    for part in path:
        if get_origin(found) is dict:
            found = bare(get_args(found)[1])
        elif isinstance(found, type) and issubclass(found, BaseModel):
            info = found.model_fields.get(part)
            if info is None:
                return None
            found = inner(info)
        elif found is not Any:
            return None
    return found


def kind(annotation: Any) -> str:
    """The kind of value in words."""
    origin = get_origin(annotation)
    if origin is Literal:
        return " | ".join(str(choice) for choice in get_args(annotation))
    if origin is tuple:
        item = bare(get_args(annotation)[0])
        return "list" if item is str else f"list of {kind(item)}"
    if origin is dict:
        return "names and values" if below(annotation) is None else "sections by name"
    names = {bool: "true | false", int: "whole number", float: "number", str: "text"}
    return names.get(annotation, "section" if below(annotation) else "anything")


def schema() -> dict[str, Json]:
    """The JSON Schema of the configuration file, for editors."""
    made = Settings.model_json_schema()
    made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    made["title"] = "Weir"
    made["patternProperties"] = {"^x-": {"description": "Ignored: a place for anchors."}}
    chain = made["properties"]["plugins"]
    line = {"anyOf": [{"type": "string"}, dict(chain, default={})]}
    made["properties"]["plugins"] = {
        "description": chain.pop("description"),
        "anyOf": [chain, {"type": "array", "items": line}],
    }
    names = made["properties"]["aliases"]
    names["additionalProperties"] = {"anyOf": [{"type": "string"}, names["additionalProperties"]]}
    known = {name: value for name, value in made["$defs"]["Upstream"].items() if name != "required"}
    made["$defs"]["KnownUpstream"] = known
    made["properties"]["upstreams"]["properties"] = {name: {"$ref": "#/$defs/KnownUpstream"} for name in PROVIDERS}
    made["$defs"]["variable"] = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}
    return _tidy(made)  # type: ignore[no-any-return]


def _tidy(node: Json, top: bool = True) -> Json:
    """Without generated titles; where a number or a switch stands, `${VAR}` may stand too; sections may be empty."""
    if isinstance(node, list):
        return [_tidy(item, False) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {name: value for name, value in node.items() if top or name != "title" or isinstance(value, dict)}
    tidy = {name: _tidy(value, False) for name, value in kept.items()}
    if tidy.get("type") in ("integer", "number", "boolean"):
        outer = {name: tidy.pop(name) for name in ("description", "default") if name in tidy}
        return {**outer, "anyOf": [tidy, {"$ref": "#/$defs/variable"}]}
    return tidy
