"""The rest of the surface: models, files, audio, images, moderations; multipart in, binary out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from benchmarks.simulated.call import Call, Misread
from benchmarks.simulated.chat import CREATED
from benchmarks.simulated.faults import error_event, fault
from benchmarks.simulated.memory import File, Memory
from benchmarks.simulated.plan import Answer, Plan, Stream, json_answer

Json = Any
MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-5", "gpt-5-mini", "o3", "text-embedding-3-small",
          "text-embedding-3-large", "claude-sonnet-5-5", "claude-haiku-5-5")  # fmt: skip
BLOCK = bytes(range(256)) * 16
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="  # 1x1, PNG
_SPOKEN = {"mp3": "audio/mpeg", "wav": "audio/wav", "opus": "audio/opus", "flac": "audio/flac", "pcm": "audio/pcm"}


def models(call: Call) -> Plan:
    """In the shape that the asking SDK knows: Anthropic's sends `anthropic-version`."""
    name = call.path.removeprefix("/v1/models").strip("/")
    anthropic = call.flavour == "anthropic"
    if name and name not in MODELS:
        return fault(404, call.flavour, model=name)
    shape = _anthropic_model if anthropic else _openai_model
    if name:
        return json_answer(shape(name), flavour=call.flavour)
    data = [shape(each) for each in MODELS if not anthropic or each.startswith("claude")]
    if not anthropic:
        return json_answer({"object": "list", "data": data})
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"], "has_more": False}
    return json_answer({"data": data, **ends}, flavour="anthropic")


def _openai_model(name: str) -> dict[str, Json]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "simulated"}


def _anthropic_model(name: str) -> dict[str, Json]:
    return {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}


def files(call: Call, memory: Memory) -> Plan:
    name, _, what = call.path.removeprefix("/v1/files").strip("/").partition("/")
    if not name and call.received.method == "GET":
        return json_answer({"object": "list", "data": [file.about for file in memory.files.all()], "has_more": False})
    if not name:
        return _upload(call, memory)
    file = memory.files.get(name)
    if file is None:
        return fault(404, "openai", message=f"No such File object: {name}", param="id")
    if call.received.method == "DELETE":
        memory.files.drop(name)
        return json_answer({"id": name, "object": "file", "deleted": True})
    if what == "content":
        return Answer(file.data, kind="application/octet-stream")
    return json_answer(file.about)


def _upload(call: Call, memory: Memory) -> Plan:
    parts = form(call)
    name, data = parts.get("file", ("", b""))
    if not name:
        raise Misread("'file' is a required property", "file")
    key = f"file-{call.id}"
    about = {
        "id": key,
        "object": "file",
        "bytes": len(data),
        "created_at": CREATED,
        "filename": name,
        "purpose": parts.get("purpose", ("", b"user_data"))[1].decode(),
        "status": "processed",
    }
    memory.files.put(key, File(about, data))
    return json_answer(about)


def form(call: Call) -> dict[str, tuple[str, bytes]]:
    """The parts of a multipart body: name -> (file name, bytes)."""
    found = re.search(r'boundary="?([^";,]+)"?', call.received.header("content-type") or "")
    if found is None:
        raise Misread("The body must be multipart/form-data with a boundary.")
    parts: dict[str, tuple[str, bytes]] = {}
    for part in call.received.body.split(b"--" + found[1].encode())[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        named = re.search(rb'[; ]name="([^"]*)"', head)
        file = re.search(rb'filename="([^"]*)"', head)
        if named:
            parts[named[1].decode()] = (file[1].decode() if file else "", data.removesuffix(b"\r\n"))
    return parts


def speech(call: Call) -> Plan:
    """Bytes that nobody could take for text; `size` of them, 20,000 if not wished otherwise."""
    kind = _SPOKEN.get(str(call.body.get("response_format") or "mp3"), "audio/mpeg")
    return Stream(_noise(call.wish.size or 20_000), b"", error_event(call.path), kind=kind)


def _noise(size: int) -> Iterator[bytes]:
    for start in range(0, size, len(BLOCK)):
        yield BLOCK[: min(len(BLOCK), size - start)]


def transcriptions(call: Call) -> Plan:
    name, data = form(call).get("file", ("", b""))
    return json_answer(
        {"text": f"You sent {len(data)} bytes called {name}.", "usage": {"type": "duration", "seconds": 1}}
    )


def images(call: Call) -> Plan:
    return json_answer({"created": CREATED, "data": [{"b64_json": _PIXEL, "revised_prompt": call.body.get("prompt")}]})


def moderations(call: Call) -> Plan:
    given = call.body.get("input") or ""
    count = len(given) if isinstance(given, list) else 1
    calm: dict[str, Json] = {
        "flagged": False,
        "categories": {},
        "category_scores": {},
        "category_applied_input_types": {},
    }
    return json_answer(
        {"id": f"modr-{call.id}", "model": call.model or "omni-moderation-latest", "results": [calm] * count}
    )
