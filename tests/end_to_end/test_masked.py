"""Texts that are kept are masked before they leave the worker: in no line, no history, no trail stands an original."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.control.recorder import Recorder
from proxy.control.redaction import Redactor
from proxy.control.vault import Vault
from proxy.live import Entry
from proxy.record import line_of
from proxy.store.history import History
from proxy.store.journal import EntryFilter
from proxy.store.rows import Filter
from tests.asking import Asking, asking
from tests.end_to_end.test_pii import TOOL
from tests.kit import FakeClock
from tests.proxy.control.records import trail

MINE, OTHER = "ann.oneill@example.org", "eve@example.net"
KEY, LOOT = "AKIAQ3EGRZ7FTXKW5PLM", "ghp_Zq3vW8mKx2LpR7tYb5Nc9HdJ4sFg6TaE1uQo"
ORIGINALS = (MINE, OTHER, KEY, LOOT, "oneill", "eve@")
SPEAKING = [(surface, stream) for surface in ("chat", "responses", "messages") for stream in (False, True)]
PII = "plugins.pii.plugin:Pii"


def body(surface: str, stream: bool, turns: int) -> bytes:
    """A call with an e-mail and a secret in its text; in three turns also in what a tool was told and gave."""
    text, said = f"I am {MINE}, the key is {KEY}.", orjson.dumps({"to": MINE, "with": f"key {KEY}"}).decode()
    tool: dict[str, Any] = {"name": "send", "description": f"Writes to {OTHER}."}
    call = {"type": "function", "function": {"name": "send", "arguments": said}}
    docs: dict[str, dict[str, Any]] = {
        "chat": {
            "messages": [
                {"role": "user", "content": text},
                {"role": "assistant", "content": None, "tool_calls": [{"id": "c", **call}]},
                {"role": "tool", "tool_call_id": "c", "content": f"sent to {MINE}"},
            ],
            "tools": [{"type": "function", "function": {**tool, "parameters": TOOL}}],
        },
        "responses": {
            "input": [
                {"role": "user", "content": text},
                {"type": "function_call", "call_id": "c", "name": "send", "arguments": said},
                {"type": "function_call_output", "call_id": "c", "output": f"sent to {MINE}"},
            ],
            "tools": [{"type": "function", **tool, "parameters": TOOL}],
        },
        "messages": {
            "max_tokens": 900,
            "messages": [
                {"role": "user", "content": text},
                {"role": "assistant", "content": [
                    {"type": "tool_use", "id": "c", "name": "send", "input": orjson.loads(said)}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "c", "content": f"sent to {MINE}"}]},
            ],
            "tools": [{**tool, "input_schema": TOOL}],
        },
    }  # fmt: skip
    doc = docs[surface]
    said_in = "input" if surface == "responses" else "messages"
    doc[said_in] = doc[said_in][:turns]
    return orjson.dumps({"model": "gpt-4o-mini", "stream": stream, **doc})


PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}


async def speak(weir: Asking) -> None:
    """Every surface, with an answer that speaks and one that calls a tool."""
    count = 0
    for surface, stream in SPEAKING:
        for turns, wish in ((3, f"text='so {MINE} and {OTHER} and {LOOT}' split=7"), (1, "tools=1 split=5")):
            came = await weir.post(PATHS[surface], body(surface, stream, turns), surface, **{"x-sim": wish})
            assert came.status == 200, came.raw
            count += 1
    await weir.record(count)


async def kept(weir: Asking, data: Path, redact: Any = str) -> tuple[list[dict[str, Any]], str]:
    """The entries as they are read from the trail, and all that was written down anywhere. `redact`: the net below."""
    recorder = Recorder(History(data / "executions", FakeClock()), trail(data), redact, vault=Vault("a content key"))
    await recorder.start()
    await recorder.write([line_of(one) for one in weir.records])  # type: ignore[arg-type]
    entries = recorder.ledger.journal.page(EntryFilter(action="llm.call"), 1000)
    rows = recorder.history.page(Filter(), 1000).rows
    await recorder.stop()
    files = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    return entries, files.decode("latin-1") + orjson.dumps([entries, rows]).decode()


def texts(entries: list[dict[str, Any]]) -> list[str]:
    return [one["text"] for entry in entries for side in ("input", "output") for one in entry["content"][side]]


@pytest.mark.parametrize("mode", ["enforce", "shadow"])
async def test_masked_texts_have_no_original_in_any_byte_whether_the_call_is_masked_or_not(
    tmp_path: Path, mode: Any
) -> None:
    async with asking(Entry("pii", PII, mode=mode), content="masked") as weir:
        await speak(weir)
        sent = b"".join(one.body for one in weir.provider.requests)
        assert (MINE.encode() in sent) is (mode == "shadow")
        entries, written = await kept(weir, tmp_path)
        assert not any(value in written for value in ORIGINALS)
        said = texts(entries)
        assert len(entries) == 12 and all(entry["content"]["mode"] == "masked" for entry in entries)
        assert said.count("I am [EMAIL_2], the key is [SECRET_1].") >= 12
        assert said.count("so [EMAIL_2] and [EMAIL_1] and [SECRET_REDACTED]") == 6
        made = [one for entry in entries for one in entry["content"]["output"] if one["kind"] == "tool_arguments"]
        assert len(made) >= 6 and all("[EMAIL_2]" in one["text"] for one in made[:1])


@pytest.mark.parametrize(
    ("chain", "changes"),
    [
        ((), {"content": "masked"}),
        ((Entry("pii", PII, options={"operator": "off"}),), {"content": "masked"}),
        ((Entry("pii", PII, enabled=False),), {"content": "masked"}),
        ((Entry("pii", PII),), {"content": "masked", "bypass": True}),
        ((Entry("pii", PII),), {"content": "none"}),
    ],
)
async def test_no_text_is_kept_where_nobody_masks_it(tmp_path: Path, chain: Any, changes: Any) -> None:
    async with asking(*chain, **changes) as weir:
        await speak(weir)
        entries, written = await kept(weir, tmp_path)
        assert len(entries) == 12 and not any("content" in entry for entry in entries)
        assert not any(value in written for value in ORIGINALS)


async def test_full_texts_are_kept_encrypted_alone(tmp_path: Path) -> None:
    async with asking(Entry("pii", PII), content="full") as weir:
        await speak(weir)
        assert MINE in str(weir.records[0]["audit"]["content"])
        entries, written = await kept(weir, tmp_path)
        assert all("cipher" in entry["content"] for entry in entries)
        assert not any(value in written for value in ORIGINALS)


async def test_the_net_below_takes_nothing_more_out_of_what_is_masked(tmp_path: Path) -> None:
    async with asking(Entry("pii", PII), content="masked") as weir:
        await speak(weir)
        once, twice = [(await kept(weir, tmp_path / str(n), net))[0] for n, net in enumerate((str, Redactor()))]
        assert texts(once) == texts(twice)
