"""Audit: one entry per call that says who asked, which plugins ran and what each decided. Changes nothing.

The worker numbers its entries, the control process chains them (`control.audit`), so a gap is seen. Text stands in an
entry only where the operator asks for it (`audit.content: masked | full`); what is to be masked goes through the mask
that `pii` has left on the call, and where there is none, or it fails, no text is kept. With `audit.strict` an entry is
durable before the upstream is called: nothing happens that is not on disk.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from proxy.exchange import DURABLE, MASK, NOTHING, AuditEntry, Exchange, Response, Segment, dumped
from proxy.plugin import Kit, NoOptions, Plugin

CONTENT_CHARS = 65_536
"""Of each side, input and output; longer texts are cut and say so."""
SECRET_CHARS = 8192
"""How long something may be that must not be kept."""
KINDS = 512
"""Kinds of calls whose manifests are remembered."""
KIND_BYTES = 4096
"""Longer manifests are not: callers and providers can write into them."""


class Audit(Plugin[NoOptions]):
    name = "audit"
    again = frozenset({"finish"})

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

    def finish_waits(self, exchange: Exchange) -> bool:
        if exchange.snapshot.content_of(exchange.caller.agent) != "masked":
            return False
        mask = exchange.notes.read(MASK)
        return mask is not None and mask.slow([one.text for one in _texts(exchange)])

    async def finish(self, exchange: Exchange) -> None:
        manifest = b'{"at":%a,%b' % (exchange.at_s, self._said(exchange))
        entry = exchange.audit = AuditEntry(self._named, next(self._numbers), manifest)
        mode = exchange.snapshot.content_of(exchange.caller.agent)
        if mode == "none" or exchange.request.doc is None:
            return
        if mode == "full":
            exchange.audit = entry._replace(content=_kept(exchange, "full", str))
            return
        mask = exchange.notes.read(MASK)
        if mask is None:
            return
        try:
            if mask.slow([one.text for one in _texts(exchange)]):
                content = await self.kit.tasks.in_thread(_kept, exchange, "masked", mask)
            else:
                content = _kept(exchange, "masked", mask)
        except Exception:  # noqa: BLE001  whatever it was: what could not be masked is not kept
            exchange.step(self.name, "finish", "kept no text")
            return
        exchange.audit = entry._replace(content=content)

    def _said(self, exchange: Exchange) -> bytes:
        """The manifest behind its time. Calls of one kind that came off alike have the same."""
        request, caller, steps = exchange.request, exchange.caller, exchange.steps
        if (steps and len(steps) > 1) or exchange.findings or request.uninspected:
            return dumped(_ended(exchange))[1:]
        said, target = exchange.response or NOTHING, exchange.target
        upstream = target.upstream if target is not None else ""
        kind = (
            caller.agent, caller.tenant, caller.key, request.dialect, request.method, request.path, request.model,
            request.stream, exchange.snapshot.version, exchange.outcome, said.status, said.source, upstream,
            said.model, said.finish, said.complete, *exchange.timeline.plugins,
        )  # fmt: skip
        if steps:
            kind += (0, steps[0].plugin, steps[0].hook, steps[0].what)
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


def _texts(exchange: Exchange) -> list[Segment]:
    """Of the call and of its answer."""
    response = exchange.response
    return [*exchange.request.segments, *(response.segments if response is not None else ())]


def _kept(exchange: Exchange, mode: str, mask: Callable[[str], str]) -> dict[str, Any]:
    response = exchange.response
    said = response.segments if response is not None else ()
    return {"mode": mode, "input": _cut(exchange.request.segments, mask), "output": _cut(said, mask)}


def _cut(texts: Sequence[Segment], mask: Callable[[str], str]) -> list[dict[str, str]]:
    room = CONTENT_CHARS
    kept: list[dict[str, str]] = []
    for one in texts:
        if room <= 0:
            kept.append({"role": "", "kind": "cut", "text": f"{len(texts) - len(kept)} more texts"})
            break
        text = _masked(one.text, room, mask)
        kept.append({"role": one.role, "kind": one.kind, "text": text})
        room -= len(one.text)
    return kept


def _masked(text: str, room: int, mask: Callable[[str], str]) -> str:
    """The beginning of a text. A secret that is cut in two may not be known for one: so more is masked than is kept."""
    if len(text) <= room + SECRET_CHARS:
        return mask(text)[:room]
    return mask(text[: room + SECRET_CHARS])[:-SECRET_CHARS][:room]
