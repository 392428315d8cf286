"""Detectors of prompt injection by others, installed apart and run on the same texts: scores."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from benchmarks.peers import environments

PEERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "ai-injection-guard": (
            "ai-injection-guard==0.3.0",
            "from prompt_shield import PromptScanner\n"
            "scanner = PromptScanner()\n"
            "score = lambda text: float(scanner.scan(text).risk_score)\n",
        ),
        "aicordon (Picket)": (
            "aicordon==1.4.0",
            "from aicordon import picket\n"
            "both = [picket.load(mode=mode) for mode in ('ipi', 'dpi')]\n"
            "score = lambda text: float(any(one.check(text).flagged for one in both))\n",
        ),
    }
)
"""Of each: what is installed, and the lines that make `score` of a text, higher for an attack."""
LOOP = "import json, sys\n{}print(json.dumps([score(text) for text in json.load(sys.stdin)]))\n"
LIMIT_S = 600


def scores(folder: Path, texts: Sequence[str]) -> tuple[dict[str, list[float]], list[str]]:
    """Each one's scores of the texts, and the names of those that could not be installed or did not run."""
    found: dict[str, list[float]] = {}
    missing = []
    for name, (requirement, lines) in PEERS.items():
        place = folder / requirement.partition("==")[0]
        if environments.python(place, requirement) is not None:
            missing.append(name)
            continue
        command = [str(place.resolve() / "bin" / "python"), "-c", LOOP.format(lines)]
        done = subprocess.run(command, input=json.dumps(list(texts)), capture_output=True, text=True, timeout=LIMIT_S)
        if done.returncode:
            missing.append(name)
        else:
            found[name] = json.loads(done.stdout)
    return found, missing
