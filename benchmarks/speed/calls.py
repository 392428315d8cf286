"""The calls that are sent: their bodies in the shape of each surface, each one new, the same, or a growing talk."""

from __future__ import annotations

import gzip
import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import orjson

from benchmarks.speed.load import Source, request
from benchmarks.speed.subjects import Subject

TEXT = "A weir is a low barrier across a river that holds back what must not pass and steers the flow. "
SYSTEM = "You are a terse assistant."
ASKED = Path(__file__).parents[1] / "corpora" / "injection" / "more.jsonl.gz"
SOURCES = frozenset({"llmrouter-questions", "routellm-questions", "persistbench", "agentdojo"})
NUMBER = "#00000000"
PROSE = 512
"""Different texts, each of which gets a number of its own as well."""
TURNS, LONG_TURNS = 12, 20
TURN_CHARS = 600
Sort = Literal["new", "same", "talk", "next", "prose"]
PERSON = "Please answer jane.roe@example.org. "


@dataclass(frozen=True, slots=True)
class Call:
    """`answer` is the model's name, which tells the provider what to answer."""

    answer: str = "json-1500"
    size: int = 1500
    surface: str = "chat/completions"
    stream: bool = False
    sort: Sort = "new"
    """new: no two bodies are equal; same: always the same body; talk: each call repeats the last one and adds to it;
    next: the twentieth turn of a conversation whose other turns have been seen; prose: questions
    in an order that no two calls have alike."""
    person: bool = False
    """The last text names somebody by an e-mail address."""
    settled: bool = False
    """With temperature 0, so that its answer may be cached."""


def source(call: Call, subject: Subject) -> Source:
    """The calls for one subject, one after the other. They are made here, so that sending costs nothing."""
    path = subject.path if subject.path and call.surface == "chat/completions" else f"/v1/{call.surface}"
    turns = {"talk": range(1, TURNS + 1), "next": [LONG_TURNS], "prose": range(1, PROSE + 1)}.get(call.sort, [1])
    whole = [request(path, body(call, subject.model(call.answer), turn), subject.headers) for turn in turns]
    if call.sort == "same":
        return lambda: whole[0]
    return _numbered(whole).__next__


def _numbered(whole: list[bytes]) -> Iterator[bytes]:
    """A number stands in the text: of the call, or of the talk that it belongs to."""
    parts = [one.partition(NUMBER.encode()) for one in whole]
    for number in itertools.count(1):
        stamp = b"#%08d" % number
        for before, _, after in parts:
            yield before + stamp + after


def body(call: Call, model: str, turns: int = 1) -> bytes:
    first = f"{NUMBER} " + (TEXT * (call.size // len(TEXT) + 1))[: max(0, call.size - 160)]
    if call.sort == "prose":
        first, turns = f"{NUMBER} {prose(call.size - 160, turns)}", 1
    if call.sort == "next":
        doc: dict[str, Any] = {"model": model, **_texts(call.surface, first.replace(NUMBER, "Begin."), turns)}
        doc["messages"][-1]["content"] = f"{NUMBER} {prose(TURN_CHARS, 0)}"
    else:
        doc = {"model": model, **_texts(call.surface, (PERSON if call.person else "") + first, turns)}
    if call.settled:
        doc["temperature"] = 0
    if call.stream:
        doc["stream"] = True
        if call.surface in ("chat/completions", "completions"):
            doc["stream_options"] = {"include_usage": True}
    return orjson.dumps(doc)


def prose(size: int, seed: int) -> str:
    """What people ask of models, one question behind the other, in an order that no other seed has."""
    draw, made, chars = random.Random(seed), list[str](), 0
    while chars < size:
        made.append(draw.choice(_asked()))
        chars += len(made[-1]) + 1
    return "\n".join(made)[:size]


@cache
def _asked() -> list[str]:
    """Harmless ASCII texts of some sentences, from the corpora."""
    with gzip.open(ASKED, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [row["text"] for row in rows if row["source"] in SOURCES and row["text"].isascii() and row["label"] == 0]


def _texts(surface: str, first: str, turns: int) -> dict[str, Any]:
    if surface == "embeddings":
        return {"input": first}
    if surface == "completions":
        return {"prompt": first}
    said: list[dict[str, Any]] = [{"role": "user", "content": first}]
    for turn in range(1, turns):
        words = f"Turn {turn}. " + (TEXT * 10)[:TURN_CHARS]
        said += [{"role": "assistant", "content": words}, {"role": "user", "content": words}]
    if surface == "responses":
        return {"instructions": SYSTEM, "input": said}
    if surface == "messages":
        return {"max_tokens": 1000, "system": SYSTEM, "messages": said}
    return {"messages": [{"role": "system", "content": SYSTEM}, *said]}
