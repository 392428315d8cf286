"""Semantic: answers a call with what another was told that asks the same in other words. Asked after an exact miss.

Only calls that are the same but for their last user text are looked at (`question`), so that a conversation is answered
only where all that was said before is the same. Among them the nearest by their words are found (`index`), the second
stage decides (`agree`), and where it is not sure by itself an embedder must find the two as near as `threshold`. What
was wrong before is not given again (`learned`).

In shadow the provider is asked all the same, and its answer is compared with the one that would have been given. Of
answers that are given, a share is explored in the same way.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from plugins.cache.entry import Entry
from plugins.cache.key import canonical, heard
from plugins.cache.seam import Ticket
from plugins.cache.semantic import lexicon
from plugins.cache.semantic.agree import agree
from plugins.cache.semantic.answers import same, text_of
from plugins.cache.semantic.embedder import Embedder, Local, MiniLM, Upstream, Vector, cosine
from plugins.cache.semantic.index import Index, Row
from plugins.cache.semantic.learned import BETWEEN, Learned
from plugins.cache.semantic.options import MINILM, SemanticOptions, installed
from plugins.cache.semantic.question import question
from plugins.cache.semantic.reading import Reading, read
from proxy.errors import WeirError
from proxy.exchange import Exchange, Response, Saving
from proxy.plugin import Kit, Verdict

STATE = "cache.semantic"
ENTRIES, VECTORS = 4096, 256
GOOD = 0.5
"""The score from which somebody calls an answer right."""
FINE = 10_000
"""Parts of 1 in which it is told how near two texts were."""
COMPARED_BYTES = 64 * 1024
"""Longer answers are not compared."""
ENDED = frozenset({"stop", "end_turn", "stop_sequence", "completed", "eos", "eos_token"})
"""How answers end that are words and no calls of tools."""
Give = Callable[[Exchange, Ticket, Entry], Response | None]
"""Makes the answer of an entry; None where its time is over."""


@dataclass(slots=True)
class Asked:
    """What a call asks, and what was found that asks the same."""

    part: bytes
    text: str
    reading: Reading
    doubtful: list[Row]
    """Rows that only an embedder can decide about."""
    row: Row | None = None
    near: float = 0.0
    reason: str = ""
    entry: Entry | None = None
    """What would have been given: it is compared with what the provider says."""
    vector: Vector | None = None
    made_by: str = ""


class Semantic:
    """`seam.Neighbour`."""

    def __init__(self, kit: Kit, hashed: Callable[[bytes], bytes], find: Callable[[bytes], Entry | None], give: Give):
        self._kit = kit
        self._hashed, self._find, self._give = hashed, find, give
        self.index = Index(ENTRIES)
        self.learned = Learned()
        self._lexicon = lexicon.packaged()
        self._embedders: dict[str, Embedder | None] = {}
        """None: being loaded, or not to be had."""
        self._model: MiniLM | None = None
        self._vectors: OrderedDict[tuple[str, str], Vector] = OrderedDict()
        """Of texts that were asked lately, whatever became of them."""

    async def start(self, configured: Sequence[SemanticOptions]) -> None:
        """Loads what is configured. Raises ConfigError where that is not installed."""
        for options in configured:
            if options.embedder == MINILM and MINILM not in self._embedders:
                await self._load()

    async def look(self, exchange: Exchange, ticket: Ticket) -> Response | None:
        options = ticket.options.semantic
        if not options.on:
            return None
        asked = self._asked(exchange, ticket, options)
        if asked is None:
            return None
        if asked.row is None and asked.doubtful and options.mode == "enforce":
            await self._weigh(exchange, asked, options)
            asked.doubtful = []
        return self._decided(exchange, ticket, asked, options) if asked.row is not None else None

    def kept(self, exchange: Exchange, ticket: Ticket, entry: Entry) -> None:
        """The provider's answer to a call that was looked for: to be found by others, and to learn from."""
        asked: Asked | None = exchange.state.get(STATE)
        if asked is None:
            return
        options = ticket.options.semantic
        if asked.row is not None:
            self._compare(exchange, asked, entry, options)
        elif asked.doubtful and options.embedder:
            self._kit.tasks.spawn("semantic shadow", self._late(exchange, asked, entry, options))
        if entry.finish in ENDED:
            self.index.most = options.entries
            self.index.add(Row(ticket.key, asked.part, asked.text, asked.reading, asked.vector, asked.made_by))

    def lesson(self, exchange: Exchange) -> tuple[float, str]:
        """Of a call that was answered: how near it was to the other, rounded up; and what that other is called."""
        asked: Asked = exchange.state[STATE]
        assert asked.row is not None
        return math.ceil(asked.near * FINE) / FINE, self._called(asked.row).hex()

    def judged(self, verdict: Verdict) -> None:
        """Somebody says of an answer that was given here or by another worker whether it was one."""
        right = verdict.score >= GOOD
        if verdict.before is not None:
            was = verdict.before >= GOOD
            if was == right:
                return
            self.learned.untell(_whose(verdict.tenant, verdict.agent), was)
        whose = _whose(verdict.tenant, verdict.agent)
        near, called = verdict.note if isinstance(verdict.note, list | tuple) else (verdict.note, "")
        self.learned.told(whose, bytes.fromhex(called) or None, float(near), right)

    def prune(self) -> int:
        """Forgets the texts whose answers are gone."""
        self._vectors.clear()
        return self.index.prune(lambda key: self._find(key) is not None)

    def report(self) -> dict[str, Any]:
        """What was found and what became of it, by agent; `raised` and `barred`: answers that are given only to nearer
        texts, or to none, since they were wrong."""
        raised, barred = self.learned.stricter()
        return {
            "texts": len(self.index), "bytes": self.index.used_bytes, "agents": self.learned.report(),
            "raised": raised, "barred": barred,
            "embedders": sorted(name for name, each in self._embedders.items() if each is not None),
        }  # fmt: skip

    def scan(self, row: dict[str, Any], options: SemanticOptions) -> dict[str, Any]:
        """`hit`, `similarity` and `reason` for two texts `a` and `b` of calls that are otherwise the same."""
        one, other = read(row["a"], self._lexicon), read(row["b"], self._lexicon)
        verdict = agree(one, other, self._lexicon)
        if self._model is None and installed():
            self._model = MiniLM()
        near = verdict.near
        if self._model is not None:
            near = cosine(self._model.vector(row["a"]), self._model.vector(row["b"]))
        hit = verdict.answer == "same"
        if verdict.answer == "unsure":
            hit = self._model is not None and near >= options.threshold
        return {
            "hit": hit,
            "similarity": round(near, 4),
            "reason": verdict.reason,
            "embedder": "none" if self._model is None else MINILM,
        }

    # --- on the way out

    def _asked(self, exchange: Exchange, ticket: Ticket, options: SemanticOptions) -> Asked | None:
        """What the call asks, with the nearest that was asked before."""
        found = question(exchange.request.dialect, ticket.doc)
        if found is None or not found.text.strip():
            return None
        rest = canonical(exchange, found.rest, heard(exchange.request.headers)[1])
        reading = read(found.text, self._lexicon)
        asked = exchange.state[STATE] = Asked(self._hashed(rest), found.text, reading, [])
        for row in self.index.near(asked.part, reading):
            verdict = agree(reading, row.reading, self._lexicon)
            if verdict.answer == "same" and self.learned.permits(partial(self._called, row), verdict.near):
                asked.row, asked.near, asked.reason = row, verdict.near, verdict.reason
                return asked
            if verdict.answer == "unsure" and options.embedder:
                asked.doubtful.append(row)
        return asked

    async def _weigh(self, exchange: Exchange, asked: Asked, options: SemanticOptions) -> None:
        """Asks the embedder about what is doubtful."""
        embedder = self._embedder(options.embedder)
        if embedder is None:
            return
        new = [row for row in asked.doubtful if row.vector is None or row.made_by != embedder.name]
        mine = self._vectors.get((embedder.name, asked.text))
        texts = [*([] if mine else [asked.text]), *(row.text for row in new)]
        try:
            found = await embedder.vectors(exchange, texts) if texts else []
        except WeirError as error:
            exchange.step("cache", "request", f"semantic: no vectors ({error.code})")
            return
        if mine is None:
            mine, *found = found
            self._remember(embedder.name, asked.text, mine)
        asked.vector, asked.made_by = mine, embedder.name
        for row, vector in zip(new, found, strict=True):
            self.index.learn(row, vector, embedder.name)
        for row in asked.doubtful:
            near = cosine(mine, row.vector) if row.vector is not None and len(row.vector) == len(mine) else 0.0
            if near < options.threshold or near <= asked.near:
                continue
            if self.learned.permits(partial(self._called, row), near):
                asked.row, asked.near, asked.reason = row, near, f"cosine {near:.3f}"

    def _decided(self, exchange: Exchange, ticket: Ticket, asked: Asked, options: SemanticOptions) -> Response | None:
        """The answer, where it may be given; else what it would have been is remembered, to be compared."""
        assert asked.row is not None
        agent = exchange.caller.agent
        entry = self._find(asked.row.key)
        if entry is None:
            self.index.drop(asked.row.key)
            asked.row = None
            return None
        if entry.age_s(exchange.at_s) >= min(entry.ttl_s, ticket.within_s or entry.ttl_s):
            asked.row = None
            return None
        self.index.used(asked.row)
        tally = self.learned.tally(_of(exchange))
        trusted = self.learned.trusted(_of(exchange), options.wrong_at_most)
        if options.mode == "enforce" and trusted and not _explored(exchange.id, options.explore):
            cache, savings = exchange.cache, len(exchange.savings)
            answer = self._give(exchange, ticket, entry)
            if answer is None:
                exchange.cache = cache
                asked.row = None
                return None
            del exchange.savings[savings:]
            exchange.savings.append(self._saving(exchange, entry, "enforce"))
            exchange.cache = "SEMANTIC"
            exchange.step("cache", "request", f"semantic {asked.reason} {asked.near:.2f}")
            tally.served += 1
            self._count(agent, "served")
            return answer
        tally.would += 1
        asked.entry = entry
        why = "would answer" if options.mode == "shadow" else "explores" if trusted else "stopped"
        exchange.step("cache", "request", f"semantic {why}: {asked.reason} {asked.near:.2f}")
        if options.mode == "shadow":
            exchange.savings.append(self._saving(exchange, entry, "shadow"))
        self._count(agent, "would")
        return None

    # --- on the way back

    async def _late(self, exchange: Exchange, asked: Asked, entry: Entry, options: SemanticOptions) -> None:
        """In shadow nobody waits for an embedder: it is asked when the call is over."""
        await self._weigh(exchange, asked, options)
        if asked.row is not None:
            asked.entry = self._find(asked.row.key)
            if asked.entry is not None:
                self.learned.tally(_of(exchange)).would += 1
                self._count(exchange.caller.agent, "would")
            self._compare(exchange, asked, entry, options)

    def _compare(self, exchange: Exchange, asked: Asked, entry: Entry, options: SemanticOptions) -> None:
        theirs = asked.entry
        if theirs is None or asked.row is None:
            return
        right = None
        if max(len(entry.body), len(theirs.body)) <= COMPARED_BYTES:
            right = same(text_of(theirs.body, theirs.stream), text_of(entry.body, entry.stream))
        self.learned.tell(_of(exchange), self._called(asked.row), asked.near, right)
        told = "unclear" if right is None else "right" if right else "wrong"
        exchange.step("cache", "tape", f"semantic would have been {told}")
        self._count(exchange.caller.agent, told)

    # --- beside

    def _called(self, row: Row) -> bytes:
        """The question of a row: called the same in every worker, and what it is, is known to nobody else."""
        return self._hashed(row.part + row.text.encode("utf-8", "surrogatepass"))

    def _embedder(self, name: str) -> Embedder | None:
        if not name:
            return None
        if name not in self._embedders:
            if name == MINILM:
                self._embedders[name] = None
                self._kit.tasks.spawn("semantic embedder", self._load())
            else:
                self._embedders[name] = Upstream(self._kit, name)
        return self._embedders[name]

    def _remember(self, embedder: str, text: str, vector: Vector) -> None:
        self._vectors[embedder, text] = vector
        if len(self._vectors) > VECTORS:
            self._vectors.popitem(last=False)

    async def _load(self) -> None:
        self._model = await self._kit.tasks.in_thread(MiniLM)
        self._embedders[MINILM] = Local(self._kit, self._model)

    def _saving(self, exchange: Exchange, entry: Entry, mode: str) -> Saving:
        usage = entry.usage
        tally = self.learned.tally(_of(exchange))
        risk = (
            f"wrong at most {tally.wrong_at_most():.1%} (n={tally.judged}, 95 %)"
            if tally.judged
            else "not measured yet"
        )
        if usage is None:
            return Saving("cache", "semantic", risk=risk, mode="shadow" if mode == "shadow" else "enforce")
        cost = self._kit.prices.cost_nano_usd(entry.upstream, entry.served or entry.model, usage, exchange.at_s)[0]
        return Saving(
            "cache", "semantic", usage.total - usage.output, usage.output, cost, risk,
            "shadow" if mode == "shadow" else "enforce",
        )  # fmt: skip

    def _count(self, agent: str, result: str) -> None:
        self._kit.metrics.counter("weir_cache_semantic_total", agent=agent, result=result).add()


def _of(exchange: Exchange) -> str:
    return _whose(exchange.caller.tenant, exchange.caller.agent)


def _whose(tenant: str, agent: str) -> str:
    """Whose hits are judged together: no tenant's word weighs on another's."""
    return f"{tenant}{BETWEEN}{agent}"


def _explored(id: str, share: float) -> bool:
    """The same for a call wherever it is asked."""
    drawn = int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest(), "little")
    return drawn < share * 2**64
