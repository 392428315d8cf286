"""Log lines: one per event, whatever is in it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.telemetry.logs import Log, describe, install, json_line, text_line
from tests.kit import FakeClock, FakeMetrics

HOSTILE = "a\r\nb\x1b[31m\x00\x7f\x85\u2028\u2029\u202e\u2066\ufeff\ud800\tz"
TEXTS = st.text(st.characters(), max_size=20)


@pytest.fixture
def lines() -> Iterator[tuple[int, Callable[[], list[dict[str, Any]]]]]:
    ours, theirs = os.pipe()

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in os.read(ours, 65536).splitlines()]

    yield theirs, read
    os.close(ours)
    os.close(theirs)


Lines = tuple[int, Callable[[], list[dict[str, Any]]]]


def test_an_event_is_a_line_with_time_level_name_and_fields(lines: Lines) -> None:
    log = Log(FakeClock(), fd=lines[0])
    log.bind(worker=2).info("started", port=8080)
    (line,) = lines[1]()
    assert line == {"time": "2023-11-14T22:30:00.000Z", "level": "info", "event": "started", "worker": 2, "port": 8080}


def test_levels_below_the_chosen_one_are_silent(lines: Lines) -> None:
    log = Log(FakeClock(), level="warning", fd=lines[0])
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d", ValueError("why"))
    assert [(line["event"], line.get("message")) for line in lines[1]()] == [("c", None), ("d", "why")]


@given(TEXTS, st.dictionaries(TEXTS, st.one_of(TEXTS, st.integers(), st.lists(TEXTS, max_size=3)), max_size=4))
def test_no_text_can_break_or_forge_a_line(event: str, fields: dict[str, Any]) -> None:
    for make in (json_line, text_line):
        line = make(1.0, "info", event, fields)
        assert line.endswith(b"\n")
        text = line[:-1].decode()
        assert len(text.splitlines()) <= 1
        assert text.isprintable() or not any(ord(one) < 32 or one in "\x7f\x85\u2028\u2029\u202e" for one in text)


def test_hostile_characters_are_escaped_and_still_read_back() -> None:
    for text in (HOSTILE, HOSTILE.replace("\ud800", "")):
        raw = json_line(1.0, "info", "e", {"text": text, "time": "forged"})
        assert json.loads(raw)["text"] == text
        assert json.loads(raw)["time_"] == "forged"
        for unsafe in ("\r", "\x1b", "\x00", "\x7f", "\x85", "\u2028", "\u2029", "\u202e", "\u2066", "\ufeff"):
            assert unsafe not in raw.decode()
    assert text_line(1.0, "info", "e", {"text": HOSTILE}).count(b"\n") == 1


def test_plain_text_is_readable() -> None:
    line = text_line(0.0, "info", "started", {"port": 8080, "url": "http://x", "why": "two words"})
    assert line == b'1970-01-01T00:00:00.000Z INFO started port=8080 url=http://x why="two words"\n'


def test_any_value_can_be_logged_and_none_is_endless() -> None:
    class Rude:
        def __str__(self) -> str:
            raise RuntimeError("no")

    loop: list[Any] = []
    loop.append(loop)
    values = {
        "big": 2**80,
        "rude": Rude(),
        "loop": loop,
        "long": "x" * 100_000,
        "key": {(1, 2): 3},
        "nan": float("nan"),
    }
    for name, value in values.items():
        for make in (json_line, text_line):
            line = make(1.0, "info", "e", {name: value, "fine": 1})
            assert line.count(b"\n") == 1
            assert len(line) < 10_000
        json.loads(json_line(1.0, "info", "e", {name: value}))


def test_errors_are_fields_and_name_no_directory() -> None:
    try:
        raise KeyError("x")
    except KeyError as error:
        found = describe(error)
    assert found["error"] == "KeyError"
    assert found["where"].startswith("test_logs.py:")


def test_a_reader_that_does_not_keep_up_costs_lines_and_not_time() -> None:
    ours, theirs = os.pipe()
    metrics = FakeMetrics()
    log = Log(FakeClock(), fd=theirs, dropped=metrics.counter("weir_log_lines_dropped_total"))
    for _ in range(1000):
        log.info("flood", text="x" * 1000)
    dropped = metrics.total("weir_log_lines_dropped_total")
    assert dropped > 0
    while len(os.read(ours, 65536)) == 65536:
        pass
    log.info("after")
    assert json.loads(os.read(ours, 65536).splitlines()[-1])["lines_dropped"] == dropped
    os.close(ours)
    log.info("nobody reads")
    os.close(theirs)


def test_what_libraries_log_becomes_lines_too(lines: Lines) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        install(Log(FakeClock(), fd=lines[0]))
        logging.getLogger("aiohttp.server").warning("bad %s\n", "request")
        logging.getLogger("aiohttp.server").info("not this")
        try:
            raise ValueError("why")
        except ValueError:
            logging.getLogger("asyncio").exception("broken %d", "x")
        logging.getLogger("weir").warning("ours", extra={"call": "c1", "fields": {"code": "x\n"}})
    finally:
        root.handlers[:], root.level = before[0], before[1]
    first, second, third = lines[1]()
    assert (third["event"], third["call"], third["code"]) == ("ours", "c1", "x\n")
    assert (first["logger"], first["level"], first["event"]) == ("aiohttp.server", "warning", "bad request\n")
    assert (second["error"], second["message"], second["event"]) == ("ValueError", "why", "broken %d")
