"""The admin API of the Weir that holds a data directory, for commands that write. Standard library only."""

from __future__ import annotations

import argparse
import fcntl
import http.client
import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

TIMEOUT_S = 30.0


class AdminError(Exception):
    """Nobody answers, or the answer is no: a sentence for people."""


class NobodyThere(AdminError):
    """No Weir is found, or none answers."""


def add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", default=os.environ.get("WEIR_DATA_DIR") or ".weir", help="the data directory of the Weir"
    )
    parser.add_argument("--url", help="its admin address, such as http://127.0.0.1:8081 (default: found in --data)")


class Admin:
    """Calls with the token of the environment (`WEIR_ADMIN_TOKEN`, `WEIR_ADMIN_TOKEN_FILE`)."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    @classmethod
    def found(cls, options: argparse.Namespace) -> Admin:
        if options.url:
            if not options.url.startswith(("http://", "https://")):
                raise AdminError(f"--url must begin with http:// or https://, not {options.url!r}")
            return cls(options.url)
        lock = Path(options.data) / "weir.lock"
        try:
            facts = json.loads(lock.read_text())
            port = facts["admin_port"]
        except (OSError, ValueError, KeyError, TypeError):
            raise NobodyThere(f"no Weir is known in {options.data}; name its --data or its admin --url") from None
        if _gone(facts.get("pid"), lock):  # its port may be another's by now
            raise NobodyThere(f"no Weir runs in {options.data}: process {facts['pid']}, which had it, is gone")
        return cls(f"http://127.0.0.1:{port}")

    def call(self, method: str, path: str, body: Any = None, timeout_s: float = TIMEOUT_S) -> Any:
        try:
            return json.loads(self._send(method, path, body, timeout_s))
        except ValueError:
            raise AdminError(f"what answers on {self._url} is no Weir") from None

    def text(self, path: str) -> str:
        return self._send("GET", path, None).decode()

    def _send(self, method: str, path: str, body: Any, timeout_s: float = TIMEOUT_S) -> bytes:
        headers = {"content-type": "application/json"}
        token = _token()
        if token:
            headers["authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, headers, method=method)  # noqa: S310  http(s) only
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
                found: bytes = answer.read()
                return found
        except urllib.error.HTTPError as error:
            raise AdminError(_said(error)) from None
        except (OSError, http.client.HTTPException):
            raise NobodyThere(f"no Weir answers on {self._url}; is it running?") from None


def _gone(pid: object, lock: Path) -> bool:
    """Whether nobody has the lock, and who wrote into it is no more."""
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        pass
    except OSError:
        return False
    else:
        return False
    try:
        with lock.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _token() -> str:
    file = os.environ.get("WEIR_ADMIN_TOKEN_FILE")
    if not file:
        return os.environ.get("WEIR_ADMIN_TOKEN", "")
    try:
        return Path(file).read_text().strip()
    except (OSError, ValueError):
        raise AdminError(f"WEIR_ADMIN_TOKEN_FILE names {file}, which cannot be read") from None


def _said(error: urllib.error.HTTPError) -> str:
    try:
        said = json.loads(error.read())["error"]
        if error.code == 401 and said["code"] == "admin_token_needed":
            given = "is another one" if _token() else "is needed"
            return f"the admin token {given}: set WEIR_ADMIN_TOKEN or WEIR_ADMIN_TOKEN_FILE to that of this Weir"
        message = str(said["message"])
        of = said.get("param")  # (messages that begin so say of what only there)
        return f"{of} {message}" if of and message.startswith("must ") else message
    except (ValueError, KeyError, TypeError):
        return f"the admin API answered {error.code}"
