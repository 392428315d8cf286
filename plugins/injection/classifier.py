"""The small classifier: which words and pairs of words speak for an attack, weighed and added up. No library needed."""

from __future__ import annotations

import hashlib
import json
import zlib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from math import exp, sqrt
from typing import Any

from plugins.injection.features import STEM, Pair, begun, read, tokens
from proxy.errors import ConfigError

MAGIC = b"WEIR-INJECTION-1\n"
PACKAGED = "model.bin"
WINDOW = 256
"""Words that are weighed together: a long text is judged by its worst stretch, so harmless length adds nothing."""
STEP = 192
"""Words from one stretch to the next."""
SHORT = 320
"""Words of a text that is weighed as a whole."""


@dataclass(frozen=True, slots=True)
class Model:
    """Weights, what turns them and the rules' weight into a probability, and the scores of harmless texts."""

    singles: Mapping[str, int]
    pairs: Mapping[Pair, int]
    scale: float
    """What one step of a weight stands for."""
    bias: float
    slope: float
    """Of the classifier's sum, in log odds."""
    rules: float
    """Of the rules' weight, in log odds."""
    quantiles: tuple[tuple[float, float], ...]
    """Rate of harmless texts of unseen sources, and the log odds that this share of them reaches; falling rates."""
    version: str
    digest: str

    @classmethod
    def packaged(cls) -> Model:
        """The model that comes with the package."""
        return cls.parse(resources.files("plugins.injection").joinpath(PACKAGED).read_bytes(), PACKAGED)

    @classmethod
    def parse(cls, data: bytes, where: str) -> Model:
        """A model from its file. Raises ConfigError if it is not one or is damaged."""
        body = data[len(MAGIC) + 32 :]
        digest = hashlib.sha256(body).digest()
        if not data.startswith(MAGIC) or data[len(MAGIC) : len(MAGIC) + 32] != digest:
            raise ConfigError(f"{where} is no model of this version or is damaged: install weir-proxy again")
        header, words, weights = _parts(zlib.decompress(body))
        steps = array("b", weights)
        names = words.decode("utf-8").split("\n")
        pairs: dict[Pair, int] = {}
        singles: dict[str, int] = {}
        known: dict[str, str] = {}
        for name, weight in zip(names, steps, strict=True):
            first, between, second = name.partition(" ")
            first = known.setdefault(first, first)
            if between:
                pairs[first, known.setdefault(second, second)] = weight
            else:
                singles[first] = weight
        return cls(
            singles, pairs, header["scale"], header["bias"], header["slope"],
            header["rules"], tuple((rate, logit) for rate, logit in header["quantiles"]), header["version"],
            digest.hex(),
        )  # fmt: skip

    def sum(self, text: str) -> float:
        """How much a text speaks like an attack: 0 says nothing, of a long text its worst stretch counts."""
        return self.total(tokens(text))

    def total(self, words: list[str]) -> float:
        """The same of a text's words."""
        return max(map(self._stretch, stretches(words)))

    def weigh(self, word: str) -> tuple[int, int]:
        """Weight of one word with its beginning, and how many of the two have one."""
        said = self.singles.get(word, 0), self.singles.get(begun(word), 0) if len(word) > STEM else 0
        return sum(said), sum(map(bool, said))

    def plain(self, weight: int, count: int) -> float:
        """What words say by themselves, given the weight and count of each of them once."""
        return self.scale * weight / sqrt(count) if count else 0.0

    def plainest(self, words: list[str]) -> float:
        """The same of the worst stretch of a long text."""
        return max(self.plain(*_added(map(self.weigh, set(part)))) for part in stretches(words))

    def logit(self, total: float, rules: float) -> float:
        """The log odds that a text with this sum is an attack, given the weight of the rules that match it."""
        return self.bias + self.slope * total + self.rules * rules

    def threshold(self, rate: float) -> float:
        """The score that this share of harmless texts reaches; 1 (none does) below what could be measured."""
        before: tuple[float, float] | None = None
        for share, logit in self.quantiles:
            if share <= rate:
                if before is None or before[0] == share:
                    return probability(logit)
                part = (before[0] - rate) / (before[0] - share)
                return probability(before[1] + part * (logit - before[1]))
            before = share, logit
        return 1.0

    def _stretch(self, words: list[str]) -> float:
        singles, meanings, pairs = read(words)
        said = [*map(self.singles.get, singles), *map(self.singles.get, meanings), *map(self.pairs.get, pairs)]
        known = [*filter(None, said)]
        return self.scale * sum(known) / sqrt(len(known)) if known else 0.0


def _added(weighed: Iterable[tuple[int, int]]) -> tuple[int, int]:
    weights, counts = zip(*weighed, strict=True)
    return sum(weights), sum(counts)


def stretches(words: list[str]) -> list[list[str]]:
    """What is weighed together: of a long text overlapping parts."""
    if len(words) <= SHORT:
        return [words]
    return [words[at : at + WINDOW] for at in range(0, len(words) - WINDOW + STEP, STEP)]


def probability(logit: float) -> float:
    """Log odds as a probability."""
    return 1.0 / (1.0 + exp(-max(-40.0, min(40.0, logit))))


def packed(header: Mapping[str, Any], weights: Mapping[str, int]) -> bytes:
    """The file of a model: names without blank are words, with one pairs; weights from -127 to 127."""
    names = sorted(weights)
    head = json.dumps(header, sort_keys=True).encode()
    words = "\n".join(names).encode()
    steps = array("b", [weights[name] for name in names]).tobytes()
    raw = b"".join((len(head).to_bytes(4, "big"), head, len(words).to_bytes(4, "big"), words, steps))
    body = zlib.compress(raw, 9)
    return MAGIC + hashlib.sha256(body).digest() + body


def _parts(raw: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    size = int.from_bytes(raw[:4], "big")
    header = json.loads(raw[4 : 4 + size])
    at = 4 + size
    length = int.from_bytes(raw[at : at + 4], "big")
    return header, raw[at + 4 : at + 4 + length], raw[at + 4 + length :]
