"""How Weir proves who a provider is: TLS contexts with a custom CA, a client certificate and session resumption."""

from __future__ import annotations

import ssl
from functools import cache

from proxy.live import Upstream


class ResumingContext(ssl.SSLContext):
    """A client context that offers the last session of a host to the next connection.

    asyncio and uvloop have no parameter for it, but both open a connection through `wrap_bio`.
    A session that the provider does not take costs nothing: the handshake is then a full one.
    """

    _sessions: dict[str, ssl.SSLSession]

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        if session is None and isinstance(server_hostname, str):
            session = self._kept().get(server_hostname)
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)

    def keep(self, connection: ssl.SSLObject) -> None:
        """Remembers a connection's session. TLS 1.3 tickets come after the handshake: call it once an answer came."""
        host, session = connection.server_hostname, connection.session
        if host and session is not None:
            self._kept()[host] = session

    def _kept(self) -> dict[str, ssl.SSLSession]:
        # Created on first use: SSLContext does its work in __new__, so __init__ is no safe place for state.
        try:
            return self._sessions
        except AttributeError:
            self._sessions = {}
            return self._sessions


def trusting() -> ResumingContext:
    """The context for everyone whom this system's authorities vouch for. There is one: reading the authorities takes
    30 ms and a megabyte."""
    return _trusting(ssl.get_default_verify_paths())


@cache
def _trusting(authorities: ssl.DefaultVerifyPaths) -> ResumingContext:
    made = _plain()
    made.load_default_certs()
    return made


def _plain() -> ResumingContext:
    made = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    return made


def context(upstream: Upstream) -> ResumingContext:
    """The context of one upstream. Raises OSError (ssl.SSLError among them) where a file cannot be read.

    With `ca_file` only that authority is trusted. `client_cert` is a PEM file with certificate and key.
    """
    if upstream.verify and not upstream.ca_file and not upstream.client_cert:
        return trusting()
    made = _plain()
    if not upstream.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    elif upstream.ca_file:
        made.load_verify_locations(cafile=upstream.ca_file)
    else:
        made.load_default_certs()
    if upstream.client_cert:
        # The empty password keeps OpenSSL from asking for one at the terminal.
        made.load_cert_chain(upstream.client_cert, password="")
    return made


def remember(connection: object) -> None:
    """Keeps the session of a connection (`transport.get_extra_info("ssl_object")`) if it is one of ours."""
    if isinstance(connection, ssl.SSLObject) and isinstance(connection.context, ResumingContext):
        connection.context.keep(connection)
