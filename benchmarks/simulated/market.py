"""A provider with a bill: it answers after a time that grows with the tokens, knows prefixes again, and counts all.

    python -m benchmarks.simulated.market PORT [--scale 0.1]

`POST /v1/chat/completions` (JSON) and `/v1/embeddings`; `GET /bill` tells what was sent since `POST /bill`, which
begins a new one. Input is counted in tokens of gpt-4o. A prefix of 1,024 tokens and more that came before (for the
same model) is read from a cache, in steps of 128 tokens. How long answers are their system prompt says: `about N
tokens`.

Times, before `--scale`: 0.5 s to the first token, 12 ms for each that follows, 0.1 ms for each token read anew; for
every model alike, so that no choice of a model is made to look fast.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import re
from collections import defaultdict
from typing import Any

import orjson
from aiohttp import web

from proxy.tokens import Tokens

FIRST_S, TOKEN_S, READ_S = 0.5, 0.012, 0.0001
STEP_TOKENS, LEAST_STEPS = 128, 8
CHARS = 4
"""Characters of a token, where a prefix is cut."""
LENGTH = re.compile(r"about (\d+) tokens")
WORDS = ("the", "report", "shows", "that", "most", "of", "them", "were", "sent", "in", "time", "and", "nothing", "else")
KEPT = 200_000


class Market:
    """What was sent, by model: calls, tokens read anew, tokens read from the cache, tokens written."""

    def __init__(self, scale: float) -> None:
        self._scale = scale
        self._tokens = Tokens()
        self._seen: dict[bytes, None] = {}
        self._bill: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])

    async def chat(self, request: web.Request) -> web.Response:
        doc = orjson.loads(await request.read())
        model, text = doc["model"], orjson.dumps([doc["messages"], doc.get("tools")]).decode()
        size = self._tokens.count(text, "gpt-4o")
        cached = min(size, self._cached(model, text))
        said = self._answer(doc, text)
        written = self._tokens.count(said, "gpt-4o")
        self._enter(model, size - cached, cached, written)
        await asyncio.sleep(self._scale * (FIRST_S + TOKEN_S * written + READ_S * (size - cached)))
        usage = {
            "prompt_tokens": size, "completion_tokens": written, "total_tokens": size + written,
            "prompt_tokens_details": {"cached_tokens": cached},
        }  # fmt: skip
        message = {"role": "assistant", "content": said}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        name = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        body = {"id": f"chatcmpl-{name}", "object": "chat.completion", "created": 1, "model": model,
                "choices": [choice], "usage": usage}  # fmt: skip
        return web.json_response(body=orjson.dumps(body))

    async def embeddings(self, request: web.Request) -> web.Response:
        doc = orjson.loads(await request.read())
        inputs = doc["input"] if isinstance(doc["input"], list) else [doc["input"]]
        size = sum(self._tokens.count(text, "gpt-4o") for text in inputs)
        self._enter(doc["model"], size, 0, 0)
        await asyncio.sleep(self._scale * (FIRST_S / 5 + READ_S * size))
        data = [{"object": "embedding", "index": at, "embedding": _vector(text)} for at, text in enumerate(inputs)]
        usage = {"prompt_tokens": size, "total_tokens": size}
        body = {"object": "list", "data": data, "model": doc["model"], "usage": usage}
        return web.json_response(body=orjson.dumps(body))

    async def tell(self, request: web.Request) -> web.Response:
        return web.json_response(self._bill)

    async def begin(self, request: web.Request) -> web.Response:
        self._bill.clear()
        self._seen.clear()
        return web.json_response({})

    def _enter(self, model: str, *tokens: int) -> None:
        bill = self._bill[model]
        bill[0] += 1
        for place, count in enumerate(tokens, 1):
            bill[place] += count

    def _cached(self, model: str, text: str) -> int:
        """Tokens at the beginning that came before; from now on all of these have."""
        whole, found = hashlib.blake2b(model.encode(), digest_size=16), 0
        step, known = STEP_TOKENS * CHARS, True
        for at in range(0, len(text) - step + 1, step):
            whole.update(text[at : at + step].encode("utf-8", "replace"))
            key = whole.digest()
            known = known and key in self._seen
            found += known
            if len(self._seen) < KEPT:
                self._seen[key] = None
        return found * STEP_TOKENS if found >= LEAST_STEPS else 0

    def _answer(self, doc: Any, text: str) -> str:
        system = str(doc["messages"][0].get("content", ""))
        asked = LENGTH.search(system)
        draw = random.Random(text)
        most = draw.lognormvariate(0.0, 0.6) * int(asked[1] if asked else 100)
        return " ".join(draw.choices(WORDS, k=max(1, min(2000, round(most)))))


def _vector(text: str) -> list[float]:
    draw = random.Random(text)
    return [round(draw.uniform(-1, 1), 6) for _ in range(64)]


def application(scale: float) -> web.Application:
    market, app = Market(scale), web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/chat/completions", market.chat)
    app.router.add_post("/v1/embeddings", market.embeddings)
    app.router.add_get("/bill", market.tell)
    app.router.add_post("/bill", market.begin)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--scale", type=float, default=0.1)
    options = parser.parse_args()
    web.run_app(application(options.scale), host="127.0.0.1", port=options.port, print=None)


if __name__ == "__main__":
    main()
