"""Entries as they lie beyond the process: encrypted and bound to their key, so that no other's is taken for one."""

from __future__ import annotations

import os
from typing import Any, Final

from plugins.cache.entry import Entry, packed, unpacked

VERSION: Final = b"\x01"
NONCE_BYTES: Final = 12


class Seal:
    """AES-256-GCM under a key of the fleet. To be started before it is used."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._cipher: Any = None

    @property
    def started(self) -> bool:
        return self._cipher is not None

    def start(self) -> None:
        """Loads the cipher, for which most workers have no use; blocks for some milliseconds."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  7 MB

        self._cipher = AESGCM(self._secret)

    def close(self, key: bytes, entry: Entry) -> bytes:
        """The entry that lies under this key."""
        nonce = os.urandom(NONCE_BYTES)
        sealed: bytes = self._cipher.encrypt(nonce, packed(entry), VERSION + key)
        return b"".join((VERSION, nonce, sealed))

    def open(self, key: bytes, sealed: bytes | None) -> Entry | None:
        """None for whatever is no entry of this key: garbage, another fleet's, one that was moved or changed."""
        if sealed is None or sealed[:1] != VERSION:
            return None
        try:
            plain = self._cipher.decrypt(sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :], VERSION + key)
            return unpacked(plain)
        except Exception:  # noqa: BLE001  the cipher has errors of its own for what it cannot open
            return None
