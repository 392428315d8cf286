"""The sections of the configuration."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from proxy.configuration.sections import (
    Agent,
    CallerKey,
    Identity,
    Limits,
    Override,
    Plugin,
    Section,
    Timeouts,
    Upstream,
)


@pytest.mark.parametrize(
    ("section", "values"),
    [(Limits, {"depth": 251}), (Limits, {"depth": 9.0}), (Limits, {"depth": True}), (Limits, {"body_bytes": "1kb"}),
     (Timeouts, {"idle_s": -1}), (Timeouts, {"idle_s": float("nan")}), (Timeouts, {"idle": 1}),
     (Plugin, {"mode": "on"}), (Plugin, {"when": {"share": 1.1}}), (Upstream, {}), (Upstream, {"url": "h"}),
     (Upstream, {"url": "https://h", "dialects": ("relay",)}), (Upstream, {"url": "https://h", "key": "sk-x"}),
     (CallerKey, {"sha256": "x"}), (CallerKey, {"expires": "soon"}), (CallerKey, {"usd_per_day": -1}),
     (CallerKey, {"concurrent": 0}), (CallerKey, {"previous_sha256": "y"}), (Identity, {"peer_header": "a b"}),
     (Agent, {"target_utilisation": 2}), (Override, {"when": {}})],
)  # fmt: skip
def test_what_is_out_of_bounds_is_refused(section: type[Section], values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        section.model_validate(values)
    assert "sk-x" not in str(caught.value)


def test_whole_numbers_are_numbers_and_sections_cannot_change() -> None:
    made = Timeouts.model_validate({"idle_s": 5})
    assert made.idle_s == 5.0
    with pytest.raises(ValidationError):
        made.idle_s = 6.0
