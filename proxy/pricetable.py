"""The price table as it is shipped, compiled from the genai-prices that the locks name; any other is compiled here.

Compiling takes 0.15 s and 15 MB of memory that a process does not give back, so the common case does neither.
"""

from __future__ import annotations

import gzip
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

SHIPPED = Path(__file__).parent / "tables" / "prices.json.gz"


def table() -> bytes:
    """The table of the genai-prices that is installed: see `pricing`."""
    raw = gzip.decompress(SHIPPED.read_bytes())
    if raw.startswith(b'{"source":"%b"' % source().encode()):
        return raw
    compiled: bytes = import_module("proxy.pricing").compile_prices()
    return compiled


def source() -> str:
    """What a table says of where it comes from."""
    return f"genai-prices {version('genai-prices')}"
