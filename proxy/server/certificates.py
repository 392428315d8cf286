"""Names of callers' certificates: of one that was shown to Weir, and as a trusted peer tells them in a header.

A name is the subject, most significant part last (`CN=bob,O=Acme`), or one of the alternative names: a URI (SPIFFE), a
DNS name, an e-mail address.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

FORWARDED: Final = "x-forwarded-client-cert"
"""Envoy's: `By=...;Hash=...;Subject="CN=bob,O=Acme";URI=spiffe://...;DNS=...`, an element for each proxy on the way."""
HEADER_CHARS_MOST: Final = 8192
ALTERNATIVE: Final = frozenset({"URI", "DNS", "email"})
SHORT: Final = MappingProxyType(
    {
        "commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C",
        "localityName": "L", "stateOrProvinceName": "ST", "domainComponent": "DC", "userId": "UID",
        "streetAddress": "STREET",
    }
)  # fmt: skip
"""How RFC 4514 writes the parts of a subject."""
ESCAPED: Final = frozenset('",+;<>\\')


def names_of(certificate: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The names of a certificate as `SSLSocket.getpeercert` gives it, alternative ones first."""
    if not certificate:
        return ()
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind in ALTERNATIVE]
    parts = [
        "+".join(f"{SHORT.get(kind, kind)}={_escaped(value)}" for kind, value in part)
        for part in certificate.get("subject", ())
    ]
    if parts:
        names.append(",".join(reversed(parts)))
    return tuple(names)


def names_in(value: str, header: str) -> tuple[str, ...]:
    """The names that a trusted peer tells in this header: those of the last element of `x-forwarded-client-cert`, which
    is what the peer itself has verified; of any other header the value as it is."""
    if len(value) > HEADER_CHARS_MOST:
        return ()
    if header != FORWARDED:
        return (value.strip(),) if value.strip() else ()
    elements = _split(value, ",")
    pairs = [part.partition("=") for part in _split(elements[-1], ";")]
    named = {"uri", "dns", "subject"}
    return tuple(_bare(text) for name, _, text in pairs if name.strip().lower() in named and text.strip())


def _escaped(value: str) -> str:
    return "".join(f"\\{letter}" if letter in ESCAPED else letter for letter in value)


def _split(text: str, at: str) -> list[str]:
    """At each separator that stands in no quotes."""
    return list(_pieces(text, at))


def _pieces(text: str, at: str) -> Iterator[str]:
    begin, quoted, escaped = 0, False, False
    for place, letter in enumerate(text):
        if escaped:
            escaped = False
        elif letter == "\\" and quoted:
            escaped = True
        elif letter == '"':
            quoted = not quoted
        elif letter == at and not quoted:
            yield text[begin:place]
            begin = place + 1
    yield text[begin:]


def _bare(text: str) -> str:
    """Without its quotes, and without what escapes a quote in them."""
    text = text.strip()
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    return text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
