"""What is held of a person, told and forgotten: records, events, entries, keys, and what workers hold."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.control.audit import verify
from proxy.control.ledger import Ledger
from proxy.control.privacy import Privacy
from proxy.control.queries import Trail
from proxy.control.recorder import Recorder
from proxy.control.redaction import Redactor
from proxy.errors import BadRequest, WeirError
from proxy.store.feedback import Told
from proxy.store.history import History
from proxy.store.journal import EntryFilter
from tests.proxy.control.records import KEY, entry, record
from tests.proxy.control.test_keys import Case as Keyed

ANN = "canary-ann"
FINDING = {
    "plugin": "injection", "type": "injection", "severity": "high", "action": "refuse", "score": 0.9,
    "reasons": ["override"], "counts": {},
}  # fmt: skip


class Case(Keyed):
    """Two workers on one store: both tell the same of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        data = folder / "data"
        self.recorder = Recorder(
            History(data / "executions", self.clock), Ledger(data, KEY, self.clock), Redactor()
        )  # fmt: skip
        self.held = {ANN: [{"plugin": "pii", "map": "m1"}, {"plugin": "pii", "map": "m2"}]}
        self.workers = 2
        self.asked: list[dict[str, Any]] = []
        self.privacy = Privacy(
            self.recorder, Trail(self.recorder, data / "audit.db", KEY), self._tell,
            configuration=self.configuration, keys=self.keys,
        )  # fmt: skip

    async def _tell(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        self.asked.append(message)
        if not self.workers:
            raise WeirError("0 of 1 workers say what they hold", code="not_confirmed")
        if "export" in message:
            return [{"held": self.held.get(message["export"], [])}] * self.workers
        gone = len(self.held.pop(message["forget"], []))
        return [{"forgotten": gone}, *[{"forgotten": 0}] * (self.workers - 1)]

    async def call(self, number: int, user: str) -> None:
        said = {"mode": "masked", "input": [{"text": f"I am {user}"}]}
        row = record(number, user=user, session=f"of-{user}", findings=[FINDING])
        row["audit"] = entry(number, user=user, session=f"of-{user}", content=said)
        await self.recorder.write([orjson.dumps(row)])

    async def told(self, user: str) -> list[dict[str, Any]]:
        return [orjson.loads(line) async for line in self.privacy.everything(user, "admin")]


@pytest.fixture
async def case(tmp_path: Path) -> AsyncIterator[Case]:
    made = Case(tmp_path)
    await made.recorder.start()
    yield made
    await made.recorder.stop()


def kinds(lines: list[dict[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in lines:
        found[line["kind"]] = found.get(line["kind"], 0) + 1
    return found


async def test_an_export_tells_all_of_this_user_and_nothing_of_any_other(case: Case) -> None:
    await case.keys.create({"name": "anns", "user": ANN}, "admin")
    await case.keys.create({"name": "bobs", "user": "bob"}, "admin")
    for n in range(1, 481):
        await case.call(n, ANN if n % 2 else "bob")
    lines = await case.told(ANN)
    assert kinds(lines) == {"about": 1, "key": 1, "record": 240, "event": 240, "audit": 240, "held": 2}
    assert lines[0] == {"kind": "about", "user": ANN, "by": "admin", "records": 240, "entries": 240, "held": 2}
    assert "bob" not in json.dumps(lines)
    texts = [line["content"]["input"][0]["text"] for line in lines if line["kind"] == "audit"]
    assert texts == [f"I am {ANN}"] * 240
    assert not any("credential" in line for line in lines)


async def test_that_it_was_exported_is_noted_without_the_name(case: Case) -> None:
    await case.call(1, ANN)
    await case.told(ANN)
    (note,) = case.recorder.ledger.journal.page(EntryFilter(action="privacy.export"), 10)
    assert note["by"] == "admin" and note["details"] == {"records": 1, "entries": 1, "held": 2}


async def test_after_an_erasure_nothing_is_told_and_no_byte_has_the_name(case: Case) -> None:
    await case.keys.create({"name": "anns", "user": ANN}, "admin")
    await case.keys.rotate("anns", {}, "admin")
    for n in range(1, 11):
        await case.call(n, ANN if n % 2 else "bob")
    found = await case.privacy.erase(ANN, "asked", "admin", texts=True)
    assert found == {"entries": 5, "calls": 5, "held": 2, "keys": ["anns"], "in_file": []}
    assert ANN.encode() not in case.bytes() and case.held == {}
    assert [key["state"] for key in case.keys.listed()["data"]] == ["revoked"]
    assert kinds(await case.told(ANN)) == {"about": 1}
    assert kinds(await case.told("bob")) == {"about": 1, "record": 5, "event": 5, "audit": 5}
    await case.recorder.in_writer(case.recorder.ledger.write_head)
    assert verify(case.folder / "data" / "audit.db", KEY).ok
    again = await case.privacy.erase(ANN, "asked", "admin", texts=True)
    assert again == {"entries": 0, "calls": 0, "held": 0, "keys": [], "in_file": []}


async def test_a_worker_that_does_not_confirm_is_told_and_asking_again_goes_on(case: Case) -> None:
    await case.call(1, ANN)
    case.workers = 0
    with pytest.raises(WeirError) as caught:
        await case.privacy.erase(ANN, "asked", "admin", texts=True)
    assert caught.value.code == "not_confirmed" and case.held
    case.workers = 2
    found = await case.privacy.erase(ANN, "asked", "admin", texts=True)
    assert (found["entries"], found["held"]) == (0, 2) and not case.held


async def test_a_key_of_the_file_that_names_the_user_is_told(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text("")
    case = Case(tmp_path)
    (tmp_path / "w.yaml").write_text(f"identity:\n  keys:\n    filed: {{sha256: '{'ab' * 32}', user: {ANN}}}\n")
    await case.configuration.reload("test")
    await case.recorder.start()
    found = await case.privacy.erase(ANN, "asked", "admin", texts=True)
    assert found["keys"] == found["in_file"] == ["filed"]
    (key,) = case.keys.listed()["data"]
    assert (key["state"], key["user"]) == ("revoked", "")
    await case.recorder.stop()


async def test_a_wish_that_cannot_be_noted_erases_nothing(case: Case) -> None:
    await case.call(1, ANN)
    with pytest.raises(BadRequest):
        await case.privacy.erase(ANN, f"{ANN} asked", "admin", texts=True)
    assert case.asked == [] and kinds(await case.told(ANN))["record"] == 1


async def test_what_they_said_of_answers_is_told_and_erased(case: Case) -> None:
    for number, user in ((1, ANN), (2, "bob")):
        await case.call(number, user)
        words = Told(f"wr_{number:08d}", "tone", 1_700_001_000.0 + number, number, 0.5, f"of {user}", "t", "a", "")
        await case.recorder.in_writer(case.recorder.history.judge, words)
    (said,) = [line for line in await case.told(ANN) if line["kind"] == "feedback"]
    assert (said["call"], said["name"], said["score"], said["comment"]) == ("wr_00000001", "tone", 0.5, f"of {ANN}")
    await case.privacy.erase(ANN, "asked", "admin", texts=True)
    assert ANN.encode() not in case.bytes()
    assert kinds(await case.told("bob"))["feedback"] == 1
