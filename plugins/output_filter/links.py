"""Addresses in an answer that carry data out: images are fetched when they are shown, links when they are followed."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple
from urllib.parse import unquote, unquote_plus

from proxy.detection import disguises
from proxy.detection.secretchecks import entropy
from proxy.detection.span import Span

Way = Literal["image", "link", "text"]

_URL = re.compile(r"(?:(?:https?:|ftp:|wss?:)[/\\]+|//|\\\\)[^\s<>\"'`)\]}|]+", re.IGNORECASE)
"""(Browsers take one slash for two.)"""
MARKS = ("//", "\\\\", ":/", ":\\", "&#", "&colon;", "&sol;", "&bsol;")
"""An address has one of these."""
_IMAGE = re.compile(
    r"!\[[^\]\n]{0,200}\]\([ \t]*<?\Z|<(?:img|iframe|script|link|video|audio|source|embed|object|input|body|table|svg|"
    r"image|base|frame)\b[^>]{0,200}?\b(?:src|srcset|href|data|poster|background)\s*=\s*[\"']?\Z"
    r"|<meta\b[^>]{0,200}?\burl\s*=\s*[\"']?\Z|<(?:a|area)\b[^>]{0,200}?\bping\s*=\s*[\"']?\Z|url\(\s*[\"']?\Z|@import\s*[\"']\Z"
    r"|(?:^|\n)[ \t>*+-]{0,12}\[[^\]\n]{1,100}\]:[ \t]*\n?[ \t]*<?\Z",
    re.IGNORECASE,
)
_LINK = re.compile(r"\]\([ \t]*<?\Z|<\Z|\b(?:href|action|formaction)\s*=\s*[\"']?\Z", re.IGNORECASE)
_BLOB = re.compile(r"[A-Za-z0-9+/_=-]{24,}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){12,}")
_HOLDER = re.compile(r"\[?[A-Z_]{3,}_[0-9]{1,4}\]?|[A-Z]{2,}_REDACTED")
_TYPED = re.compile(
    r"(?:address|bank.account|card|crypto|email|iban|ip|license|location|national.id|organization|passport|person|phone"
    r"|secret|ssn|tax.id|username)[-_.](?:[0-9]{1,4}|k[a-z2-7]{12})(?![a-z0-9])|[-_.]redacted"
)
"""A placeholder, as the name of a host would have it."""
_WORDS = re.compile(r"[^\W\d_]{2,}")
_BASE32 = re.compile(r"[a-z2-7]+")
_LABEL = re.compile(r"[a-z0-9-]{28,63}")
LOOKBACK_CHARS = 200
SENTENCE_WORDS = 4
QUOTED_CHARS = 12
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,5}\Z")
"""Of a file's name."""
_SCHEME = re.compile(r"(?:[a-z]+:[/\\]+|//|\\\\)", re.IGNORECASE)
_LOGIN = re.compile(rf"{_SCHEME.pattern}[^/?#\\@]{{6,}}@", re.IGNORECASE)
"""What stands before the host, and goes there with the request."""


class Link(NamedTuple):
    """`text[start:end]` is an address that carries data to a host that is not allowed."""

    start: int
    end: int
    way: Way
    reason: str


