"""The output filter in a whole worker: on every surface, as JSON and as a stream, to a proper end."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from plugins.output_filter.plugin import OutputFilter
from proxy.live import Entry
from tests.asking import FORMS, SPEAKING, Came, asking
from tests.plugins.output_filter.outputs import KEY, loaded


@pytest.fixture(autouse=True)
def loads_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packaged rules are read once for all of these workers."""

    def load(plugin: OutputFilter) -> None:
        plugin._secrets, plugin._anchors = loaded()

    monkeypatch.setattr(OutputFilter, "_load", load)


TALKING = [form for form in SPEAKING if form[0] in ("chat", "responses", "messages")]
ANSWER = f"Take {KEY} or ask maria.lopez@northwind-corp.de about it."
MASKED = "Take [SECRET_REDACTED] or ask [EMAIL_REDACTED] about it."


def listed(**options: Any) -> Entry:
    return Entry("output_filter", "plugins.output_filter.plugin:OutputFilter", options=options)


def says(text: str, pieces: int = 7) -> str:
    return f'text="{text}" chunks={pieces}'


def refused(came: Came) -> bool:
    return came.finish in ("content_filter", "refusal", "incomplete")


@pytest.mark.parametrize(("surface", "stream"), SPEAKING)
@pytest.mark.parametrize("pieces", [1, 7, 40])
async def test_what_must_not_pass_is_taken_out_on_every_surface(surface: str, stream: bool, pieces: int) -> None:
    async with asking(listed()) as weir:
        came = await weir.ask(surface, stream, x_sim=says(ANSWER, pieces))
        assert came.status == 200
        assert came.text == MASKED
        assert KEY.encode() not in came.raw
        record = await weir.record()
        assert {(one["type"], one["action"]) for one in record["findings"]} == {
            ("output_secret", "redact"), ("output_personal", "redact"),
        }  # fmt: skip


@pytest.mark.parametrize(("surface", "stream"), SPEAKING)
async def test_an_answer_with_nothing_in_it_passes_as_it_came(surface: str, stream: bool) -> None:
    text = "Two roads diverged in a yellow wood, and I took the one less travelled by, 3 times."
    async with asking(listed()) as weir:
        assert (await weir.ask(surface, stream, x_sim=says(text))).text == text
        assert not (await weir.record()).get("findings")


@pytest.mark.parametrize(("surface", "stream"), TALKING)
@pytest.mark.parametrize("as_answer", [False, True])
async def test_a_refusal_is_an_error_or_a_proper_end(surface: str, stream: bool, as_answer: bool) -> None:
    async with asking(listed(secrets="refuse", refuse_as="answer" if as_answer else "error")) as weir:
        came = await weir.ask(surface, stream, x_sim=says(ANSWER))
        assert KEY.encode() not in came.raw
        record = await weir.record()
        assert record["outcome"] == "refused"
        if stream:
            assert came.status == 200
            assert came.complete
            assert refused(came)
        elif as_answer:
            assert came.status == 200
            assert refused(came)
        else:
            assert came.status == 400
            assert b"a secret in it that did not come from the caller" in came.raw
            assert surface == "messages" or b"output_secret" in came.raw


@pytest.mark.parametrize(("surface", "stream"), FORMS)
async def test_an_answer_with_nobodys_options_is_left_alone(surface: str, stream: bool) -> None:
    off = dict.fromkeys(("secrets", "personal", "links", "prompt", "calls"), "off")
    async with asking(listed(**off)) as weir:
        came = await weir.ask(surface, stream, x_sim=says(ANSWER))
        assert came.status == 200
        assert surface == "embeddings" or came.text == ANSWER


async def test_options_are_those_of_the_agent() -> None:
    async with asking(listed(secrets="tag", personal="off")) as weir:
        came = await weir.ask(x_sim=says(ANSWER))
        assert came.text == ANSWER
        (found,) = (await weir.record())["findings"]
        assert found["action"] == "tag"


SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
COMMAND = "sudo rm -rf / --no-preserve-root"


def calling(surface: str, stream: bool) -> bytes:
    """A call to which the simulated provider answers with a call of the tool, the user's words as its argument."""
    said = [{"role": "user", "content": COMMAND}]
    shell = {"name": "shell", "description": "Runs it.", "parameters": SCHEMA}
    doc: dict[str, Any] = {"model": "gpt-4o-mini", "stream": stream}
    if surface == "chat":
        doc |= {"messages": said, "tools": [{"type": "function", "function": shell}]}
    elif surface == "responses":
        doc |= {"input": COMMAND, "tools": [{"type": "function", **shell}]}
    else:
        tool = {"name": "shell", "description": "Runs it.", "input_schema": SCHEMA}
        doc |= {"messages": said, "max_tokens": 90, "tools": [tool]}
    return orjson.dumps(doc)


@pytest.mark.parametrize(("surface", "stream"), TALKING)
@pytest.mark.parametrize("action", ["tag", "redact", "refuse"])
async def test_an_unsafe_call_of_a_tool_is_seen_in_its_arguments(surface: str, stream: bool, action: str) -> None:
    async with asking(listed(calls=action)) as weir:
        came = await weir.ask(surface, raw=calling(surface, stream), x_sim="tools=1")
        (found,) = (await weir.record())["findings"]
        assert (found["type"], found["action"]) == ("output_call", action)
        said = came.text if came.status == 200 else came.raw.decode()
        assert ("no-preserve-root" in said) is (action == "tag")
        assert came.status == (400 if action == "refuse" and not stream else 200)
        if action == "redact":
            assert "[UNSAFE_ARGUMENT_REDACTED]" in came.text
