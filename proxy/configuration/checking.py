"""What `weir check` says: what would run in which order and why, where every value comes from, and what is wrong.

Plugin classes are found by a function that the caller gives, so nothing here imports a plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from proxy.chain import BYPASSED
from proxy.configuration.fields import SENSITIVE, refers
from proxy.configuration.merge import wrong
from proxy.configuration.options import faults as option_faults
from proxy.configuration.refusals import leaves
from proxy.configuration.remarks import Remarks, variations
from proxy.configuration.sections import Agent, Upstream, When
from proxy.configuration.sections import Plugin as Line
from proxy.configuration.settings import STANDARD, Settings, base, style
from proxy.configuration.sources import ConfigErrors, Loaded
from proxy.configuration.wording import Path, dotted, nearest
from proxy.errors import ConfigError
from proxy.live import Snapshot
from proxy.plugin import HOOKS, Plugin, overrides
from proxy.registry import misplaced, resolver, varies
from proxy.route import for_agent
from proxy.wanted import Wanted

Find = Callable[[str], type[Plugin[Any]]]
Classes = Mapping[str, type[Plugin[Any]]]
FEW = 5
"""Names that are told one by one."""


def verify(loaded: Loaded, find: Find) -> Loaded:
    """Judges what only the plugins' classes can say: they exist, their options are right, their order works, the models
    that they name are served. Raises ConfigErrors with everything that is wrong; gives it with all that works and still
    deserves a second look among its warnings."""
    classes, errors = _classes(loaded, find)
    remarks = Remarks(loaded.settings, classes)
    found = errors + _told(loaded, _judge(loaded.settings, classes, remarks))
    if found:
        raise ConfigErrors(found)
    idle = [str(error) for error in _told(loaded, remarks.idle())]
    return replace(loaded, warnings=(*loaded.warnings, *idle))


def faults(loaded: Loaded, find: Find) -> list[ConfigError]:
    """What is wrong, as a list."""
    classes, errors = _classes(loaded, find)
    return errors + _told(loaded, _judge(loaded.settings, classes, Remarks(loaded.settings, classes)))


def _told(loaded: Loaded, found: Iterable[tuple[Path, str]]) -> list[ConfigError]:
    return [wrong(path, words, loaded.place(path)) for path, words in found]


def _classes(loaded: Loaded, find: Find) -> tuple[Classes, list[ConfigError]]:
    classes: dict[str, type[Plugin[Any]]] = {}
    errors: list[ConfigError] = []
    for name, line in loaded.settings.plugins.items():
        path = ("plugins", name, "uses") if line.uses else ("plugins", name)
        try:
            classes[name] = find(line.uses or name)
        except ConfigError as error:
            near = nearest(line.uses or name, dict(STANDARD))
            meant = near if error.message.startswith("there is no plugin") and "did you mean" in near else ""
            errors.append(wrong(path, error.message + meant, loaded.place(path)))
        except Exception as error:  # noqa: BLE001 - a foreign module may break in any way when it is imported
            words = f"the plugin {line.uses or name} cannot be imported ({type(error).__name__}: {error})"
            errors.append(wrong(path, words, loaded.place(path)))
    return classes, errors


def _judge(settings: Settings, classes: Classes, remarks: Remarks) -> Iterator[tuple[Path, str]]:
    for name, cls in classes.items():
        line = settings.plugins[name]
        here = ("plugins", name)
        for path, words in option_faults(cls.Options, line.options):
            yield (*here, "options", *path), words
        if line.overlap and not cls.overlap:
            yield (*here, "overlap"), "cannot be true: only a plugin that says yes or no may judge beside the call"
        for agent, own in settings.agents.items():
            override = own.plugins.get(name)
            if override is None or not override.options:
                continue
            for path, words in option_faults(cls.Options, {**line.options, **override.options}):
                if not path or path[0] in override.options:
                    yield ("agents", agent, "plugins", name, "options", *path), words
    for name in classes:
        if varies(classes[name]):
            yield from _varied(settings, classes, name)
    yield from remarks.faults()
    yield from _order(settings, classes)


def _varied(settings: Settings, classes: Classes, name: str) -> Iterator[tuple[Path, str]]:
    """What is wrong with the options that variants change, wherever tests are written."""
    for path, label, plugins in variations(settings, name, classes[name]):
        for other, changes in plugins.items():
            for words in _unfit(settings, classes, (name, other), changes):
                yield path, f"variant {label} {words}"


def _unfit(settings: Settings, classes: Classes, pair: tuple[str, str], changes: Mapping[str, Any]) -> Iterator[str]:
    """Of options that the first of the pair would change for the second."""
    name, other = pair
    names = list(settings.plugins)
    if other not in names:
        yield f"sets options of {other!r}, and there is no such plugin in the list{nearest(other, names)}"
    elif names.index(other) <= names.index(name):
        yield f"sets options of {other}, which stands above {name}: they are read before a variant is known"
    elif other in classes:
        for path, words in option_faults(classes[other].Options, {**settings.plugins[other].options, **changes}):
            if not path or path[0] in changes:
                yield f"sets {dotted((other, *path))}: {words}"


def _order(settings: Settings, classes: Classes) -> Iterator[tuple[Path, str]]:
    names = [name for name in settings.plugins if name in classes and _runs(settings, name)]
    for name, words in misplaced({name: settings.plugins[name].options for name in names}, classes):
        yield ("plugins", name), words


def _runs(settings: Settings, name: str) -> bool:
    overrides = [agent.plugins[name] for agent in settings.agents.values() if name in agent.plugins]
    return settings.plugins[name].enabled or any(override.enabled for override in overrides)


def sentences(loaded: Loaded, find: Find, *, every: bool = False) -> list[str]:
    """What would run. With `every` the values include each default."""
    settings = loaded.settings
    classes, _ = _classes(loaded, find)
    wrongs = [f"Wrong: {error}" for error in faults(loaded, find)]
    still = {} if wrongs else dict(_still(settings.freeze(0), classes))
    return [
        *wrongs,
        *_process(settings),
        "Calls go to:",
        *(f"  {_upstream(name, upstream)}" for name, upstream in settings.upstreams.items()),
        *(f"  {_alias(settings, name)}" for name in settings.aliases),
        "Plugins, in this order on the way out and in the opposite order on the way back:",
        *(
            f"  {number}. {still.get(name) or _line(name, line, classes)}"
            for number, (name, line) in enumerate(settings.plugins.items(), 1)
        ),
        *_agents(settings),
        "Values and where they come from:" if every else "Values that were set, and where:",
        *(f"  {words}" for words in list(_values(loaded, every)) or ["none; everything is at its default"]),
        *(f"Note: {words}" for words in loaded.warnings),
    ]


def failed(errors: ConfigErrors) -> list[str]:
    """What is wrong, one sentence each."""
    count = len(errors.errors)
    head = "One thing is wrong:" if count == 1 else f"{count} things are wrong:"
    return [head, *(f"  {error}" for error in errors.errors), *errors.advice]


def _process(settings: Settings) -> Iterator[str]:
    scheme = "https" if settings.tls_cert else "http"
    yield f"Weir takes calls on {scheme}://{settings.host}:{settings.port} under the profile {settings.profile}."
    token = "with a token" if settings.admin_token else "without a token, so to this machine only"
    yield f"The admin API is served on {settings.admin_host}:{settings.admin_port} {token}."
    workers = "1 worker serves" if settings.workers == 1 else f"{settings.workers} workers serve"
    yield f"{workers} them; records of calls stay in {settings.data_dir} for {settings.records.retention_days} days."
    identity = settings.identity
    who = [f"{len(identity.keys)} keys of Weir's own"] if identity.keys else []
    who += ["credentials of the providers"] if identity.pass_through else []
    who += ["callers without any"] if identity.allow_anonymous else ["callers on this machine without any"]
    yield f"Accepted are {', '.join(who)}."


def _upstream(name: str, upstream: Upstream) -> str:
    spoken = ", ".join(upstream.dialects) or "every dialect"
    key = (
        f"with the key from {upstream.key}, sent as {style(upstream)}"
        if upstream.key
        else "with the caller's credential"
    )
    return f"{name}: {base(upstream.url)} for {spoken}; models {', '.join(upstream.models)}; {key}."


def _alias(settings: Settings, name: str) -> str:
    alias = settings.aliases[name]
    where = f" at {alias.upstream}" if alias.upstream else ""
    then = f", then {', then '.join(alias.fallbacks)}" if alias.fallbacks else ""
    return f"{name} stands for {alias.model}{where}{then}."


def _line(name: str, line: Line, classes: Classes) -> str:
    does = "enforces" if line.mode == "enforce" else "in shadow (records what it would have done)"
    breaks = "lets the call pass" if line.on_error == "open" else "refuses the call"
    beside = ", judges beside the call" if line.overlap else ""
    why = dict(STANDARD).get(name) or _first(classes.get(name))
    reason = f" Its place: {why}." if name in dict(STANDARD) else f" {why}"
    calls = _calls(line.when, classes.get(name))
    return f"{name} {does}{beside}, for {calls}; when it breaks it {breaks}.{reason}".rstrip()


def _still(frozen: Snapshot, classes: Classes) -> Iterator[tuple[str, str]]:
    """The plugins that are off, or have nothing to do in any call, and what is to be said of each."""
    made = resolver(frozen, classes)
    known, plugins = replace(frozen, resolve=made, labels=made.labels()), _unbegun(classes)
    for entry in frozen.chain:
        name = entry.name
        own = [agent for agent, each in frozen.agents.items() if for_agent(entry, each).enabled]
        if frozen.bypass and name not in BYPASSED:
            yield name, f"{name}: off, because `bypass` is on."
        elif not entry.enabled:
            yield name, f"{name}: off{f', but on for {_few(own)}' if own else ''}."
        elif name in plugins and not _acts(name, known, plugins):
            yield name, f"{name} does nothing: its options leave it nothing to do."


def _few(names: Sequence[str]) -> str:
    """A list of agents, not too long."""
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return f"the agent{'s' if len(names) > 1 else ''} {', '.join(names[:FEW])}{more}"


def _unbegun(classes: Classes) -> dict[str, Plugin[Any]]:
    """Objects that have a name and nothing else: enough to ask what they would be needed for."""
    plugins = {name: cls.__new__(cls) for name, cls in classes.items()}
    for name, plugin in plugins.items():
        plugin.name = name  # type: ignore[misc]
    return plugins


def _acts(name: str, known: Snapshot, plugins: dict[str, Plugin[Any]]) -> bool:
    """Whether one of its hooks has something to do in the calls of any agent; a plugin without any hook may act beside
    them, and one that cannot tell before it is begun is taken to act."""
    if not any(overrides(plugins[name], hook) for hook in HOOKS):
        return True
    try:
        return any(Wanted(known, plugins, agent).hooks(plugins[name]) for agent in ("", *known.agents))
    except Exception:  # noqa: BLE001 - what a foreign plugin needs to tell it, nobody knows
        return True


def _first(cls: type[Plugin[Any]] | None) -> str:
    """What the class says of itself."""
    return (cls.__doc__ or "").strip().split("\n")[0] if cls else ""


def _calls(when: When, cls: type[Plugin[Any]] | None) -> str:
    paths = when.paths or tuple(sorted(cls.paths if cls else ()))
    parts = [
        f"{what} {', '.join(names)}"
        for what, names in (("agents", when.agents), ("models", when.models), ("paths", paths))
        if names
    ]
    share = f"{when.share:.0%} of " if when.share < 1 else ""
    return f"{share}{'calls of ' + ' and '.join(parts) if parts else 'every call' if not share else 'calls'}"


def _agents(settings: Settings) -> Iterator[str]:
    if settings.agents:
        yield f"{len(settings.agents)} agents have settings of their own:"
    alike: dict[str, list[str]] = {}
    for name, agent in settings.agents.items():
        alike.setdefault(", ".join(_differs(agent)) or "nothing differs", []).append(name)
    for words, names in alike.items():
        yield f"  {', '.join(names)}: {words}."


def _differs(agent: Agent) -> Iterator[str]:
    given = agent.model_dump(mode="json", exclude_unset=True)
    for path, value in leaves({name: item for name, item in given.items() if item is not None}):
        shown = ("on" if value else "off") if isinstance(value, bool) else value
        yield f"{' '.join(path)} {_safe(path, shown)}"


def _values(loaded: Loaded, every: bool) -> Iterator[str]:
    for path, value in leaves(loaded.settings.model_dump(mode="json")):
        origin = loaded.origins[dotted(path)]
        if origin.kind != "default" or every:
            yield f"{dotted(path)} = {_safe(path, value)} ({origin})"


def _safe(path: Path, value: object) -> str:
    """The value as shown. Options of Weir's own hold references where a secret belongs; of a plugin's own nobody knows,
    so what is named like a secret is not shown."""
    hidden = "options" in path and SENSITIVE.search(path[-1])
    if isinstance(value, str) and hidden and not refers(value):
        return "(not shown)"
    return _shown(value)


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{', '.join(_shown(item) for item in value)}]"
    return str(value)
