"""Callers' keys while Weir runs: made, listed, rotated and revoked; each change is one of the run-time overlay.

So it is judged as every setting, audited before it takes effect, and reaches all workers; they confirm it before the
answer is given. A key is random (256 bits), is told once, and only its sha256 is kept. What was revoked stays in the
list: its holder hears why, and the name shows in old records whose it was.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, get_args

import orjson

from proxy.configuration.fields import Names
from proxy.configuration.sections import CallerKey
from proxy.configuration.wording import dotted, nearest
from proxy.control.configuration import Configuration
from proxy.errors import BadRequest, UnknownPath, WeirError
from proxy.ports import Clock

Json = Any
PREFIX = "weir-"
"""How keys begin that are made here (`server.auth`)."""
KEY_BYTES = 32
MADE_HERE = frozenset({"sha256", "revoked", "previous_sha256", "previous_until"})
CHOSEN = tuple(name for name in CallerKey.model_fields if name not in MADE_HERE)
"""What whoever makes a key may say of it."""
SPAN = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
SPAN_S = MappingProxyType({"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800})
OVERLAP_MOST_S = 30 * 86_400


class Keys:
    """`reached` gives how many workers there are and how many of them confirm the settings in use."""

    def __init__(
        self, configuration: Configuration, clock: Clock, reached: Callable[[], Awaitable[tuple[int, int]]]
    ) -> None:
        self._configuration = configuration
        self._clock = clock
        self._reached = reached
        self._lock = asyncio.Lock()

    def listed(self) -> Json:
        """Every key, those of the file too; never the key itself, and of its digest only a beginning."""
        return {"data": [self._shown(name) for name in self._configuration.loaded.settings.identity.keys]}

    async def create(self, wish: Mapping[str, Json], who: str) -> Json:
        """`wish`: name, any of `CHOSEN`, reason. `expires` may be a time or a span (`90d`). With a `certificate` no key
        is made: that is the credential. BadRequest says what is wrong."""
        name = _named(wish.get("name"))
        entry = CallerKey().model_dump(mode="json") | {
            option: _as_option(option, value) for option, value in wish.items() if option not in ("name", "reason")
        }
        if entry["expires"]:
            entry["expires"] = self._until(entry["expires"], "expires")
        key = "" if entry["certificate"] else PREFIX + secrets.token_urlsafe(KEY_BYTES)
        entry["sha256"] = hashlib.sha256(key.encode()).hexdigest() if key else ""
        async with self._lock:
            present = self._configuration.loaded.settings.identity.keys.get(name)
            if present is not None and self._state(present.model_dump(mode="json")) == "good":
                raise BadRequest(
                    f"there is a key {name!r} already: rotate it, or revoke it first", param="name", code="key_exists"
                )
            await self._put(name, entry, who, (_reason(wish), "key.create"))
        return await self._answer(name, key)

    async def rotate(self, name: str, wish: Mapping[str, Json], who: str) -> Json:
        """A new key in place of the old, which is good for another `overlap` (a span; none: not at all)."""
        async with self._lock:
            entry = self._present(name)
            if (state := self._state(entry)) != "good":
                raise BadRequest(f"this key is {state}: make a new one of that name", param="name", code=f"key_{state}")
            if not entry["sha256"]:
                raise BadRequest("this caller has no key, but a certificate", param="name", code="no_key")
            key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
            change = {"sha256": hashlib.sha256(key.encode()).hexdigest(), "previous_sha256": "", "previous_until": ""}
            if wish.get("overlap"):
                until = self._until(wish["overlap"], "overlap", OVERLAP_MOST_S)
                change |= {"previous_sha256": entry["sha256"], "previous_until": until}
            await self._put(name, entry | change, who, (_reason(wish), "key.rotate"))
        return await self._answer(name, key)

    async def revoke(self, name: str, wish: Mapping[str, Json], who: str) -> Json:
        """Refused from now on, the one before its rotation too."""
        async with self._lock:
            entry = self._present(name)
            if not entry["revoked"]:
                await self._put(name, entry | {"revoked": True}, who, (_reason(wish), "key.revoke"))
        return await self._answer(name, "")

    def _present(self, name: str) -> dict[str, Json]:
        found = self._configuration.loaded.settings.identity.keys.get(name)
        if found is None:
            near = nearest(name, self._configuration.loaded.settings.identity.keys)
            raise UnknownPath(f"there is no key {name[:64]!r}{near}", code="key_not_found")
        return found.model_dump(mode="json")

    async def _put(self, name: str, entry: dict[str, Json], who: str, why: tuple[str, str]) -> None:
        reason, action = why
        await self._configuration.apply(dotted(("identity", "keys", name)), entry, who, reason, action)
        if self._present(name) != CallerKey.model_validate_json(orjson.dumps(entry)).model_dump(mode="json"):
            raise WeirError(
                f"the environment of this Weir sets options of identity.keys.{name}, and is stronger: change it there",
                code="overruled",
            )

    async def _answer(self, name: str, key: str) -> Json:
        workers, confirmed = await self._reached()
        told = {**self._shown(name), "workers": workers, "confirmed": confirmed}
        return told | {"key": key} if key else told

    def _shown(self, name: str) -> Json:
        entry = self._present(name)
        source = self._configuration.loaded.place(("identity", "keys", name, "sha256"))
        shown = {option: entry[option] for option in CHOSEN}
        return {
            "name": name,
            **shown,
            "state": self._state(entry),
            "digest": entry["sha256"][:8],
            "previous_until": entry["previous_until"],
            "source": source.kind,
        }

    def _state(self, entry: Mapping[str, Json]) -> str:
        if entry["revoked"]:
            return "revoked"
        return "expired" if entry["expires"] and _at_s(entry["expires"]) <= self._clock.wall_s() else "good"

    def _until(self, text: Json, param: str, most_s: float | None = None) -> str:
        """The moment behind a span or a time, as the configuration has it."""
        now_s = self._clock.wall_s()
        span = SPAN.fullmatch(text) if isinstance(text, str) else None
        try:
            at_s = now_s + int(span[1]) * SPAN_S[span[2]] if span else _at_s(text)
            told = datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        except (ValueError, TypeError, OverflowError, OSError):
            raise BadRequest("must be a span such as 90d, 12h or 30m, or a time in ISO 8601", param=param) from None
        if at_s <= now_s:
            raise BadRequest("lies in the past", param=param)
        if most_s is not None and at_s > now_s + most_s:
            raise BadRequest(f"may be {OVERLAP_MOST_S // 86_400} days at most", param=param)
        return told


def _named(name: Json) -> str:
    if not isinstance(name, str):
        raise BadRequest("must be text", param="name")
    try:
        for validator in get_args(Names)[1:]:
            validator.func(name)
    except ValueError as error:
        raise BadRequest(str(error), param="name") from None
    return name


def _as_option(option: str, value: Json) -> Json:
    if option not in CHOSEN:
        raise BadRequest(f"there is no such field; there are: name, {', '.join(CHOSEN)}, reason", param=option[:40])
    return value


def _reason(wish: Mapping[str, Json]) -> str:
    reason = wish.get("reason", "")
    if not isinstance(reason, str):
        raise BadRequest("must be text", param="reason")
    return reason


def _at_s(text: str) -> float:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
