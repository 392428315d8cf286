"""Audit: one entry per call that says who asked, which plugins ran and what each decided. Changes nothing.

The worker numbers its entries, the control process chains them (`control.audit`), so a gap is seen. Text stands in an
entry only where the operator asks for it (`audit.content: masked | full`). With `audit.strict` an entry is durable
before the upstream is called: nothing happens that is not on disk.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

from proxy.exchange import DURABLE, Exchange, Response
from proxy.plugin import Kit, NoOptions, Plugin

CONTENT_CHARS = 65_536
"""Of each side, input and output; longer texts are cut and say so."""


NOTHING = Response(status=0, source="")


class Audit(Plugin[NoOptions]):
    name = "audit"

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._worker = os.urandom(4).hex()
        self._numbers = itertools.count(1)

    async def request(self, exchange: Exchange) -> Response | None:
        if exchange.snapshot.content_of(exchange.caller.agent) != "none":
            exchange.wants_text = True
        if exchange.snapshot.audit_strict:
            exchange.notes[DURABLE] = {"audit": _flat(exchange, self._entry(exchange, "llm.call.begin"))}
        return None

    async def finish(self, exchange: Exchange) -> None:
        entry = self._entry(exchange, "llm.call")
        response = exchange.response
        manifest = entry["manifest"]
        manifest["outcome"] = exchange.outcome
        manifest["plugins"] = _plugins(exchange)
        data, said = manifest["metadata"], response or NOTHING
        data["status"] = said.status
        data["answered_by"] = said.source
        data["upstream"] = exchange.target.upstream if exchange.target else ""
        data["served_model"] = said.model
        data["finish"] = said.finish
        data["complete"] = said.complete
        findings = exchange.findings
        data["findings"] = (
            [[found.plugin, found.type, found.action, found.severity] for found in findings] if findings else []
        )
        data["uninspected"] = exchange.request.uninspected
        mode = exchange.snapshot.content_of(exchange.caller.agent)
        if mode != "none" and exchange.request.doc is not None:
            entry["content"] = {"mode": mode, "input": _input(exchange), "output": _output(exchange)}
        exchange.audit = entry

    def _entry(self, exchange: Exchange, action: str) -> dict[str, Any]:
        caller, request = exchange.caller, exchange.request
        return {
            "seq": next(self._numbers),
            "worker": self._worker,
            "manifest": {
                "at": exchange.at_s,
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
            },
        }


def _flat(exchange: Exchange, entry: dict[str, Any]) -> dict[str, Any]:
    """As it goes to control on its own, without a record beside it that says whose call it is."""
    person = {"call": exchange.id, "user": exchange.caller.user, "session": exchange.caller.session}
    return {"seq": entry["seq"], "worker": entry["worker"], **person, **entry["manifest"]}


def _plugins(exchange: Exchange) -> dict[str, list[str]]:
    """By plugin: what it did; an empty list means it ran and let pass."""
    found: dict[str, list[str]] = {name: [] for name in exchange.timeline.plugins}
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
