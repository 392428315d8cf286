"""What the tests of the upstream room say of a provider: its connections, and its certificates."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proxy.live import Timeouts, Upstream

Handler = Callable[["Seen", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Seen:
    """One connection as the provider saw it."""

    requests: list[bytes] = field(default_factory=list)
    """Request lines with headers."""
    bodies: list[bytes] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """The client closed its side, or cut the connection."""

    async def request(self, reader: asyncio.StreamReader) -> bool:
        """Reads one request whole; False where the connection ended instead."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended.set()
            return False
        self.requests.append(head)
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if lengths:
            self.bodies.append(await reader.readexactly(int(lengths[0].split(b":")[1])))
        return True

    async def until_end(self, reader: asyncio.StreamReader) -> None:
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass
        self.ended.set()


@dataclass
class Provider:
    """A listening server and what came to it."""

    url: str
    connections: list[Seen]

    def upstream(self, name: str = "there", *, timeouts: Timeouts | None = None) -> Upstream:
        return Upstream(name, self.url, timeouts=timeouts or Timeouts(connect_s=5, first_byte_s=5, idle_s=5))


class Serve(Protocol):
    async def __call__(self, answer: bytes | Handler, context: ssl.SSLContext | None = None) -> Provider: ...


@dataclass
class Certificates:
    """An authority, a server certificate of 127.0.0.1 and a client certificate."""

    ca: Path
    server: Path
    caller: Path

    def context(self, *, ask_caller: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server)
        if ask_caller:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        return context


def certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate | None, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer is not None:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    return builder.sign(signer, hashes.SHA256())
