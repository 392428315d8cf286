"""Calls of tools that a rule calls unsafe, and calls that serve a text in which an injection was found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import re2

from plugins.output_filter.known import Known
from plugins.output_filter.report import Severity
from plugins.output_filter.rules import Call
from proxy.exchange import Exchange

ARGUMENT_CHARS = 65_536
_TARGET = re.compile(r"https?://[^\s\"'<>]{4,500}|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}", re.IGNORECASE)
INJECTION = "injection"
"""The plugin whose findings say that a text of this call gives orders it should not."""


class Unsafe(NamedTuple):
    """An argument by which a call is unsafe."""

    rule: str
    severity: Severity


class Calls:
    """All rules at once."""

    def __init__(self, rules: tuple[Call, ...]) -> None:
        self._rules = rules
        options = re2.Options()
        options.max_mem = 64 << 20
        options.log_errors = False
        self._set: Any = re2.Set.SearchSet(options)
        for rule in rules:
            self._set.Add(rule.argument.pattern)
        if rules:
            self._set.Compile()

    def unsafe(self, tool: str, argument: str) -> Iterator[Unsafe]:
        """The rules that this argument breaks. Of a tool whose name is not known (""), every rule may speak."""
        if not self._rules:
            return
        data = argument[:ARGUMENT_CHARS].encode("utf-8", "surrogatepass")
        for number in self._set.Match(data) or ():
            rule = self._rules[number]
            if not tool or rule.tool is None or rule.tool.search(tool.encode()):
                yield Unsafe(rule.id, rule.severity)


def serves(exchange: Exchange, argument: str, known: Known) -> bool:
    """Whether the argument names an address that only tool results of this call name, after an injection was found in
    this call: then nobody but the injected text has asked for it."""
    if not any(finding.plugin == INJECTION for finding in exchange.findings):
        return False
    targets = [found.group().casefold() for found in _TARGET.finditer(argument[:ARGUMENT_CHARS])]
    return any(known.tools(target) for target in targets[:16])
