"""all-MiniLM-L6-v2 in numpy: its tokens and its six layers, read from the files of a package that carries them.

The model is that of Reimers and Gurevych (sentence-transformers/all-MiniLM-L6-v2, Apache-2.0), a BERT (Devlin et al.,
2018) of 384 values and 12 heads; the text's vector is the mean over its tokens.
"""

from __future__ import annotations

import json
import math
import struct
import unicodedata
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

HEADS, LAYERS = 12, 6
WEIGHTS, VOCABULARY = "model.safetensors", "vocab.txt"
LONGEST_WORD = 100
"""Letters; what is longer is no word of the vocabulary."""
ERF = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
"""Of the error function: Abramowitz and Stegun 7.1.26, wrong by at most 1.5e-7."""


class Pieces:
    """WordPiece: a text as numbers of the vocabulary, with the marks of beginning and end."""

    def __init__(self, vocabulary: Path) -> None:
        lines = vocabulary.read_text("utf-8").splitlines()
        self._numbers = {line.strip(): at for at, line in enumerate(lines)}
        self._unknown, self._begin, self._end = (self._numbers[name] for name in ("[UNK]", "[CLS]", "[SEP]"))

    def numbers(self, text: str, most: int) -> list[int]:
        found: list[int] = []
        for word in _split(text):
            found.extend(self._pieces(word))
            if len(found) > most - 2:
                break
        return [self._begin, *found[: most - 2], self._end]

    def _pieces(self, word: str) -> list[int]:
        found, at = [], 0
        while at < len(word):
            end = len(word) if len(word) <= LONGEST_WORD else at
            while end > at and ("##" * bool(at) + word[at:end]) not in self._numbers:
                end -= 1
            if end == at:
                return [self._unknown]
            found.append(self._numbers["##" * bool(at) + word[at:end]])
            at = end
        return found


class Layers:
    """The model itself. `vector` gives 384 values, not brought to length 1."""

    def __init__(self, folder: Path, most: int) -> None:
        """Raises ImportError without numpy, OSError or ValueError where the files are not those of the model."""
        self._np: Any = import_module("numpy")
        self._most = most
        self._pieces = Pieces(folder / VOCABULARY)
        given = self._read(folder / WEIGHTS)
        self._words, self._places = given["embeddings.word_embeddings"], given["embeddings.position_embeddings"]
        self._kind = given["embeddings.token_type_embeddings"][0]
        self._norm = given["embeddings.LayerNorm"], given["embeddings.LayerNorm.bias"]
        self._layers = [self._layer(given, f"encoder.layer.{at}") for at in range(LAYERS)]

    def vector(self, text: str) -> list[float]:
        """Blocks: for a thread."""
        states = self.states(text)
        return [float(value) for value in states.mean(axis=0)]

    def states(self, text: str) -> Any:
        """One row of 384 for each token, the marks of beginning and end with it."""
        numbers = self._pieces.numbers(text, self._most)
        states = self._normal(self._words[numbers] + self._places[: len(numbers)] + self._kind, self._norm)
        for layer in self._layers:
            states = self._normal(states + self._attended(states, layer), layer["norm"])
            inner = self._gelu(states @ layer["inner"][0] + layer["inner"][1])
            states = self._normal(states + inner @ layer["outer"][0] + layer["outer"][1], layer["last"])
        return states

    def _attended(self, states: Any, layer: dict[str, Any]) -> Any:
        size = states.shape[1] // HEADS
        mixed = states @ layer["mixed"][0] + layer["mixed"][1]
        query, key, value = mixed.reshape(len(states), 3, HEADS, size).transpose(1, 2, 0, 3)
        weights = query @ key.transpose(0, 2, 1) * (1 / math.sqrt(size))
        weights = self._np.exp(weights - weights.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        heard = (weights @ value).transpose(1, 0, 2).reshape(len(states), -1)
        return heard @ layer["heard"][0] + layer["heard"][1]

    def _normal(self, states: Any, norm: tuple[Any, Any]) -> Any:
        states = states - states.mean(axis=-1, keepdims=True)
        spread = self._np.sqrt((states * states).mean(axis=-1, keepdims=True) + 1e-12)
        return states / spread * norm[0] + norm[1]

    def _gelu(self, values: Any) -> Any:
        reached = self._np.abs(values)
        reached *= math.sqrt(0.5)
        step = reached * 0.3275911
        step += 1
        self._np.reciprocal(step, out=step)
        series = step * ERF[4]
        for factor in ERF[3::-1]:
            series += factor
            series *= step
        self._np.square(reached, out=reached)
        self._np.negative(reached, out=reached)
        series *= self._np.exp(reached, out=reached)
        self._np.subtract(1, series, out=series)
        erf = self._np.copysign(series, values, out=series)
        erf += 1
        erf *= values
        erf *= 0.5
        return erf

    def _read(self, path: Path) -> dict[str, Any]:
        """The tensors of a safetensors file: eight bytes of length, a table in JSON, then the values."""
        raw = path.read_bytes()
        (size,) = struct.unpack("<Q", raw[:8])
        table: dict[str, Any] = json.loads(raw[8 : 8 + size])
        found = {}
        for name, told in table.items():
            if name == "__metadata__" or told["dtype"] != "F32":
                continue
            begin, end = (8 + size + offset for offset in told["data_offsets"])
            values = self._np.frombuffer(raw, "<f4", (end - begin) // 4, begin).reshape(told["shape"])
            found[name.removesuffix(".weight")] = values
        return found

    def _layer(self, given: dict[str, Any], name: str) -> dict[str, Any]:
        """The weights turned round, those of query, key and value beside each other."""
        own = f"{name}.attention.self"
        parts = [(given[f"{own}.{part}"].T, given[f"{own}.{part}.bias"]) for part in ("query", "key", "value")]
        dense = {
            kind: (self._np.ascontiguousarray(given[f"{name}.{part}"].T), given[f"{name}.{part}.bias"])
            for kind, part in (
                ("heard", "attention.output.dense"),
                ("inner", "intermediate.dense"),
                ("outer", "output.dense"),
            )
        }
        norms = {
            kind: (given[f"{name}.{part}"], given[f"{name}.{part}.bias"])
            for kind, part in (("norm", "attention.output.LayerNorm"), ("last", "output.LayerNorm"))
        }
        mixed = tuple(self._np.concatenate(each, axis=-1) for each in zip(*parts, strict=True))
        return {"mixed": mixed, **dense, **norms}


def _split(text: str) -> Iterator[str]:
    """Lower case, accents off, words and marks apart, Chinese characters each for itself: as BERT was trained."""
    word = ""
    for letter in unicodedata.normalize("NFD", text.lower()):
        kind = unicodedata.category(letter)
        if kind == "Mn" or (kind[0] == "C" and letter not in "\t\n\r"):
            continue
        alone = letter.isspace() or _mark(letter, kind) or "\u4e00" <= letter <= "\u9fff"
        if not alone:
            word += letter
            continue
        if word:
            yield word
        word = ""
        if not letter.isspace():
            yield letter
    if word:
        yield word


def _mark(letter: str, kind: str) -> bool:
    return kind[0] == "P" or (letter.isascii() and not letter.isalnum())
