"""Fixtures of the end-to-end tests: the workers' own event loop, and providers with and without TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from tests.certificates import Certificates
from tests.certificates import certificates as make_certificates
from tests.pairs import Opened, opener


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """On the loop that the workers run on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=["plain", "tls"])
def opened(request: pytest.FixtureRequest, certificates: Certificates) -> Opened:
    """Opens a Weir before a provider: once in the clear, once over TLS."""
    return opener(certificates if request.param == "tls" else None)
