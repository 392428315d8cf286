"""`weir sbom`: what is installed and what a lock says, as CycloneDX."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from proxy.cli import main
from proxy.commands.sbom import locked

ROOT = Path(__file__).parents[3]


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["sbom", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def sound(bom: Any) -> None:
    """What a reader of CycloneDX relies on."""
    assert (bom["bomFormat"], bom["specVersion"], bom["version"]) == ("CycloneDX", "1.5", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bom["serialNumber"])
    parts = [bom["metadata"]["component"], *bom["components"]]
    refs = [part["bom-ref"] for part in parts]
    assert len(refs) == len(set(refs)) == len(bom["dependencies"])
    assert all(part["purl"] == f"pkg:pypi/{part['name']}@{part['version']}" for part in parts)
    assert {each["ref"] for each in bom["dependencies"]} == set(refs)
    assert {ref for each in bom["dependencies"] for ref in each["dependsOn"]} <= set(refs)


@pytest.mark.parametrize("name", ["runtime.lock", "requirements.lock"])
def test_a_lock_is_told_with_every_version_and_hash(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / name).read_text()
    bom = told(capsys, "--lock", str(ROOT / name))
    sound(bom)
    found = [(part["name"], part["version"]) for part in bom["components"]]
    pinned = re.findall(r"^([\w.-]+)(?:\[.*?\])?==([^\s;]+)", text, re.M)
    assert sorted(found) == sorted((re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in pinned)
    hashes = [each["content"] for part in bom["components"] for each in part["hashes"]]
    assert sorted(hashes) == sorted(set(re.findall(r"sha256:(\w+)", text)))
    needs = {each["ref"].partition("@")[0]: each["dependsOn"] for each in bom["dependencies"]}
    direct = [one.partition("@")[0] for one in needs["pkg:pypi/weir-proxy"]]
    assert "pkg:pypi/aiohttp" in direct and "pkg:pypi/yarl" not in direct
    assert any(one.startswith("pkg:pypi/yarl@") for one in needs["pkg:pypi/aiohttp"])
    assert bom == told(capsys, "--lock", str(ROOT / name)), "the same bytes each time"


def test_what_is_installed_is_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    bom = told(capsys)
    sound(bom)
    assert bom["metadata"]["component"]["name"] == "weir-proxy"
    found = {part["name"]: part for part in bom["components"]}
    assert found["aiohttp"]["version"] == metadata.version("aiohttp")
    assert "yarl" in found, "what is needed by what is needed"
    assert found["aiohttp"]["licenses"][0]["license"]["name"]


@pytest.mark.parametrize(("text", "words"), [("", "pins nothing"), ("aiohttp>=3\n", "line 1 pins no version")])
def test_a_file_that_is_no_lock_is_told(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lock").write_text(text)
    assert main(["sbom", "--lock", str(tmp_path / "lock")]) == 1
    assert words in capsys.readouterr().err
    assert main(["sbom", "--lock", str(tmp_path / "none")]) == 1


def test_names_are_compared_as_indexes_do() -> None:
    parts = locked("A.b_C==1 ; python_version > '3' \\\n    --hash=sha256:" + "0" * 64 + "\nd[x]==2\n    # via a-b-c\n")
    part = parts["pkg:pypi/a-b-c@1"]
    assert "pkg:pypi/d@2" in parts and part.needs == {"d"} and len(part.hashes) == 1
