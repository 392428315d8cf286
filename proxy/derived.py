"""Keys for single purposes, derived from the one secret of a fleet: who learns one of them learns no other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

KEY_BYTES = 32


def derived(secret: bytes) -> Callable[[str], bytes]:
    """Gives the key of a purpose: 32 bytes, keyed BLAKE2b of the purpose's name under `secret` (its first 64 bytes)."""
    key = secret[: hashlib.blake2b.MAX_KEY_SIZE]

    def of(purpose: str) -> bytes:
        return hashlib.blake2b(purpose.encode(), key=key, digest_size=KEY_BYTES, person=b"weir-purpose").digest()

    return of
