"""`python -m proxy.app ROLE ...`: what the supervisor starts. Each role imports only what it needs."""

import importlib
import sys

ROLES = ("control", "worker", "plan")


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in ROLES:
        sys.stderr.write(f"usage: python -m proxy.app {{{','.join(ROLES)}}} ... (started by `weir serve`)\n")
        return 2
    module = importlib.import_module(f"proxy.app.{arguments[0]}")
    return int(module.main(arguments[1:]))


sys.exit(main(sys.argv[1:]))
