"""What a day's calls took, summed by whom a limit counts: the statement, over the columns and the details of a file."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from proxy.store.rows import DETAIL

GROUPS: Final = 20_000
"""Groups that are told of a day, those with the most calls first."""


def _detail(name: str) -> str:
    return "json_extract(detail, '$[" + str(DETAIL.index(name) + 1) + "]')"


MODEL = "COALESCE(NULLIF(target_model, ''), model, '')"
NONE = "''"
BY: Final = MappingProxyType(
    {
        "agent": (_detail("tenant"), "agent"),
        "user": (_detail("tenant"), '"user"'),
        "key": (_detail("tenant"), "COALESCE(NULLIF(" + _detail("key") + ", ''), " + _detail("credential") + ")"),
        "own": (NONE, _detail("key")),
        "tenant": (_detail("tenant"), NONE),
        "model": (NONE, MODEL),
        "all": (NONE, NONE),
    }
)
"""Tenant and name of each kind of limit. `own`: what a key has for itself, whoever's tenant it is in."""
TOKENS = " + ".join(
    "COALESCE(" + column + ", 0)"
    for column in ("input_tokens", "output_tokens", _detail("cache_read_tokens"), _detail("cache_write_tokens"))
)
TAKEN = "CASE WHEN " + _detail("usage_source") + " = 'cached' THEN 0 ELSE " + TOKENS + " END"
"""What is given again was counted when it was made."""
SUMS = (
    "COUNT(*), SUM(" + TAKEN + "), SUM(CASE WHEN cost_nano_usd IS NULL THEN " + TAKEN + " ELSE 0 END),"
    " COALESCE(SUM(cost_nano_usd), 0)"
)
COUNTED = (
    "at < ? AND outcome <> 'limited' AND " + _detail("parent") + " IS NULL"
    " AND (outcome <> 'caller_error' OR " + _detail("attempts") + " > 0)"
)
"""Calls that had been let through: what was turned away took nothing."""


Sums = tuple[str, str, str, int, int, int, int]
"""Tenant, name, model (where that was asked for), calls, tokens, those of them without a price, and nano-USD of the
others."""


def statement(by: str, *, models: bool) -> str:
    """To be run with the moment (s) before which calls count. KeyError for what no limit counts by."""
    tenant, name = BY[by]
    columns = ", ".join(("COALESCE(" + tenant + ", '')", "COALESCE(" + name + ", '')", MODEL if models else NONE))
    return " ".join(
        ("SELECT", columns, ",", SUMS, "FROM executions WHERE", COUNTED, "GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT",
         str(GROUPS))
    )  # fmt: skip
