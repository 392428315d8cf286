"""What every plugin would do with a call, and why, without sending it: the chain in shadow, out of the server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson

from proxy import wire
from proxy.chain import BYPASSED, Chain
from proxy.clock import SystemClock
from proxy.errors import Forbidden, Limited, MalformedBody, Refused
from proxy.exchange import Caller, Exchange, Finding, Request, Response
from proxy.live import Agent, Entry, Snapshot
from proxy.plugin import Plugin
from proxy.route import Member, applies, for_agent
from proxy.upstream import endpoint
from proxy.view import REASONS
from proxy.wire.body import parse

SHOWN_CHARS = 500
"""Of a text, for people; `--json` has all of it."""


@dataclass(slots=True)
class Explanation:
    """One line per plugin, and where the call would go."""

    surface: str
    model: str
    agent: str
    segments: int
    uninspected: list[str]
    targets: list[str]
    plugins: list[dict[str, Any]] = field(default_factory=list)


async def explain(
    snapshot: Snapshot, plugins: dict[str, Plugin[Any]], body: bytes, *, path: str, caller: Caller, now: Any
) -> Explanation:
    """Runs the request hooks in shadow, one after the other, each on the call as it came. Raises WeirErrors for a call
    that would be turned away before the chain."""
    dialect = wire.route(path)
    if dialect is None:
        raise MalformedBody(f"no codec reads {path}: such a call would be relayed uninspected")
    codec = wire.codec(dialect)
    doc = codec.read(body)
    request = Request(
        dialect, "POST", path, "", [], body,
        doc=doc, model=doc.get("model", ""), stream=doc.get("stream") is True, walk=codec.walk, write=codec.write,
    )  # fmt: skip
    exchange = Exchange("explain", caller, request, at_s=SystemClock().wall_s(), start=now(), snapshot=snapshot)
    exchange.explained = True
    targets = endpoint.resolve(snapshot, dialect, request.model)
    exchange.target, exchange.fallbacks = targets[0], list(targets[1:])
    made = Explanation(
        dialect, request.model, caller.agent, len(request.segments), request.uninspected,
        [f"{target.upstream}: {target.model}" for target in targets],
    )  # fmt: skip
    _look_for_unread(exchange, Chain(snapshot, plugins, now))
    shadowed = replace(
        snapshot,
        chain=tuple(replace(entry, mode="shadow") for entry in snapshot.chain),
        agents={name: _in_shadow(agent) for name, agent in snapshot.agents.items()},
    )
    chain = Chain(shadowed, plugins, now)
    route = chain.route(caller.agent, request.model, path)
    listed = {member.name: member for member in route.members}
    for entry in snapshot.chain:
        member = listed.get(entry.name)
        if member is None:
            why = _why_not(entry, plugins, exchange)
            made.plugins.append({"plugin": entry.name, "runs": False, "why": why})
            continue
        made.plugins.append(await _judged(chain, exchange, member, entry.mode))
    return made


async def _judged(chain: Chain, exchange: Exchange, member: Member, mode: str) -> dict[str, Any]:
    steps, findings, reasons = len(exchange.steps), len(exchange.findings), list[str]()
    texts: list[dict[str, Any]] = []

    async def asked(view: Exchange) -> Response | None:
        try:
            answer = await member.plugin.request(view)
        except (Refused, Limited) as decision:
            reasons.append(decision.message)
            raise
        texts.extend(_changed(view.request))
        reasons.extend(step.what for step in view.steps if not step.what.startswith((*REASONS, "moved to ")))
        if view.cache == "MISS":
            reasons.append("it may be answered from the cache")
        return answer

    if "request" in member.hooks:
        await chain.call(exchange, member, "request", asked)
    elif not member.hooks:
        reasons.append("its options leave it nothing to do")
    return {
        "plugin": member.name,
        "runs": True,
        "mode": mode,
        "hooks": sorted(member.hooks),
        "would": [step.what for step in exchange.steps[steps:]] or ["let pass"],
        "why": [*reasons, *(reason for found in exchange.findings[findings:] for reason in found.reasons)],
        "findings": [asdict(found) for found in exchange.findings[findings:]],
        "types": _types(exchange.findings[findings:]),
        "texts": texts,
        "us": round(exchange.timeline.plugins.get(member.name, 0.0) * 1e6),
    }


def _changed(request: Request) -> Iterator[dict[str, Any]]:
    """The texts that would go out otherwise than they came, and those that would be added; as they would be sent."""
    for segment in request.segments:
        if segment.changed:
            place = {"role": segment.role, "kind": segment.kind, "message": segment.index, "part": segment.part}
            yield {**place, "text": segment.text}
    for added in request.inserts:
        yield {"role": added.role, "kind": "added", "message": added.index, "part": 0, "text": added.text}


def _types(findings: Sequence[Finding]) -> dict[str, dict[str, int]]:
    """What was found, by type, with the plugin's own counts."""
    found: dict[str, dict[str, int]] = {}
    for one in findings:
        counts = found.setdefault(one.type, {})
        for name, count in one.counts:
            counts[name] = counts.get(name, 0) + count
    return found


