"""Callers' keys made and ended at run time, on a real configuration with its file, overlay and trail."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from proxy.configuration import sources
from proxy.configuration.overlay import PERSON
from proxy.control.configuration import Configuration, Surroundings
from proxy.control.keys import Keys
from proxy.errors import BadRequest, Forbidden, UnknownPath, WeirError
from proxy.snapshot import load
from tests.kit import FakeClock

TOKEN = {"WEIR_ADMIN_TOKEN": "the-admin-token-0123456789"}
FILED = "identity:\n  keys:\n    filed: {sha256: '%s', agent: tax}\n"


class Case:
    def __init__(self, folder: Path, environ: Mapping[str, str] = TOKEN, text: str = "bypass: false\n") -> None:
        for name in ("data", "run"):
            (folder / name).mkdir(exist_ok=True)
        (folder / "w.yaml").write_text(text)
        self.folder, self.clock = folder, FakeClock()
        self.notes: list[tuple[str, str, dict[str, Any]]] = []
        self.confirmed = (2, 2)
        self.configuration = Configuration(
            Surroundings(
                data=folder / "data", run=folder / "run", clock=self.clock, note=self._note,
                read=partial(sources.read, folder / "w.yaml", {}, environ), publish=lambda loaded, version: None,
                rejected=lambda: None,
            )
        )  # fmt: skip
        self.configuration.start()
        self.keys = Keys(self.configuration, self.clock, self._reached)

    async def _note(self, who: str, action: str, details: Mapping[str, Any]) -> int:
        self.notes.append((who, action, dict(details)))
        return 1

    async def _reached(self) -> tuple[int, int]:
        return self.confirmed

    def snapshot(self) -> Any:
        return load((self.folder / "run" / "snapshot.json").read_bytes(), {})

    def bytes(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


async def test_a_made_key_is_told_once_kept_as_its_sha256_and_reaches_the_workers_with_all_that_was_said(
    case: Case,
) -> None:
    wish = {
        "name": "bob", "agent": "tax", "agents": ["tax-*"], "tenant": "acme", "user": "ann", "models": ["gpt-*"],
        "usd_per_day": 5, "usd_per_month": 50.5, "requests_per_minute": 60, "tokens_per_minute": 10_000,
        "concurrent": 4, "debug": True, "priority": 3, "expires": "90d", "reason": "ticket 1",
    }  # fmt: skip
    told = await case.keys.create(wish, "admin")
    assert told["key"].startswith("weir-") and len(told["key"]) == 48
    assert (told["state"], told["workers"], told["confirmed"]) == ("good", 2, 2)
    (made,) = case.snapshot().identity.keys
    assert made.sha256 == hashlib.sha256(told["key"].encode()).hexdigest()
    for name in wish.keys() - {"name", "agents", "models", "expires", "reason"}:
        assert getattr(made, name) == wish[name], name
    assert (made.agents, made.models) == (("tax-*",), ("gpt-*",)) and made.expires == told["expires"]
    assert told["key"].encode() not in case.bytes() and told["key"] not in json.dumps(case.notes)
    (row,) = case.keys.listed()["data"]
    assert "key" not in row and made.sha256 not in json.dumps(row) and row["digest"] == made.sha256[:8]


async def test_every_act_is_noted_before_it_takes_effect_with_who_and_why_and_without_the_persons_name(
    case: Case,
) -> None:
    await case.keys.create({"name": "bob", "user": "canary-ann", "reason": "ticket 1"}, "admin")
    await case.keys.rotate("bob", {"reason": "ticket 2"}, "admin")
    await case.keys.revoke("bob", {"reason": "ticket 3"}, "admin")
    assert [(who, action, note["reason"]) for who, action, note in case.notes] == [
        ("admin", "key.create", "ticket 1"), ("admin", "key.rotate", "ticket 2"), ("admin", "key.revoke", "ticket 3"),
    ]  # fmt: skip
    assert "canary-ann" not in json.dumps(case.notes) and PERSON in json.dumps(case.notes)


async def test_a_rotated_key_may_overlap_and_keeps_all_else(case: Case) -> None:
    first = await case.keys.create({"name": "bob", "agent": "tax", "usd_per_day": 5}, "admin")
    second = await case.keys.rotate("bob", {"overlap": "24h"}, "admin")
    (made,) = case.snapshot().identity.keys
    assert made.sha256 == hashlib.sha256(second["key"].encode()).hexdigest()
    assert made.previous_sha256 == hashlib.sha256(first["key"].encode()).hexdigest()
    assert (made.agent, made.usd_per_day, made.previous_until) == ("tax", 5.0, second["previous_until"])
    await case.keys.rotate("bob", {}, "admin")
    assert case.snapshot().identity.keys[0].previous_sha256 == ""


async def test_what_was_revoked_stays_and_its_name_may_be_given_again(case: Case) -> None:
    await case.keys.create({"name": "bob", "usd_per_day": 5}, "admin")
    told = await case.keys.revoke("bob", {}, "admin")
    assert told["state"] == "revoked" and "key" not in told and case.snapshot().identity.keys[0].revoked
    assert (await case.keys.revoke("bob", {}, "admin"))["state"] == "revoked"
    assert len(case.notes) == 2, "what is done already is not done again"
    with pytest.raises(BadRequest, match="this key is revoked: make a new one"):
        await case.keys.rotate("bob", {}, "admin")
    again = await case.keys.create({"name": "bob"}, "admin")
    assert again["state"] == "good" and again["usd_per_day"] is None, "nothing of the old one is left"


async def test_two_keys_of_one_name_cannot_be(case: Case) -> None:
    await case.keys.create({"name": "bob"}, "admin")
    with pytest.raises(BadRequest) as caught:
        await case.keys.create({"name": "bob"}, "admin")
    assert caught.value.code == "key_exists"


async def test_an_expired_key_is_told_as_such_and_its_name_is_free(case: Case) -> None:
    await case.keys.create({"name": "bob", "expires": "1h"}, "admin")
    case.clock.jump(3601)
    assert case.keys.listed()["data"][0]["state"] == "expired"
    with pytest.raises(BadRequest, match="expired"):
        await case.keys.rotate("bob", {}, "admin")
    assert (await case.keys.create({"name": "bob"}, "admin"))["state"] == "good"


async def test_a_caller_with_a_certificate_gets_no_key(case: Case) -> None:
    told = await case.keys.create({"name": "bob", "certificate": "spiffe://acme/bob"}, "admin")
    assert "key" not in told and told["digest"] == ""
    assert case.snapshot().identity.keys[0].certificate == "spiffe://acme/bob"
    with pytest.raises(BadRequest, match="certificate"):
        await case.keys.rotate("bob", {}, "admin")


async def test_keys_of_the_file_are_listed_rotated_and_revoked_too(tmp_path: Path) -> None:
    case = Case(tmp_path, text=FILED % hashlib.sha256(b"weir-old").hexdigest())
    assert [(row["name"], row["source"]) for row in case.keys.listed()["data"]] == [("filed", "file")]
    await case.keys.rotate("filed", {"overlap": "1h"}, "admin")
    assert case.snapshot().identity.keys[0].agent == "tax"
    await case.keys.revoke("filed", {}, "admin")
    assert case.snapshot().identity.keys[0].revoked
    await case.configuration.undo(case.configuration.overlay.changes[-1].id, "admin")
    assert not case.snapshot().identity.keys[0].revoked


async def test_what_the_environment_overrules_is_not_said_to_be_done(tmp_path: Path) -> None:
    filed = FILED % hashlib.sha256(b"weir-old").hexdigest()
    case = Case(tmp_path, {**TOKEN, "WEIR_IDENTITY__KEYS__FILED__REVOKED": "false"}, filed)
    with pytest.raises(WeirError) as caught:
        await case.keys.revoke("filed", {}, "admin")
    assert caught.value.code == "overruled"


async def test_without_an_admin_token_nobody_makes_a_key(tmp_path: Path) -> None:
    case = Case(tmp_path, {})
    with pytest.raises(Forbidden):
        await case.keys.create({"name": "bob"}, "local")
    assert case.keys.listed() == {"data": []} and case.notes == []


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({}, "name"),
        ({"name": 7}, "name"),
        ({"name": "Bob"}, "name"),
        ({"name": "b.o"}, "name"),
        ({"name": 'x".models'}, "name"),
        ({"name": "bob", "sha256": "00" * 32}, "sha256"),
        ({"name": "bob", "revoked": True}, "revoked"),
        ({"name": "bob", "rights": "all"}, "rights"),
        ({"name": "bob", "expires": "soon"}, "expires"),
        ({"name": "bob", "expires": 90}, "expires"),
        ({"name": "bob", "expires": "2001-01-01"}, "expires"),
        ({"name": "bob", "expires": "999999w"}, "expires"),
        ({"name": "bob", "reason": []}, "reason"),
        ({"name": "bob", "usd_per_day": -1}, "value"),
        ({"name": "bob", "usd_per_day": "much"}, "value"),
        ({"name": "bob", "models": "gpt-*"}, "value"),
        ({"name": "bob", "agent": "a b"}, "value"),
        ({"name": "bob", "debug": "yes"}, "value"),
        ({"name": "bob", "priority": 101}, "value"),
        ({"name": "bob", "concurrent": 0}, "value"),
    ],
)
async def test_a_wish_that_cannot_be_is_told_and_makes_nothing(case: Case, wish: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        await case.keys.create(wish, "admin")
    assert caught.value.param == param
    assert case.keys.listed() == {"data": []} and case.notes == []


async def test_no_such_key_is_told(case: Case) -> None:
    await case.keys.create({"name": "robert"}, "admin")
    for act in (case.keys.rotate, case.keys.revoke):
        with pytest.raises(UnknownPath, match="there is no key 'robbert'; did you mean robert"):
            await act("robbert", {}, "admin")
    with pytest.raises(BadRequest, match="30 days"):
        await case.keys.rotate("robert", {"overlap": "31d"}, "admin")
