"""The metrics page: what is written is read, whatever else the file holds."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.telemetry.metrics import METRICS
from proxy.telemetry.page import FULL, OTHER, Page, Sheet, parse, read

UPSTREAM = METRICS["weir_upstream_seconds"]


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page.create(tmp_path, 0)


def sheet(page: Page) -> Sheet:
    assert page.path is not None
    found = read(page.path)
    assert found is not None
    return found


def values(page: Page) -> dict[tuple[str, tuple[str, ...]], tuple[float, ...]]:
    return {
        (series.name, tuple(value for _, value in series.labels)): series.values
        for series in sheet(page).series
        if series.name != FULL
    }


def test_counters_gauges_and_histograms_are_read_as_they_were_written(page: Page) -> None:
    counter = page.counter("weir_tokens_total", agent="a", model="m", type="input", source="provider")
    counter.add()
    counter.add(41)
    page.gauge("weir_in_flight")(7)
    page.gauge("weir_in_flight")(3)
    histogram = page.histogram("weir_upstream_seconds", upstream="u")
    for observed in (0.0, UPSTREAM.buckets[0], 0.02, 1e9):
        histogram.observe(observed)
    found = values(page)
    assert found["weir_tokens_total", ("a", "m", "provider", "input")] == (42.0,)
    assert found["weir_in_flight", ()] == (3.0,)
    *counts, total = found["weir_upstream_seconds", ("u",)]
    assert counts[:2] == [2.0, 1.0], "a bucket includes its bound"
    assert counts[-1] == 1.0
    assert sum(counts) == 4
    assert total == pytest.approx(1e9 + 0.02 + UPSTREAM.buckets[0])


def test_the_same_labels_give_the_same_handle(page: Page) -> None:
    first = page.counter("weir_upstream_attempts_total", upstream="u", outcome="ok")
    assert page.counter("weir_upstream_attempts_total", outcome="ok", upstream="u") is first
    assert page.counter("weir_upstream_attempts_total", outcome="no", upstream="u") is not first


def test_past_the_bound_of_a_metric_labels_become_other(tmp_path: Path) -> None:
    page = Page(tmp_path / "page-0-1.bin", series=10)
    for number in range(10_000):
        page.counter("weir_unknown_price_total", model=f"model {number}").add()
    found = values(page)
    assert len(found) == 11
    assert found["weir_unknown_price_total", (OTHER,)] == (9990.0,)
    assert len(page._handles) == 11


def test_a_full_page_says_so_and_serves_on(tmp_path: Path) -> None:
    page = Page(tmp_path / "page-0-1.bin", size_bytes=512)
    handles = [page.counter("weir_unknown_price_total", model=f"m{number}") for number in range(50)]
    page.histogram("weir_queue_seconds").observe(1.0)
    page.gauge("weir_in_flight")(5)
    for handle in handles:
        handle.add()
    kept = values(page)
    assert 0 < len(kept) < 50
    (full,) = (series.values[0] for series in sheet(page).series if series.name == FULL)
    assert full == 50 - len(kept) + 2


def test_labels_are_short_and_printable(page: Page) -> None:
    page.counter("weir_unknown_price_total", model="a\nb\u2028\x7f\ud800" + "x" * 1000).add()
    ((_, (model,)),) = values(page)
    assert model.startswith("a?b???x")
    assert len(model) == 128


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("ann@example.org", "other"),
        ("x sk-abcdefghijklmnop", "other"),
        ("claude-sonnet@20240620", "claude-sonnet@20240620"),
        ("workers-ai/@cf/meta/llama-3.1-8b", "workers-ai/@cf/meta/llama-3.1-8b"),
    ],
)
def test_an_address_or_a_key_in_the_place_of_a_model_is_not_shown(page: Page, model: str, shown: str) -> None:
    page.counter("weir_unknown_price_total", model=model).add()
    ((_, (kept,)),) = values(page)
    assert kept == shown


def test_a_metric_used_as_it_was_not_defined_is_a_mistake(page: Page) -> None:
    with pytest.raises(ValueError, match="is a counter"):
        page.gauge("weir_unknown_price_total", model="m")
    with pytest.raises(ValueError, match="has the labels"):
        page.counter("weir_unknown_price_total", modell="m")
    with pytest.raises(ValueError, match="no name"):
        page.counter("not a name")
    page.counter("acme_blocked_total", rule="x")
    with pytest.raises(ValueError, match="has the labels"):
        page.counter("acme_blocked_total", other="x")


def test_a_plugin_may_count_what_is_its_own_within_bounds(page: Page) -> None:
    page.counter("acme_blocked_total", rule="x").add(2)
    page.histogram("acme_seconds").observe(0.0001)
    assert values(page)["acme_blocked_total", ("x",)] == (2.0,)
    for number in range(500):
        page.counter(f"acme_{number}_total").add()
    assert len(values(page)) <= 100


def test_a_page_is_dead_when_its_owner_lets_go_and_not_before(page: Page) -> None:
    counter = page.counter("weir_settings_rejected_total")
    assert not sheet(page).dead
    assert sheet(page).pid == os.getpid()
    page.close()
    assert sheet(page).dead
    counter.add()  # whoever still counts does no harm
    page.close()


def test_without_a_file_the_process_works_on(tmp_path: Path) -> None:
    page = Page(tmp_path / "gone" / "page-0-1.bin")
    assert page.path is None
    page.counter("weir_settings_rejected_total").add()
    page.close()
    assert list(tmp_path.iterdir()) == []


def test_the_blocks_of_a_page_are_there_before_they_are_needed(page: Page) -> None:
    assert page.path is not None
    found = os.stat(page.path)
    assert found.st_mode & 0o777 == 0o600
    assert found.st_blocks * 512 >= found.st_size, "a hole in it would kill the process on a full disk"


def sample() -> bytes:
    page = Page(None)
    page.counter("weir_requests_total", agent="a", surface="chat", outcome="ok").add(3)
    page.histogram("weir_queue_seconds").observe(0.01)
    page.gauge("weir_in_flight")(2)
    return bytes(page._bytes[: page._words[1]])


SAMPLE = sample()


def test_a_truncated_page_gives_what_is_whole() -> None:
    whole = tuple(parse(SAMPLE))
    assert len(whole) == 4
    for cut in range(len(SAMPLE)):
        found = tuple(parse(SAMPLE[:cut]))
        assert found == whole[: len(found)]


@given(st.integers(0, len(SAMPLE) - 1), st.binary(min_size=1, max_size=24))
def test_garbage_in_a_page_never_raises(start: int, noise: bytes) -> None:
    tuple(parse(SAMPLE[:start] + noise + SAMPLE[start + len(noise) :]))


def test_what_is_no_page_is_none(tmp_path: Path) -> None:
    assert read(tmp_path / "missing") is None
    assert read(tmp_path) is None
    for name, raw in (("empty", b""), ("short", b"WEIRPG01"), ("other", b"x" * 100)):
        (tmp_path / name).write_bytes(raw)
        assert read(tmp_path / name) is None
    (tmp_path / "lies").write_bytes(struct.pack("=8sQQ8s", b"WEIRPG01", 1 << 60, 1, b"12345678"))
    found = read(tmp_path / "lies")
    assert found is not None
    assert found.series == ()
