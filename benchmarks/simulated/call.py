"""One request as the simulated provider received it (Received), and as its dialects read it (Call)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from benchmarks.simulated.plan import Flavour
from benchmarks.simulated.wish import PLAIN, Wish, take, understand

Json = Any
_DEPLOYMENT = re.compile(r"^/openai/deployments/([^/]+)")


@dataclass(slots=True)
class Received:
    """Byte for byte what came, unchunked; `at_s` is the event loop's time."""

    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    at_s: float
    connection: int
    number: int
    tls: bool = False

    def header(self, name: str) -> str | None:
        """The first header of this name (lower case)."""
        wanted = name.encode()
        return next((value.decode("latin-1") for key, value in self.headers if key.lower() == wanted), None)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def json(self) -> Json:
        return orjson.loads(self.body)


class Misread(Exception):
    """The body is not what the dialect takes; becomes a 400."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass
class Call:
    """`path` begins with /v1, whatever the way it was reached by."""

    received: Received
    path: str
    body: dict[str, Json] = field(default_factory=dict)
    model: str = ""
    wish: Wish = PLAIN
    last: str = ""
    """The last user text, without wishes."""

    @property
    def flavour(self) -> Flavour:
        anthropic = self.path.startswith("/v1/messages") or self.received.header("anthropic-version") is not None
        return "anthropic" if anthropic else "openai"

    @cached_property
    def id(self) -> str:
        """The same for the same request."""
        return hashlib.blake2b(self.received.body + self.path.encode(), digest_size=12).hexdigest()

    @property
    def stream(self) -> bool:
        return self.body.get("stream") is True


def read(received: Received) -> Call:
    """Raises `Misread` where the body is not a JSON object, `ValueError` where a wish is not understood."""
    path, deployment = received.path, ""
    if found := _DEPLOYMENT.match(path):
        deployment, path = found[1], "/v1" + path[found.end() :]
    elif path.startswith("/openai/v1/"):
        path = path[len("/openai") :]
    call = Call(received, path)
    said = received.header("x-sim") or ""
    if not received.body or not (received.header("content-type") or "application/json").startswith("application/json"):
        call.wish = understand(said)
        return call
    try:
        body = orjson.loads(received.body)
    except orjson.JSONDecodeError as error:
        raise Misread(f"We could not parse the JSON body of your request. ({error})") from None
    if not isinstance(body, dict):
        raise Misread("The body of the request must be a JSON object.")
    call.body = body
    call.model, in_model = take(str(body.get("model") or deployment))
    call.last, in_text = take(last_text(body))
    call.wish = understand(said, in_model, in_text)
    return call


def last_text(body: dict[str, Json]) -> str:
    """The last user text of any dialect."""
    turns = body.get("messages") or body.get("input") or body.get("prompt") or ""
    if isinstance(turns, str):
        return turns
    if not isinstance(turns, list):
        return ""
    for turn in reversed(turns):
        if isinstance(turn, str):
            return turn
        if isinstance(turn, dict) and turn.get("role") == "user":
            text = text_of(turn.get("content"))
            if text:
                return text
    return ""


def text_of(content: Json) -> str:
    """The texts of a content, string or parts, joined."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "\n".join(
        part["text"]
        for part in content
        if isinstance(part, dict) and isinstance(part.get("text"), str) and part["text"]
    )