def _look_for_unread(exchange: Exchange, chain: Chain) -> None:
    """As the pipeline does: parts that no codec reads may be refused before any plugin is asked."""
    request, route = exchange.request, chain.route(exchange.caller.agent, exchange.request.model, exchange.request.path)
    if request.uninspected and (chain.snapshot.uninspected == "refuse" or route.refuses_unread):
        parts = ", ".join(sorted(set(request.uninspected)))
        raise Forbidden(f"this call has parts that cannot be inspected ({parts}), and such calls are refused here")


def path_of(body: bytes) -> str:
    """The path a body is most likely for, told from the parameters only its dialect has."""
    doc = parse(body)
    if "input" in doc:
        embeds = "embed" in str(doc.get("model", "")) or "encoding_format" in doc
        return "/v1/embeddings" if embeds else "/v1/responses"
    if "prompt" in doc:
        return "/v1/completions"
    claude = str(doc.get("model", "")).startswith("claude") or "system" in doc
    return "/v1/messages" if claude else "/v1/chat/completions"


def _in_shadow(agent: Agent) -> Agent:
    plugins = {name: {key: value for key, value in own.items() if key != "mode"} for name, own in agent.plugins.items()}
    return replace(agent, plugins=plugins)


def _why_not(entry: Entry, plugins: dict[str, Plugin[Any]], exchange: Exchange) -> str:
    """As the chain leaves it out (`Chain.route`)."""
    caller, request = exchange.caller, exchange.request
    if not for_agent(entry, exchange.snapshot.agents.get(caller.agent)).enabled:
        return f"it is off for the agent {caller.agent}" if entry.enabled else "it is not enabled"
    plugin = plugins.get(entry.name)
    if plugin is None:
        return "it is not loaded"
    if exchange.snapshot.bypass and entry.name not in BYPASSED:
        return f"`bypass` is on, and then only {' and '.join(sorted(BYPASSED))} run"
    if not applies(entry.when, caller.agent, request.model, request.path):
        return "its `when` does not match this call"
    return f"it has to do with calls to {', '.join(sorted(plugin.paths))} only"


def lines(made: Explanation) -> list[str]:
    """For people."""
    texts = "1 text" if made.segments == 1 else f"{made.segments} texts"
    found = [
        f"A {made.surface} call of agent {made.agent!r} for model {made.model!r}, with {texts}.",
        f"It would go to {made.targets[0]}" + (f", then {', '.join(made.targets[1:])}." if made.targets[1:] else "."),
    ]
    if made.uninspected:
        found.append(f"Parts that no codec reads: {', '.join(made.uninspected)}.")
    for one in made.plugins:
        if not one["runs"]:
            found.append(f"  {one['plugin']}: does not run, {one['why']}.")
            continue
        mode = " (in shadow)" if one["mode"] == "shadow" else ""
        hooks = ", ".join(one["hooks"]) or "none"
        why = f" because: {'; '.join(one['why'])}" if one["why"] else ""
        found.append(f"  {one['plugin']}{mode}: {'; '.join(one['would'])}{why} [{one['us']} us; hooks: {hooks}]")
        found += [f"    found: {_counted(kind, counts)}" for kind, counts in one["types"].items()]
        found += [f"    {_place(text)} would go out as: {_on_a_line(text['text'])}" for text in one["texts"]]
    return found


def _counted(kind: str, counts: dict[str, int]) -> str:
    return f"{kind} ({', '.join(f'{name} {count}' for name, count in counts.items())})" if counts else kind


def _place(text: dict[str, Any]) -> str:
    kind = "" if text["kind"] == "text" else f" {text['kind'].replace('_', ' ')}"
    return f"{text['role']}{kind} {text['message']}"


def _on_a_line(text: str) -> str:
    """As it may be shown on a terminal."""
    more = f" ({len(text) - SHOWN_CHARS} characters more)" if len(text) > SHOWN_CHARS else ""
    return json.dumps(text[:SHOWN_CHARS], ensure_ascii=not text.isprintable()) + more


def document(made: Explanation) -> bytes:
    return orjson.dumps(made, option=orjson.OPT_INDENT_2)
