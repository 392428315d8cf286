"""`weir events` and its following, against an admin port that is told what to say."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from proxy.cli import main
from proxy.commands.admin import Admin

PLACE = ("--url", "http://127.0.0.1:9")


def event(number: int, **more: Any) -> dict[str, Any]:
    return {
        "time": f"2026-11-22T09:00:{number:02d}Z", "at": 1.0 + number, "call": f"call-{number}", "type": "pii",
        "severity": "medium", "plugin": "pii", "agent": "tax", "user": "ann", "session": None, "action": "mask",
        "mode": "enforce", "score": 0.5, "reasons": ["r"], "counts": {"EMAIL": 2}, "recommended": "log", **more,
    }  # fmt: skip


class Asked:
    """What the admin port says, and what it was asked."""

    def __init__(self, *pages: list[dict[str, Any]]) -> None:
        self.pages = list(pages)
        self.queries: list[dict[str, list[str]]] = []

    def call(self, admin: Admin, method: str, path: str, body: Any = None, timeout_s: float = 0.0) -> Any:
        self.queries.append(parse_qs(urlsplit(path).query))
        return {"data": (self.pages.pop(0) if len(self.pages) > 1 else self.pages[0])[::-1], "next": None}


def test_events_are_a_table_with_the_newest_last_and_nothing_for_a_terminal_to_act_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = Asked([event(1, agent="a\x1b[31m"), event(2, mode="shadow", counts={}, score=None)])
    monkeypatch.setattr(Admin, "call", lambda *given: asked.call(*given))
    assert main(["events", "--agent", "tax", "--severity", "medium", "--limit", "7", *PLACE]) == 0
    heads, first, second = capsys.readouterr().out.splitlines()
    assert heads.split() == ["TIME", "SEVERITY", "TYPE", "PLUGIN", "ACTION", "AGENT", "SCORE", "FOUND", "CALL"]
    assert first.split()[3:] == ["pii", "mask", "a?[31m", "0.50", "EMAIL=2", "call-1"]
    assert "would mask" in second and second.split()[-2:] == ["r", "call-2"] and "ann" not in first
    assert asked.queries == [{"agent": ["tax"], "severity": ["medium"], "limit": ["7"]}]
    assert main(["events", "--json", *PLACE]) == 0
    assert [json.loads(line)["user"] for line in capsys.readouterr().out.splitlines()] == ["ann", "ann"]
    asked.pages = [[]]
    assert main(["events", *PLACE]) == 0
    assert capsys.readouterr().out == "Nothing was found.\n"


def test_following_tells_each_event_once_and_none_from_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, three, four = (event(number) for number in (1, 2, 3, 4))
    asked = Asked([one, two], [two, three], [one, two, three, four], [one, two, three, four])
    naps = iter([None, None])
    monkeypatch.setattr(Admin, "call", lambda *given: asked.call(*given))

    def sleep(_: float) -> None:
        if next(naps, "over") == "over":
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    assert main(["events", "--follow", "--limit", "2", *PLACE]) == 130
    calls = [line.split()[-1] for line in capsys.readouterr().out.splitlines()]
    assert calls == ["CALL", "call-2", "call-3", "call-4"]
    assert "since" in asked.queries[0] and "since" not in asked.queries[1]


def test_nobody_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", *PLACE]) == main(["coverage", *PLACE]) == 1
    assert capsys.readouterr().err.count("no Weir answers on") == 2
