"""`python -m proxy.app ROLE ...`: what the supervisor starts. Each role imports only what it needs."""

import gc
import importlib
import sys

ROLES = ("control", "worker", "plan")


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in ROLES:
        sys.stderr.write(f"usage: python -m proxy.app {{{','.join(ROLES)}}} ... (started by `weir serve`)\n")
        return 2
    gc.disable()  # nothing that is loaded is garbage; control and workers turn it on when they serve
    judging = arguments[0] == "control" and "--talk-fd" in arguments
    module = importlib.import_module(f"proxy.app.{'judge' if judging else arguments[0]}")
    return int(module.main(arguments[1:]))


sys.exit(main(sys.argv[1:]))
