"""What remains of a call: no time or price that is not known is zero."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy import record
from proxy.errors import (
    BadRequest,
    Forbidden,
    Limited,
    Overloaded,
    PluginFailed,
    Refused,
    StoreDown,
    StreamCut,
    Unauthorized,
    UpstreamTimeout,
    WeirError,
)
from proxy.exchange import RETRIEVED, AuditEntry, Exchange, Finding, Outcome, Response, Target, Usage
from tests import kit


def test_a_call_that_never_reached_a_provider_has_nothing_where_nothing_is_known() -> None:
    made = record.parsed(record.line(kit.exchange()))
    for name in ("ttft_ms", "upstream_ms", "input_tokens", "output_tokens", "cost_nano_usd", "error", "error_code"):
        assert made[name] is None
    assert (made["usage_source"], made["price_source"], made["outcome"]) == ("none", "none", "ok")
    assert "steps" not in made
    assert "findings" not in made


def test_times_are_told_from_the_request_line_on_and_own_time_is_what_is_left() -> None:
    call = kit.exchange(doc={"model": "m", "stream": True, "messages": []})
    call.response = Response(usage=Usage(1, 2, 3, 4, 1), usage_source="provider", id="x", delivered_bytes=9)
    call.target, line = Target("sim", "m2"), call.timeline
    line.read, line.sent, line.headers = 0.010, 0.012, 0.5
    line.first, line.upstream_end, line.ended, line.queue_s = 0.6, 1.0, 1.003, 0.001
    made = record.parsed(record.line(call))
    assert (made["total_ms"], made["ttft_ms"], made["queue_ms"], made["upstream_ms"]) == (1003.0, 600.0, 1.0, 988.0)
    assert made["overhead_ms"] == pytest.approx(1.0 + 3.0)
    assert (made["upstream"], made["target_model"], made["bytes_out"]) == ("sim", "m2", 9)
    assert (made["input_tokens"], made["cache_read_tokens"], made["cache_write_tokens"], made["output_tokens"]) == (
        1, 2, 3, 4,
    )  # fmt: skip


def test_only_streams_have_a_time_to_first_token() -> None:
    call = kit.exchange()
    call.timeline.first = 0.5
    assert record.parsed(record.line(call))["ttft_ms"] is None


def test_findings_and_steps_are_told_without_texts() -> None:
    call = kit.exchange()
    call.find(Finding("g", "injection", "high", "refuse", reasons=("rule 7",)))
    call.step("g", "request", "refused x")
    made = record.parsed(record.line(call))
    assert made["steps"] == [["g", "request", "refused x"]]
    assert made["findings"][0]["reasons"] == ["rule 7"]
    assert b"hello" not in orjson.dumps(made)


def test_every_error_has_one_whose_fault_it_is() -> None:
    said = {
        BadRequest("x"): "caller_error", Unauthorized("x"): "caller_error", Forbidden("x"): "caller_error",
        Refused("p", "x"): "refused", Limited("x"): "limited", PluginFailed("p", "x"): "weir_error",
        Overloaded("x"): "weir_error", StoreDown("x"): "weir_error", WeirError("x"): "weir_error",
        UpstreamTimeout("x"): "provider_error", StreamCut("x"): "provider_error",
    }  # fmt: skip
    assert {type(error): record.outcome_of(error) for error in said} == {type(one): word for one, word in said.items()}


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "ok"), (302, "ok"), (400, "caller_error"), (404, "caller_error"), (408, "provider_error"),
     (429, "provider_error"), (500, "provider_error"), (529, "provider_error")],
)  # fmt: skip
def test_a_providers_status_tells_whose_fault_it_is(status: int, outcome: str) -> None:
    assert record.outcome_of_status(status) == outcome


def test_the_debug_line_is_one_line_of_ascii() -> None:
    call = kit.exchange()
    call.step("g", "request", "refused \r\n\u2028é")
    line = record.steps_line(call)
    assert line.isascii()
    assert line.isprintable()


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**40])
def test_no_number_and_no_text_costs_the_record(number: int) -> None:
    call = kit.exchange(user="u\udcff")
    call.response = Response(usage=Usage(number, number, 3), usage_source="provider", model="m\ud800")
    call.cost_nano_usd = number
    call.find(Finding("g", "odd", "high", "refuse", score=float("nan"), reasons=("r\udfff",), counts=(("x", number),)))
    call.step("g", "request", "\ud800")
    call.audit = AuditEntry(b'"w"', 1, b"{}", {"mode": "full", "input": ["\udfff", {1: number}, {2, 3}, Odd()]})
    made = record.parsed(record.line(call))
    assert (made["input_tokens"], made["cache_read_tokens"], made["cache_write_tokens"]) == (None, None, 3)
    assert (made["cost_nano_usd"], made["user"], made["served_model"]) == (None, "u?", "m?")
    assert (made["id"], made["at"], made["complete"], made["outcome"]) == ("wr_test", 0.0, False, "ok")
    assert made["steps"] == [["g", "request", "?"]]
    assert made["findings"][0] | {"reasons": ["r?"], "counts": [["x", None]], "score": None} == made["findings"][0]
    assert made["audit"]["content"]["input"] == ["?", {"1": None}, "{2, 3}", "odd"]
    assert record.parsed(record.line_of(made)) == made


class Odd:
    def __str__(self) -> str:
        return "odd"


def test_what_is_nested_too_deep_is_cut() -> None:
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]
    call = kit.exchange()
    call.audit = AuditEntry(b'"w"', 1, b"{}", deep)
    assert record.parsed(record.line(call))["audit"]["content"] != []


def answered(*, stream: bool = True, **facts: Any) -> Exchange:
    call = kit.exchange()
    call.request.stream = stream
    call.response = Response(**facts)
    record.own_up(call)
    return call


def test_a_stream_that_ended_without_reason_and_end_is_the_providers_error() -> None:
    call = answered()
    found = record.parsed(record.line(call))
    assert (found["outcome"], found["error_code"], found["status"]) == ("provider_error", "stream_truncated", 200)
    for call in (
        answered(complete=True), answered(finish="stop"), answered(source="cache"), answered(stream=False),
    ):  # fmt: skip
        assert (call.outcome, call.error) == ("ok", None)


def test_a_body_that_is_no_answer_is_the_providers_error_but_for_what_it_keeps() -> None:
    for retrieved, outcome in ((False, "provider_error"), (True, "ok")):
        call = kit.exchange()
        call.response = Response()
        call.request.uninspected.append("answer")
        if retrieved:
            call.notes[RETRIEVED] = "resp_1"
        record.own_up(call)
        assert call.outcome == outcome


def test_what_was_answered_early_and_failed_began_with_200_and_who_left_has_no_status() -> None:
    cases: tuple[tuple[Outcome, int], ...] = (("provider_error", 200), ("refused", 200), ("cancelled", 0))
    for outcome, status in cases:
        call = kit.exchange()
        call.request.stream, call.error, call.outcome = True, UpstreamTimeout("late"), outcome
        record.own_up(call)
        assert record.parsed(record.line(call))["status"] == status
        assert call.outcome == outcome
