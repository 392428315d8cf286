"""What a call will take before anybody knows: tokens of its prompt by its length, of its answer by those before."""

from __future__ import annotations

import math

from proxy.exchange import Exchange, Request

BYTES_PER_TOKEN = 4.0
LEAST_PER_TOKEN, MOST_PER_TOKEN = 1.0, 16.0
LONG_BYTES = 32 * 1024
"""Of longer bodies the texts are measured, for the rest may be images."""
PART_TOKENS = 1000
"""An image, a sound or a file."""
FIRST_TOKENS = 1024
"""An answer, where there have been few before."""
FEW = 20
LOOK = 16
KNOWN = 4096
"""Models, and pairs of agent and model, that are remembered."""
STEPS = 4
"""Sizes of answers are told apart by a factor of 2 ** (1 / STEPS)."""
SIZES = 24 * STEPS
AGES = 4096
"""After so many answers the older ones count half."""
_NAMES = {
    "chat": ("max_completion_tokens", "max_tokens"),
    "responses": ("max_output_tokens",),
    "messages": ("max_tokens",),
    "completions": ("max_tokens",),
}
_THINKING = ("o1", "o3", "o4", "gpt-5")
"""Models of OpenAI that know the newer name only."""


class Outputs:
    """How long answers were: counts by size."""

    __slots__ = ("_counts", "_longest", "_looked", "total")

    def __init__(self) -> None:
        self._counts = [0] * SIZES
        self._longest = 0
        self._looked = 0
        """How many there were when the longest was found."""
        self.total = 0

    def learn(self, tokens: int) -> None:
        self._counts[min(SIZES - 1, int(STEPS * math.log2(tokens + 1)))] += 1
        self.total += 1
        if self.total >= AGES:
            self._counts = [count // 2 for count in self._counts]
            self._looked = self.total = sum(self._counts)

    def p99(self) -> int:
        """Tokens that 99 of 100 answers did not exceed (up to a fifth more, by the width of a step); looked for anew
        when there are a few more."""
        if not self._longest or self.total >= self._looked + LOOK:
            self._looked = self.total
            beyond, place = self.total // 100, SIZES - 1
            while place > 0 and (beyond := beyond - self._counts[place]) >= 0:
                place -= 1
            self._longest = math.ceil(2 ** ((place + 1) / STEPS))
        return self._longest


class Reckoning:
    """One per worker."""

    def __init__(self) -> None:
        self._per_token: dict[str, float] = {}
        self._outputs: dict[tuple[str, str], Outputs] = {}

    def prompt(self, request: Request, model: str) -> int:
        return math.ceil(_size(request) / self._per_token.get(model, BYTES_PER_TOKEN))

    def answer(self, agent: str, model: str) -> int:
        """What 99 of 100 answers of this model to this agent took."""
        known = self._outputs.get((agent, model))
        return known.p99() if known is not None and known.total >= FEW else FIRST_TOKENS

    def learn(self, exchange: Exchange, model: str, prompt: int, answer: int) -> None:
        """From what a provider has counted."""
        if prompt > 0:
            if model not in self._per_token and len(self._per_token) >= KNOWN:
                self._per_token.clear()
            seen = min(MOST_PER_TOKEN, max(LEAST_PER_TOKEN, _size(exchange.request) / prompt))
            before = self._per_token.get(model, BYTES_PER_TOKEN)
            self._per_token[model] = before + 0.1 * (seen - before)
        pair = (exchange.caller.agent, model)
        known = self._outputs.get(pair)
        if known is None:
            if len(self._outputs) >= KNOWN:
                self._outputs.clear()
            known = self._outputs[pair] = Outputs()
        known.learn(answer)


def allowed(request: Request, count: int = 0) -> int | None:
    """The longest answer that the call itself allows, all its choices (`count`, where they were counted) together;
    None where it does not say. Where it says two things, nobody knows which of them the provider reads."""
    said = [most for name in _NAMES.get(request.dialect, ()) if type(most := request.get(name)) is int and most >= 0]
    return max(said) * (count or choices(request)) if said else None


def choices(request: Request) -> int:
    """How many answers the call asks for."""
    if request.dialect not in ("chat", "completions"):
        return 1
    count, best = request.get("n"), request.get("best_of")
    if type(best) is int and (type(count) is not int or best > count):
        count = best
    return (count if type(count) is int and count > 1 else 1) * _prompts(request)


def _prompts(request: Request) -> int:
    """Each prompt of a list gets answers of its own; a list of numbers is one, in tokens."""
    prompt = request.get("prompt") if request.dialect == "completions" else None
    return len(prompt) if isinstance(prompt, list) and prompt and isinstance(prompt[0], (str, list)) else 1


def clamp(request: Request, model: str, most: int) -> None:
    """Writes the longest answer into the call."""
    names = _NAMES.get(request.dialect, ())
    if names:
        newer = request.dialect != "chat" or model.startswith(_THINKING)
        request.set(names[0] if newer else names[-1], most)


def _size(request: Request) -> int:
    """Bytes that are mostly text."""
    size = len(request.body)
    if size <= LONG_BYTES:
        return size
    texts = sum(len(segment.original) for segment in request.segments)
    return texts + len(request.uninspected) * PART_TOKENS * int(BYTES_PER_TOKEN)
