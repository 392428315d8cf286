"""Crypto addresses: Ethereum's form, base58 with its checksum (Bitcoin and kin), bech32 with its own."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from proxy.detection.span import Span

TYPE: Final = "CRYPTO"
BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
RIPPLE: Final = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
CHECKS: Final = frozenset((1, 0x2BC830A3))
"""What the sum must be: bech32 (BIP 173) and bech32m (BIP 350)."""

ANCHOR: Final = (
    r"\b0[xX][0-9a-fA-F]{40}\b|\b(?i:bc1|tb1|ltc1|addr1|cosmos1)[0-9A-Za-z]{25,100}\b"
    r"|\b[13LMDTr][1-9A-HJ-NP-Za-km-z]{24,34}\b"
)
FORM = re.compile(
    r"(?P<eth>0[xX][0-9a-fA-F]{40})|(?P<bech>(?:bc1|tb1|ltc1|addr1|cosmos1)[0-9A-Za-z]{25,100})"
    r"|(?P<base>[13LMDTr][1-9A-HJ-NP-Za-km-z]{24,34})",
    re.IGNORECASE,
)


def wallet(text: str, start: int) -> Span | None:
    """The address that begins here, if its checksum (where its kind has one) is right."""
    found = FORM.match(text, start)
    if found is None or text[found.end() : found.end() + 1].isalnum():
        return None
    written = found.group()
    if found["eth"]:
        real = len(set(written[2:])) > 4
    elif found["bech"]:
        real = bech32(written)
    else:
        real = base58(written, RIPPLE if written[0] == "r" else BASE58)
    return Span(start, found.end(), TYPE, 0.95) if real else None


def base58(written: str, alphabet: str) -> bool:
    """Whether these are 21 bytes and the first four of their double SHA-256."""
    value = 0
    for char in written:
        place = alphabet.find(char)
        if place < 0:
            return False
        value = value * 58 + place
    if value >> 200:
        return False
    raw = value.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]


def bech32(written: str) -> bool:
    """Whether the last six characters are the checksum of the others."""
    low = written.lower()
    if written not in (low, written.upper()):
        return False
    prefix, _, data = low.rpartition("1")
    values = [BECH32.find(char) for char in data]
    if min(values, default=-1) < 0:
        return False
    total = 1
    for value in [*(ord(char) >> 5 for char in prefix), 0, *(ord(char) & 31 for char in prefix), *values]:
        top = total >> 25
        total = (total & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(GENERATORS):
            if top >> bit & 1:
                total ^= generator
    return total in CHECKS
