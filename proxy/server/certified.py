"""A connection whose caller may show a certificate: its names are told with every call, and it shares no heads.

What is known of a head (who asks, among other things) is kept with the head; another caller's, from the same address
and without the certificate, must not be served by it.
"""

from __future__ import annotations

import asyncio

from proxy.server.certificates import names_of
from proxy.server.connection import Connection
from proxy.server.framing import Framing


class Certified(Connection):
    """Over TLS with `tls_client_ca`."""

    __slots__ = ("certificate",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.certificate = names_of(transport.get_extra_info("peercert"))
        """Verified in the handshake; none where none was shown."""
        if self.certificate:
            self._framing = Framing(self)
        super().connection_made(transport)
