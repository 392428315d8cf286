"""Which configuration a process runs with, from one process to the next."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from proxy.app.configured import add_arguments, arguments, given_flags


@pytest.mark.parametrize("config", [None, "dir with spaces/w.yaml"])
def test_file_and_flags_are_read_back_as_they_were(config: str | None) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = parser.parse_args(arguments(config, {"port": 0, "host": "::1", "profile": None}))
    assert options.config == (Path(config) if config else None)
    assert given_flags(options) == {"port": 0, "host": "::1"}
