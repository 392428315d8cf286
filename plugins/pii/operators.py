"""Operators that do not come back: redact, mask, hash, encrypt, by presidio-anonymizer.

Presidio draws a salt and a vector for every occurrence, so the same value would look different in every turn: here
both follow from tenant, type and value. What is encrypted is in Presidio's own format, and its decrypting reads it.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from typing import Any, Final

Secret = Callable[[str], bytes]

KEPT_CHARS: Final = 4
"""A masked value shows its last characters, if it is at least three times as long."""
HASH_CHARS: Final = 16
SAME: Final = frozenset({"EMAIL", "IBAN", "PHONE", "CREDIT_CARD", "SSN", "CRYPTO"})
"""Types of which two spellings are one value, as far as a hash is concerned."""
_AS_WRITTEN: Final = frozenset({"CRYPTO"})


class Operators:
    """Those of one process. `start` loads what they need; before it only `redact` works."""

    def __init__(self, secret: Secret) -> None:
        self._salt = secret("pii hash")
        self._key = secret("pii encrypt")
        self._presidio: dict[str, Any] = {}
        self._ciphers: Any = None
        self._padding: Any = None

    @property
    def started(self) -> bool:
        return bool(self._presidio)

    def start(self) -> None:
        """Blocks for a tenth of a second."""
        from cryptography.hazmat.primitives import ciphers, padding  # noqa: PLC0415  presidio's own, for what it lacks
        from presidio_anonymizer.operators import AESCipher, Hash, Mask  # noqa: PLC0415  7 MB

        self._ciphers, self._padding = ciphers, padding
        self._presidio = {"mask": Mask(), "hash": Hash(), "decrypt": AESCipher}

    def apply(self, operator: str, type: str, value: str, tenant: str) -> str:
        """What stands for `value` (a text without surrogates, or with them). The same for the same, in every call."""
        if operator == "redact":
            return redacted(type)
        told = value.encode("utf-8", "replace").decode()
        if operator == "mask":
            hidden = len(told) - (KEPT_CHARS if len(told) >= 3 * KEPT_CHARS else 0)
            params: dict[str, Any] = {"masking_char": "*", "chars_to_mask": hidden, "from_end": False}
            return str(self._presidio["mask"].operate(told, params))
        if operator == "hash":
            salt = hmac.digest(self._salt, f"{tenant}\0{type}".encode("utf-8", "replace"), "sha256")
            found = self._presidio["hash"].operate(normal(type, told), {"salt": salt})
            return f"[{type}:{found[:HASH_CHARS]}]"
        return f"[{type}:{self._encrypted(tenant, told)}]"

    def decrypt(self, token: str) -> str:
        """What `encrypt` wrote after the type and its colon."""
        return str(self._presidio["decrypt"].decrypt(self._key, token))

    def _encrypted(self, tenant: str, value: str) -> str:
        """AES-256-CBC as Presidio writes it, its vector from tenant and value: whoever has not the key learns that two
        values are equal, and nothing else."""
        vector = hmac.digest(self._salt, f"vector\0{tenant}\0{value}".encode("utf-8", "replace"), "sha256")[:16]
        cipher, padding = self._ciphers, self._padding.PKCS7(128).padder()
        padded = padding.update(value.encode()) + padding.finalize()
        work = cipher.Cipher(cipher.algorithms.AES(self._key), cipher.modes.CBC(vector)).encryptor()
        return base64.urlsafe_b64encode(vector + work.update(padded) + work.finalize()).decode()


def redacted(type: str) -> str:
    return f"[{type}_REDACTED]"


def normal(type: str, value: str) -> str:
    """One spelling of a value that has several."""
    if type not in SAME or type in _AS_WRITTEN:
        return value
    if type == "EMAIL":
        return value.strip().casefold()
    return "".join(letter for letter in value.upper() if letter.isalnum())
