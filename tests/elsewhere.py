"""Providers that do not run in the test's own process: any address, and the simulated one as a process of its own."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Self

from benchmarks.provider import Provider

ROOT = Path(__file__).resolve().parent.parent


class Elsewhere(Provider):
    """Known by its address and nothing else: `requests` and the like stay empty."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._address = url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        return None

    @property
    def url(self) -> str:
        return self._address


class Apart(Elsewhere):
    """The simulated provider in a process of its own, so that what it holds is not counted here."""

    def __init__(self, certificate: Path | None = None) -> None:
        super().__init__("")
        self._certificate = certificate
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        options = ["--certificate", str(self._certificate)] if self._certificate else []
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.provider",
            "--port",
            "0",
            *options,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._address = (await self._process.stdout.readline()).decode().split()[-1]
        return self

    async def __aexit__(self, *failure: object) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.communicate()
