"""`weir reconcile` against exports as providers write them, and against those they might."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from proxy.cli import main
from proxy.commands.admin import Admin
from proxy.commands.bill import BadExport, Charge, alike, parsed_columns, read

PLACE = ("--url", "http://127.0.0.1:9")
OPENAI = """start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,\
batch,service_tier,input_tokens,output_tokens,input_cached_tokens,input_uncached_tokens
1763683200,1763769600,2025-11-21T00:00:00+00:00,,p,3,,k,gpt-4o-2024-08-06,,default,1000,50,400,600
1763683200,1763769600,2025-11-21T00:00:00+00:00,2025-11-22T00:00:00+00:00,p,1,,l,gpt-4o-2024-08-06,,default,500,25,0,500
1763769600,1763856000,2025-11-22T00:00:00+00:00,2025-11-23T00:00:00+00:00,,,,,,,,,,,
"""
OPENAI_COSTS = """start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id
1763683200,1763769600,2025-11-21T00:00:00+00:00,,0.0025,usd,"gpt-4o-2024-08-06, input",p
1763683200,1763769600,2025-11-21T00:00:00+00:00,,0.0008,usd,"gpt-4o-2024-08-06, output",p
"""
ANTHROPIC = """usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,\
usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,usage_output_tokens
2025-11-21,claude-sonnet-4-5-20250929,k,Default,message,0-200k,100,20,10,870,40
"""
ANTHROPIC_COSTS = """usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd
2025-11-21,claude-sonnet-4-5-20250929,Default,k,message,0-200k,input_no_cache,0.30
2025-11-21,claude-sonnet-4-5-20250929,Default,k,message,0-200k,output,1.10
"""


def used(day: str, model: str, *, upstream: str = "openai", **more: int) -> dict[str, Any]:
    numbers = dict.fromkeys(
        ("calls", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "nano_usd", "unpriced",
         "estimated"), 0
    )  # fmt: skip
    return {"day": day, "upstream": upstream, "model": model, **numbers, **more}


SAME = used("2025-11-21", "gpt-4o-2024-08-06", calls=4, input_tokens=1100, cache_read_tokens=400, output_tokens=75,
            nano_usd=3_300_000)  # fmt: skip


class Asked:
    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = list(rows)
        self.queries: list[dict[str, list[str]]] = []

    def call(self, admin: Admin, method: str, path: str, body: Any = None, timeout_s: float = 0.0) -> Any:
        self.queries.append(parse_qs(urlsplit(path).query))
        return {"data": self.rows}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    made = Asked(SAME)
    monkeypatch.setattr(Admin, "call", lambda *given: made.call(*given))
    return made


def export(tmp_path: Path, text: str) -> str:
    file = tmp_path / "export.csv"
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize(
    ("text", "key", "charge"),
    [
        (OPENAI, ("2025-11-21", "gpt-4o"), Charge(4, 1500, 400, 75)),
        (OPENAI_COSTS, ("2025-11-21", "gpt-4o"), Charge(usd=Decimal("0.0033"))),
        (ANTHROPIC, ("2025-11-21", "claude-sonnet-4-5"), Charge(0, 1000, 870, 40)),
        (ANTHROPIC_COSTS, ("2025-11-21", "claude-sonnet-4-5"), Charge(usd=Decimal("1.40"))),
        ("date,model,input_tokens,cache_read_input_tokens,cache_creation_input_tokens,output_tokens\n"
         "2025-11-21,m,10,5,3,1\n", ("2025-11-21", "m"), Charge(0, 18, 5, 1)),
        ("\ufeffDate;Model;Prompt Tokens;Completion Tokens;Cost\r\n2025-11-21;openai/M;1,234.0;-;$0.50\r\n",
         ("2025-11-21", "m"), Charge(0, 1234, 0, 0, Decimal("0.50"))),
        ("timestamp\tmodel\tprompt_tokens\n2025-11-21T23:30:00-02:00\tm\t7\n", ("2025-11-22", "m"), Charge(0, 7)),
        ("day,usd\n2025-11-21 10:00 UTC,3\nTotal,3\n\n", ("2025-11-21", ""), Charge(usd=Decimal(3))),
    ],
    ids=["openai", "openai costs", "anthropic", "anthropic costs", "beside", "semicolons", "zones", "days only"],
)  # fmt: skip
def test_an_export_is_read_as_its_provider_writes_it(
    tmp_path: Path, text: str, key: tuple[str, str], charge: Charge
) -> None:
    assert read(Path(export(tmp_path, text)), {}).charges == {key: charge}


def test_columns_may_be_named(tmp_path: Path) -> None:
    text = "When,Which,In,Out,Paid\n2025-11-21,m,10,2,0.1\n"
    columns = parsed_columns("day=When, model=Which,uncached=In,output=Out,usd=Paid")
    assert read(Path(export(tmp_path, text)), columns).charges == {
        ("2025-11-21", "m"): Charge(0, 10, 0, 2, Decimal("0.1"))
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty: its first line names the columns"),
        ("model,input_tokens\nm,1\n", "has no column with a day: name it with --columns"),
        ("date,model\n2025-11-21,m\n", "has neither tokens nor costs"),
        ("date,model,input_tokens\n2025-11-21,m,1\nyesterday,m,1\n", "export.csv:3: 'yesterday' is no day"),
        ("date,model,input_tokens\n2025-11-21,m,many\n", "export.csv:2: 'many' is no number (input)"),
        ("date,cost,currency\n2025-11-21,3,EUR\n", "amounts are in EUR"),
    ],
)
def test_what_cannot_be_taken_is_told_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadExport) as caught:
        read(Path(export(tmp_path, text)), {})
    assert says in str(caught.value)


@pytest.mark.parametrize("columns", ["nonsense", "day=", "when=Date"])
def test_columns_that_are_none_are_told(columns: str) -> None:
    with pytest.raises(BadExport, match="NAME=COLUMN"):
        parsed_columns(columns)


def test_a_column_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadExport, match="has no column 'When'; it has: date, cost"):
        read(Path(export(tmp_path, "date,cost\n")), {"day": "When"})


@pytest.mark.parametrize(
    ("model", "name"),
    [("gpt-4o-2024-08-06", "gpt-4o"), ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"), ("models/Gemini", "gemini"),
     ("claude-3-5-haiku-latest", "claude-3-5-haiku"), ("gpt-4-0613", "gpt-4-0613")],
)  # fmt: skip
def test_models_are_compared_without_their_dates(model: str, name: str) -> None:
    assert alike(model) == name


def test_both_agree(asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconcile", export(tmp_path, OPENAI), *PLACE]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2025-11-21, by day and model:",
        "  tokens in: 1,500 here, 1,500 there (+0.00%)",
        "  tokens out: 75 here, 75 there (+0.00%)",
        "  1 agree",
        "  1 rows of the export have nothing to compare",
    ]
    assert asked.queries == [{"since": ["2025-11-21"], "until": ["2025-11-22"]}]
    assert main(["reconcile", export(tmp_path, OPENAI_COSTS), "--upstream", "openai", *PLACE]) == 0
    assert asked.queries[1]["upstream"] == ["openai"]


def test_what_differs_is_listed(asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked.rows = [
        {**SAME, "output_tokens": 60, "estimated": 2}, used("2025-11-21", "o3", calls=1, input_tokens=5),
        used("2025-11-21", "claude", upstream="anthropic", input_tokens=9),
    ]  # fmt: skip
    text = OPENAI + "1763683200,,2025-11-21T00:00:00+00:00,,p,1,,l,gpt-5,,,7,1,0,7\n"
    assert main(["reconcile", export(tmp_path, text), *PLACE]) == 1
    out = capsys.readouterr().out
    assert "1 differ" in out and "1 are only in the export" in out and "1 are only in Weir's records" in out
    assert "2 calls here were estimated" in out
    rows = [line.split() for line in out.splitlines()[-3:]]
    assert rows[0] == ["2025-11-21", "gpt-4o", "1,500", "1,500", "60", "75", "0.0033", "-", "differs"]
    assert rows[1] == ["2025-11-21", "gpt-5", "-", "7", "-", "1", "-", "-", "only", "theirs"]
    assert rows[2][:3] == ["2025-11-21", "o3", "5"]
    assert "claude" not in out


def test_the_tolerance_is_the_operators(asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked.rows = [{**SAME, "output_tokens": 74}]
    assert main(["reconcile", export(tmp_path, OPENAI), *PLACE]) == 1
    assert main(["reconcile", export(tmp_path, OPENAI), "--tolerance", "5", *PLACE]) == 0


@pytest.mark.parametrize("percent", ["-1", "101", "nan"])
def test_a_tolerance_is_a_share(percent: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconcile", export(tmp_path, OPENAI), "--tolerance", percent, *PLACE]) == 2
    assert "--tolerance is a number of percent" in capsys.readouterr().err


@pytest.mark.parametrize("amount", ["0,004", "4,5", "1.234,56", "12,34"])
def test_a_decimal_comma_is_not_guessed_at(amount: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconcile", export(tmp_path, f"day;usd\n2025-11-21;{amount}\n"), *PLACE]) == 2
    assert f"write '{amount}' with a decimal point (usd)" in capsys.readouterr().err


def test_thousands_may_be_grouped(asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked.rows = [used("2025-11-21", "o3", nano_usd=1_234_500_000_000)]
    assert main(["reconcile", export(tmp_path, "day;model;usd\n2025-11-21;o3;$1,234.50\n"), *PLACE]) == 0


def test_a_price_that_is_not_known_is_no_zero(asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked.rows = [{**SAME, "nano_usd": 0, "unpriced": 4}]
    assert main(["reconcile", export(tmp_path, OPENAI_COSTS), *PLACE]) == 1
    out = capsys.readouterr().out
    assert "1 have calls here whose price is not known" in out
    assert "unknown" in out.splitlines()[-1]


def test_an_export_without_models_is_compared_by_day(
    asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked.rows = [SAME, used("2025-11-21", "o3", nano_usd=2_000_000_000)]
    assert main(["reconcile", export(tmp_path, "day,usd\n2025-11-21,2.0033\n"), *PLACE]) == 0
    assert "names no models" in capsys.readouterr().out


def test_it_is_json_where_that_is_asked(asked: Asked, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconcile", export(tmp_path, OPENAI), "--json", *PLACE]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["compares"] == ["cached", "calls", "input", "output"]
    assert told["data"][0]["theirs"]["cached_tokens"] == told["data"][0]["ours"]["cached_tokens"] == 400
    assert told["data"][0]["state"] == "agrees"


def test_what_cannot_be_compared_ends_with_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconcile", str(tmp_path / "none.csv"), *PLACE]) == 2
    assert main(["reconcile", export(tmp_path, OPENAI), *PLACE]) == 2
    assert main(["reconcile", export(tmp_path, "date,model,cost\n"), *PLACE]) == 2
    err = capsys.readouterr().err
    assert "cannot be read" in err and "no Weir answers on" in err and "has no usage in it" in err
