"""Memory that was freed goes back to the system, where the C library keeps it for itself."""

from __future__ import annotations

import ctypes
import gc


def trim() -> None:
    """After much was built up and thrown away. A few milliseconds; nothing where the C library has no such call."""
    gc.collect()
    release = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if release is not None:
        release(0)
