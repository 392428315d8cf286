"""`weir feedback`: say how good the answer to a call was, as its caller would (POST /weir/feedback)."""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import urllib.error
import urllib.request
from typing import Any

from proxy.commands import calling
from proxy.commands.admin import AdminError

TIMEOUT_S = 30.0
WHAT = (
    "Say how good the answer to a call was. It is kept beside the call, and the plugins that chose or gave the answer "
    "learn of it, in every worker. One word counts for each call and name, the last one. A call is judged by whoever "
    "made it: with the same key, or another of its tenant (--key-env)."
)


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        sys.stdout.write(_told(_send(options)))
    except (AdminError, ValueError) as error:
        sys.stderr.write(f"weir feedback: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="weir feedback", description=WHAT)
    parser.add_argument("id", metavar="ID", help="x-weir-request-id of the call")
    word = parser.add_mutually_exclusive_group(required=True)
    word.add_argument("--good", action="store_true", help="it was good: --score 1")
    word.add_argument("--bad", action="store_true", help="it was bad: --score 0")
    word.add_argument("--score", type=float, metavar="X", help="from 0 (bad) to 1 (good)")
    parser.add_argument("--name", help="what of it is judged (default: answer)")
    parser.add_argument("--comment", help="why, in a few words; kept beside the call, secrets taken out")
    calling.add_caller(parser)
    return parser


def _send(options: argparse.Namespace) -> dict[str, Any]:
    said = {"request_id": options.id, "score": 1.0 if options.good else 0.0 if options.bad else options.score}
    said |= {name: getattr(options, name) for name in ("name", "comment") if getattr(options, name) is not None}
    key = calling.key(options)
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
    url = calling.address(options).rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"--to must begin with http:// or https://, not {url!r}")
    request = urllib.request.Request(f"{url}/weir/feedback", json.dumps(said).encode(), headers)  # noqa: S310  http(s)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return dict(json.loads(answer.read()))
    except urllib.error.HTTPError as error:
        raise AdminError(_reason(error)) from None
    except (OSError, http.client.HTTPException):
        raise AdminError(f"no Weir answers on {url}; is it running?") from None
    except (ValueError, TypeError):
        raise AdminError(f"what answers on {url} is no Weir") from None


def _told(found: dict[str, Any]) -> str:
    try:
        before = "" if found["before"] is None else f", in place of {found['before']:g}"
        taught = f"; learnt from by {', '.join(found['taught'])}" if found["taught"] else ""
        return f"Kept: {found['name']} of {found['request_id']} is {found['score']:g}{before}{taught}.\n"
    except (KeyError, TypeError, ValueError):
        raise AdminError("what answers there is no Weir that takes feedback") from None


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"Weir answered {error.code}"
