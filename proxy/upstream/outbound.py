"""The outbound proxy that a provider is reached through, if there is one."""

from __future__ import annotations

import urllib.request
from urllib.parse import urlsplit

from proxy.live import Upstream

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def outbound(upstream: Upstream) -> str | None:
    """The upstream's own, else what the environment says. Loopback needs none."""
    if upstream.proxy:
        return upstream.proxy
    url = urlsplit(upstream.url)
    host = url.hostname or ""
    if host in _LOOPBACK:
        return None
    proxies = urllib.request.getproxies_environment()
    named = proxies.get(url.scheme) or proxies.get("all")
    # The standard library's own reading of NO_PROXY; typeshed does not list it.
    bypass = urllib.request.proxy_bypass_environment(host, proxies)  # type: ignore[attr-defined]
    return named if named and not bypass else None
