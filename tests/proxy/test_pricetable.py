"""The price table that is shipped: the one that would be compiled, and only where it is."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from proxy import pricetable, pricing


def test_the_shipped_table_is_what_the_installed_prices_compile_to() -> None:
    assert gzip.decompress(pricetable.SHIPPED.read_bytes()) == pricing.compile_prices(), "run: make docs"
    assert pricetable.table() == pricing.compile_prices()


def test_other_prices_are_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "prices.json.gz"
    other.write_bytes(gzip.compress(b'{"source":"genai-prices 0.0.1","providers":[]}'))
    monkeypatch.setattr(pricetable, "SHIPPED", other)
    assert pricetable.table() == pricing.compile_prices()


def test_a_start_with_the_shipped_table_does_not_load_the_price_library() -> None:
    code = "import sys; from proxy.pricetable import table; table(); print('genai_prices' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
