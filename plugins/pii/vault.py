"""Maps of history that the provider keeps: encrypted, expiring, by tenant, credential and the provider's id.

A map is sealed (AES-256-GCM) under a key that needs two things: the fleet's secret, and a salt of the person's own that
lies in the store. `erase` destroys the salt, and with it every map of that person, wherever it lies. Beside the salt
stand how many maps were begun with it and when the last of them expires, for who asks what is held.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
import os
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from proxy.exchange import Caller
from proxy.ports import Clock, Store

ENTRIES: Final = 4096
"""Values that one map may hold; the oldest go."""
TRIES: Final = 4
"""Writes of a map that others write as well."""
NONCE_BYTES: Final = 12
NAME_BYTES: Final = 16
SALT_BYTES: Final = 32
BESIDE: Final = struct.Struct(">QI")
MOST_MAPS: Final = 2**32 - 1

Kept = dict[str, str | None]


class Vault:
    """All maps of a worker's store. Raises StoreDown where the store is away."""

    def __init__(self, store: Store, secret: Callable[[str], bytes], clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._names = secret("pii map names")
        self._secret = secret("pii map keys")
        self._aead: Any = None

    def start(self) -> None:
        """Loads the cipher, for which most workers have no use; blocks for some milliseconds."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  7 MB

        self._aead = AESGCM

    async def load(self, caller: Caller, id: str) -> Kept:
        """Originals by keys of placeholders (None: a key that the caller used itself); empty where there are none,
        where they have expired or were erased."""
        place = self._place(caller, id)
        return await self._opened(place, await self._store.get(place))

    async def save(self, caller: Caller, id: str, values: Mapping[str, str | None], ttl_s: float) -> None:
        """Adds to what lies under this id."""
        place = self._place(caller, id)
        person = self._person(caller.user or "")
        begins = await self._store.get(place) is None
        key = self._key(await self._salt(person, ttl_s, begins=begins))
        await self._loaded()
        for _ in range(TRIES):
            before = await self._store.get(place)
            found = {**await self._opened(place, before), **values}
            kept = dict(list(found.items())[-ENTRIES:])
            nonce = os.urandom(NONCE_BYTES)
            sealed = self._aead(key).encrypt(nonce, orjson.dumps(_sayable(kept)), place.encode() + person)
            if await self._store.put_if(place, person + nonce + sealed, before, ttl_s):
                return

    async def told(self, user: str) -> tuple[int, float] | None:
        """How many maps were begun for this person, and when the last of them expires (s since the epoch, at most by
        a second off); None where there is none."""
        found = await self._store.get(_salts(self._person(user)))
        if found is None or len(found) != SALT_BYTES + BESIDE.size:
            return None
        expires_s, maps = BESIDE.unpack_from(found, SALT_BYTES)
        return maps, float(expires_s)

    async def erase(self, user: str) -> bool:
        """Every map of this person is unreadable from now on. False: there was none."""
        return await self._store.delete(_salts(self._person(user)))

    async def _opened(self, place: str, sealed: bytes | None) -> Kept:
        if sealed is None or len(sealed) < NAME_BYTES + NONCE_BYTES:
            return {}
        person, sealed = sealed[:NAME_BYTES], sealed[NAME_BYTES:]
        salt = await self._store.get(_salts(person))
        if salt is None:
            return {}
        await self._loaded()
        try:
            plain = self._aead(self._key(salt[:SALT_BYTES])).decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode() + person
            )
        except Exception:  # noqa: BLE001  erased and begun anew, or no map at all: the cipher does not say which
            return {}
        return {str(name): _said(value) for name, value in orjson.loads(plain).items()}

    async def _loaded(self) -> None:
        if self._aead is None:
            await asyncio.to_thread(self.start)

    async def _salt(self, person: bytes, ttl_s: float, *, begins: bool) -> bytes:
        """The person's own, made where there is none; it lives as long as the last map. `begins`: for one more map."""
        place, expires_s = _salts(person), self._clock.wall_s() + ttl_s
        for _ in range(TRIES):
            found = await self._store.get(place)
            salt, last_s, maps = _read(found) if found is not None else (os.urandom(SALT_BYTES), 0, 0)
            last_s, maps = max(last_s, math.ceil(expires_s)), min(maps + begins, MOST_MAPS)
            lives_s = last_s - expires_s + ttl_s
            if await self._store.put_if(place, salt + BESIDE.pack(last_s, maps), found, lives_s):
                return salt
        found = await self._store.get(place)
        return _read(found)[0] if found is not None else os.urandom(SALT_BYTES)

    def _key(self, salt: bytes) -> bytes:
        return hmac.digest(self._secret, salt, "sha256")

    def _place(self, caller: Caller, id: str) -> str:
        parts = (caller.tenant, caller.credential, id)
        return f"pii:map:{self._digest('map', *parts).hex()}"

    def _person(self, user: str) -> bytes:
        return self._digest("person", user)

    def _digest(self, *parts: str) -> bytes:
        said = b"".join(len(part := one.encode("utf-8", "replace")).to_bytes(8) + part for one in parts)
        return hashlib.blake2b(said, key=self._names, digest_size=NAME_BYTES).digest()


def _read(found: bytes) -> tuple[bytes, int, int]:
    """Salt, when the last map expires (s since the epoch), how many maps."""
    beside = BESIDE.unpack_from(found, SALT_BYTES) if len(found) == SALT_BYTES + BESIDE.size else (0, 0)
    return found[:SALT_BYTES], beside[0], beside[1]


def _salts(person: bytes) -> str:
    return f"pii:person:{person.hex()}"


def _sayable(values: Kept) -> dict[str, list[int] | str | None]:
    """Halves of characters have no place in JSON: such values go as their code points."""
    return {
        name: value if value is None or _whole(value) else [ord(letter) for letter in value]
        for name, value in values.items()
    }


def _said(value: Any) -> str | None:
    return "".join(map(chr, value)) if isinstance(value, list) else value


def _whole(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
