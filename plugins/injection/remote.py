"""A classifier elsewhere, asked over HTTP: a yes/no guard that may judge while the upstream call is under way."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Literal
from urllib.parse import urlsplit

import orjson

from plugins.injection import actions
from plugins.injection.actions import Case
from plugins.injection.position import position_of
from plugins.injection.screen import Seen, settled, slices
from plugins.injection.turns import REFUSED, REMOTE
from proxy.errors import ConfigError, Refused
from proxy.exchange import Exchange, Response, Segment
from proxy.plugin import Kit, Plugin

CODE = "prompt_injection"
ANSWER_BYTES = 65_536
TEXTS = 16
"""New texts of a call that are asked about; a call with more is refused or let pass like any failure."""


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """Which classifier is asked, and what its answers mean."""

    url: str = ""
    """Where texts are sent: `POST {"inputs": text}`. Only ever this address; redirects are not followed."""
    token: str = ""
    """Sent as `Authorization: Bearer`; write `${VARIABLE}`."""
    labels: tuple[str, ...] = ("INJECTION", "JAILBREAK", "LABEL_1", "MALICIOUS", "UNSAFE")
    """Labels in its answer, `[{"label": ..., "score": ...}]`, that stand for an attack; case does not matter. An answer
    `{"score": ...}` is the score itself."""
    threshold: float = 0.9
    """The score from which on a text is taken for an attack."""
    texts: tuple[str, ...] = ("user", "tool", "document")
    """Positions whose texts are sent."""
    timeout_ms: int = 1000
    """For one answer. Past it the plugin has failed, and its `on_error` says what follows."""
    refuse_as: Literal["error", "answer"] = "error"
    """A refusal is an error (400), or a normal completion that ends with `content_filter`."""
    allow_unmasked: bool = False
    """Stand above `pii`, and send texts with the personal data that is in them."""


class Remote(Plugin[RemoteOptions]):
    name = REMOTE
    Options = RemoteOptions
    egress = True
    overlap = True
    positions = frozenset({"request.user", "request.tool_result"})

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._tls = ssl.create_default_context()

    async def start(self) -> None:
        for options in self.configured():
            if urlsplit(options.url).scheme not in ("http", "https"):
                raise ConfigError(
                    "needs the address of a classifier: set `url` in its options, such as http://127.0.0.1:8090/predict",
                    key=f"plugins.{self.name}.options.url",
                )

    async def request(self, exchange: Exchange) -> Response | None:
        options = exchange.options(self)
        last = actions.newest(exchange.request)
        asked = [one for one in exchange.request.segments if position_of(one) in options.texts and _said(one)]
        seen = await self._seen(exchange, options, [one for one in asked if one.fresh])
        for segment in asked:
            found = seen.get(id(segment)) or self._refused(exchange, segment)
            if found is not None and found.flagged:
                new = segment.fresh and segment.index >= last
                self._meet(exchange, options, Case(segment, position_of(segment), found, "refuse", new))
        return None

    async def _seen(self, exchange: Exchange, options: RemoteOptions, fresh: list[Segment]) -> dict[int, Seen]:
        if len(fresh) > TEXTS:
            raise HTTPException(f"{len(fresh)} new texts in one call are too many to ask about")
        fingerprint = f"{options.url} {options.threshold} {options.labels}"
        recalled = {
            id(one): self.kit.memory.recall(self.name, fingerprint, exchange, settled(one)) for one in fresh
        }  # fmt: skip
        unknown = [one for one in fresh if recalled[id(one)] is None]
        pieces = [(one, piece) for one in unknown for piece in slices(one.text)]
        scores = await asyncio.gather(
            *(self.kit.tasks.in_thread(ask, options, self._tls, piece) for _, piece in pieces)
        )
        for one in unknown:
            worst = max(score for (whose, _), score in zip(pieces, scores, strict=True) if whose is one)
            found = Seen(worst, (REMOTE,), worst >= options.threshold, False, False)
            recalled[id(one)] = found
            self.kit.memory.remember(self.name, fingerprint, exchange, settled(one), found)
            if found.flagged:
                self.kit.memory.remember(REMOTE, REFUSED, exchange, settled(one), found)
        return recalled

    def _refused(self, exchange: Exchange, segment: Segment) -> Seen | None:
        found: Seen | None = self.kit.memory.recall(REMOTE, REFUSED, exchange, settled(segment))
        return found

    def _meet(self, exchange: Exchange, options: RemoteOptions, one: Case) -> None:
        """Refused where it is new; replaced else, or where a refusal would come again and again."""
        beside = any(entry.name == self.name and entry.overlap for entry in exchange.snapshot.chain)
        keep = one.segment.sealed or beside
        if (one.new and one.position == "user") or keep:
            actions.record(exchange, self.name, [one])
            what = actions.WHAT[one.position]
            raise Refused(
                self.name,
                f"The {what} was taken for a prompt injection; the call was not answered.",
                code=CODE,
                as_answer=options.refuse_as == "answer",
            )
        replaced = Case(one.segment, one.position, one.seen, "replace", one.new)
        actions.record(exchange, self.name, [replaced])
        actions.edit(replaced, "", False)


def _said(segment: Segment) -> bool:
    """It has not been replaced already."""
    return not segment.text.startswith(actions.REMOVED)


def ask(options: RemoteOptions, tls: ssl.SSLContext, text: str) -> float:
    """The classifier's score of one text. Blocks; raises where there is no proper answer in time."""
    place = urlsplit(options.url)
    limit_s = options.timeout_ms / 1000
    host = place.hostname or ""
    connection = (
        HTTPSConnection(host, place.port, timeout=limit_s, context=tls)
        if place.scheme == "https"
        else HTTPConnection(host, place.port, timeout=limit_s)
    )
    headers = {"content-type": "application/json"}
    if options.token:
        headers["authorization"] = f"Bearer {options.token}"
    try:
        target = f"{place.path or '/'}{'?' + place.query if place.query else ''}"
        connection.request("POST", target, orjson.dumps({"inputs": text}), headers)
        answer = connection.getresponse()
        raw = answer.read(ANSWER_BYTES)
        if answer.status != 200:
            raise HTTPException(f"the classifier answered {answer.status}")
    finally:
        connection.close()
    return score(orjson.loads(raw), {label.casefold() for label in options.labels})


def score(doc: Any, labels: set[str]) -> float:
    """The highest score of an attack in an answer. Raises ValueError where it has no scores."""
    found = list(_scores(doc, labels))
    if not found:
        raise ValueError("the classifier's answer has no scores")
    return max(found)


def _scores(doc: Any, labels: set[str]) -> Iterable[float]:
    if isinstance(doc, list):
        for one in doc:
            yield from _scores(one, labels)
    elif isinstance(doc, dict) and isinstance(doc.get("score"), int | float):
        label = doc.get("label")
        yield float(doc["score"]) if label is None or str(label).casefold() in labels else 0.0
