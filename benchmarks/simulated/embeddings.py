"""POST /v1/embeddings: unit vectors that depend on the input and on nothing else."""

from __future__ import annotations

import array
import base64
import hashlib
import math
import sys
from typing import Any

from benchmarks.simulated.call import Call, Misread
from benchmarks.simulated.plan import Plan, json_answer

Json = Any
DIMENSIONS = 1536
LARGE = 3072


def embeddings(call: Call) -> Plan:
    body = call.body
    given = body.get("input")
    if given is None or given == "" or given == []:
        raise Misread("Missing required parameter: 'input'.", "input")
    inputs = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    size = body.get("dimensions") or (LARGE if "large" in call.model else DIMENSIONS)
    packed = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _pack(vector) if packed else vector.tolist()}
        for index, vector in enumerate(_vector(each, size) for each in inputs)
    ]
    tokens = sum(len(each) if isinstance(each, list) else -(-len(each) // 4) for each in inputs)
    totals = {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}} if call.wish.usage else {}
    return json_answer({"object": "list", "data": data, "model": call.model, **totals})


def _vector(given: Json, size: int) -> array.array[float]:
    raw = hashlib.shake_128(repr(given).encode("utf-8", "surrogatepass")).digest(size)
    length = math.sqrt(sum((byte - 127.5) ** 2 for byte in raw))
    return array.array("f", ((byte - 127.5) / length for byte in raw))


def _pack(vector: array.array[float]) -> str:
    if sys.byteorder == "big":
        vector.byteswap()
    return base64.b64encode(vector.tobytes()).decode()
