"""What options say that leads nowhere or does nothing is told where it stands, with what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.configuration import checking, sources
from proxy.configuration.sources import ConfigErrors
from proxy.registry import find

UPSTREAMS = (
    "upstreams:\n  openai: {url: 'http://127.0.0.1:9/v1', models: [gpt-4o, gpt-4o-mini], auth: none}\n"
    "  other: {url: 'http://127.0.0.1:9', dialects: [messages], models: ['claude-*'], auth: none}\n"
)


def notes(tmp_path: Path, text: str, more: str = "") -> list[str]:
    """What is told of a configuration that may run; its lines begin at 1 after the upstreams."""
    (tmp_path / "w.yaml").write_text(text + UPSTREAMS + more)
    loaded = sources.read(tmp_path / "w.yaml", {}, {}, None)
    told = checking.verify(loaded, find).warnings[len(loaded.warnings) :]
    return [words.replace(f"{tmp_path}/", "") for words in told]


def wrong(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        notes(tmp_path, text)
    return [str(error).replace(f"{tmp_path}/", "") for error in caught.value.errors]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "plugins:\n  - cache:\n      options:\n        semantic:\n          embedder: "
            "opnai/text-embedding-3-small\n",
            "w.yaml:5: plugins.cache.options.semantic.embedder: there is no upstream 'opnai'; did you mean openai?",
        ),
        (
            "plugins:\n  - cache: {options: {semantic: {embedder: other/claude-3}}}\n",
            "w.yaml:2: plugins.cache.options.semantic.embedder: the upstream other does not speak embeddings (it "
            "speaks messages); name a model of openai",
        ),
        (
            "plugins:\n  - compression:\n      options: {summarise: {target: openay/gpt-4o}}\n",
            "w.yaml:3: plugins.compression.options.summarise.target: there is no upstream 'openay'; did you mean "
            "openai?",
        ),
        (
            "plugins:\n- variants:\n    options:\n      tests:\n      - name: t\n        variants:\n        - {name: "
            "a}\n"
            "        - name: b\n          model: gpt-4o-mimi\n",
            "w.yaml:9: plugins.variants.options.tests.0.variants.1.model: no upstream serves 'gpt-4o-mimi'; did you "
            "mean "
            "gpt-4o-mini?",
        ),
        (
            "plugins:\n- routing:\n    options:\n      rules:\n      - target: openai/gpt-4\n        when: {models: "
            "['*']}\n",
            "w.yaml:5: plugins.routing.options.rules.0.target: the upstream openai serves no 'gpt-4'; did you mean "
            "gpt-4o?",
        ),
        (
            "plugins: [cache]\nagents:\n  tax:\n    plugins:\n      cache:\n        options:\n"
            "          semantic: {embedder: opnai/x}\n",
            "w.yaml:7: agents.tax.plugins.cache.options.semantic.embedder: there is no upstream 'opnai'; did you mean "
            "openai?",
        ),
        (
            "plugins:\n- variants:\n    options:\n      tests:\n      - name: t\n        variants:\n        - name: a\n"
            "          options: {cache: {semantic: {embedder: opnai/x}}}\n- cache\n",
            "w.yaml:3: plugins.variants.options: variant t=a sets cache.semantic.embedder: there is no upstream "
            "'opnai'; did you mean openai?",
        ),
    ],
)  # fmt: skip
def test_a_model_that_nobody_serves_is_wrong(text: str, words: str, tmp_path: Path) -> None:
    assert wrong(tmp_path, text) == [words]


def test_a_plugin_that_is_off_may_name_whom_it_likes(tmp_path: Path) -> None:
    text = "plugins:\n  - compression: {enabled: false, options: {summarise: {target: openay/gpt-4o}}}\n"
    assert notes(tmp_path, text) == []
    own = "agents: {tax: {plugins: {compression: {enabled: true}}}}\n"
    assert len(wrong(tmp_path, text + own)) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "plugins:\n  - metering: {when: {models: [gpt4o]}}\n",
            "w.yaml:2: plugins.metering.when.models.0: 'gpt4o' fits no alias and no model of an upstream, so no call "
            "is meant by it; did you mean gpt-4o?",
        ),
        (
            "plugins: [cache]\nagents:\n  tax:\n    plugins:\n      cache:\n        options:\n"
            "          ttl_s: 60\n          sqlite: true\n",
            "w.yaml:8: agents.tax.plugins.cache.options.sqlite: counts for the whole process, so for the agent tax "
            "it does nothing: write it as plugins.cache.options.sqlite",
        ),
        (
            "plugins:\n- variants: {options: {tests: [{name: t, variants: [{name: a, options: {cache: {memory_bytes: "
            "99999}}}]}]}}\n- cache\n",
            "w.yaml:2: plugins.variants.options: variant t=a sets cache.memory_bytes: counts for the whole process, "
            "so for the variant t=a it does nothing: write it as plugins.cache.options.memory_bytes",
        ),
        (
            "plugins:\n  - compression:\n      options:\n        max_context_tokens: 8000\n"
            "        summarise: {target: openai/gpt-4o}\n",
            "w.yaml:5: plugins.compression.options.summarise: a summary takes a model seconds, and the plugin's "
            "timeout_ms, 1000, leaves it 700 ms: old turns will mostly be dropped without one; write timeout_ms: "
            "5000 or more beside the options",
        ),
        (
            "plugins:\n  - compression: {options: {summarise: {target: openai/gpt-4o}}}\n",
            "w.yaml:2: plugins.compression.options.summarise: does nothing without max_context_tokens, above which "
            "calls lose turns: set it too",
        ),
        (
            "plugins: [metering]\nagents:\n  tax:\n    cache: true\n",
            "w.yaml:4: agents.tax.cache: does nothing: the list of plugins has no cache; add `- cache` to it",
        ),
        (
            "plugins:\n  - cache: {options: {semantic: {embedder: openai/ada}}}\n",
            "w.yaml:2: plugins.cache.options.semantic.embedder: openai lists no model 'ada'; there are: gpt-4o, "
            "gpt-4o-mini; it is asked all the same",
        ),
    ],
)  # fmt: skip
def test_what_does_nothing_is_told_where_it_stands(text: str, words: str, tmp_path: Path) -> None:
    assert notes(tmp_path, text) == [words]


def test_a_fallback_that_nobody_could_pay_is_told_where_it_stands(tmp_path: Path) -> None:
    text = "aliases:\n  smart:\n    model: gpt-4o\n    fallbacks: [spare/gpt-4o]\nplugins: [metering]\n"
    spare = "  spare: {url: 'http://127.0.0.1:9/v1', models: [gpt-4]}\n"
    (told,) = notes(tmp_path, text.replace("spare/gpt-4o", "gpt-4"), spare)
    assert told.startswith("w.yaml:4: aliases.smart.fallbacks.0: spare has no key, and a caller's own credential goes")


@pytest.mark.parametrize(
    "text",
    [
        "plugins:\n  - compression: {timeout_ms: 5000, options: {max_context_tokens: 8000, summarise: {target: "
        "openai/gpt-4o}}}\n",
        "plugins:\n  - compression: {timeout_ms: 0, options: {max_context_tokens: 8000, summarise: {target: "
        "other/claude-3}}}\n",
        "plugins: [metering]\nagents: {tax: {cache: false, compression: false}}\n",
        "plugins: [cache]\nagents: {tax: {cache: true, plugins: {cache: {options: {ttl_s: 5}}}}}\n",
        "plugins:\n  - cache: {options: {sqlite: true, memory_bytes: 99999}}\n",
        "plugins:\n  - routing: {options: {rules: [{target: openai/gpt-4o, when: {models: [gpt-4o-mini], tools: "
        "true}}]}}\n",
    ],
)
def test_what_does_something_is_not_spoken_of(text: str, tmp_path: Path) -> None:
    assert notes(tmp_path, text) == []


RULES = (
    "plugins:\n  - routing:\n      options:\n        rules:\n          - {target: gpt-4o-mini, when: {tools: true}}\n"
)


def test_what_does_something_for_one_agent_is_not_idle(tmp_path: Path) -> None:
    assert "rule 1 is for no call" in notes(tmp_path, RULES)[0]
    pools = "agents: {tax: {plugins: {routing: {options: {pools: [{asked: [gpt-4o], models: [{target: gpt-4o}]}]}}}}}\n"
    assert notes(tmp_path, RULES + pools) == []
    others = "agents: {tax: {plugins: {routing: {options: {bar: 0.5}}}}}\n"
    assert len(notes(tmp_path, RULES + others)) == 1, "once, where it is written"