class Hosts:
    """Where addresses may point."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = frozenset(name for name in names if not name.startswith("*."))
        self._under = tuple(name[1:] for name in names if name.startswith("*."))

    def __contains__(self, host: str) -> bool:
        return host in self._names or host.endswith(self._under)


def links(
    text: str, start: int, hosts: Hosts, parameters: frozenset[str], told: Callable[[str], bool]
) -> Iterator[Link]:
    """Those that begin at `start` or later. `told` says whether something stands in the conversation. What is written
    in entities is read as whoever shows the text reads it."""
    if "&" in text and (plain := disguises.Copy(text, disguises.ENTITIES)).text != text:
        for one in _links(plain.text, 0, hosts, parameters, told):
            place = plain.placed(Span(one.start, one.end, one.reason))
            if place.end > start:
                yield one._replace(start=max(place.start, start), end=place.end)
        return
    yield from _links(text, start, hosts, parameters, told)


def _links(
    text: str, start: int, hosts: Hosts, parameters: frozenset[str], told: Callable[[str], bool]
) -> Iterator[Link]:
    for found in _URL.finditer(text, start):
        low = found.start()
        address = found.group().rstrip(".,;:!?*_")
        host, rest = _split(address)
        if not host or "." not in host or host in hosts:
            continue
        before = text[max(0, low - LOOKBACK_CHARS) : low]
        way: Way = "image" if _IMAGE.search(before) else "link" if _LINK.search(before) else "text"
        reason = _carries(host, rest, way, parameters, told)
        if not reason and way == "image" and _LOGIN.match(address):
            reason = "data before the host"
        if reason:
            yield Link(low, low + len(address), way, reason)


def _split(address: str) -> tuple[str, str]:
    """Host (lower case), and what is asked of it."""
    body = _SCHEME.sub("", address, count=1)
    cut = next((place for place, sign in enumerate(body) if sign in "/?#\\"), len(body))
    host = body[:cut].rpartition("@")[2].partition(":")[0].rstrip(".").lower()
    return host, body[cut:]


def _carries(host: str, rest: str, way: Way, parameters: frozenset[str], told: Callable[[str], bool]) -> str:
    """Why the address is taken to carry data; empty where it is not."""
    path, _, query = rest.partition("?")
    if reason := _named(host, way, told):
        return f"{reason} in the host's name"
    for pair in re.split(r"[&;]", query.partition("#")[0]):
        name, equals, value = pair.partition("=")
        reason = _data(unquote_plus(value if equals else name), way, told, named=name.lower() in parameters)
        if reason:
            return f"{reason} in the query"
    for part in path.split("/"):
        said = _ENDING.sub("", unquote(part))
        if len(said) >= QUOTED_CHARS and (reason := _data(said, way, told, named=False, path=True)):
            return f"{reason} in the path"
    return ""


def _named(host: str, way: Way, told: Callable[[str], bool]) -> str:
    """What the names under a host's own carry: whoever answers for the host is asked for them."""
    labels = host.split(".")[:-2]
    if not labels:
        return ""
    joined = "".join(labels)
    if any(_LABEL.fullmatch(label) and _drawn(label) for label in labels):
        return "data"
    if _TYPED.search(host):
        return "a placeholder"
    if len(joined) >= QUOTED_CHARS and (decoded(joined) or _in_32(joined)):
        return "encoded text"
    if way == "image" and _LABEL.fullmatch(joined) and _drawn(joined):
        return "data"
    long = [label for label in labels if len(label) >= QUOTED_CHARS and any(map(str.isdigit, label))]
    return "words of the conversation" if any(map(told, long)) else ""


def _in_32(value: str) -> str:
    """What base32 says, in which names of hosts carry what is not to be told from case."""
    if len(value) < 24 or _BASE32.fullmatch(value) is None:
        return ""
    try:
        return _text(base64.b32decode(value.upper() + "=" * (-len(value) % 8)))
    except (binascii.Error, ValueError):
        return ""


def _data(value: str, way: Way, told: Callable[[str], bool], *, named: bool, path: bool = False) -> str:
    if len(value) < QUOTED_CHARS:
        return "data" if named and way == "image" and len(value) >= 6 and not value.isdigit() else ""
    if _HOLDER.search(value):
        return "a placeholder"
    if decoded(value):
        return "encoded text"
    words = len(_WORDS.findall(value))
    if way == "image" and (named or (not path and words >= SENTENCE_WORDS)):
        return "text" if words >= 2 else "data"
    if named and words >= SENTENCE_WORDS:
        return "text"
    if not path and (way == "image" or any(sign in value for sign in " @")) and told(value):
        return "words of the conversation"
    if way == "image" and not path and len(value) >= 40 and entropy(value) > 4.0:
        return "data"
    return ""


def decoded(value: str) -> str:
    """What base64 or hexadecimal says, where that is text; else nothing."""
    if _HEX.fullmatch(value):
        return _text(bytes.fromhex(value))
    if not _BLOB.fullmatch(value) or value.count("-") > 2:
        return ""
    try:
        return _text(
            base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_" if "-" in value or "_" in value else None)
        )
    except (binascii.Error, ValueError):
        return ""


def _text(data: bytes) -> str:
    if len(data) < QUOTED_CHARS or not data.isascii():
        return ""
    said = data.decode("ascii")
    return said if said.replace("\n", "").isprintable() else ""


def _drawn(label: str) -> bool:
    return any(sign.isdigit() for sign in label) and entropy(label) > 3.3 and label.count("-") < 3
