"""`weir key`: a key that is shown once, and a line of configuration that admits it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import yaml

from proxy.cli import main
from proxy.configuration import sources


def test_the_line_admits_the_key_and_does_not_hold_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "bob", "--agent", "tax-eu-001"]) == 0
    out = capsys.readouterr().out
    (key,) = re.findall(r"^  (weir-\S{43})$", out, re.M)
    lines = out.split("configuration:\n")[1]
    assert key not in lines
    (tmp_path / "w.yaml").write_text(yaml.safe_dump(yaml.safe_load(lines)))
    loaded = sources.read(tmp_path / "w.yaml", {}, {}, None)
    (made,) = loaded.settings.freeze(1).identity.keys
    assert (made.name, made.agent) == ("bob", "tax-eu-001")
    assert made.sha256 == hashlib.sha256(key.encode()).hexdigest()


def test_no_two_keys_are_alike(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        main(["key", "bob"])
    keys = re.findall(r"^  (weir-\S+)$", capsys.readouterr().out, re.M)
    assert len(set(keys)) == 2


@pytest.mark.parametrize("arguments", [["bad name"], ["Bob"], [""], ["a: b"], ["bob", "--agent", "a b"]])
def test_a_name_that_check_refuses_is_refused_here(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("weir key: ") and "is not a name here" in err
