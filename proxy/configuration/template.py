"""What is written from the settings and never by hand: config/weir.yaml and config/schema.json.

`python -m proxy.configuration.template DIRECTORY` writes both; tests compare them with what is here.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from proxy import registry
from proxy.configuration import options
from proxy.configuration.sections import Agent, Alias, CallerKey, Override, Plugin
from proxy.configuration.settings import CHAIN, PROVIDERS, STANDARD, Settings, below, inner, schema

Json = Any
WIDTH = 118
HEAD = """\
# Weir's configuration: every option at its default, so that nothing here needs to be written.
#
# Each value may also come from a flag, from the environment or from a change at run time; of these the first wins:
#   flag > environment > run-time overlay > this file > default        (`weir check FILE` names the source of each)
# The variable of an option is WEIR_ and its key in capitals, `__` between the parts: WEIR_LIMITS__BODY_BYTES=1048576.
# ${NAME} stands for a variable, ${NAME:-text} for a variable or else the text. Secrets are written as env:NAME or
# file:PATH and are never copied. Keys that begin with `x-` are ignored at the top level: a place for YAML anchors.
# Lines such as `# tls_cert:` are options that are not set by default.
"""
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("The profile", ("profile",)),
    (
        "Where Weir listens (read at start)",
        (
            "host",
            "port",
            "admin_host",
            "admin_port",
            "admin_token",
            "metrics_listen",
            "tls_cert",
            "tls_key",
            "tls_client_ca",
        ),
    ),
    (
        "How it runs (read at start)",
        ("data_dir", "workers", "worker_hang_s", "store", "secret", "drain_s", "unready_ms", "log"),
    ),
    ("Where calls go", ("upstreams", "aliases")),
    ("Who may call", ("identity",)),
    ("What happens to a call", ("plugins", "agents", "uninspected", "limits", "streams", "stream_buffer", "bypass")),
    ("What is kept", ("records", "audit", "cache")),
    ("Accepted now, used by later releases", ("learning", "monitoring", "autoscaling")),
)
EXAMPLES: Mapping[type[BaseModel], tuple[str, Mapping[str, Json]]] = MappingProxyType({
    Alias: ("fast", {"model": "gpt-5-mini", "upstream": "openai", "fallbacks": ["gpt-4.1-mini"]}),
    CallerKey: (
        "tax-team",
        {"sha256": "64 hex digits", "agent": "tax-eu-001", "agents": ["tax-*"], "models": ["gpt-*"]},
    ),
    Agent: (
        "tax-eu-001",
        {"cache": False, "streaming": True, "compression": False, "min_instances": 2, "max_instances": 10,
         "target_utilisation": 0.7, "content": "none"},
    ),
    Override: ("audit", {"enabled": True, "mode": "shadow", "on_error": "closed", "timeout_ms": 500.0}),
})  # fmt: skip
"""How a section is shown of which there is none by default: a name, and values for what has no default."""
SAMPLES: Mapping[str, Json] = MappingProxyType({
    "Limit.requests_per_minute": 60, "Trial.name": "shorter-prompt", "Variant.name": "short",
    "Rule.target": "openai/gpt-5-mini", "Pool.asked": ["gpt-5"], "Model.target": "openai/gpt-5-mini",
})  # fmt: skip
"""Values for what must not be left out where an entry of a list is shown."""


def sheet() -> str:
    """The text of config/weir.yaml."""
    lines = [HEAD]
    for title, names in GROUPS:
        lines.append(f"# ---- {title} {'-' * (WIDTH - 8 - len(title))}\n")
        for name in names:
            option = list(_top(name))
            if len(option) > 3 and lines[-1].rstrip("\n") == lines[-1] != "":
                lines.append("")
            lines += [*option, ""] if len(option) > 3 else option
        if lines[-1]:
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _top(name: str) -> Iterator[str]:
    info = Settings.model_fields[name]
    if name == "plugins":
        yield from _plugins(info.description or "")
    elif name == "upstreams":
        yield f"# {info.description}"
        yield "# These two are there when none is named. Their names are known: url and dialects may be left out."
        yield "upstreams:"
        yield "  openai:"
        yield from _fields(PROVIDERS["openai"], 4)
        yield "  anthropic:"
        yield f"    url: {_value(PROVIDERS['anthropic'].url)}"
        yield f"    dialects: {_value(PROVIDERS['anthropic'].dialects)}"
    else:
        yield from _field(Settings(), name, 0)


def _fields(section: BaseModel, indent: int) -> Iterator[str]:
    for name in type(section).model_fields:
        yield from _field(section, name, indent)


def _field(section: BaseModel, name: str, indent: int) -> Iterator[str]:
    info = type(section).model_fields[name]
    value = getattr(section, name)
    pad, help_ = " " * indent, info.description or ""
    if isinstance(value, BaseModel):
        yield f"{pad}# {help_}"
        yield f"{pad}{name}:"
        yield from _fields(value, indent + 2)
        return
    yield from _line(pad, f"{name}:" if value is None else f"{name}: {_value(value)}", help_, value is None)
    model = below(inner(info))
    if model is not None and value == {}:
        yield from _example(model, indent + 2)


def _line(pad: str, text: str, words: str, unset: bool = False) -> Iterator[str]:
    """An option with its help beside it, or above it where the line would be too long."""
    text = f"# {text}" if unset else text
    beside = f"{pad}{text:<{max(1, 30 - len(pad))}}  # {words}"
    if len(beside) <= WIDTH and not unset:
        yield beside
        return
    yield f"{pad}# {words}"
    yield f"{pad}{text}"


def _example(model: type[BaseModel], indent: int) -> Iterator[str]:
    """A commented section that shows every option of a named one."""
    name, values = EXAMPLES[model]
    pad = f"#{' ' * (indent - 1)}"
    yield f"{pad}{name}:"
    for option, info in model.model_fields.items():
        default = None if info.is_required() else info.get_default(call_default_factory=True)
        value = values.get(option, default)
        deeper = below(inner(info))
        if deeper is not None and deeper in EXAMPLES:
            yield f"{pad}  {option}:  # {info.description}"
            yield from _example(deeper, indent + 4)
        else:
            yield from _line(pad + "  ", f"{option}: {_value(value)}", info.description or "")


def _plugins(words: str) -> Iterator[str]:
    yield f"# {words}"
    yield "# What is left out does not run. Each plugin has the envelope that the first one spells out."
    yield "plugins:"
    for name, reason in STANDARD:
        if name not in CHAIN:
            yield f"  # {f'{name}: {{}}':<26}  # (later) {reason}"
            continue
        yield from _line("  ", f"{name}:", reason)
        yield from _fields(Plugin(), 4) if name == CHAIN[0] else ("    options: {}",)
        yield from _options(registry.find(name).Options, "#     ")


def _options(kind: type[Any], pad: str, first: str = "") -> Iterator[str]:
    """A plugin's own options, commented; what holds options itself is shown whole the first time it comes."""
    shown: set[type[Any]] = set()
    for name, _, default, words in options.reference(kind):
        inner = _inner(kind, name)
        new = inner is not None and inner not in shown
        value = SAMPLES.get(f"{kind.__name__}.{name}", default)
        text = f"{name}:" if new else f"{name}: {'{}' if inner else _value(_plain(value))}"
        yield from _wrapped(pad, first, text, words)
        first = " " * len(first)
        if inner is not None and new:
            shown.add(inner)
            yield from _options(inner, f"{pad}{first}  ", "- " if _listed(kind, name) else "")


