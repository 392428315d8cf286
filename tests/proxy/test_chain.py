"""The chain: order, short circuit, envelopes, shadow."""

import asyncio
from typing import Any

import pytest

from proxy.chain import AMPLE_BYTES, OVERRUNS, Chain, bounded
from proxy.errors import PluginFailed, Refused
from proxy.exchange import Exchange, Response
from proxy.live import Agent, When
from proxy.route import skipped
from tests.kit import FakeClock, entry, exchange, scripted, snapshot


def build(*plugins: Any, clock: FakeClock | None = None, **settings: Any) -> tuple[Chain, Exchange]:
    envelopes = settings.pop("envelopes", {})
    made = snapshot(*(entry(one.name, **envelopes.get(one.name, {})) for one in plugins), **settings)
    chain = Chain(made, {one.name: one for one in plugins}, (clock or FakeClock()).monotonic_s)
    return chain, exchange(made)


def note(log: list[str], word: str, answer: Response | None = None) -> Any:
    async def hook(_: Exchange) -> Response | None:
        log.append(word)
        return answer

    return hook


async def run(chain: Chain, call: Exchange) -> tuple[Response | None, int]:
    return await chain.out(call, chain.route(call.caller.agent, call.request.model, call.request.path))


async def test_the_list_runs_top_to_bottom_out_and_bottom_to_top_back() -> None:
    log: list[str] = []
    plugins = [scripted(n, request=note(log, f"out {n}"), finish=note(log, f"finish {n}")) for n in "abc"]
    chain, call = build(*plugins)

    await run(chain, call)
    await chain.finish(call, chain.route("default", "m", call.request.path))

    assert log == ["out a", "out b", "out c", "finish c", "finish b", "finish a"]


async def test_an_answer_ends_the_way_out_and_only_those_that_were_passed_see_the_way_back() -> None:
    log: list[str] = []
    a = scripted("a", request=note(log, "out a"), response=note(log, "back a"), finish=note(log, "finish a"))
    b = scripted("b", request=note(log, "out b", Response(text="mine")), response=note(log, "back b"))
    c = scripted("c", request=note(log, "out c"), response=note(log, "back c"), finish=note(log, "finish c"))
    chain, call = build(a, b, c)
    route = chain.route("default", "m", call.request.path)

    answer, below = await chain.out(call, route)
    await chain.response(call, route, below)
    await chain.finish(call, route)

    assert answer is not None
    assert answer.source == "b"
    assert log == ["out a", "out b", "back a", "finish a"]


async def test_a_refusal_goes_to_the_caller_and_is_recorded() -> None:
    async def refuse(_: Exchange) -> None:
        raise Refused("a", "not this", code="no")

    chain, call = build(scripted("a", request=refuse))

    with pytest.raises(Refused):
        await run(chain, call)

    assert [(step.plugin, step.what) for step in call.steps] == [("a", "refused no")]


async def test_a_plugin_that_breaks_lets_the_call_pass_when_open_and_ends_it_when_closed() -> None:
    async def break_(_: Exchange) -> None:
        raise RuntimeError("broken")

    log: list[str] = []
    chain, call = build(scripted("a", request=break_), scripted("b", request=note(log, "b")))
    await run(chain, call)
    assert log == ["b"]
    assert call.steps[0].what == "failed RuntimeError"

    chain, call = build(scripted("a", request=break_), envelopes={"a": {"on_error": "closed"}})
    with pytest.raises(PluginFailed):
        await run(chain, call)


async def test_a_hook_that_waits_too_long_fails() -> None:
    async def hang(_: Exchange) -> None:
        await asyncio.Event().wait()

    chain, call = build(scripted("a", request=hang), envelopes={"a": {"timeout_ms": 5}})
    await run(chain, call)
    assert call.steps[0].what == "failed timeout"


async def test_work_that_only_rests_is_not_cut_off_before_it_ends() -> None:
    async def rest(call: Exchange) -> None:
        end_s = asyncio.get_running_loop().time() + 0.05
        while asyncio.get_running_loop().time() < end_s:
            await asyncio.sleep(0)
        call.step("a", "request", "ended")

    chain, call = build(scripted("a", request=rest), envelopes={"a": {"timeout_ms": 5}})
    await run(chain, call)
    assert [step.what for step in call.steps] == ["ended"]


async def test_work_that_rests_for_ever_fails() -> None:
    async def rest(_: Exchange) -> None:
        while True:
            await asyncio.sleep(0)

    chain, call = build(scripted("a", request=rest), envelopes={"a": {"timeout_ms": 1}})
    await run(chain, call)
    assert call.steps[0].what == "failed timeout"


async def test_a_long_call_has_more_time() -> None:
    clock = FakeClock()

    async def slow(_: Exchange) -> None:
        clock.jump(1.0)

    chain, call = build(scripted("a", request=slow), clock=clock, envelopes={"a": {"timeout_ms": 300}})
    call.request.body = bytes(3 * AMPLE_BYTES)
    for _ in range(OVERRUNS):
        await run(chain, call)
    assert not call.steps


