"""/metrics: the sum over processes living and dead; counters never fall."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.telemetry.exposition import Exposition
from proxy.telemetry.page import Key, Page

CALLS: Key = ("counter", "weir_unknown_price_total", (("model", "m"),))


def page(run: Path, slot: int | str, pid: int, calls: float) -> Page:
    made = Page(run / f"page-{slot}-{pid}.bin")
    made.counter("weir_unknown_price_total", model="m").add(calls)
    return made


def calls(exposition: Exposition) -> float:
    return exposition.totals()[CALLS][0]


def test_pages_of_all_processes_are_summed_and_gauges_merged_as_the_table_says(tmp_path: Path) -> None:
    pages = [page(tmp_path, slot, 10, slot + 1) for slot in range(3)] + [page(tmp_path, "control", 10, 4)]
    for index, made in enumerate(pages):
        made.gauge("weir_in_flight")(index)
        made.gauge("weir_settings_version")(index + 5)
    totals = Exposition(tmp_path).totals()
    assert totals[CALLS] == [10.0]
    assert totals["gauge", "weir_in_flight", ()] == [6.0]
    assert totals["gauge", "weir_settings_version", ()] == [5.0]
    assert totals["gauge", "weir_workers", ()] == [3.0]
    for made in pages:
        made.close()


def test_counters_never_fall_when_workers_and_control_come_and_go(tmp_path: Path) -> None:
    exposition = Exposition(tmp_path)
    seen = [0.0]
    for pid in range(1, 6):
        made = page(tmp_path, 0, pid, 10)
        seen.append(calls(exposition))
        made.close()
        seen.append(calls(exposition))
        if pid % 2:
            exposition = Exposition(tmp_path)
            seen.append(calls(exposition))
    assert seen == sorted(seen)
    assert seen[-1] == 50
    assert [path.name for path in tmp_path.iterdir()] == ["base.json"]


def test_gauges_of_the_dead_are_gone(tmp_path: Path) -> None:
    made = page(tmp_path, 0, 1, 1)
    made.gauge("weir_in_flight")(9)
    made.close()
    assert ("gauge", "weir_in_flight", ()) not in Exposition(tmp_path).totals()


def test_a_page_is_not_counted_twice_where_it_could_not_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page(tmp_path, 0, 1, 7).close()
    with monkeypatch.context() as broken:
        broken.setattr(Path, "unlink", _fail)
        exposition = Exposition(tmp_path)
        assert [calls(exposition), calls(exposition)] == [7, 7]
    assert calls(Exposition(tmp_path)) == 7, "a control process killed between saving and removing"
    assert not list(tmp_path.glob("page-*"))


def test_a_base_that_cannot_be_written_leaves_the_pages_for_the_next_control(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page(tmp_path, 0, 1, 7).close()
    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", _fail)
        exposition = Exposition(tmp_path)
        assert [calls(exposition), calls(exposition)] == [7, 7]
    assert calls(Exposition(tmp_path)) == 7


def _fail(*arguments: object, **options: object) -> None:
    raise OSError("no")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"absorbed": 3}', b'{"absorbed": [], "series": [[1]]}'])
def test_a_broken_base_and_broken_restarts_are_as_none(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "base.json").write_bytes(raw)
    (tmp_path / "restarts.json").write_bytes(raw)
    (tmp_path / "page-0-1.bin").write_bytes(raw)
    assert Exposition(tmp_path).totals()["counter", "weir_worker_restarts_total", ()] == [0.0]


def test_the_text_is_what_prometheus_reads(tmp_path: Path) -> None:
    made = page(tmp_path, 0, 1, 2)
    made.counter("weir_uninspected_total", what='quo"te\\').add()
    histogram = made.histogram("weir_upstream_seconds", upstream="u")
    for observed in (0.005, 0.02, 1000.0):
        histogram.observe(observed)
    (tmp_path / "restarts.json").write_text('{"worker": 3, "control": 1}')
    body, content_type = Exposition(tmp_path).render()
    assert content_type.startswith("text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    assert samples["weir_unknown_price_total", ("model", "m")] == 2
    assert samples["weir_uninspected_total", ("what", 'quo"te\\')] == 1
    assert samples["weir_worker_restarts_total",] == 3
    assert samples["weir_control_restarts_total",] == 1
    assert samples["weir_workers",] == 1
    assert samples["weir_upstream_seconds_bucket", ("le", "0.01"), ("upstream", "u")] == 1
    assert samples["weir_upstream_seconds_bucket", ("le", "300.0"), ("upstream", "u")] == 2
    assert samples["weir_upstream_seconds_bucket", ("le", "+Inf"), ("upstream", "u")] == 3
    assert samples["weir_upstream_seconds_count", ("upstream", "u")] == 3
    assert samples["weir_upstream_seconds_sum", ("upstream", "u")] == pytest.approx(1000.025)
    made.close()


def test_openmetrics_is_given_to_who_asks_for_it(tmp_path: Path) -> None:
    made = page(tmp_path, 0, 1, 2)
    body, content_type = Exposition(tmp_path).render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    made.close()


def test_two_plugins_that_mean_two_things_by_one_name_do_not_break_the_rest(tmp_path: Path) -> None:
    one, two = Page(tmp_path / "page-0-1.bin"), Page(tmp_path / "page-1-2.bin")
    one.counter("acme_things", a="1").add()
    two.counter("acme_things", b="1").add()
    two.gauge("acme_level")(1)
    one.counter("acme_level").add()
    body, _ = Exposition(tmp_path).render()
    assert len(re.findall(rb"^# TYPE acme_things", body, re.M)) == 1
    list(text_string_to_metric_families(body.decode()))
    one.close()
    two.close()


def test_records_that_a_killed_process_held_are_counted_as_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exposition = Exposition(tmp_path)
    killed, ended = page(tmp_path, 0, 1, 1), page(tmp_path, 1, 2, 1)
    killed.gauge("weir_records_held")(7)
    ended.gauge("weir_records_held")(0)
    assert exposition.totals()["gauge", "weir_records_held", ()] == [7.0]
    for made in (killed, ended):
        made.close()
    for _ in range(2):
        assert exposition.totals()["counter", "weir_records_lost_total", ()] == [7.0]
    assert Exposition(tmp_path).totals()["counter", "weir_records_lost_total", ()] == [7.0]
    assert caplog.text.count("with 7 records that nobody has") == 1
