"""Whether the answer of a cheap model will do: checks that need no other model."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

import orjson

from plugins.routing.capabilities import wants_json
from plugins.routing.options import Cascade
from proxy.exchange import Exchange, Response

CUT = frozenset({"length", "max_tokens", "max_output_tokens", "incomplete"})
REFUSES = re.compile(
    r"\W*(?:(?:unfortunately|sorry|apologies)\W+(?:but )?)?(?:(?:i(?:'|’)?m|i am) (?:very |really |truly )?"
    r"(?:sorry|unable|afraid|not able)|i (?:can(?:'|’)?t|cannot|won(?:'|’)?t|will not)|as an ai)\b",
    re.IGNORECASE,
)
"""How an answer begins that is none."""
UNSURE = re.compile(
    r"\bi(?:'|’)?m not (?:sure|certain)\b|\bi (?:do not|don(?:'|’)?t) know\b|\bnot enough information\b"
    r"|\binsufficient information\b|\bi cannot (?:determine|verify|say)\b",
    re.IGNORECASE,
)
FENCE = re.compile(r"^\s*```(?:json)?\s*|\s*```\s*$")
DECLINED = frozenset({"content_filter", "refusal"})
SHORT_TOKENS = 120
"""Refusals that are answers are short."""
LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


def failed(exchange: Exchange, cascade: Cascade) -> str:
    """The check that this answer fails; empty: none."""
    response = exchange.response
    if response is None:
        return "empty"
    texts = [one for one in response.segments if one.kind in ("text", "refusal")]
    text = "\n".join([one.text for one in texts])
    acts = any(one.kind == "tool_arguments" for one in response.segments) or response.finish in ACTING
    for check in cascade.checks:
        if CHECKS[check](exchange, response, text, acts):
            return check
    low = text.lower()
    if not acts and any(wanted.lower() not in low for wanted in cascade.must_contain):
        return "must_contain"
    return "must_not_contain" if any(word.lower() in low for word in cascade.must_not_contain) else ""


ACTING = frozenset({"tool_calls", "tool_use", "function_call"})
Test = Callable[[Exchange, Response, str, bool], bool]


def cut_off(exchange: Exchange, response: Response) -> bool:
    """The model did not come to an end, and not because the caller wanted it so."""
    return response.finish in CUT and not any(exchange.request.get(name) for name in LIMITS)


def nothing(exchange: Exchange, response: Response) -> bool:
    """An answer that is none, so far as that is seen without a search for its texts."""
    if response.finish in DECLINED:
        return True
    usage = response.usage
    if usage is None or usage.output > SHORT_TOKENS or response.finish in ACTING:
        return False
    if not usage.output:
        return True
    said = response.said if isinstance(response.said, list) else []
    return any(one.kind == "refusal" or (one.kind == "text" and REFUSES.match(one.text)) for one in said)


def _length(exchange: Exchange, response: Response, text: str, acts: bool) -> bool:
    return cut_off(exchange, response)


def _empty(exchange: Exchange, response: Response, text: str, acts: bool) -> bool:
    return not acts and not text.strip()


def _refusal(exchange: Exchange, response: Response, text: str, acts: bool) -> bool:
    if response.finish in DECLINED or any(one.kind == "refusal" for one in response.segments):
        return True
    return not acts and REFUSES.match(text) is not None


def _unsure(exchange: Exchange, response: Response, text: str, acts: bool) -> bool:
    return not acts and UNSURE.search(text) is not None


def _json(exchange: Exchange, response: Response, text: str, acts: bool) -> bool:
    """JSON was asked for, and this is none, or lacks what the schema requires."""
    wanted = wants_json(exchange)
    if not wanted or acts:
        return False
    try:
        found = orjson.loads(FENCE.sub("", text) if wanted == "object" else text)
    except orjson.JSONDecodeError:
        return True
    if wanted == "object":
        return not isinstance(found, dict | list)
    required = _required(exchange)
    return bool(required) and (not isinstance(found, dict) or any(name not in found for name in required))


def _required(exchange: Exchange) -> list[str]:
    request = exchange.request
    form = request.get("response_format") or (request.get("text") or {}).get("format") or {}
    schema = form.get("schema") or (form.get("json_schema") or {}).get("schema") if isinstance(form, dict) else None
    required = schema.get("required") if isinstance(schema, dict) else None
    return [name for name in required if isinstance(name, str)] if isinstance(required, list) else []


CHECKS: Mapping[str, Test] = MappingProxyType(
    {"length": _length, "empty": _empty, "refusal": _refusal, "unsure": _unsure, "json": _json}
)
