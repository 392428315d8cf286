"""The traffic of a fleet of 51 agents: who asks what, how often the same, and with which parameters. Seeded.

What is known of such traffic, and was taken for it:

- Popularity. Requests follow a Zipf-like law with an exponent of 0.64 to 0.83 (Breslau et al., "Web caching and
  Zipf-like distributions", INFOCOM 1999); here 0.75, over 400 questions an agent.
- Wording. A third of what people ask a search engine they have asked before (Teevan et al., "Information
  re-retrieval", SIGIR 2007); here somebody uses the usual words of a question in 40 % of cases, and one of twelve other
  wordings otherwise.
- Length. Prompts of assistants have a median of 1,020 tokens in and 129 out, of code 1,500 and 13 (the Azure traces of
  2023: Patel et al., "Splitwise", ISCA 2024); talks have 2.0 turns (Zheng et al., "LMSYS-Chat-1M", ICLR 2024).
- Temperature. Nothing is published. Here half of the agents that answer questions, and all that extract data, ask for
  temperature 0; talks and agents with tools leave it unset. The hit rate is at most the share of these.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

ASKED = Path(__file__).parents[1] / "corpora" / "injection" / "more.jsonl.gz"
QUESTIONS = frozenset({"llmrouter-questions", "routellm-questions"})
DOCUMENTS = frozenset({"chunking-wikitexts", "chunking-state_of_the_union", "chunking-chatlogs", "pii-docs"})
EXPONENT, POPULAR = 0.75, 400
USUAL, WORDINGS = 0.4, 12
OPENINGS = ("", "Hi, ", "Hello! ", "Please tell me: ", "Quick question: ", "I would like to know this. ", "Help! ")
CLOSINGS = ("", " Thanks!", " Please be brief.", " Thank you in advance.", " It is urgent.", " Kind regards")
MODEL, SMALL = "gpt-4o", "gpt-4o-mini"
EMBEDDING = "text-embedding-3-small"
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    path: str
    body: Body


@dataclass(frozen=True, slots=True)
class Agent:
    """`episodes` makes one piece of work after the other: the calls of each, in order."""

    name: str
    kind: str
    work: Callable[[random.Random, Agent], list[Call]]
    settled: bool
    """Asks for temperature 0."""
    seed: int
    system: str = field(default="")

    def calls(self, count: int) -> Iterator[Call]:
        draw, made = random.Random(self.seed), 0
        while made < count:
            for call in self.work(draw, self):
                made += 1
                yield call


def fleet() -> list[Agent]:
    """51 agents of six kinds."""
    kinds: list[tuple[str, int, Callable[[random.Random, Agent], list[Call]], float, str]] = [
        ("support", 14, _support, 0.5, "answer in about 130 tokens"),
        ("retrieval", 12, _retrieval, 0.5, "answer from the context, in about 130 tokens"),
        ("extraction", 8, _extraction, 1.0, "give JSON, in about 60 tokens"),
        ("tools", 9, _tools, 0.0, "use your tools, say in about 40 tokens what you do"),
        ("talk", 6, _talk, 0.0, "answer in about 200 tokens"),
        ("embedding", 2, _embedding, 0.0, ""),
    ]
    made: list[Agent] = []
    for kind, count, work, settled, told in kinds:
        for number in range(count):
            seed = len(made)
            policy = " ".join(random.Random(seed).choices(_texts(DOCUMENTS), k=3))[:1600]
            system = f"You are the {kind} agent {number} of a company; {told}. What you must know: {policy}"
            made.append(Agent(f"{kind}-{number:02}", kind, work, number < settled * count, seed, system))
    return made


def _support(draw: random.Random, agent: Agent) -> list[Call]:
    return [_chat(agent, [{"role": "user", "content": _question(draw, agent)}], draw)]


def _retrieval(draw: random.Random, agent: Agent) -> list[Call]:
    """The same question brings the same chunks, as long as the index does not change."""
    number = _popular(draw)
    found = random.Random(f"{agent.seed} {number}")
    chunks = [{"id": found.randrange(10**6), "score": round(found.random(), 3), "text": text}
              for text in found.choices(_texts(DOCUMENTS), k=4)]  # fmt: skip
    asked = f"Context:\n{json.dumps(chunks, indent=2)}\n\nQuestion: {_question(draw, agent, number)}"
    return [_chat(agent, [{"role": "user", "content": asked}], draw)]


def _extraction(draw: random.Random, agent: Agent) -> list[Call]:
    """Each record once; one in twelve comes again, because something failed after it."""
    number = draw.randrange(10**9) if draw.random() > 1 / 12 else draw.randrange(20)
    text = random.Random(number).choice(_texts(DOCUMENTS))
    return [_chat(agent, [{"role": "user", "content": f"Record {number}:\n{text[:3000]}"}], draw)]


def _tools(draw: random.Random, agent: Agent) -> list[Call]:
    """A task of four to seven turns; each sends all that was said before."""
    said: list[Body] = [{"role": "user", "content": _question(draw, agent)}]
    calls = [_chat(agent, said, draw)]
    for turn in range(draw.randint(3, 6)):
        name = draw.choice(("search_orders", "read_log", "get_customer"))
        asked = {"name": name, "arguments": json.dumps({"query": draw.choice(_texts(QUESTIONS))[:40]})}
        call = {"id": f"call_{turn}", "type": "function", "function": asked}
        said = [*said, {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": call["id"], "content": _result(draw, name)}]  # fmt: skip
        calls.append(_chat(agent, said, draw))
    return calls


def _result(draw: random.Random, tool: str) -> str:
    if tool == "read_log":
        hosts, words = ("db-1", "web-2", "web-3"), ("timeout", "connected", "retry", "flushed")
        return "\n".join(
            f"2026-11-0{draw.randint(1, 9)}T{draw.randrange(24):02}:{draw.randrange(60):02}:00Z {draw.choice(hosts)} "
            f"INFO worker[{draw.randrange(9999)}]: {draw.choice(words)} after {draw.randrange(500)} ms"
            for _ in range(draw.randint(10, 60))
        )
    rows = [_order(draw) for _ in range(draw.randint(3, 30))]
    if tool == "get_customer":
        return json.dumps({"customer": rows[0], "orders": rows[1:6], "address": None, "notes": []}, indent=2)
    return json.dumps(rows, indent=2 if draw.random() < 0.5 else None)


def _order(draw: random.Random) -> Body:
    return {
        "id": draw.randrange(10**6), "status": draw.choice(("open", "sent", "paid")),
        "total": draw.randrange(10**4) / 100, "customer": f"C{draw.randrange(10**4):05}",
        "updated_at": f"2026-10-{draw.randint(1, 28):02}",
    }  # fmt: skip


def _talk(draw: random.Random, agent: Agent) -> list[Call]:
    """Talks of two turns on average."""
    said: list[Body] = []
    calls = []
    while True:
        said = [*said, {"role": "user", "content": _question(draw, agent)}]
        calls.append(_chat(agent, said, draw))
        if draw.random() < 0.5:
            return calls
        said = [*said, {"role": "assistant", "content": draw.choice(_texts(DOCUMENTS))[:800]}]


def _embedding(draw: random.Random, agent: Agent) -> list[Call]:
    """Documents that are indexed again, of which one in ten has changed."""
    texts = [f"{_texts(DOCUMENTS)[_popular(draw)]}{' (revised)' if draw.random() < 0.1 else ''}" for _ in range(16)]
    return [Call("/v1/embeddings", {"model": EMBEDDING, "input": [text[:1200] for text in texts]})]


def _chat(agent: Agent, said: list[Body], draw: random.Random) -> Call:
    body: Body = {"model": MODEL, "messages": [{"role": "system", "content": agent.system}, *said]}
    if agent.settled:
        body["temperature"] = 0
    return Call("/v1/chat/completions", {**body, "user": f"user-{draw.randrange(200)}"})


def _question(draw: random.Random, agent: Agent, number: int | None = None) -> str:
    """In its usual words, or in others."""
    number = _popular(draw) if number is None else number
    asked = _texts(QUESTIONS)[(agent.seed * 97 + number) % len(_texts(QUESTIONS))]
    if draw.random() < USUAL:
        return asked
    other = random.Random(f"{number} {draw.randrange(WORDINGS)}")
    return other.choice(OPENINGS) + asked + other.choice(CLOSINGS)


def _popular(draw: random.Random) -> int:
    return draw.choices(range(POPULAR), cum_weights=_weights())[0]


@cache
def _weights() -> tuple[float, ...]:
    return tuple(accumulate(1 / (rank + 1) ** EXPONENT for rank in range(POPULAR)))


@cache
def _texts(sources: frozenset[str]) -> list[str]:
    with gzip.open(ASKED, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [row["text"] for row in rows if row["source"] in sources and row["label"] == 0]
