"""LiteLLM's proxy: Python, a hundred providers; metering and cost per call as by default, no database."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.peers.environments import python, script
from benchmarks.peers.peer import MODELS, Command, Peer

VERSION = "1.106.2"
"""The newest whose own requirements could all be had when this was written."""


def install(folder: Path) -> str | None:
    return python(folder, f"litellm[proxy]=={VERSION}")


def command(folder: Path, port: int, provider: str, work: Path) -> Command:
    target = {"api_base": f"{provider}/v1", "api_key": "sk-benchmark", "max_retries": 0}
    settings = {
        "model_list": [
            {"model_name": name, "litellm_params": {"model": f"openai/{name}", **target}} for name in MODELS
        ],
        "litellm_settings": {"num_retries": 0, "set_verbose": False, "telemetry": False},
        "router_settings": {"num_retries": 0},
    }
    path = work / "litellm.yaml"
    path.write_text(json.dumps(settings))  # JSON is YAML
    # Granian, which comes with it, answers for about a sixth less CPU than its default server, and takes more memory.
    server = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--run_granian"]
    environment = {
        "LITELLM_LOG": "ERROR",  # without it there is a line per call
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # the prices in the package: no fetch at the start
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # no keys to check, as with the others
    }
    return [script(folder, "litellm"), "--config", str(path.resolve()), *server], environment


PEER = Peer("LiteLLM", VERSION, "full gateway", install, command)