def _inner(kind: type[Any], name: str) -> type[Any] | None:
    """The options that an option holds, or a list of them."""
    hint = get_type_hints(kind)[name]
    found = [one for one in (hint, *get_args(hint)) if isinstance(one, type) and is_dataclass(one)]
    return found[0] if found else None


def _listed(kind: type[Any], name: str) -> bool:
    hint = get_type_hints(kind)[name]
    return any(get_origin(one) in (tuple, list) for one in (hint, *get_args(hint)))


def _plain(value: Json) -> Json:
    return dict(value) if isinstance(value, Mapping) else value


def _wrapped(pad: str, first: str, text: str, words: str) -> Iterator[str]:
    """As `_line`, for help of any length; `first` begins an entry of a list."""
    beside = f"{pad}{first + text:<{max(1, 30 - len(pad))}}  # {words}"
    if len(beside) <= WIDTH:
        yield beside
        return
    above = f"{pad}{' ' * len(first)}# "
    yield from textwrap.wrap(words, WIDTH, initial_indent=above, subsequent_indent=above)
    yield f"{pad}{first}{text}"


def _value(value: Json) -> str:
    """A value on one line of YAML."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, float):
        return f"{value:g}" if value == int(value) else str(value)
    text = str(value)
    return json.dumps(text) if not text or text[0] in "*&!%@`'\"[]{}#|>-?:," or text != text.strip() else text


def write(directory: Path) -> None:
    (directory / "weir.yaml").write_text(sheet(), encoding="utf-8")
    (directory / "schema.json").write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "config"))
