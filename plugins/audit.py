"""Audit: one entry per call that says who asked, which plugins ran and what each decided. Changes nothing.

The worker numbers its entries, the control process chains them (`control.audit`), so a gap is seen. Text stands in an
entry only where the operator asks for it (`audit.content: masked | full`). With `audit.strict` an entry is durable
before the upstream is called: nothing happens that is not on disk.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

import orjson

from proxy.exchange import DURABLE, NOTHING, AuditEntry, Exchange, Response, dumped
from proxy.plugin import Kit, NoOptions, Plugin

CONTENT_CHARS = 65_536
"""Of each side, input and output; longer texts are cut and say so."""
KINDS = 512
"""Kinds of calls whose manifests are remembered."""
KIND_BYTES = 4096
"""Longer manifests are not: callers and providers can write into them."""


class Audit(Plugin[NoOptions]):
    name = "audit"

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._worker = os.urandom(4).hex()
        self._named = orjson.dumps(self._worker)
        self._numbers = itertools.count(1)
        self._usual: dict[tuple[Any, ...], bytes] = {}
        """Manifests behind their time, by all that they say."""

    def needed(self, hook: str, snapshot: Any, agent: Any) -> bool:
        content = snapshot.content if agent is None else agent.content
        return hook != "request" or snapshot.audit_strict or content != "none"

    async def request(self, exchange: Exchange) -> Response | None:
        if exchange.snapshot.content_of(exchange.caller.agent) != "none":
            exchange.wants_text = True
        if exchange.snapshot.audit_strict:
            caller = exchange.caller
            exchange.notes[DURABLE] = {
                "audit": {
                    "seq": next(self._numbers), "worker": self._worker, "call": exchange.id, "user": caller.user,
                    "session": caller.session, "at": exchange.at_s, **_begun(exchange, "llm.call.begin"),
                }
            }  # fmt: skip
        return None

    async def finish(self, exchange: Exchange) -> None:
        manifest = b'{"at":%a,%b' % (exchange.at_s, self._said(exchange))
        mode = exchange.snapshot.content_of(exchange.caller.agent)
        content = None
        if mode != "none" and exchange.request.doc is not None:
            content = {"mode": mode, "input": _input(exchange), "output": _output(exchange)}
        exchange.audit = AuditEntry(self._named, next(self._numbers), manifest, content)

    def _said(self, exchange: Exchange) -> bytes:
        """The manifest behind its time. Calls of one kind that came off alike have the same."""
        request, caller = exchange.request, exchange.caller
        if exchange.steps or exchange.findings or request.uninspected:
            return dumped(_ended(exchange))[1:]
        said, target = exchange.response or NOTHING, exchange.target
        upstream = target.upstream if target is not None else ""
        kind = (
            caller.agent, caller.tenant, caller.key, request.dialect, request.method, request.path, request.model,
            request.stream, exchange.snapshot.version, exchange.outcome, said.status, said.source, upstream,
            said.model, said.finish, said.complete, *exchange.timeline.plugins,
        )  # fmt: skip
        usual = self._usual.get(kind)
        if usual is None:
            usual = dumped(_ended(exchange))[1:]
            if len(usual) > KIND_BYTES:
                return usual
            if len(self._usual) >= KINDS:
                self._usual.clear()
            self._usual[kind] = usual
        return usual


def _begun(exchange: Exchange, action: str) -> dict[str, Any]:
    """What is known before a call goes out, but for its time."""
    caller, request = exchange.caller, exchange.request
    return {
        "action": action,
        "agent": caller.agent,
        "tenant": caller.tenant,
        "metadata": {
            "surface": request.dialect,
            "method": request.method,
            "path": request.path,
            "model": request.model,
            "stream": request.stream,
            "key": caller.key,
            "settings": exchange.snapshot.version,
        },
    }


def _ended(exchange: Exchange) -> dict[str, Any]:
    """What is known in the end, but for the time of the beginning."""
    said = exchange.response or NOTHING
    manifest = _begun(exchange, "llm.call")
    manifest["outcome"] = exchange.outcome
    manifest["plugins"] = _plugins(exchange)
    manifest["metadata"] |= {
        "status": said.status,
        "answered_by": said.source,
        "upstream": exchange.target.upstream if exchange.target else "",
        "served_model": said.model,
        "finish": said.finish,
        "complete": said.complete,
        "findings": [
            [found.plugin, found.type, found.action, found.severity, found.score, dict(found.counts)]
            for found in exchange.findings
        ],
        "uninspected": exchange.request.uninspected,
    }
    return manifest


def _plugins(exchange: Exchange) -> dict[str, list[str]]:
    """By plugin: what it did; an empty list means it ran and let pass."""
    found: dict[str, list[str]] = {name: [] for name in (Audit.name, *exchange.timeline.plugins)}
    for step in exchange.steps:
        found.setdefault(step.plugin, []).append(f"{step.hook} {step.what}")
    return found


def _input(exchange: Exchange) -> list[dict[str, str]]:
    return _cut([{"role": one.role, "kind": one.kind, "text": one.text} for one in exchange.request.segments])


def _output(exchange: Exchange) -> list[dict[str, str]]:
    response = exchange.response
    if response is None:
        return []
    return _cut([{"role": one.role, "kind": one.kind, "text": one.text} for one in response.segments])


def _cut(texts: list[dict[str, str]]) -> list[dict[str, str]]:
    room = CONTENT_CHARS
    kept: list[dict[str, str]] = []
    for one in texts:
        if room <= 0:
            kept.append({"role": "", "kind": "cut", "text": f"{len(texts) - len(kept)} more texts"})
            break
        kept.append({**one, "text": one["text"][:room]})
        room -= len(one["text"])
    return kept
