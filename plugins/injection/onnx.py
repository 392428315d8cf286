"""A text classifier in ONNX beside the built-in judge: an extra, for whoever has a model and the time for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import Any

from plugins.injection.position import Position
from plugins.injection.screen import Judges, Verdict
from proxy.errors import ConfigError

LABELS = frozenset({"injection", "jailbreak", "malicious", "unsafe", "label_1"})
"""Names of a class of attacks in `config.json`; without one, the last class is taken."""
MOST_TOKENS = 512
CERTAIN = 0.9
"""From this score on the model alone flags a text."""
Logits = Callable[[str], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Both:
    """What judge and model say together."""

    score: float
    reasons: tuple[str, ...]
    flagged: bool
    classic: bool


class Onnx:
    """Asks the model about what the judge lets pass. Milliseconds a text: never on the event loop."""

    def __init__(self, judge: Judges, logits: Logits, attack: int) -> None:
        self._judge = judge
        self._logits = logits
        self._attack = attack

    def judge(self, text: str, position: Position) -> Verdict:
        first = self._judge.judge(text, position)
        if first.flagged or position == "system":
            return first
        score = softmax(self._logits(text))[self._attack]
        flagged = score >= CERTAIN
        reasons = ("onnx", *first.reasons) if flagged else first.reasons
        return Both(max(first.score, score), reasons, flagged, first.classic)

    def threshold(self, position: Position, false_positives: float) -> float:
        """That of the built-in judge, which knows its rates; `weir tune` finds the one of both on your own rows."""
        return self._judge.threshold(position, false_positives)


def softmax(logits: Sequence[float]) -> list[float]:
    highest = max(logits)
    powers = [exp(value - highest) for value in logits]
    return [power / sum(powers) for power in powers]


def load(judge: Judges, folder: str) -> Onnx:
    """With the model of a folder: `model.onnx`, `tokenizer.json`, `config.json`. Raises ConfigError."""
    place = Path(folder)
    for name in ("model.onnx", "tokenizer.json"):
        if not (place / name).is_file():
            raise ConfigError(f"{place / name} is not there: `model` names a folder with model.onnx and tokenizer.json")
    try:
        import onnxruntime  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415
        import tokenizers  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"a model in ONNX needs a package that is not installed ({error.name}): install weir-proxy[onnx], or take "
            "`model` out of the options"
        ) from error
    session = onnxruntime.InferenceSession(str(place / "model.onnx"), providers=["CPUExecutionProvider"])
    tokenizer = tokenizers.Tokenizer.from_file(str(place / "tokenizer.json"))
    tokenizer.enable_truncation(MOST_TOKENS)
    return Onnx(judge, runs(session, tokenizer), attack(place / "config.json"))


def runs(session: Any, tokenizer: Any) -> Logits:
    """From a text to the values of its classes."""
    wanted = [given.name for given in session.get_inputs()]

    def logits(text: str) -> Sequence[float]:
        import numpy  # noqa: PLC0415  (with the model)

        coded = tokenizer.encode(text)
        given = {"input_ids": coded.ids, "attention_mask": coded.attention_mask, "token_type_ids": coded.type_ids}
        fed = {name: numpy.array([given[name]], dtype=numpy.int64) for name in wanted}
        found: Sequence[float] = session.run(None, fed)[0][0].tolist()
        return found

    return logits


def attack(config: Path) -> int:
    """The class of attacks, by its name in the model's configuration; -1, the last, where none has such a name."""
    if not config.is_file():
        return -1
    try:
        names = json.loads(config.read_text("utf-8")).get("id2label", {})
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{config} is no JSON object: {error}") from error
    return next((int(number) for number, name in names.items() if str(name).casefold() in LABELS), -1)
