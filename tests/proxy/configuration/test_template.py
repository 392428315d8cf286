"""The files under config/ are what the settings say."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
from pydantic import BaseModel

from proxy.configuration import sources, template
from proxy.configuration.document import read
from proxy.configuration.options import validate
from proxy.configuration.settings import CHAIN, Settings, reference
from proxy.registry import find
from tests.certificates import certificates

CONFIG = Path(__file__).parents[3] / "config"
EXAMPLES = sorted((CONFIG / "examples").glob("*.yaml"))


def test_weir_yaml_is_what_the_settings_say() -> None:
    assert (CONFIG / "weir.yaml").read_text(encoding="utf-8") == template.sheet(), (
        "run: python -m proxy.configuration.template config"
    )


def test_schema_json_is_what_the_settings_say(tmp_path: Path) -> None:
    template.write(tmp_path)
    assert (CONFIG / "schema.json").read_bytes() == (tmp_path / "schema.json").read_bytes()


def test_weir_yaml_is_the_defaults() -> None:
    made = sources.read(CONFIG / "weir.yaml", {}, {}, None)
    assert made.settings == Settings()
    assert made.warnings == tuple(words for words in made.warnings if "later release" in words)


def test_weir_yaml_shows_every_option_with_its_help() -> None:
    text = template.sheet()
    for option in reference():
        assert option.help in text, option.key
        assert f"{option.path[-1]}:" in text, option.key


def test_weir_yaml_uncommented_is_still_a_configuration() -> None:
    """What is shown as a comment is right too: the examples of aliases, keys and agents."""
    lines = template.sheet().splitlines()
    for first, section in (("# fast:", "aliases"), ("#   tax-team:", "keys"), ("# tax-eu-001:", "agents")):
        start = lines.index(first)
        block = []
        for line in lines[start:]:
            if not line.startswith("#"):
                break
            block.append(line.replace("#", " ", 1))
        values = read("\n".join([f"{section}:", *block]), "x", {}).values[section]
        model: dict[str, type[BaseModel]] = {kind.__name__: kind for kind in template.EXAMPLES}
        kind = model[{"aliases": "Alias", "keys": "CallerKey", "agents": "Agent"}[section]]
        name, example = next(iter(values.items()))
        assert name == template.EXAMPLES[kind][0]
        if section == "keys":
            example["sha256"] = "a" * 64
        assert set(kind.model_validate_json(json.dumps(example)).model_dump()) == set(example)


@pytest.mark.parametrize("name", [name for name in CHAIN if fields(find(name).Options)])
def test_the_options_of_a_plugin_uncommented_are_all_there_are_and_right(name: str) -> None:
    lines = template.sheet().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"  {name}:")) + 2
    block = ["options:"]
    for line in lines[start:]:
        if not line.startswith("#"):
            break
        block.append(line.replace("#", " ", 1))
    shown = read("\n".join(block), "x", {}).values["options"]
    kind = find(name).Options
    assert set(validate(kind, shown)) == {field.name for field in fields(kind)}


def test_every_section_has_its_place() -> None:
    placed = [name for _, names in template.GROUPS for name in names]
    assert sorted(placed) == sorted(Settings.model_fields)


def test_no_line_is_too_wide() -> None:
    assert max(len(line) for line in template.sheet().splitlines()) <= 125


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """All that the examples ask of a machine."""
    made = certificates(tmp_path)
    for name in ("weir-admin", "openai", "weir-content", "weir-secret"):
        (tmp_path / name).write_text("x" * 32)
    keys = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_OPENAI_API_KEY"), "k")
    return keys | {"TLS_CERT": str(made.server), "TLS_KEY": str(made.server), "SECRETS": str(tmp_path)}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_is_a_right_configuration(file: Path, environ: dict[str, str]) -> None:
    sources.read(file, {}, environ, None)


def test_the_examples_are_those_that_the_documentation_names() -> None:
    assert [file.stem for file in EXAMPLES] == [
        "fleet", "keys-and-limits", "locked-down", "minimal", "observe", "redis-fleet", "saving", "several-upstreams",
        "strict-guards", "variants-test",
    ]  # fmt: skip


def test_the_fleet_has_51_agents(environ: dict[str, str]) -> None:
    settings = sources.read(CONFIG / "examples" / "fleet.yaml", {}, environ, None).settings
    assert len(settings.agents) == 51
    assert settings.agents["tax-eu-001"].streaming is False
    assert settings.agents["tax-eu-001"].max_instances == 10
    assert settings.agents["tax-eu-002"].cache is False
