"""How many files a process may hold open, each connection being one: as many as the system allows it.

Raised by the processes that need them and not by the supervisor, so that the command of `weir run` keeps the limit it
was started with: programs that use select() trust in a low one.
"""

from __future__ import annotations

import resource
from contextlib import suppress

FEW = 8192
WISHED = 1_048_576
"""Where the system names no bound, or one that it does not grant."""
LESS = 10_240
INFINITE = resource.RLIM_INFINITY


def raise_limit() -> int:
    """To the hard limit. Gives what may be open now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wished in (hard, WISHED, LESS):
        if wished == INFINITE or (soft != INFINITE and wished <= soft):
            continue
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wished, hard))
            return wished
    return WISHED if soft == INFINITE else soft


def shortage(limit: int) -> str:
    """A sentence for who runs Weir, where few may be open; else nothing. A call holds two of them."""
    if limit >= FEW:
        return ""
    return (
        f"only {limit} files may be open, enough for about {limit // 2} calls at a time: raise the hard limit "
        "(ulimit -Hn, LimitNOFILE=, --ulimit nofile=)"
    )
