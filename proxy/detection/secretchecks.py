"""Whether what a rule's pattern matched is a secret, or a placeholder, a name, an expression."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections import Counter
from types import MappingProxyType

_REPEATED = re.compile(r"(.)\1{5,}", re.DOTALL)
_SEQUENCES = ("0123456789", "1234567890", "abcdefghij", "qwertyuiop", "abcdef123456", "123456abcdef")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_CAMEL = re.compile(r"[A-Za-z][a-z]{2,}(?:[A-Z][a-z]+){1,6}[0-9]{0,2}")
_SAID = re.compile(
    r"[A-Za-z]+[0-9]{0,2}(?:[_-][A-Za-z]+[0-9]{0,3})*"  # `my_secret_name`, `kebab-case-word2`
    r"|[A-Za-z_$][A-Za-z0-9_$]*(?:(?:\.|->|::|\?\.)[A-Za-z_$][A-Za-z0-9_$]*)+"  # `settings.secret.value`: where it is
    r"|[A-Za-z][a-z]{2,}(?:[A-Z][a-z]+){1,6}[0-9]{0,2}"
    r"|v?[0-9]+(?:[._-][0-9]+){2,}[\w.-]*|(?:[A-Za-z]+[_-]){1,8}v?[0-9]+(?:\.[0-9]+){2,}[\w.-]*"  # versions
    r"|(?:[A-Za-z]:)?[./~]{0,2}(?:[\w.-]+[/\\]){2,}[\w.-]*"  # paths
    r"|[\w./-]+\.(?:py|js|ts|go|java|rb|rs|c|h|json|ya?ml|toml|xml|pem|crt|cer|p12|txt|md|env|ini|cfg"
    r"|com|net|org|io|local|internal|dev)"
)
"""Words, put together one way or another."""
_DIGIT = re.compile(r"[0-9]")
_LETTER = re.compile(r"[^\W\d_]")
_MARK = re.compile(r"[^\w.,;:!?'\"/-]")
_BORDER = re.compile(r"[0-9](?=[A-Za-z])|[A-Za-z](?=[0-9])")
_CASES = re.compile(r"[a-z](?=[A-Z])|[A-Z](?=[a-z])")
_CALL = re.compile(r"[A-Za-z_][\w.]*\(")
_ARMOUR = re.compile(r"-----[^-\n]{1,80}-----")
BODY_CHARS = 32
DRAWN = 5
"""So many changes between letters and digits, no name has."""
FEW = 128
_WEIGHED = tuple(count * math.log2(count or 1) for count in range(FEW + 1))
_EXPRESSIONS = ("${", "{{", "$(", "%(", "://", "::", "->", "==", "](", "()", "[0]", "\\n", "<", ">")
_WORDS = frozenset(
    ("password", "passwort", "secret", "token", "string", "required", "optional", "null", "none", "true", "false",
     "undefined", "hidden", "missing", "invalid", "incorrect", "changed", "empty", "default", "unknown", "user:pass",
     "user:password", "username:password", "username:token", "root:root", "foo:bar", "xxx:yyy", "guest:guest")
)  # fmt: skip


def entropy(text: str) -> float:
    """Bits per character, by how often each occurs in the text (Shannon)."""
    size = len(text)
    if not size:
        return 0.0
    counts = map(text.count, set(text)) if size <= FEW else Counter(text).values()
    return (
        math.log2(size) - sum(_WEIGHED[count] if count < FEW else count * math.log2(count) for count in counts) / size
    )


def placeholder(secret: str, stop: tuple[str, ...]) -> bool:
    """Says that a secret would stand here. Nothing does, where there are no such words."""
    if not stop:
        return False
    folded = secret.lower()
    return any(word in folded for word in stop) or _REPEATED.search(secret) is not None


def token(secret: str) -> bool:
    """Looks drawn by lot: letters and digits, no words, no path, no version, no sequence."""
    if _DIGIT.search(secret) is None or _LETTER.search(secret) is None or "://" in secret:
        return False
    if len(_BORDER.findall(secret)) >= DRAWN:
        return True
    folded = secret.lower()
    if len(secret) < 50 and any(row in folded for row in _SEQUENCES):
        return False
    return _SAID.fullmatch(secret) is None


def password(secret: str) -> bool:
    """Looks chosen to be hard to guess: two kinds of signs at least, and no name or expression."""
    if _word(secret) or secret[0] in "$%{[<(&*@\\/" or secret.endswith(("(", "[", "{", "()", ");", "=")):
        return False
    if any(mark in secret for mark in _EXPRESSIONS) or _CALL.match(secret):
        return False
    if _SAID.fullmatch(secret) or _UUID.fullmatch(secret):
        return secret.isalnum() and (_disordered(secret) or not secret.isalpha())  # a word and a number: `hunter22`
    return _kinds(secret) >= 2 and len(set(secret)) >= 4


def address(secret: str) -> bool:
    """The password in the address of a service."""
    if _word(secret) or secret[0] in "$%{[<" or any(mark in secret for mark in _EXPRESSIONS):
        return False
    return _kinds(secret) >= 2


def basic(secret: str) -> bool:
    """Base64 of `user:password`."""
    try:
        said = base64.b64decode(secret + "=" * (-len(secret) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(secret) >= 40 or (b":" in said and said.isascii() and len(said) > 4)


def userpass(secret: str) -> bool:
    """`user:password`, either of which may be missing."""
    user, colon, word = secret.replace('"', "").replace("'", "").partition(":")
    if not colon or f"{user}:{word}".lower() in _WORDS or word.startswith(("$", "<", "[", "%")):
        return False
    return _kinds(word or user) >= 2


def header(secret: str) -> bool:
    """The value of a header that lets somebody in."""
    return token(secret) or _UUID.fullmatch(secret) is not None


def key(secret: str) -> bool:
    """A block with something in it."""
    body = _ARMOUR.sub("", secret).strip()
    return len(body) >= BODY_CHARS and _DIGIT.search(body) is not None


def _kinds(secret: str) -> int:
    """How many kinds of signs: letters, digits, marks; letters of both cases in disorder count as two."""
    found = (pattern.search(secret) is not None for pattern in (_LETTER, _DIGIT, _MARK))
    return sum(found) + _disordered(secret)


def _disordered(secret: str) -> bool:
    """Small and capital letters without order."""
    return len(_CASES.findall(secret)) >= 3 and _CAMEL.fullmatch(secret) is None


def _word(secret: str) -> bool:
    return secret.lower().strip(".,;:!?()[]{}'\"`") in _WORDS


CHECKS = MappingProxyType(
    {"token": token, "password": password, "basic": basic, "userpass": userpass, "header": header,
     "address": address, "key": key}
)  # fmt: skip
"""By the name that a rule calls it."""
