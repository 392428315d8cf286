"""The configuration file: YAML with the line of every key, `${VAR:-default}`, no duplicate keys, every error told.

What differs from YAML as it is commonly read: keys are always text (`no:` is a name), dates are text, tags and
duplicate keys are refused, and top-level keys that begin with `x-` are dropped (a place for anchors). A secret that
is written `${NAME}` is not substituted but kept as the reference `env:NAME`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from proxy.configuration.settings import secret
from proxy.configuration.wording import Path, dotted
from proxy.errors import ConfigError

Json = Any

DEPTH = 40
NODES = 50_000
WHOLE = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
NUMBER = re.compile(r"[-+]?(\d[\d_]*\.\d*|\.\d+|\d[\d_]*(?=[eE]))([eE][-+]?\d+)?")
KINDS = ("str", "int", "float", "bool", "null", "timestamp", "value", "merge", "map", "seq")
TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in KINDS)
VARIABLE = re.compile(r"\$(\$\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\$\{)")
REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
WORDS: Mapping[str, bool | None] = {
    "": None, "~": None, "null": None,
    "true": True, "yes": True, "on": True, "false": False, "no": False, "off": False,
}  # fmt: skip


@dataclass(slots=True)
class Document:
    """A file as read: plain values, the line of every key, and what was wrong."""

    name: str
    values: dict[str, Json] = field(default_factory=dict)
    lines: dict[Path, int] = field(default_factory=dict)
    errors: list[ConfigError] = field(default_factory=list)

    def line(self, path: Path) -> int | None:
        """The line of the key, or of the nearest section around it."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return None


def plain(text: str) -> Json:
    """The value of a word without quotes."""
    folded = text.lower() if text in (text.lower(), text.upper(), text.capitalize()) else text
    if folded in WORDS:
        return WORDS[folded]
    if WHOLE.fullmatch(text):
        return int(text.replace("_", ""))
    if NUMBER.fullmatch(text):
        return float(text.replace("_", ""))
    return text


def read(text: str, name: str, environ: Mapping[str, str]) -> Document:
    """Reads a file's text. Never raises: what is wrong stands in `errors`."""
    document = Document(name)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        problem = " ".join(part for part in (error.context, error.problem) if part)
        document.errors.append(ConfigError(f"this is not YAML: {problem}", file=name, line=line))
        return document
    except yaml.YAMLError as error:
        document.errors.append(ConfigError(f"this is not YAML: {error}", file=name))
        return document
    except RecursionError:
        document.errors.append(ConfigError("the file is nested too deeply", file=name))
        return document
    if root is None:
        return document
    if not isinstance(root, yaml.MappingNode):
        words = f"the file must hold lines such as `port: 8080`; it {_is(root)}"
        document.errors.append(ConfigError(words, file=name, line=1))
        return document
    document.values = _Walk(document, environ).mapping(root, ())
    for top in [key for key in document.values if key.startswith("x-")]:
        del document.values[top]
    return document


def _is(root: yaml.Node) -> str:
    return "is a list, so its lines begin with `-`" if isinstance(root, yaml.SequenceNode) else "is only a text"


class _Walk:
    """Turns nodes into plain values and notes where each key stands."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ
        self._nodes = 0
        self._merging = 0
        self._stopped = False

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Json]:
        values: dict[str, Json] = {}
        merged: list[tuple[yaml.Node, Path]] = []
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is None:
                self._wrong("a key must be one word", key, path)
                continue
            if name == "<<" and key.style is None:
                merged.append((value, path))
                continue
            here = (*path, name)
            if name in values:
                first = self._document.lines[here]
                self._wrong(f"stands here twice (first in line {first}); remove one", key, here)
                continue
            self._document.lines[here] = key.start_mark.line + 1
            values[name] = self.value(value, here)
        for source, at in merged:
            for name, value in self._merged(source, at).items():
                values.setdefault(name, value)
        return values

    def _merged(self, node: yaml.Node, path: Path) -> dict[str, Json]:
        """What `<<: *anchor` brings; earlier ones win, and the mapping's own keys over all."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        values: dict[str, Json] = {}
        self._nodes += 1
        if self._merging >= DEPTH or self._nodes > NODES:
            self._too_deep(node, path)
            return values
        self._merging += 1
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                self._wrong("`<<` takes a section or a list of sections", node, path)
                continue
            before = dict(self._document.lines)
            found = self.mapping(source, path)
            self._document.lines.update(before)
            for name, value in found.items():
                values.setdefault(name, value)
        self._merging -= 1
        return values

    def value(self, node: yaml.Node, path: Path) -> Json:
        self._nodes += 1
        if len(path) > DEPTH or self._nodes > NODES:
            self._too_deep(node, path)
            return None
        if node.tag not in TAGS:
            self._wrong(f"tags such as {node.tag} are not understood", node, path)
            return None
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*path, str(place))) for place, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, path)

    def _item(self, node: yaml.Node, path: Path) -> Json:
        self._document.lines[path] = node.start_mark.line + 1
        return self.value(node, path)

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Json:
        raw: str = node.value
        kept = REFERENCE.fullmatch(raw) if secret(path) else None
        if kept:
            return f"env:{kept[1]}"
        text = VARIABLE.sub(lambda found: self._variable(found, node, path), raw) if "${" in raw else raw
        return text if node.style in ("'", '"', "|", ">") else plain(text)

    def _variable(self, found: re.Match[str], node: yaml.Node, path: Path) -> str:
        escaped, name, default, broken = found.groups()
        if escaped:
            return "${"
        if broken:
            self._wrong("`${` must be followed by NAME} or NAME:-default}; write `$${` for the text itself", node, path)
            return ""
        value = self._environ.get(name, "")
        if value:
            return value
        if default is None:
            self._wrong(f"the environment has no {name}; set it or write ${{{name}:-default}}", node, path)
            return ""
        return str(default)

    def _too_deep(self, node: yaml.Node, path: Path) -> None:
        """Said once; nothing more of the file is read after it."""
        if not self._stopped:
            self._wrong("nested too deeply, or a section that contains itself", node, path[:1])
        self._stopped = True
        self._nodes = NODES + 1

    def _wrong(self, message: str, node: yaml.Node, path: Path) -> None:
        line = node.start_mark.line + 1
        self._document.errors.append(
            ConfigError(message, file=self._document.name, line=line, key=dotted(path) or None)
        )
