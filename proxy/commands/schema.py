"""`weir schema`: the JSON Schema of the configuration, for editors."""

from __future__ import annotations

import json
import sys

from proxy.configuration.settings import schema


def main(arguments: list[str]) -> int:
    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
    return 0
