"""`weir sbom`: what this Weir is made of, as CycloneDX JSON: the packages installed here, or those of a lock file."""

from __future__ import annotations

import argparse
import json
import re
import sys
import uuid
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import proxy

NAME = "weir-proxy"
NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)")
PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)")
HASHED = re.compile(r"--hash=sha256:([0-9a-f]{64})")
VIA = re.compile(r"# +(?:via +)?([A-Za-z0-9][A-Za-z0-9._-]*)(?: \(.*\))?")
SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/weir-proxy")
LICENCE_CHARS = 100
"""A longer one is the text of a licence, not its name."""


@dataclass(slots=True)
class Part:
    """One package."""

    name: str
    version: str
    licence: str = ""
    hashes: list[str] = field(default_factory=list)
    """sha256 of the files that the lock admits, hexadecimal."""
    needs: set[str] = field(default_factory=set)

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


Parts = dict[str, Part]
"""By what is unique: name and version; a lock may have two of a name, for two Pythons."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="weir sbom",
        description="Write a software bill of materials (CycloneDX 1.5, JSON) to standard output. The same input gives "
        "the same bytes.",
    )
    parser.add_argument("--lock", metavar="FILE", help="of this lock, with its hashes, and not of what is installed")
    options = parser.parse_args(arguments)
    try:
        parts = locked(Path(options.lock).read_text()) if options.lock else installed()
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        sys.stderr.write(f"weir sbom: {options.lock or 'what is installed'} cannot be read: {said}\n")
        return 1
    sys.stdout.write(json.dumps(document(parts), indent=2, ensure_ascii=False) + "\n")
    return 0


def installed(name: str = NAME) -> Parts:
    """The package and all it needs, as far as that is here: what an extra or another system would need is not."""
    parts: Parts = {}
    waiting, seen = [name], set[str]()
    while waiting:
        wanted = _plain(waiting.pop())
        if wanted in seen:
            continue
        seen.add(wanted)
        try:
            found = metadata.distribution(wanted)
        except metadata.PackageNotFoundError:
            continue
        named = (NAMED.match(line) for line in found.requires or ())
        needs = {_plain(one[1]) for one in named if one is not None}
        part = Part(wanted, found.version, _licence(found.metadata), needs=needs)
        parts[part.purl] = part
        waiting += needs
    return parts


def locked(text: str) -> Parts:
    """The packages of a lock in the form of `pip install --require-hashes`. ValueError where one is not pinned."""
    parts: Parts = {}
    part: Part | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if line[:1] not in (" ", "#", "", "-"):
            found = PINNED.match(line)
            if found is None:
                raise ValueError(f"line {number} pins no version")
            part = Part(_plain(found[1]), found[2])
            part = parts.setdefault(part.purl, part)
        if part is not None:
            part.hashes += HASHED.findall(line)
    if not parts:
        raise ValueError("it pins nothing")
    whole = Part(NAME, proxy.__version__)
    named = {**parts, whole.purl: whole}
    for needed, by in _edges(text):
        for one in named.values():
            if one.name == by:
                one.needs.add(needed)
    return named


def _edges(text: str) -> list[tuple[str, str]]:
    """(what is needed, by whom), as the comments behind each package have it."""
    found, package = [], ""
    for line in text.splitlines():
        if pinned := PINNED.match(line):
            package = _plain(pinned[1])
        elif package and (via := VIA.fullmatch(line.strip())) and via[1] != "via":
            found.append((package, _plain(via[1])))
    return found


def document(parts: Parts) -> dict[str, Any]:
    """CycloneDX 1.5. The serial number is drawn from the content."""
    whole = next((part for part in parts.values() if part.name == NAME), Part(NAME, proxy.__version__))
    others = [parts[purl] for purl in sorted(parts) if parts[purl] is not whole]
    content = "\n".join([whole.purl, *(" ".join([part.purl, *part.hashes]) for part in others)])
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(SPACE, content)}",
        "version": 1,
        "metadata": {"component": {"type": "application", **_component(whole)}},
        "components": [{"type": "library", **_component(part)} for part in others],
        "dependencies": [
            {"ref": part.purl, "dependsOn": sorted(each.purl for each in others if each.name in part.needs)}
            for part in (whole, *others)
        ],
    }


def _component(part: Part) -> dict[str, Any]:
    found: dict[str, Any] = {"bom-ref": part.purl, "name": part.name, "version": part.version, "purl": part.purl}
    if part.licence:
        found["licenses"] = [{"license": {"name": part.licence}}]
    if part.hashes:
        found["hashes"] = [{"alg": "SHA-256", "content": each} for each in sorted(set(part.hashes))]
    return found


def _licence(said: metadata.PackageMetadata) -> str:
    """As the package names it, in one of the three places where it may."""
    for name in ("License-Expression", "License"):
        value = (said[name] or "").strip() if name in said else ""
        if value and len(value) <= LICENCE_CHARS and "\n" not in value and value != "UNKNOWN":
            return value
    kinds = [one.rpartition(" :: ")[2] for one in said.get_all("Classifier") or [] if one.startswith("License ::")]
    return ", ".join(kinds)


def _plain(name: str) -> str:
    """As package indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()
