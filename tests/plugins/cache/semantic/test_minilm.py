"""The built-in model in numpy: its tokens, its file format, and what it does with a model that is none."""

from __future__ import annotations

import json
import math
import random
import struct
from pathlib import Path

import pytest

from plugins.cache.semantic import embedder
from plugins.cache.semantic.embedder import MiniLM, cosine, unit
from plugins.cache.semantic.minilm import LAYERS, VOCABULARY, WEIGHTS, Layers, Pieces
from plugins.cache.semantic.options import NUMPY, there
from proxy.errors import ConfigError

pytest.importorskip("numpy")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "pass", "##word", "reset", "my", "?", "cafe", "'", "東"]
SIZE, INNER = 24, 48


def tensors() -> dict[str, list[int]]:
    """Name -> shape of a BERT that is small."""
    found = {
        "embeddings.word_embeddings.weight": [len(WORDS), SIZE], "embeddings.position_embeddings.weight": [64, SIZE],
        "embeddings.token_type_embeddings.weight": [2, SIZE],
    }  # fmt: skip
    norms = ["embeddings.LayerNorm"]
    for at in range(LAYERS):
        layer = f"encoder.layer.{at}"
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        for name, shape in (
            ("attention.self.query", [SIZE, SIZE]), ("attention.self.key", [SIZE, SIZE]),
            ("attention.self.value", [SIZE, SIZE]), ("attention.output.dense", [SIZE, SIZE]),
            ("intermediate.dense", [INNER, SIZE]), ("output.dense", [SIZE, INNER]),
        ):  # fmt: skip
            found[f"{layer}.{name}.weight"], found[f"{layer}.{name}.bias"] = shape, shape[:1]
    return found | {f"{name}.{part}": [SIZE] for name in norms for part in ("weight", "bias")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw, table, body = random.Random(7), {}, b""
    for name, shape in tensors().items():
        count = math.prod(shape)
        raw = struct.pack(f"<{count}f", *(draw.gauss(0, 0.3) for _ in range(count)))
        table[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    head = json.dumps({"__metadata__": {"format": "pt"}, **table}).encode()
    (tmp_path / WEIGHTS).write_bytes(struct.pack("<Q", len(head)) + head + body)
    (tmp_path / VOCABULARY).write_text("\n".join(WORDS), "utf-8")
    return tmp_path


def test_a_text_becomes_pieces_of_words_without_case_and_accents(folder: Path) -> None:
    pieces = Pieces(folder / VOCABULARY)
    assert pieces.numbers("Reset my PASSWORD?", 64) == [2, 6, 7, 4, 5, 8, 3]
    assert pieces.numbers("Café'東 unknown", 64) == [2, 9, 10, 11, 1, 3]
    assert pieces.numbers("my " * 100, 8) == [2, 7, 7, 7, 7, 7, 7, 3]
    assert pieces.numbers("x" * 101, 8) == [2, 1, 3]


def test_texts_become_vectors_that_differ_as_they_do(folder: Path) -> None:
    model = Layers(folder, 64)
    one, again, other = (unit(model.vector(text)) for text in ("reset my password", "RESET my password", "my cafe"))
    assert len(one) == SIZE
    assert one == again
    assert one != other
    assert 0 < cosine(one, other) < 1


def test_files_that_are_not_those_of_the_model_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Layers:
        return Layers(folder, 64)

    monkeypatch.setattr(embedder, "there", lambda _: True)
    monkeypatch.setattr(embedder, "_in_numpy", broken)
    for name, content in ((WEIGHTS, b"\x02\0\0\0\0\0\0\0{}"), (VOCABULARY, b"word")):
        (folder / name).write_bytes(content)
        with pytest.raises(ConfigError, match="not installed"):
            MiniLM()


@pytest.mark.skipif(not there(NUMPY), reason="the package with the model is not installed")
def test_the_real_model_finds_near_what_is_near() -> None:
    model = MiniLM()
    one, near, far = map(model.vector, ("How do I buy a car?", "How can I purchase a car?", "The cat sleeps."))
    assert cosine(one, near) > 0.9
    assert cosine(one, far) < 0.3
