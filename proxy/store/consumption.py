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
_WORKED = "at >= ?1 AND at < ?2 AND {attempts} > 0 AND {source} IN ('provider', 'estimated')".format(
    attempts=_detail("attempts"), source=_detail("usage_source")
)
_COUNTS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "nano_usd")
_OF = " ".join(
    ("SELECT COALESCE(" + _detail("upstream") + ", '') AS upstream,", MODEL, "AS model, COUNT(*) AS calls,",
     _sum("input_tokens", "input_tokens") + ",", _sum(_detail("cache_read_tokens"), "cache_read_tokens") + ",",
     _sum(_detail("cache_write_tokens"), "cache_write_tokens") + ",", _sum("output_tokens", "output_tokens") + ",",
     _sum("cost_nano_usd", "nano_usd") + ", SUM(cost_nano_usd IS NULL) AS unpriced,",
     "SUM(" + _detail("usage_source") + " = 'estimated') AS estimated FROM executions WHERE", _WORKED, "GROUP BY 1, 2")
)  # fmt: skip
_THROWN = (
    "FROM executions, json_each(executions.detail, '$[0].discarded') AS one"
    " WHERE substr(detail, 1, 3) = '[{\"' AND instr(detail, '\"discarded\"') AND " + _WORKED
)


def _one(name: str) -> str:
    return "json_extract(one.value, '$." + name + "')"


def _thrown(sign: str) -> str:
    """What answers took that were thrown away: it is part of what stands with the model that answered in the end."""
    tokens = ("COALESCE(" + _one(name) + ", 0)" for name in _COUNTS[:-1])
    cost = "COALESCE(" + _one("cost_nano_usd") + ", 0)"
    if sign == "-":  # (where the whole has no price, nothing of it is among the others)
        cost = "CASE WHEN cost_nano_usd IS NULL THEN 0 ELSE " + cost + " END"
    return ", ".join(sign + each for each in (*tokens, cost))


USED = " ".join(
    ("SELECT upstream, model, SUM(calls) AS calls,", ", ".join(_sum(name, name) for name in _COUNTS) + ",",
     "SUM(unpriced) AS unpriced, SUM(estimated) AS estimated FROM (", _OF,
     "UNION ALL SELECT COALESCE(" + _detail("upstream") + ", ''),", MODEL + ", 0,", _thrown("-") + ", 0, 0", _THROWN,
     "UNION ALL SELECT", _one("upstream") + ",", _one("model") + ", 1,", _thrown("") + ",",
     _one("cost_nano_usd") + " IS NULL,", _one("usage_source") + " = 'estimated'", _THROWN,
     ") WHERE ?3 IS NULL OR upstream = ?4 GROUP BY 1, 2",
     "HAVING SUM(input_tokens + cache_read_tokens + cache_write_tokens + output_tokens) <> 0 OR SUM(nano_usd) <> 0",
     "ORDER BY 3 DESC LIMIT", str(GROUPS))
)  # fmt: skip
"""To be run with two moments (s) and an upstream, twice (None: all). Answers that were thrown away stand with the
models that made them."""
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
     _detail("surface"), "IN ('chat', 'responses', 'messages', 'completions')",
     "AND (", _detail("attempts"), "> 0 OR", _detail("cache"), "= 'COALESCED') GROUP BY 1")
)  # fmt: skip
"""To be run with two moments (s) and a number of characters."""
