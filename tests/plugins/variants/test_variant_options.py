"""What is written wrongly about tests is said by `weir check`, and what a variant changes in others' options counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from plugins.variants.options import VariantsOptions
from proxy import snapshot
from proxy.cli import main
from proxy.configuration import checking, sources
from proxy.configuration.options import faults
from proxy.live import Agent, Snapshot
from proxy.plugin import Plugin
from proxy.registry import find, with_options
from tests import kit

ARMS = [{"name": "a"}, {"name": "b"}]
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": "t", "variants": []}, "a test needs variants"),
    ({"name": "t", "variants": [{"name": "a", "weight": 0}, {"name": "b", "weight": 0}]}, "weight above 0"),
    ({"name": "t", "variants": [{"name": "a", "weight": -1}]}, "a weight must be 0 or more"),
    ({"name": "t", "variants": [{"name": "a"}, {"name": "a"}]}, "two variants of the test are called 'a'"),
    ({"name": "t", "variants": [{"name": "a b"}]}, "is no name of a variant"),
    ({"name": "t=1", "variants": ARMS}, "is no name of a test"),
    ({"name": "t", "variants": ARMS, "control": "c"}, "control must be one of the test's variants (a, b), not 'c'"),
    ({"name": "t", "variants": ARMS, "share": 1.5}, "share must be between 0 and 1"),
    ({"name": "t", "variants": ARMS, "unit": "day"}, "user"),
    ({"name": "t", "variants": [{"name": "a", "wieght": 2}]}, "did you mean"),
    ({"name": "t", "variants": [{"name": "a", "parameters": {"model": "x"}}]}, "write it as `model`"),
    ({"name": "t", "variants": [{"name": "a", "parameters": {"messages": []}}]}, "cannot set the parameter 'messages'"),
]


@pytest.mark.parametrize(("test", "says"), WRONG)
def test_a_wrong_test_is_told_with_what_to_write(test: dict[str, Any], says: str) -> None:
    (fault,) = faults(VariantsOptions, {"tests": [test]})
    assert says in fault[1]


def test_two_tests_of_one_name_are_told() -> None:
    (fault,) = faults(VariantsOptions, {"tests": [{"name": "t", "variants": ARMS}] * 2})
    assert "two tests are called 't'" in fault[1]


def test_the_defaults_are_right() -> None:
    assert faults(VariantsOptions, {}) == []


def test_the_first_variant_is_the_baseline_unless_another_is_named() -> None:
    test = {"name": "t", "variants": ARMS}
    assert [made.tests[0].baseline for made in (_built(test), _built({**test, "control": "b"}))] == ["a", "b"]


def _built(test: dict[str, Any]) -> VariantsOptions:
    found = with_options(kit.snapshot(kit.entry("variants", options={"tests": [test]}))).options("variants", "", "")
    assert isinstance(found, VariantsOptions)
    return found


# ---- options of other plugins

PLUGINS = """
plugins:
  metering: {}
  variants:
    options:
      tests:
        - {name: t, variants: [{name: a}, {name: b, options: %s}]}
  output_filter: {}
