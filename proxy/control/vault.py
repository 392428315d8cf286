"""Encrypts the texts of audit entries that are kept in full: AES-256-GCM, bound to the call they belong to."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from hashlib import blake2b
from typing import Any

import orjson

NONCE_BYTES = 12


class Vault:
    """Made from the secret behind `audit.content_key`."""

    def __init__(self, secret: str) -> None:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  7 MB, and most have no use for it
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        self._tampered = InvalidTag
        self._cipher = AESGCM(blake2b(secret.encode(), digest_size=32, person=b"weir.content").digest())

    def lock(self, content: Any, call: str) -> dict[str, str]:
        """What is kept instead of the content."""
        nonce = os.urandom(NONCE_BYTES)
        locked = self._cipher.encrypt(nonce, orjson.dumps(content), call.encode())
        return {"mode": "full", "cipher": "aes-256-gcm", "data": b64encode(nonce + locked).decode()}

    def unlock(self, kept: Any, call: str) -> Any:
        """The content again; None where it was locked with another key, for another call, or is something else."""
        try:
            raw = b64decode(kept["data"])
            return orjson.loads(self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], call.encode()))
        except (self._tampered, ValueError, KeyError, TypeError):
            return None
