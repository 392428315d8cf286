"""What every plugin would do with a call, and why; nothing is sent and nothing is changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from proxy.errors import Forbidden, MalformedBody, UnknownModel
from proxy.exchange import Caller
from proxy.explain import Explanation, document, explain, lines, path_of
from proxy.live import Agent, Alias, Entry, Upstream, When
from proxy.registry import Registry, find, resolver
from tests import kit
from tests.pairs import SURFACES, body
from tests.plugins_for_tests import Answers, Edits, Refuses, Sets, Swaps, listed


async def told(*chain: Entry, raw: bytes = b"", path: str = "", agent: str = "default", **more: Any) -> Explanation:
    made = kit.snapshot(*chain, **more)
    plugins = await Registry(kit.kit()).prepare(made)
    whole = replace(made, resolve=resolver(made, {entry.name: find(entry.uses) for entry in made.chain}))
    raw = raw or body("chat")
    return await explain(
        whole, plugins, raw, path=path or path_of(raw), caller=Caller(agent=agent), now=kit.FakeClock().monotonic_s
    )


@pytest.mark.parametrize("surface", SURFACES)
async def test_calls_of_every_surface_are_explained(surface: str) -> None:
    model = {"embeddings": "text-embedding-3-small", "messages": "claude-sonnet-5-5"}.get(surface, "gpt-4o")
    made = await told(listed(Edits), listed(Refuses), raw=body(surface, model))
    assert (made.surface, made.model, made.segments) == (surface, model, 1)
    assert made.targets == [f"sim: {model}"]
    assert [one["would"] for one in made.plugins] == [["would edit 1"], ["would refuse rule_7"]]


async def test_each_plugin_sees_the_call_as_it_came_and_the_reason_is_told() -> None:
    made = await told(listed(Answers), listed(Sets), listed(Refuses), listed(Swaps), listed(Edits, mode="shadow"))
    said = {one["plugin"]: one for one in made.plugins}
    assert said["answers"]["would"] == ["would answer"]
    assert said["sets"]["would"] == ["would set temperature", "would insert 1"]
    assert said["refuses"]["why"] == ["Rule 7 does not let this pass."]
    assert (said["swaps"]["would"], said["swaps"]["hooks"]) == (["let pass"], ["filter"])
    assert (said["edits"]["mode"], said["edits"]["would"]) == ("shadow", ["would edit 1"])
    text = "\n".join(lines(made))
    assert "refuses: would refuse rule_7 because: Rule 7 does not let this pass." in text
    assert "edits (in shadow): would edit 1" in text
    assert orjson.loads(document(made))["surface"] == "chat"


async def test_what_was_found_and_what_would_go_out_is_told_and_nothing_of_what_was_masked() -> None:
    said = {
        "role": "user",
        "content": "Write to bob.miller@example.com\x1b, SSN 123-45-6789, again bob.miller@example.com",
    }
    raw = orjson.dumps({"model": "m", "messages": [{"role": "system", "content": "Be kind."}, said]})
    made = await told(Entry("pii", "pii"), listed(Sets), raw=raw)
    masked, sets = made.plugins
    assert masked["types"] == {"pii": {"EMAIL": 2, "SSN": 1}}
    (text,) = masked["texts"]
    assert text["text"] == "Write to [EMAIL_1]\x1b, SSN [SSN_1], again [EMAIL_1]" and text["message"] == 1
    assert [one["text"] for one in sets["texts"]] == ["Be kind."]
    shown = "\n".join(lines(made))
    assert "found: pii (EMAIL 2, SSN 1)" in shown
    assert '    user 1 would go out as: "Write to [EMAIL_1]\\u001b, SSN [SSN_1], again [EMAIL_1]"' in shown
    assert "miller" not in shown and b"6789" not in document(made) and "\x1b" not in shown
    long = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "a@b.example " + "x" * 2000}]})
    assert "characters more)" in "\n".join(lines(await told(Entry("pii", "pii"), raw=long)))


async def test_plugins_that_do_not_run_say_why() -> None:
    agents = {"quiet": Agent(plugins={"refuses": {"enabled": False}})}
    made = await told(
        listed(Edits, enabled=False), listed(Sets, when=When(models=("claude-*",))), listed(Refuses),
        agents=agents, agent="quiet",
    )  # fmt: skip
    assert [(one["plugin"], one["runs"]) for one in made.plugins] == [
        ("edits", False), ("sets", False), ("refuses", False),
    ]  # fmt: skip
    assert "edits: does not run, it is not enabled" in "\n".join(lines(made))
    assert "sets: does not run, its `when` does not match" in "\n".join(lines(made))


async def test_the_true_reason_is_told_where_no_when_was_written() -> None:
    agents = {"quiet": Agent(plugins={"refuses": {"enabled": False}})}
    chain = (listed(Refuses), Entry("embeddings", "embeddings"))
    made = await told(*chain, agents=agents, agent="quiet")
    assert [one["why"] for one in made.plugins] == [
        "it is off for the agent quiet", "it has to do with calls to /v1/embeddings only",
    ]  # fmt: skip
    made = await told(listed(Refuses), listed(Edits, enabled=False), bypass=True)
    assert [one["why"] for one in made.plugins] == [
        "`bypass` is on, and then only audit and metering run", "it is not enabled",
    ]  # fmt: skip


async def test_fallbacks_and_unread_parts_are_told() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:x"}}
    raw = orjson.dumps({"model": "best", "messages": [{"role": "user", "content": [image]}]})
    upstreams = {"a": Upstream("a", "http://a/v1", models=("x",)), "b": Upstream("b", "http://b/v1", models=("y",))}
    made = await told(raw=raw, upstreams=upstreams, aliases={"best": Alias("x", None, ("y",))})
    text = "\n".join(lines(made))
    assert "It would go to a: x, then b: y." in text
    assert "Parts that no codec reads: image." in text


async def test_a_call_that_would_be_turned_away_is_an_error() -> None:
    image = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]})
    for settings in ({"uninspected": "refuse"}, {}):
        chain = [] if settings else [listed(Refuses, on_error="closed")]
        with pytest.raises(Forbidden, match="image"):
            await told(*chain, raw=image, **settings)
    with pytest.raises(UnknownModel):
        await told(raw=body("chat"), upstreams={"a": Upstream("a", "http://a/v1", models=("x",))})
    with pytest.raises(MalformedBody):
        await told(raw=b'{"model":"m","messages":5}')
    with pytest.raises(MalformedBody, match="no codec reads /v1/files"):
        await told(path="/v1/files")


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b'{"model":"gpt-4o","messages":[]}', "/v1/chat/completions"),
        (b'{"model":"claude-x","messages":[]}', "/v1/messages"),
        (b'{"model":"m","system":"s","messages":[]}', "/v1/messages"),
        (b'{"model":"m","input":"x"}', "/v1/responses"),
        (b'{"model":"text-embedding-3-small","input":"x"}', "/v1/embeddings"),
        (b'{"model":"m","input":"x","encoding_format":"base64"}', "/v1/embeddings"),
        (b'{"model":"m","prompt":"x"}', "/v1/completions"),
    ],
)
def test_the_path_is_told_from_the_body(raw: bytes, path: str) -> None:
    assert path_of(raw) == path
