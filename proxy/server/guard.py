"""Who may speak to the admin port: a bearer token, or this machine alone; no web page of another site ever.

Without a token only loopback peers are served, and only under a loopback name: a name that an attacker points at
127.0.0.1 (DNS rebinding) is not one. A proxy on this machine makes everybody a loopback peer, so forwarded calls need
the token.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Literal

from aiohttp import web

from proxy.errors import Forbidden, Unauthorized, WeirError
from proxy.server.book import loopback

Access = Literal["probe", "metrics", "admin", "token"]
"""probe: for anybody; metrics: this machine or the token; admin: the token, or this machine where there is none;
token: the token, without which it is nobody's."""
NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
SAFE_SITES = frozenset({"", "same-origin", "none"})


class Misdirected(WeirError):
    """The call came for another host than this one."""

    status = 421
    type = "invalid_request_error"
    code = "misdirected"
    fault = "caller"


class Guard:
    """Judges calls before any handler sees them."""

    def __init__(self, token: str | None) -> None:
        self._token = token.encode() if token else None

    def admit(self, request: web.Request, access: Access) -> None:
        """Raises Unauthorized, Forbidden or Misdirected."""
        if access == "probe":
            return
        if access == "metrics" and (self._authorised(request) or self._near(request)):
            return
        if access in ("admin", "token"):
            _same_site(request)
        if self._token is not None:
            if not self._authorised(request):
                raise Unauthorized("the admin token is needed: Authorization: Bearer ...", code="admin_token_needed")
            return
        if not loopback(request.remote or "") or _forwarded(request):
            raise Forbidden("without an admin token only this machine is served", code="loopback_only")
        if not _named_here(request):
            raise Misdirected("this is not the host you asked for")
        if access == "token":
            raise Forbidden(
                "this is done with the admin token only: start Weir with WEIR_ADMIN_TOKEN set",
                code="admin_token_needed",
            )

    def sees_details(self, request: web.Request) -> bool:
        """Whether a probe may be told more than yes or no."""
        return self._authorised(request) or self._near(request)

    def who(self, request: web.Request) -> str:
        """The name under which a change is noted."""
        return "admin" if self._authorised(request) else "local"

    def _authorised(self, request: web.Request) -> bool:
        if self._token is None:
            return False
        said = request.headers.getall("Authorization", [])
        if len(said) != 1:
            return False
        scheme, _, given = said[0].partition(" ")
        # Bytes, for a comparison of texts refuses what is not ASCII.
        matches = compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token)
        return scheme.lower() == "bearer" and matches

    def _near(self, request: web.Request) -> bool:
        return loopback(request.remote or "") and not _forwarded(request) and _named_here(request)


def _forwarded(request: web.Request) -> bool:
    return any(name in request.headers for name in FORWARDED)


def _named_here(request: web.Request) -> bool:
    """Whether the Host header is a name of this machine, with the port that was really spoken to."""
    hosts = request.headers.getall("Host", [])
    if len(hosts) != 1:
        return False
    host = hosts[0].lower()
    if host.startswith("["):
        name, _, port = host.partition("]")
        name, port = name + "]", port.removeprefix(":")
    else:
        name, _, port = host.partition(":")
    return name in NAMES and (port or "80") == str(_port(request))


def _port(request: web.Request) -> int:
    place = request.get_extra_info("sockname")
    return int(place[1]) if isinstance(place, tuple) else 0


def _same_site(request: web.Request) -> None:
    """Refuses what a page of another site makes a browser send: no answer is for it, and no change by it."""
    if request.headers.get("Sec-Fetch-Site", "").lower() not in SAFE_SITES:
        raise Forbidden("calls from other sites are not served", code="cross_site")
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() != f"{request.scheme}://{request.headers.get('Host', '').lower()}":
        raise Forbidden("calls from other sites are not served", code="cross_site")
