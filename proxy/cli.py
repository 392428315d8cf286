"""The command line: `weir COMMAND`. Each command is a module of `proxy.commands`, loaded when it is asked for."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import proxy

COMMANDS = {
    "serve": "run Weir in the foreground",
    "run": "run a command with a Weir of its own: weir run -- python agent.py",
    "check": "say what a configuration would do, and what is wrong with it",
    "options": "list every option with default, environment name and help",
    "schema": "print the JSON Schema of the configuration",
    "explain": "say what every plugin would do with a call, without sending it",
    "scan": "run one plugin's judgement over a corpus of JSON lines",
    "tune": "find the thresholds of a guard that give a wanted false-positive rate on your own rows",
    "events": "list what guards found, or follow it",
    "coverage": "say which guard sees what, and what nobody can read",
    "savings": "say what was saved, net, in money and tokens, beside what was spent",
    "reconcile": "compare a provider's usage or cost export with Weir's own records",
    "audit": "verify, list or export the audit trail",
    "privacy": "tell or erase all that is held of a user",
    "cache": "tell how much the cache saves, drop what it keeps, warm it",
    "feedback": "say how good the answer to a call was",
    "embeddings": "tell which vectors are kept and which inputs come most often, make some in advance",
    "overlay": "list, set, undo or export what was changed at run time",
    "sbom": "write what this Weir is made of, as CycloneDX JSON",
    "key": "make, list, rotate and revoke callers' keys",
}

FOREIGN = (
    "weir: another package called `proxy` stands in the way ({file}); the two cannot share an environment. "
    "Install weir-proxy in one of its own: a virtual environment, pipx or the container."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code: 0 done, 1 failed, 2 wrong usage or configuration."""
    if getattr(proxy, "PRODUCT", "") != "weir":
        print(FOREIGN.format(file=proxy.__file__), file=sys.stderr)
        return 1
    _stand()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version", "version"):
        print(f"weir {proxy.__version__}")
        return 0
    command = arguments[0]
    if command not in COMMANDS:
        print(f"weir: there is no command {command!r}\n\n{usage()}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"proxy.commands.{command}")
    try:
        return int(module.main(arguments[1:]))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def _stand() -> None:
    """Opens what the shell has closed (`weir serve <&- >&-`): else the next file or socket would become standard input,
    output or errors, here and in every process that is started."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def usage() -> str:
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    return f"usage: weir COMMAND [options]\n\n{lines}\n\nweir COMMAND --help tells more; weir --version the version."


if __name__ == "__main__":
    sys.exit(main())
