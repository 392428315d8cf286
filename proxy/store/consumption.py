"""What a day's calls took at providers, by provider and model, and who waits for long answers: the statements."""

from __future__ import annotations

from typing import Final

from proxy.store.rows import DETAIL

GROUPS: Final = 20_000
CHARACTERS_PER_TOKEN: Final = 4


def _detail(name: str) -> str:
    return "json_extract(detail, '$[" + str(DETAIL.index(name) + 1) + "]')"


def _sum(column: str, name: str) -> str:
    return "COALESCE(SUM(" + column + "), 0) AS " + name


MODEL = "COALESCE(NULLIF(served_model, ''), NULLIF(target_model, ''), model, '')"
"""As the provider's own export names it: the model that served."""
USED = " ".join(
    ("SELECT COALESCE(" + _detail("upstream") + ", '') AS upstream,", MODEL, "AS model, COUNT(*) AS calls,",
     _sum("input_tokens", "input_tokens") + ",", _sum(_detail("cache_read_tokens"), "cache_read_tokens") + ",",
     _sum(_detail("cache_write_tokens"), "cache_write_tokens") + ",", _sum("output_tokens", "output_tokens") + ",",
     _sum("cost_nano_usd", "nano_usd") + ", SUM(cost_nano_usd IS NULL) AS unpriced,",
     "SUM(" + _detail("usage_source") + " = 'estimated') AS estimated",
     "FROM executions WHERE at >= ? AND at < ? AND", _detail("attempts"), "> 0 AND",
     _detail("usage_source"), "IN ('provider', 'estimated')",
     "AND (? IS NULL OR", _detail("upstream"), "= ?) GROUP BY 1, 2 ORDER BY 3 DESC LIMIT", str(GROUPS))
)  # fmt: skip
"""To be run with two moments (s) and an upstream, twice (None: all)."""
SHOWN = "MAX(0, output_tokens - COALESCE(" + _detail("reasoning_tokens") + ", 0)) * " + str(CHARACTERS_PER_TOKEN)
LENGTH = "MIN(COALESCE(" + SHOWN + ", " + _detail("bytes_out") + "), " + _detail("bytes_out") + ")"
"""About how many characters an answer has: four to a token, and never more than it has bytes."""
WHOLE = "COALESCE(" + _detail("stream") + ", 0) = 0"
UNSTREAMED = " ".join(
    ("SELECT COALESCE(agent, '') AS agent, COUNT(*) AS calls, SUM(" + WHOLE + ") AS unstreamed,",
     "SUM(" + WHOLE + " AND", LENGTH, "> ?3) AS long,",
     "MAX(CASE WHEN", WHOLE, "THEN", LENGTH, "ELSE 0 END) AS longest,",
     "COALESCE(SUM(CASE WHEN", WHOLE, "AND", LENGTH, "> ?3 THEN total_ms END), 0) AS waited_ms",
     "FROM executions WHERE at >= ?1 AND at < ?2 AND outcome = 'ok' AND", _detail("parent"), "IS NULL AND",
     _detail("surface"), "IN ('chat', 'responses', 'messages', 'completions') AND", _detail("attempts"), "> 0",
     "GROUP BY 1")
)  # fmt: skip
"""To be run with two moments (s) and a number of characters."""
