"""What a call asks, and the rest of it."""

from __future__ import annotations

from typing import Any

import pytest

from plugins.cache.semantic.question import question


def asked(content: Any, **more: Any) -> dict[str, Any]:
    return {
        "model": "m",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": content}],
        **more,
    }


def test_two_calls_with_other_texts_have_one_rest() -> None:
    one, other = question("chat", asked("Hello?")), question("chat", asked("Goodbye?"))
    assert one is not None
    assert other is not None
    assert (one.text, other.text) == ("Hello?", "Goodbye?")
    assert one.rest == other.rest


def test_the_call_itself_is_not_touched() -> None:
    doc = asked([{"type": "text", "text": "Hello?"}])
    found = question("messages", doc)
    assert found is not None
    assert doc == asked([{"type": "text", "text": "Hello?"}])
    assert found.rest != doc


@pytest.mark.parametrize(
    "doc",
    [
        asked([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        asked([{"type": "tool_result", "content": "a"}]),
        asked(None),
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        {"messages": [{"role": "tool", "content": "a"}]},
        {"messages": []},
        {"messages": "a"},
        [],
    ],
)
def test_a_call_whose_newest_is_no_users_text_alone_asks_nothing(doc: Any) -> None:
    assert question("chat", doc) is None


def test_prompts_and_inputs_are_questions_and_embeddings_are_not() -> None:
    for dialect, name in (("completions", "prompt"), ("responses", "input")):
        found = question(dialect, {name: "Hello?"})  # type: ignore[arg-type]
        assert found is not None
        assert found.text == "Hello?"
    assert question("embeddings", {"input": "Hello?"}) is None
    listed = question("responses", {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi?"}]}]})
    assert listed is not None
    assert listed.text == "Hi?"
    assert question("responses", {"input": [{"type": "function_call_output", "output": "x"}]}) is None
