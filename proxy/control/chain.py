"""What is signed in the audit trail, and how: keyed BLAKE2b over each block of entries and the signature before it.

A block's signature covers the one before, the numbers of its first and last entry, when it was chained, and the stored
bytes of its entries: what is read is verified before it is unpacked, and no bit of it can differ. Of each entry these
bytes have its reference, its manifest and the hashes of its two erasable parts (who, and what was said). The hashes are
salted with what is erased along with the part, so that nothing can be guessed back from them. A checkpoint is a signed
head: so many entries, ending in this signature.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from hmac import compare_digest
from pathlib import Path
from struct import Struct
from typing import Any

import orjson

from proxy.errors import ConfigError

BLOCK, HEAD, KEY = b"weir.block", b"weir.head", b"weir.key"
NONE = bytes(32)
"""Stands where a signature before should be and is none."""
PLACE = Struct(">QQd")
KEY_CHARS = 16


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The chain had `count` entries, and the block of the last was signed `mac` (hex)."""

    count: int
    mac: str
    at: float
    signature: str = ""

    def line(self) -> str:
        """As it is exported: one line of JSON."""
        return orjson.dumps(asdict(self)).decode()


def load_key(data: Path, environment: Mapping[str, str]) -> bytes:
    """The signing key: WEIR_AUDIT_KEY_FILE, WEIR_AUDIT_KEY, or DATA/audit.key, which is made at first start."""
    if source := environment.get("WEIR_AUDIT_KEY_FILE"):
        try:
            return _derived(Path(source).read_text("utf-8"), "WEIR_AUDIT_KEY_FILE")
        except (OSError, UnicodeDecodeError):
            raise ConfigError("the file cannot be read", key="WEIR_AUDIT_KEY_FILE") from None
    if text := environment.get("WEIR_AUDIT_KEY"):
        return _derived(text, "WEIR_AUDIT_KEY")
    path = data / "audit.key"
    if not path.exists():
        if (data / "audit.db").exists():
            raise ConfigError(
                "audit.key is gone while audit.db is there: put it back, or move audit.db and audit.head away"
            )
        _make_key(path)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            "the file cannot be read, or is not the text that Weir wrote: put the right one back", key="audit.key"
        ) from None
    return _derived(text, "audit.key")


def sign(key: bytes, previous: bytes, place: tuple[int, int, float], refs: tuple[bytes, bytes], body: bytes) -> bytes:
    """The signature of a block: `place` is its first and last number and when it was chained, `refs` the earliest and
    the latest reference in it (no NUL in them)."""
    message = b"".join((previous, PLACE.pack(*place), refs[0], b"\0", refs[1], b"\0", body))
    return blake2b(message, key=key, digest_size=32, person=BLOCK).digest()


def genesis(key: bytes) -> bytes:
    """What the first block has for a signature before it."""
    return blake2b(b"genesis", key=key, digest_size=32, person=BLOCK).digest()


def fingerprint(key: bytes) -> str:
    """Tells keys apart and betrays nothing of them."""
    return blake2b(b"fingerprint", key=key, digest_size=8, person=KEY).hexdigest()


def seal(salt: bytes, part: bytes) -> bytes:
    """The hash that stays when the part and its salt are erased."""
    return blake2b(part, key=salt, digest_size=32).digest()


def checkpoint(key: bytes, count: int, mac: bytes, at_s: float) -> Checkpoint:
    head = Checkpoint(count, mac.hex(), round(at_s, 3))
    return Checkpoint(head.count, head.mac, head.at, _head_signature(key, head))


def genuine(key: bytes, head: Checkpoint) -> bool:
    """Whether this checkpoint was signed with this key."""
    return compare_digest(_head_signature(key, head).encode(), head.signature.encode())


def parse_checkpoint(line: str | bytes) -> Checkpoint:
    """Reads what `Checkpoint.line` wrote; ValueError where it is something else."""
    found: Any = orjson.loads(line)
    if not isinstance(found, dict):
        raise ValueError("a checkpoint is a JSON object")
    try:
        return Checkpoint(int(found["count"]), str(found["mac"]), float(found["at"]), str(found["signature"]))
    except (KeyError, TypeError) as error:
        raise ValueError("a checkpoint has count, mac, at and signature") from error


def _head_signature(key: bytes, head: Checkpoint) -> str:
    message = orjson.dumps([head.count, head.mac, head.at])
    return blake2b(message, key=key, digest_size=32, person=HEAD).hexdigest()


def _derived(text: str, name: str) -> bytes:
    secret = text.strip()
    if len(secret) < KEY_CHARS:
        raise ConfigError(f"needs at least {KEY_CHARS} characters", key=name)
    return blake2b(secret.encode(), digest_size=32, person=KEY).digest()


def _make_key(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(os.urandom(32).hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