"""


def told(tmp_path: Path, options: str, more: str = "") -> list[str]:
    file = tmp_path / "w.yaml"
    file.write_text(PLUGINS % options + more)
    loaded = sources.read(file, {}, {}, None)
    return [str(error).replace(f"{tmp_path}/", "") for error in checking.faults(loaded, find)]


def test_an_option_that_a_plugin_does_not_have_is_told(tmp_path: Path) -> None:
    (words,) = told(tmp_path, "{output_filter: {certian: 0.5}}")
    assert "variant t=b sets output_filter.certian: there is no such option" in words
    assert "did you mean certain" in words


def test_a_value_that_an_option_cannot_have_is_told(tmp_path: Path) -> None:
    (words,) = told(tmp_path, "{output_filter: {certain: 2}}")
    assert "variant t=b sets output_filter" in words
    assert "from 0 to 1" in words


def test_a_plugin_that_is_not_there_is_told(tmp_path: Path) -> None:
    (words,) = told(tmp_path, "{output_fliter: {certain: 0.5}}")
    assert "there is no such plugin in the list" in words
    assert "did you mean output_filter" in words


def test_a_plugin_above_is_told_because_it_would_not_notice(tmp_path: Path) -> None:
    (words,) = told(tmp_path, "{metering: {estimate: false}}")
    assert "metering, which stands above variants" in words


def test_tests_of_an_agent_are_judged_as_well(tmp_path: Path) -> None:
    more = (
        "agents: {ops: {plugins: {variants: {options: {tests: "
        "[{name: t, variants: [{name: c, options: {output_filter: {x: 1}}}]}]}}}}}\n"
    )
    (words,) = told(tmp_path, "{}", more)
    assert "agents.ops.plugins.variants.options" in words
    assert "variant t=c" in words


def test_what_is_right_is_not_told_and_reaches_the_workers(tmp_path: Path) -> None:
    assert told(tmp_path, "{output_filter: {certain: 0.5}}") == []
    loaded = sources.read(tmp_path / "w.yaml", {}, {}, None)
    made = with_options(snapshot.load(snapshot.dump(loaded.settings, 1), {}))
    assert made.labels == ("t=b",)
    usual, varied = (made.options("output_filter", "ops", variant).certain for variant in ("t=a", "t=b"))
    assert varied == 0.5
    assert usual != 0.5


def _made(*tests: dict[str, Any], agents: dict[str, Agent] | None = None, **options: Any) -> Snapshot:
    return with_options(
        kit.snapshot(
            kit.entry("variants", options={"tests": list(tests)}), kit.entry("output_filter", options=options),
            agents=agents,
        )
    )  # fmt: skip


def test_an_agents_options_hold_under_a_variant_that_changes_others() -> None:
    test = {"name": "t", "variants": [{"name": "b", "options": {"output_filter": {"certain": 0.5}}}]}
    agents = {"ops": Agent(plugins={"output_filter": {"options": {"types": ["EMAIL"]}}})}
    made = _made(test, agents=agents)
    assert made.options("output_filter", "ops", "t=b").certain == 0.5
    assert made.options("output_filter", "ops", "t=b").types == ("EMAIL",)
    assert made.options("output_filter", "", "t=b").types != ("EMAIL",)


def test_several_variants_change_options_together_and_the_later_test_wins() -> None:
    one = {"name": "one", "variants": [{"name": "b", "options": {"output_filter": {"certain": 0.5, "types": ["IP"]}}}]}
    two = {"name": "two", "variants": [{"name": "b", "options": {"output_filter": {"certain": 0.6}}}]}
    found = _made(one, two).options("output_filter", "", "one=b,two=b")
    assert (found.certain, found.types) == (0.6, ("IP",))


def test_options_are_built_once_for_all_that_differs() -> None:
    test = {"name": "t", "variants": [{"name": "a"}, {"name": "b", "options": {"output_filter": {"certain": 0.5}}}]}
    made = _made(test, agents={"ops": Agent()})
    usual = made.options("output_filter", "", "")
    assert made.options("output_filter", "ops", "t=a,other=x") is usual
    assert made.options("output_filter", "nobody", "t=b") is made.options("output_filter", "ops", "t=b,other=x")
    assert made.options("output_filter", "", "t=b") is not usual


def test_a_plugin_is_told_at_start_of_the_options_that_variants_give_it() -> None:
    test = {"name": "t", "variants": [{"name": "a"}, {"name": "b", "options": {"output_filter": {"certain": 0.5}}}]}
    made = _made(test, agents={"ops": Agent()})
    cls: type[Plugin[Any]] = find("output_filter")
    bare = kit.kit()
    plugin = cls(type(bare)(**{name: getattr(bare, name) for name in bare.__slots__} | {"live": kit.FixedLive(made)}))
    assert {options.certain for options in plugin.configured()} >= {0.5}
    assert len({id(options) for options in plugin.configured()}) == 2


def test_the_command_shows_what_units_get(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    (tmp_path / "units.jsonl").write_text('{"unit": "ann"}\n{"unit": "ann", "tenant": "other"}\n')
    options = orjson.dumps({"tests": [{"name": "t", "variants": ARMS}]}).decode()
    assert main(["scan", "variants", str(tmp_path / "units.jsonl"), "--options", options]) == 0
    rows = [orjson.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [row["variant"].partition("=")[0] for row in rows] == ["t", "t"]
    assert rows[0]["assigned"]["t"] in ("a", "b")
