from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy.live import Identity, Limits, Snapshot, Streams
from proxy.server.probes import Probes

SNAPSHOT = Snapshot(7, {}, {}, (), {}, Identity(), Limits(), Streams(), bypass=True)


def asked(probes: Probes, path: str) -> tuple[int, Any]:
    answer = probes.answer(path)
    assert answer is not None
    return answer[0], orjson.loads(answer[1])


def test_a_worker_is_alive_before_it_is_ready() -> None:
    probes = Probes(lambda: SNAPSHOT)
    assert asked(probes, "/livez") == (200, {"status": "ok"})
    assert asked(probes, "/readyz")[0] == 503
    assert asked(probes, "/readyz")[1]["status"] == "starting"


def test_without_settings_it_is_still_starting() -> None:
    probes = Probes(lambda: None)
    probes.started = True
    assert asked(probes, "/readyz") == (503, {"status": "starting"})


def test_ready_tells_version_bypass_and_parts() -> None:
    probes = Probes(lambda: SNAPSHOT, {"store": lambda: "memory", "records": lambda: {"waiting": 3}})
    probes.started = True
    assert asked(probes, "/readyz") == (
        200, {"status": "ok", "settings": 7, "bypass": True, "store": "memory", "records": {"waiting": 3}},
    )  # fmt: skip


def test_a_draining_worker_is_alive_but_not_ready() -> None:
    probes = Probes(lambda: SNAPSHOT)
    probes.started = probes.draining = True
    assert asked(probes, "/readyz")[1]["status"] == "draining"
    assert asked(probes, "/readyz")[0] == 503
    assert asked(probes, "/livez")[0] == 200


def test_a_part_that_fails_or_tells_oddities_does_not_break_the_probe() -> None:
    probes = Probes(lambda: SNAPSHOT, {"store": lambda: 1 / 0, "records": lambda: {1.5: object}})
    probes.started = True
    status, state = asked(probes, "/readyz")
    assert (status, state["store"], state["records"]) == (200, "unknown", "unknown")


@pytest.mark.parametrize("path", ["/healthz", "/health", "/health/readiness"])
def test_health_means_ready(path: str) -> None:
    assert asked(Probes(lambda: SNAPSHOT), path)[0] == 503


@pytest.mark.parametrize("path", ["/health/liveliness", "/health/liveness"])
def test_liveliness_means_alive(path: str) -> None:
    assert asked(Probes(lambda: SNAPSHOT), path)[0] == 200


def test_other_paths_are_no_probes() -> None:
    assert Probes(lambda: SNAPSHOT).answer("/livez/") is None
