"""Memory that was freed goes back to the system, where the C library would keep it for itself."""

from __future__ import annotations

import ctypes
import gc

ARENA_MAX = -8
"""As `malloc.h` numbers it."""


def one_arena() -> None:
    """Before the first thread. The C library gives each thread a heap of its own, of which little comes back once much
    of it was used (10 % of a token table, which is loaded in a thread)."""
    limit = getattr(ctypes.CDLL(None), "mallopt", None)
    if limit is not None:
        limit(ARENA_MAX, 1)


def trim() -> None:
    """After much was built up and thrown away. A few milliseconds; nothing where the C library has no such call."""
    gc.collect()
    release = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if release is not None:
        release(0)
