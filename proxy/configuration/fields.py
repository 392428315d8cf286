"""The kinds of values that options have, and the sentence for each value that is none."""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

Json = Any
Dialect = Literal["chat", "responses", "completions", "embeddings", "messages"]
Content = Literal["none", "masked", "full"]

REFERENCE = re.compile(r"(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)", re.DOTALL)
SENSITIVE = re.compile(
    r"authorization|cookie|token(?!s)|secret|password|(^|[-_])(key|sig|signature)$|apikey", re.IGNORECASE
)
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
FRAMING = frozenset({
    "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "proxy-authenticate",
    "proxy-authorization", "te", "trailer", "upgrade", "expect",
})  # fmt: skip
"""Headers that are said by whoever carries the message, from hop to hop."""
HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")
HOST_LETTER = re.compile(r"[A-Za-z]")
"""Without one it is an address that is wrong."""
ASK_KEY_NAME = "a secret does not stand in the configuration: write env:NAME (a variable) or file:PATH (a file)"


def refers(value: str) -> bool:
    return REFERENCE.fullmatch(value) is not None


def reference(value: str) -> str:
    if not refers(value):
        raise ValueError(ASK_KEY_NAME)
    return value


def no_secret(values: dict[str, str]) -> dict[str, str]:
    for name, value in values.items():
        if SENSITIVE.search(name) and not refers(value):
            raise ValueError(f"{name!r} looks like a secret; {ASK_KEY_NAME}")
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in name + value):
            raise ValueError(f"{name!r} holds a control character")
    return values


def headers(values: dict[str, str]) -> dict[str, str]:
    for name in values:
        if not TOKEN.fullmatch(name):
            raise ValueError(f"{name[:80]!r} is no name of a header: letters, digits and - only")
        if name.lower() in FRAMING or name.lower().startswith("x-weir-"):
            raise ValueError(f"{name!r} is not for the configuration: Weir sets or removes it by itself")
    return no_secret(values)


def address(value: str) -> str:
    parts = urlsplit(http(value))
    if parts.username or parts.password:
        raise ValueError("must not hold a name or password; use key: env:NAME")
    if parts.query or parts.fragment:
        raise ValueError("must end before `?`; parameters go to the upstream's `query`")
    _ = parts.port  # says so itself where it is none
    return value


def store(value: str) -> str:
    if value in ("auto", "memory") or refers(value):
        return value
    return no_password(store_form(value))


def store_form(value: str) -> str:
    """As `store`, with a password allowed: for what a reference leads to."""
    if value not in ("auto", "memory") and urlsplit(value).scheme not in ("redis", "rediss", "unix"):
        raise ValueError("must be auto, memory, redis://..., rediss://... or unix://...")
    return value


def no_password(value: str) -> str:
    if not refers(value) and urlsplit(value).password:
        raise ValueError(f"holds a password; {ASK_KEY_NAME} that holds the whole address")
    return value


def webhook(value: str) -> str:
    return value if refers(value) else no_password(http(value))


def http(value: str) -> str:
    if any(ord(letter) <= 32 or ord(letter) == 127 for letter in value):
        raise ValueError("must not hold blanks or control characters")
    if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname:
        raise ValueError("must be an address that begins with https:// or http://")
    _look_up_as(urlsplit(value).hostname or "")
    return value


def _look_up_as(host: str) -> None:
    try:
        host.encode("idna")
    except UnicodeError:
        words = "between its dots stand 1 to 63 characters, of those that names on the net are made of"
        raise ValueError(f"{host[:80]!r} must be the name of a host: {words}") from None


def host(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if len(value) > 253 or not HOST.fullmatch(value) or not HOST_LETTER.search(value):
            raise ValueError("must be an address or a name of this machine, for example 127.0.0.1") from None
    return value


def listen(value: str) -> str:
    place, _, port = value.rpartition(":")
    if not place or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be HOST:PORT, for example 0.0.0.0:9464")
    host(place.strip("[]"))
    return value


def networks(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError as error:
            raise ValueError(f"{value!r} is no address or network (10.0.0.5, 10.0.0.0/8)") from error
    return values


def digest(value: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise ValueError(
            "must be the sha256 of the key in hex, never the key itself: "
            "python3 -c 'import getpass, hashlib; print(hashlib.sha256(getpass.getpass().encode()).hexdigest())'"
        )
    return value.lower()


def digest_or_none(value: str) -> str:
    return digest(value) if value else value


def header_name(value: str) -> str:
    if value and not TOKEN.fullmatch(value):
        raise ValueError(f"{value[:80]!r} is no name of a header: letters, digits and - only")
    return value.lower()


def moment(value: str) -> str:
    """A time in ISO 8601 (UTC where it names no zone), or nothing."""
    try:
        if value:
            datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be a time such as 2027-01-31T12:00:00Z (UTC where it names no zone)") from None
    return value


def name(pattern: str, words: str) -> AfterValidator:
    known = re.compile(pattern)

    def check(value: str) -> str:
        if not known.fullmatch(value):
            raise ValueError(f"{value[:80]!r} is not a name here: {words}")
        return value

    return AfterValidator(check)


Secret = Annotated[str, AfterValidator(reference)]
AGENT = r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,64}"
"""What a call can name, by path or header."""
Agents = Annotated[str, name(AGENT, "letters, digits and . _ - only, 64 at most")]
AgentOrNone = Annotated[str, name(f"({AGENT})?", "letters, digits and . _ - only, 64 at most")]
Names = Annotated[str, name(r"[a-z0-9][a-z0-9_-]{0,63}", "small letters, digits, - and _ only, 64 at most")]
Moment = Annotated[str, AfterValidator(moment)]
Most = Annotated[int, Field(ge=0, le=10**9)]
Usd = Annotated[float, Field(ge=0, le=1_000_000_000, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Bytes = Annotated[int, Field(ge=1024, le=2**40)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Texts = tuple[Annotated[str, Field(min_length=1)], ...]
