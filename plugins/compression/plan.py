"""Options made ready: which rules hold for a text by its kind and role, and under what name results are remembered."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from plugins.compression.options import CompressionOptions
from plugins.compression.shrink import Rules
from proxy.exchange import Kind, Role

CHARS_PER_TOKEN = 4
DATA: tuple[Kind, ...] = ("tool_result", "document")
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Plan:
    """What the options come to."""

    options: CompressionOptions
    rules: Mapping[tuple[Kind, Role], Rules]
    """Of the texts that may be touched at all."""
    least_chars: int
    name: str
    """Stands for the options in what is remembered."""
    data_only: bool = False
    """Calls in which no tool and no document says anything are none of its business."""


def plan_of(options: CompressionOptions) -> Plan:
    data, careful = Rules.of(options), Rules.careful(options)
    rules: dict[tuple[Kind, Role], Rules] = {}
    for role in ROLES:
        if options.tool_results:
            rules["tool_result", role] = replace(data, schemas=False)
        if options.documents:
            rules["document", role] = replace(data, schemas=False)
        if getattr(options, role, False):
            rules["text", role] = careful
    name = hashlib.blake2b(repr(options).encode(), digest_size=8).hexdigest()
    said = any(getattr(options, role, False) for role in ROLES)
    data_only = not (said or options.tool_schemas or options.max_context_tokens is not None)
    return Plan(options, MappingProxyType(rules), CHARS_PER_TOKEN * options.min_tokens, name, data_only)
