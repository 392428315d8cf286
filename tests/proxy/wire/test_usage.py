"""Usage of many providers, one meaning: cached tokens are counted once, thinking is output."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.exchange import Usage
from proxy.wire.usage import normalised, reported


@pytest.mark.parametrize(
    ("name", "doc", "usage"),
    [
        ("none", {}, None),
        ("null", {"usage": None}, None),
        ("nonsense", {"usage": {"prompt_tokens": "many", "completion_tokens": -3}}, Usage()),
        (
            "openai",
            {
                "usage": {
                    "prompt_tokens": 100,
                    "completion_tokens": 50,
                    "total_tokens": 150,
                    "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 8},
                    "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 5},
                }
            },
            Usage(input=40, cache_read=60, output=50, reasoning=20, audio_input=8, audio_output=5),
        ),
        (
            "openrouter",
            {
                "usage": {
                    "prompt_tokens": 100,
                    "completion_tokens": 5,
                    "total_tokens": 105,
                    "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
                }
            },
            Usage(input=10, cache_read=60, cache_write=30, output=5),
        ),
        (
            "litellm",
            {
                "usage": {
                    "prompt_tokens": 100,
                    "completion_tokens": 5,
                    "cache_read_input_tokens": 60,
                    "cache_creation_input_tokens": 30,
                }
            },
            Usage(input=10, cache_read=60, cache_write=30, output=5),
        ),
        (
            "deepseek",
            {
                "usage": {
                    "prompt_tokens": 9,
                    "completion_tokens": 2,
                    "prompt_cache_hit_tokens": 4,
                    "prompt_cache_miss_tokens": 5,
                }
            },
            Usage(input=5, cache_read=4, output=2),
        ),
        (
            "moonshot",
            {"usage": {"prompt_tokens": 9, "completion_tokens": 2, "cached_tokens": 4}},
            Usage(input=5, cache_read=4, output=2),
        ),
        (
            "vllm",
            {"usage": {"prompt_tokens": 9, "total_tokens": 11, "completion_tokens": 2, "prompt_tokens_details": None}},
            Usage(input=9, output=2),
        ),
        (
            "llama.cpp with usage",
            {
                "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
                "timings": {"cache_n": 8, "prompt_n": 1},
            },
            Usage(input=1, cache_read=8, output=2),
        ),
        (
            "llama.cpp without",
            {"timings": {"cache_n": 8, "prompt_n": 1, "predicted_n": 2}},
            Usage(input=1, cache_read=8, output=2),
        ),
        ("groq", {"x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 1}}}, Usage(input=3, output=1)),
        (
            "thinking beside the completion",
            {
                "usage": {
                    "prompt_tokens": 10,
                    "completion_tokens": 5,
                    "total_tokens": 25,
                    "completion_tokens_details": {"reasoning_tokens": 10},
                }
            },
            Usage(input=10, output=15, reasoning=10),
        ),
        ("embeddings", {"usage": {"prompt_tokens": 7, "total_tokens": 7}}, Usage(input=7)),
        (
            "more cached than sent",
            {"usage": {"prompt_tokens": 7, "completion_tokens": 0, "cached_tokens": 9}},
            Usage(cache_read=7),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_usage_is_normalised(name: str, doc: dict[str, Any], usage: Usage | None) -> None:
    assert normalised(doc) == usage


def test_what_is_reported_is_read_again() -> None:
    usage = Usage(input=5, cache_read=4, cache_write=2, output=9, reasoning=3, audio_input=1, audio_output=2)
    assert normalised({"usage": reported(usage)}) == usage


def test_counts_that_no_call_can_have_are_nonsense() -> None:
    assert normalised({"usage": {"prompt_tokens": 2**63 - 1, "completion_tokens": -5}}) == Usage()
