"""Pii: takes personal data and secrets out of a call, and puts them back into its answer while that streams.

Out, every text is looked into once (`kit.memory` keeps places and types, never words), what is found gets a placeholder
numbered by first appearance in the call, and the map of exactly these stays with the call. Back, `Restore` puts the
originals in again. Nothing is looked up, so nothing can cross from one call to another; only for history that the
provider keeps there is a stored map (`vault`), by tenant, credential and the provider's id.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar, cast

from plugins.pii import history, identifiers, record
from plugins.pii.mask import NOTHING, SLICE, Found, Numbers, Operate, keyed, masked, sliced
from plugins.pii.masking import Masking
from plugins.pii.operators import Operators, redacted
from plugins.pii.options import PiiOptions
from plugins.pii.policy import COMES_BACK, Policy
from plugins.pii.shapes import written
from plugins.pii.tokens import as_text
from plugins.pii.vault import Kept, Vault
from proxy.detection.secrets import Secrets
from proxy.errors import StoreDown
from proxy.exchange import MASK, Exchange, Response, Segment
from proxy.plugin import Around, Filter, Kit, Plugin

LONG_CHARS = 8192
"""Longer texts are looked into with rests: they would hold the loop for milliseconds."""
BREATH_S = 0.002
"""Of work without a rest, as far as it can be parted."""
POLICIES = 512
MODEL_MS = 5000
"""Of `timeout_ms`, where a model looks for names: with less, longer texts are not looked into."""
DAY_S = 86_400.0

T = TypeVar("T")
Texts = list[tuple[Segment, Found]]


def ahead() -> None:
    """What every policy looks with, made while control is at its start."""
    Policy.of(PiiOptions(), Secrets.packaged()).warm()


class Pii(Plugin[PiiOptions]):
    name = "pii"
    Options = PiiOptions
    positions = frozenset({"request", "answer"})
    seldom = frozenset({"request"})
    again = frozenset()

    def __init__(self, kit: Kit) -> None:
        super().__init__(kit)
        self._vault = Vault(kit.store, kit.secret, kit.clock)
        self._operators = Operators(kit.secret)
        self._tokens = kit.secret("pii tokens")
        self._secrets: Secrets | None = None
        self._policies: dict[int, tuple[PiiOptions, Policy]] = {}
        """By the identity of the options, which are kept beside them."""

    @classmethod
    def remarks(cls, options: PiiOptions, around: Around) -> Iterable[tuple[tuple[str, ...], str]]:
        if options.recogniser and 0 < around.timeout_ms < MODEL_MS:
            yield (
                ("recogniser",),
                f"takes 0.1 to 0.4 s for a kilobyte that is new, and the plugin's timeout_ms is {around.timeout_ms:g}: "
                f"past that on_error decides about the whole call; write timeout_ms: {MODEL_MS} or more",
            )

    async def start(self) -> None:
        self._secrets = await self.kit.tasks.in_thread(Secrets.packaged)
        for options in self.configured():
            await self._prepare(options)

    async def _prepare(self, options: PiiOptions) -> Policy:
        """Raises ConfigError."""
        if self._secrets is None:
            self._secrets = await self.kit.tasks.in_thread(Secrets.packaged)
        made = [policy for _, policy in self._policies.values()]
        policy = next((one for one in made if one.options == options), None)  # of settings before a reload
        if policy is None:
            policy = await self.kit.tasks.in_thread(Policy.of, options, self._secrets)
            if not made or options.rules:
                await self.kit.tasks.in_thread(policy.warm)
        if policy.needs_library and not self._operators.started:
            await self.kit.tasks.in_thread(self._operators.start)
        if len(self._policies) >= POLICIES:
            self._policies.clear()
        self._policies[id(options)] = (options, policy)
        return policy

    # --- out

    async def request(self, exchange: Exchange) -> Response | None:
        options = exchange.options(self)
        known = self._policies.get(id(options))
        policy = known[1] if known is not None else await self._prepare(options)
        if policy.idle:
            return None
        if options.identifiers == "hash" and (named := identifiers.fields(exchange)):
            await self._rename(exchange, policy, named)
        if exchange.request.dialect == "embeddings" and options.embeddings == "off":
            return None
        veil = self._veil(exchange, policy)
        built_on = history.built_on(exchange)
        earlier = await self._vault.load(exchange.caller, built_on) if built_on else {}
        texts = await self._look(exchange, policy)
        if texts or earlier:
            await self._mask(exchange, policy, texts, earlier)
        if veil is not None and options.operator != "off":
            veil.knows(self._looked(exchange, policy))
        return None

    async def _rename(self, exchange: Exchange, policy: Policy, named: list[identifiers.Field]) -> None:
        """Pseudonyms for personal data in fields beside the texts."""
        found: list[tuple[identifiers.Field, Found]] = []
        for field in named:
            segment = Segment("user", "text", field.text)
            one: Found | None = self.kit.memory.recall(self.name, policy.fingerprint, exchange, segment)
            one = await self._judged(exchange, policy, segment) if one is None else one
            places = tuple([place for place in one.places if policy.operator(place[2]) != "off"])
            if places:
                found.append((field, Found(places)))
        if not found:
            return
        tenant = exchange.caller.tenant
        token = keyed(self._tokens, tenant)

        def operate(type: str, value: str) -> str:
            operator = policy.operator(type)
            if operator == COMES_BACK:
                return written(type, token(type, value, 1))
            return self._operators.apply(operator, type, value, tenant)

        identifiers.write(exchange.request, found, partial(identifiers.pseudonym, self._tokens, tenant), operate)
        record.note(exchange, self.name, Counter([place[2] for _, one in found for place in one.places]), {})

    async def _look(self, exchange: Exchange, policy: Policy) -> Texts:
        """The texts in which something was found."""
        segments = self._looked(exchange, policy)
        known = self.kit.memory.recall_all(self.name, policy.fingerprint, exchange, segments)
        texts: Texts = []
        begun_s = self.kit.clock.monotonic_s()
        wanted = [
            (segment, recalled)
            for segment, recalled in zip(segments, known, strict=True)
            if recalled is not NOTHING or segment.text is not segment.original
        ]
        for segment, recalled in wanted:
            found: Found | None = recalled
            if found is None or segment.text is not segment.original:
                found = await self._judged(exchange, policy, segment)
                if self.kit.clock.monotonic_s() - begun_s > BREATH_S:
                    await asyncio.sleep(0)
                    begun_s = self.kit.clock.monotonic_s()
            if found is not NOTHING:
                texts.append((segment, found))
        return texts

    def _looked(self, exchange: Exchange, policy: Policy) -> Sequence[Segment]:
        """The texts that are looked into."""
        segments: Sequence[Segment] = exchange.request.segments
        if policy.options.tool_descriptions:
            return segments
        return [segment for segment in segments if segment.kind != "tool_description"]

    async def _judged(self, exchange: Exchange, policy: Policy, segment: Segment) -> Found:
        """What a text that is new here has in it. (What a plugin above has made of it is what leaves.)"""
        text = segment.text
        if policy.options.recogniser:
            found = await self.kit.tasks.in_thread(policy.look, text)
        elif len(text) > LONG_CHARS:
            found = await self._rested(policy.looking(text))
        else:
            found = policy.look(text)
        if not segment.changed:
            remember = partial(self.kit.memory.remember, self.name, policy.fingerprint, exchange)
            remember(segment, found)
            if segment.fresh:  # as which it comes again, when it is history
                remember(Segment(segment.role, segment.kind, text), found)
        return found

    async def _rested(self, work: Generator[None, None, T]) -> T:
        """Drives what rests now and then; after some work others have the loop."""
        now = self.kit.clock.monotonic_s
        begun_s = now()
        while True:
            try:
                next(work)
            except StopIteration as done:
                return cast("T", done.value)
            if now() - begun_s > BREATH_S:
                await asyncio.sleep(0)
                begun_s = now()

    async def _mask(self, exchange: Exchange, policy: Policy, texts: Texts, earlier: Kept) -> None:
        single = exchange.request.dialect == "embeddings"
        taken = [name for segment, found in texts if found.reserved and not segment.sealed for name in found.reserved]
        token = keyed(self._tokens, exchange.caller.tenant) if policy.options.placeholder == "keyed" else None
        numbers = Numbers(taken, earlier, token)
        operate = self._operate(policy, numbers, exchange.caller.tenant, single)
        counts: dict[str, int] = {}
        sealed: dict[str, int] = {}
        # What tools say of themselves stands behind the conversation, which grows: it must not move the numbers.
        texts.sort(key=lambda one: one[0].kind != "tool_description")
        every = policy.options.operator != "off"  # (types that are off by themselves were not looked for)
        for segment, found in texts:
            places = found.places if every else [one for one in found.places if policy.operator(one[2]) != "off"]
            count = sealed if segment.sealed else counts
            for _, _, name in places:
                count[name] = count.get(name, 0) + 1
            if len(places) > SLICE and not segment.sealed:
                segment.text = await self._rested(sliced(segment.text, places, operate))
            elif places and not segment.sealed:
                segment.text = masked(segment.text, places, operate)
        if sealed and as_text(exchange.request, [one for one in texts if one[0].sealed], operate):
            counts, sealed = {**counts, **sealed}, {}  # (where tokens are, no other texts are)
        record.note(exchange, self.name, counts, sealed)
        if not single and (numbers.values or numbers.taken):
            exchange.state[self.name] = await self._masking(exchange, policy, numbers)

    def _operate(self, policy: Policy, numbers: Numbers, tenant: str, single: bool) -> Operate:
        """What stands for a value, by the operator of its type."""
        said: dict[tuple[str, str], str] = {}

        def operate(type: str, value: str) -> str:
            operator = policy.operator(type)
            if operator == COMES_BACK:
                return redacted(type) if single else numbers.placeholder(type, value)
            found = said.get((type, value))
            if found is None:
                found = said[type, value] = self._operators.apply(operator, type, value, tenant)
            return found

        return operate

    async def _masking(self, exchange: Exchange, policy: Policy, numbers: Numbers) -> Masking:
        masking = Masking(numbers.values, numbers.taken)
        ttl_s = policy.options.map_days * DAY_S
        conversation = history.grows(exchange)
        if conversation:
            await self._save(exchange, conversation, masking, ttl_s)
        if history.begins(exchange):
            masking.postpone(partial(self._keep, exchange, ttl_s))
        return masking

    # --- history that the provider keeps

    async def _keep(self, exchange: Exchange, ttl_s: float, masking: Masking) -> None:
        """The map of what was said goes where the next call that builds on it finds it."""
        named = exchange.response.id if exchange.response is not None else ""
        if named:
            await self._save(exchange, named, masking, ttl_s)
        elif exchange.response is None or not exchange.response.complete:
            masking.postpone(partial(self._keep, exchange, ttl_s))

    async def _save(self, exchange: Exchange, id: str, masking: Masking, ttl_s: float) -> None:
        values: dict[str, str | None] = {**masking.values, **dict.fromkeys(masking.taken)}
        try:
            await self._vault.save(exchange.caller, id, values, ttl_s)
        except StoreDown:
            exchange.step(self.name, "request", "unkept")

    async def forget(self, user: str) -> int:
        """Every stored map of this person is unreadable from now on, whoever's tenant they are in."""
        return int(await self._vault.erase(user))

    async def export(self, user: str) -> list[dict[str, Any]]:
        """That there are maps, how many and until when; not what is in them. The values are words of the person's own
        calls, whose texts are told where they are kept; a map may have other people's in it, and opens to nobody but
        the credential that made the call."""
        told = await self._vault.told(user)
        if told is None:
            return []
        expires = datetime.fromtimestamp(told[1], UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return [{"what": "encrypted maps of placeholders", "maps": told[0], "expires": expires}]

    # --- back

    def filters(self, exchange: Exchange) -> bool:
        """Where nothing was masked there is nothing to restore."""
        return self.name in exchange.state

    def filter(self, exchange: Exchange, segment: Segment) -> Filter | None:
        masking: Masking | None = exchange.state.get(self.name)
        return None if masking is None or segment.sealed else masking.filter()

    def finish_waits(self, exchange: Exchange) -> bool:
        masking: Masking | None = exchange.state.get(self.name)
        return masking is not None and masking.waits

    async def finish(self, exchange: Exchange) -> None:
        """A map that no text of the answer has sent on its way: of calls of tools, work in the background."""
        masking: Masking | None = exchange.state.get(self.name)
        if masking is not None and masking.waits:
            await masking.settle()

    # --- beside calls

    def _veil(self, exchange: Exchange, policy: Policy) -> record.Veil | None:
        """Left for those who keep texts, where they are to be masked."""
        if exchange.snapshot.content_of(exchange.caller.agent) != "masked":
            return None

        def values() -> Mapping[str, str]:
            masking: Masking | None = exchange.state.get(self.name)
            return masking.values if masking is not None else {}

        veil = record.Veil(policy.look, values, patient=bool(policy.options.recogniser))
        exchange.notes[MASK] = veil
        return veil

    def scan(self, row: Mapping[str, Any], options: PiiOptions) -> dict[str, Any]:
        """`spans`: [{start, end, type, score}] in characters of the text."""
        known = self._policies.get(id(options))
        if known is None:
            self._secrets = self._secrets or Secrets.packaged()
            known = self._policies[id(options)] = (options, Policy.of(options, self._secrets))
        policy = known[1]
        spans: Sequence[Any] = policy.finder.find(str(row["text"]))
        wanted = [one for one in spans if policy.operator(one.type) != "off"]
        return {"spans": [dict(zip(("start", "end", "type", "score"), one, strict=True)) for one in wanted]}
