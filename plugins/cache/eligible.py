"""Which calls may share an answer at all: those that leave nothing at the provider and depend on nothing there."""

from __future__ import annotations

import re
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from proxy.exchange import Dialect, Json, Request

STATE: Final = frozenset(
    {
        "previous_response_id", "conversation", "background", "prompt_id", "container", "mcp_servers",
        "web_search_options", "data_sources", "plugins", "search_parameters", "enable_search", "context_management",
    }
)  # fmt: skip
"""Top-level names that tie a call to what a provider keeps, or let it look elsewhere."""
OWN: Final = MappingProxyType(
    {"chat": ("function", "custom"), "responses": ("function", "custom"), "messages": (None, "custom")}
)
"""Kinds of tools that the caller itself runs, by dialect."""
TELLING: Final = STATE | {"store", "prompt", "n", "best_of", "modalities", "tools", "input", "system"}
"""Top-level names without which nothing but the messages and the model has to be looked at."""
PLAIN: Final = frozenset({"role", "content", "name", "tool_call_id"})
"""What a message has whose text is all there is to it."""
MODELS: Final = 512
SEARCHES: Final = re.compile(r"(?:^|[-/_.:])(?:search|online|sonar)(?:$|[-/_.])|deep-research")
"""Models that look elsewhere by themselves."""
_PLACES: Final = frozenset({"image_url", "file_url", "file_uri", "url", "file_id", "type"})
"""Names under which a part stands that may not be in the body."""


def why_not(request: Request, doc: Json, model: str) -> str:
    """Why no answer to this call may be given again; empty: it may be. `doc` is the body as it would be sent."""
    dialect = request.dialect
    if request.method != "POST" or dialect == "relay":
        return "no call of a model"
    if dialect == "chat" and TELLING.isdisjoint(doc):
        return _reaching(request, doc, model)
    if not STATE.isdisjoint(doc):
        for name in STATE:
            if doc.get(name):
                return name
    if dialect == "responses":
        if doc.get("store") is not False:
            return "store"
        if type(doc.get("prompt")) is dict:
            return "prompt kept by the provider"
    elif doc.get("store"):
        return "store"
    return _several(dialect, doc) or _reaching(request, doc, model)


def deterministic(dialect: Dialect, doc: Json) -> bool:
    """Whether asking again is meant to give the same answer."""
    if dialect == "embeddings" or doc.get("seed") is not None:
        return True
    temperature = doc.get("temperature")
    return temperature == 0 and type(temperature) is not bool


def _several(dialect: Dialect, doc: Json) -> str:
    if doc.get("n") not in (None, 1) or doc.get("best_of") not in (None, 1):
        return "n"
    if dialect == "completions":
        prompt = doc.get("prompt")
        if type(prompt) is list and len(prompt) > 1 and type(prompt[0]) is not int:
            return "several prompts"
    modalities = doc.get("modalities")
    return "audio" if type(modalities) is list and "audio" in modalities else ""


def _reaching(request: Request, doc: Json, model: str) -> str:
    tools = doc.get("tools")
    if tools:
        own = OWN.get(request.dialect, ())
        for tool in tools if type(tools) is list else ():
            if type(tool) is not dict or tool.get("type") not in own:
                return "hosted tools"
    if _searches(model):
        return "a model that searches"
    if _refers(doc.get("messages")) or _refers(doc.get("input")) or _refers(doc.get("system")):
        return "parts kept elsewhere"
    return ""


@lru_cache(MODELS)
def _searches(model: str) -> bool:
    return SEARCHES.search(model) is not None


def _refers(value: Json) -> bool:
    """Whether a part is not in the body but at an address or kept by the provider."""
    if type(value) is list:
        for inner in value:
            kind = type(inner)
            if kind is dict and inner.keys() <= PLAIN and type(inner.get("content")) is str:
                continue
            if (kind is dict or kind is list) and _refers(inner):
                return True
        return False
    if type(value) is not dict:
        return False
    for name, inner in value.items():
        kind = type(inner)
        if kind is str:
            if name in _PLACES and _elsewhere(name, inner):
                return True
        elif (kind is dict or kind is list) and _refers(inner):
            return True
    return False


def _elsewhere(name: str, value: str) -> bool:
    if name == "type":
        return value == "item_reference"
    return name == "file_id" or not value.startswith("data:")