async def test_code_that_overruns_without_waiting_counts_as_failed_at_the_third_time_in_a_row() -> None:
    clock = FakeClock()

    async def slow(_: Exchange) -> None:
        clock.jump(1.0)

    chain, call = build(
        scripted("a", request=slow), clock=clock, envelopes={"a": {"timeout_ms": 5, "on_error": "closed"}}
    )
    await run(chain, call)
    await run(chain, call)
    with pytest.raises(PluginFailed):
        await run(chain, call)


async def test_in_shadow_edits_answers_and_refusals_are_recorded_and_dropped() -> None:
    async def edit(call: Exchange) -> Response:
        call.request.segments[0].text = "changed"
        call.request.set("temperature", 0)
        return Response(text="mine")

    async def refuse(_: Exchange) -> None:
        raise Refused("b", "no", code="no")

    shadow = {"mode": "shadow"}
    chain, call = build(
        scripted("a", request=edit), scripted("b", request=refuse), envelopes={"a": shadow, "b": shadow}
    )

    answer, _ = await run(chain, call)

    assert answer is None
    assert not call.request.changed
    assert {step.what for step in call.steps} == {
        "would answer", "would edit 1", "would set temperature", "would refuse no",
    }  # fmt: skip


async def test_a_plugin_can_be_off_or_in_shadow_for_one_agent_only() -> None:
    log: list[str] = []
    agents = {"quiet": Agent(plugins={"a": {"enabled": False}})}
    chain, call = build(scripted("a", request=note(log, "a")), agents=agents)

    await chain.out(call, chain.route("quiet", "m", "/v1"))
    assert log == []
    await chain.out(call, chain.route("other", "m", "/v1"))
    assert log == ["a"]


@pytest.mark.parametrize(
    ("when", "runs"),
    [
        (When(agents=("tax-*",)), True),
        (When(agents=("hr-*",)), False),
        (When(models=("gpt-4o",)), True),
        (When(models=("claude-*",)), False),
        (When(paths=("/v1/chat/*",)), True),
        (When(share=0.0), False),
    ],
)
async def test_when_decides_which_calls_a_plugin_is_for(when: When, runs: bool) -> None:
    log: list[str] = []
    chain, call = build(scripted("a", request=note(log, "a")), envelopes={"a": {"when": when}})

    await chain.out(call, chain.route("tax-eu-001", "gpt-4o", "/v1/chat/completions"))

    assert bool(log) is runs


async def test_share_takes_about_that_share_and_the_same_conversations_each_time() -> None:
    chain, call = build(scripted("a"), envelopes={"a": {"when": When(share=0.3)}})
    member = chain.route("x", "m", "/v1").members[0]
    taken = []
    for number in range(2000):
        call.conversation = f"conversation {number}"
        taken.append(not skipped(call, member))
        assert (not skipped(call, member)) is taken[-1]

    assert 0.25 < sum(taken) / len(taken) < 0.35


async def test_bypass_leaves_audit_and_metering_only() -> None:
    chain, _ = build(scripted("audit"), scripted("pii"), scripted("metering"), bypass=True)
    assert [member.name for member in chain.route("a", "m", "/v1").members] == ["audit", "metering"]


async def test_hooks_that_are_not_overridden_are_not_in_the_route() -> None:
    chain, call = build(scripted("a"), scripted("b", request=note([], "b")))
    route = chain.route("x", "m", call.request.path)
    assert [member.name for member in route.by_hook["request"]] == ["b"]
    assert route.by_hook["finish"] == ()


async def test_routes_stay_bounded_however_many_agents_and_models_call() -> None:
    chain, _ = build(scripted("a"), envelopes={"a": {"when": When(models=("gpt-*",))}})
    for number in range(3 * Chain.ROUTES):
        chain.route(f"agent-{number}", f"model-{number}", "/v1")
    assert len(chain._routes) <= Chain.ROUTES


async def test_a_guard_that_overlaps_is_judged_beside_the_call_and_awaited_before_the_answer() -> None:
    started = asyncio.Event()

    async def judge(_: Exchange) -> None:
        started.set()
        await asyncio.sleep(0)
        raise Refused("a", "no", code="late")

    chain, call = build(scripted("a", request=judge), envelopes={"a": {"overlap": True}})
    await run(chain, call)
    await started.wait()
    with pytest.raises(Refused):
        await chain.verdicts(call)
    chain.drop_verdicts(call)


async def test_bounded_passes_cancellation_on_and_costs_no_timer_where_nothing_waits() -> None:
    async def value() -> int:
        return 3

    assert await bounded(value(), 1.0) == 3

    async def forever() -> None:
        await asyncio.Event().wait()

    task = asyncio.ensure_future(bounded(forever(), 10.0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
