"""How a process of Weir speaks to whoever started it: whole lines on standard error, which may be full or gone."""

from __future__ import annotations

import contextlib
import os


def say(line: str) -> None:
    """Straight to the descriptor: what `sys.stderr` could not write it would try again at the end of the process, and
    fail with that. Nobody to hear it is no reason to end."""
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode(errors="backslashreplace"))
