from __future__ import annotations

from typing import Any

import orjson
import pytest

from plugins.pii.shapes import exact
from tests.plugins.pii.calls import call, plugin, sent, settled

TURN = [{"role": "user", "content": "hello"}]


async def leaves(
    doc: dict[str, Any], surface: str = "chat", options: dict[str, Any] | None = None, **caller: Any
) -> Any:
    made = call(doc, surface, settled(options or {}), **caller)
    pii = plugin()
    for each in pii.configured():
        await pii._prepare(each)
    await pii.request(made)
    return orjson.loads(sent(made)), made


@pytest.mark.parametrize("name", ["user", "safety_identifier", "prompt_cache_key"])
async def test_an_address_as_the_name_of_a_user_goes_as_a_pseudonym(name: str) -> None:
    doc, made = await leaves({"model": "m", "messages": TURN, name: "Ann@example.org"})
    assert doc[name].startswith("user_") and len(doc[name]) <= 64
    assert dict(made.findings[0].counts) == {"EMAIL": 1}
    assert "example" not in repr(made.findings)
    again, _ = await leaves({"model": "m", "messages": TURN, name: "ann@EXAMPLE.org"})
    other, _ = await leaves({"model": "m", "messages": TURN, name: "bob@example.org"})
    elsewhere, _ = await leaves({"model": "m", "messages": TURN, name: "ann@example.org"}, tenant="other")
    assert again[name] == doc[name]
    assert len({doc[name], other[name], elsewhere[name]}) == 3


@pytest.mark.parametrize(
    "name", ["user-4711", "0b1f7a52-3f0e-4a1e-9f4e-6a3f5b7c9d10", "ann", "auth0|5f7c8ec7c33c6c004bbafe82"]
)
async def test_a_name_that_is_nobodys_data_stays(name: str) -> None:
    raw = {"model": "m", "messages": TURN, "user": name, "metadata": {"user_id": name, "n": 3, "run": "7"}}
    doc, made = await leaves(raw)
    assert doc == raw
    assert not made.request.edits and not made.findings


async def test_in_notes_what_was_found_is_replaced_and_the_rest_stays() -> None:
    notes = {"who": "ann@example.org (support)", "topic": "billing", "user_id": "bob@example.org", "n": 4}
    doc, _ = await leaves({"model": "m", "input": "hello", "metadata": notes, "store": True}, "responses")
    told = doc["metadata"]
    assert (told["topic"], told["n"]) == ("billing", 4)
    assert told["user_id"].startswith("user_")
    assert told["who"].endswith("] (support)") and exact(frozenset({"EMAIL"})).match(told["who"])
    assert "example.org" not in repr(doc)
    assert notes["who"] == "ann@example.org (support)"


async def test_the_user_of_a_message_goes_as_a_pseudonym() -> None:
    raw = {"model": "m", "max_tokens": 9, "messages": TURN, "metadata": {"user_id": "ann@example.org"}}
    doc, _ = await leaves(raw, "messages")
    assert doc["metadata"]["user_id"].startswith("user_")


async def test_inputs_of_embeddings_may_stay_and_their_user_does_not() -> None:
    raw = {"model": "m", "input": "ann@example.org", "user": "ann@example.org"}
    doc, _ = await leaves(raw, "embeddings", {"embeddings": "off"})
    assert doc["input"] == "ann@example.org"
    assert doc["user"].startswith("user_")


@pytest.mark.parametrize("options", [{"identifiers": "keep"}, {"types": {"EMAIL": "off"}}, {"operator": "off"}])
async def test_what_is_to_stay_stays(options: dict[str, Any]) -> None:
    raw = {"model": "m", "messages": TURN, "user": "ann@example.org", "metadata": {"a": "ann@example.org"}}
    doc, _ = await leaves(raw, options=options)
    assert doc == raw


async def test_notes_are_redacted_where_texts_are() -> None:
    raw = {"model": "m", "messages": TURN, "metadata": {"a": "ann@example.org"}}
    doc, _ = await leaves(raw, options={"operator": "redact"})
    assert doc["metadata"] == {"a": "[EMAIL_REDACTED]"}
