"""Odd configurations of guards: each is refused with a sentence that says where, and what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.cli import main

ODD = (
    ("injection: {options: {user: {threshold: 2}}}", "options.user: threshold is a share from 0 to 1, not 2"),
    ("injection: {options: {user: {threshold: high}}}", "options.user.threshold: must be a number"),
    ("injection: {options: {user: {action: block}}}", "action: must be one of 'refuse', 'replace', 'sanitise', 'tag'"),
    ("injection: {options: {users: {action: refuse}}}", "there is no such option; did you mean user?"),
    ("injection: {options: {user: {threshold: 0.5, false_positives: 0.01}}}", "give one of the two"),
    ("injection: {options: {user: refuse}}", "must be a section (name: value)"),
    ("injection: {options: {classic: true}}", "must be one of 'record', 'refuse'"),
    ("injection: {options: {threshold: 0.5}}", "there are: arguments, assistant, classic"),
    ("injection: {options: {rules: [nope.toml]}}", "cannot be read (No such file or directory): name a TOML file"),
    ("injection: {options: {rules: [bad.toml]}}", "bad.toml is not TOML"),
    ("injection: {options: {rules: bad.toml}}", "must be a list"),
    ("injection: {options: {model: /nope}}", "a folder with model.onnx and tokenizer.json"),
    ("injection: {threshold: 0.5}", "a plugin's own options stand under `options:`"),
    ("injection: {on_error: close}", "must be one of 'open', 'closed'"),
    ("injection: {timeout_ms: -5}", "must be at least 0"),
    ("injection: {overlap: maybe}", "must be true or false"),
    ("injection: {when: {model: gpt-4}}", "did you mean models?"),
    ("injection: {when: {share: 50}}", "must be at most 1"),
    ("pii: {options: {operator: hide}}", "must be one of 'placeholder', 'redact', 'mask', 'hash', 'encrypt', 'off'"),
    ("pii: {options: {types: {EMAIL: {operator: mask}}}}", "options.types.EMAIL: must be one of 'placeholder'"),
    ("pii: {options: {operators: {EMAIL: mask}}}", "did you mean operator?"),
    ("pii: {options: {placeholder: random}}", "must be one of 'numbered', 'keyed'"),
    ("pii: {options: {recogniser: gliner}}", "there is no recogniser 'gliner'; there is rampart"),
    ("pii: {overlap: true}", "only a plugin that says yes or no may judge beside the call"),
    ("output_filter\n  - pii", "must stand below pii: move it down in the list"),
    ("output_filter: {options: {secrets: block}}", "must be one of 'refuse', 'redact', 'tag', 'off'"),
    ("output_filter: {options: {rules: [nope.toml]}}", "name a TOML file"),
    ("ratelimit: {options: {limits: {by: key, requests_per_minute: 5}}}", "must be a list"),
    ("ratelimit: {options: {limits: [{by: agents, requests_per_minute: 5}]}}", "limits.0.by: must be one of 'key'"),
    ("ratelimit: {options: {limits: [{by: key}]}}", "limits nothing: give one of requests_per_minute"),
    ("ratelimit: {options: {limits: [{requests_per_minute: 0}]}}", "leave it out where there is none"),
    ("ratelimit: {options: {limits: [{requests_per_second: 3}]}}", "did you mean requests_per_day?"),
    ("ratelimit: {options: {limits: [{requests_per_minute: '60'}]}}", "must be a whole number"),
    ("ratelimit: {options: {warn_at: 80}}", "warn_at is a share from 0 to 1, such as 0.8, not 80"),
    ("ratelimit: {options: {clamp_tokens: 0}}", "clamp_tokens must be above 0"),
    ("ratelimit: {options: {upper_bound_usd: -1}}", "upper_bound_usd must not be below 0, and a number"),
    ("injektion", "there is no plugin 'injektion': name an entry point of the group weir.plugins"),
)


@pytest.mark.parametrize(("line", "words"), ODD, ids=[line[:60] for line, _ in ODD])
def test_an_odd_line_is_refused_with_what_to_write(
    line: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.toml").write_text("this is = = no toml\n")
    Path("w.yaml").write_text(f"plugins:\n  - {line}\n")
    assert main(["check", "w.yaml", "--offline"]) == 2
    told = capsys.readouterr()
    assert told.out == "" and words in told.err and "w.yaml:" in told.err
    assert "Errno" not in told.err and "Traceback" not in told.err


def test_a_plugin_that_is_no_list_is_told_how_lists_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w.yaml").write_text("plugins: injection\n")
    assert main(["check", str(tmp_path / "w.yaml"), "--offline"]) == 2
    assert "must be a list: one plugin a line, as `- pii`" in capsys.readouterr().err
