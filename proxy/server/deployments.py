"""Paths as Azure OpenAI has them (`/openai/deployments/NAME/...`): what they are below /v1, and the model they name."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from proxy.errors import UnknownPath

ROOT: Final = "/openai/"
ROOTS: Final = frozenset({"responses", "models"})
"""What stands there without a deployment."""
MODEL_CHARS: Final = 512
_DEPLOYED: Final = re.compile(r"/openai/deployments/([^/]+)/(chat/completions|completions|embeddings)")


def plain(path: str) -> tuple[str, str]:
    """The path below /v1, and the model that it names; empty where it names none. Other paths stay as they are. Raises
    UnknownPath for a name that is none."""
    if not path.startswith(ROOT):
        return path, ""
    found = _DEPLOYED.fullmatch(path)
    if found is not None:
        model = unquote(found[1])
        if len(model) > MODEL_CHARS or not model.isprintable():
            raise UnknownPath("What stands behind /deployments/ is no name of a model.")
        return f"/v1/{found[2]}", model
    below = path[len(ROOT) :]
    if below.startswith("v1/"):
        return f"/{below}", ""
    if below.partition("/")[0] in ROOTS:
        return f"/v1/{below}", ""
    return path, ""
