"""What was changed at run time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.configuration import overlay, sources
from proxy.configuration.overlay import WHOLE, Overlay
from proxy.configuration.settings import CHAIN
from proxy.errors import ConfigError


def applied(*changes: tuple[str, object]) -> Overlay:
    made = Overlay()
    for at, (key, new) in enumerate(changes):
        made = made.apply(key, new, old=None, who="anna", reason="because", at=float(at))
    return made


def test_the_newest_change_of_a_key_stands() -> None:
    made = applied(("limits.depth", 9), ("bypass", True), ("limits.depth", 10))
    assert [(change.id, change.key, change.new) for change in made.standing()] == [
        (2, "bypass", True),
        (3, "limits.depth", 10),
    ]
    assert made.version == 3


def test_undoing_brings_the_earlier_change_back_and_keeps_the_history() -> None:
    made = applied(("limits.depth", 9), ("limits.depth", 10)).undo(2, who="ben", at=5.0)
    assert [change.new for change in made.standing()] == [9]
    assert (made.changes[1].undone_by, made.changes[1].undone_at, made.version) == ("ben", 5.0, 3)
    assert made.apply("bypass", True, old=False, who="a", reason="r", at=6.0).changes[-1].id == 3


def test_what_is_not_there_or_undone_cannot_be_undone() -> None:
    made = applied(("bypass", True)).undo(1, who="a", at=1.0)
    for number in (1, 2):
        with pytest.raises(KeyError):
            made.undo(number, who="a", at=2.0)


def test_it_survives_writing_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / overlay.NAME
    made = applied(("limits.depth", 9), ('aliases."gpt-4.1".model', "x")).undo(1, who="ben", at=2.0)
    overlay.write(path, made)
    assert overlay.read(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in tmp_path.iterdir()] == [overlay.NAME]


def test_no_file_is_no_change(tmp_path: Path) -> None:
    assert overlay.read(tmp_path / "nothing.json") == Overlay()


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{", b'{"format": 2, "version": 1, "changes": []}', b'{"format": 1, "changes": []}',
     b'{"format": 1, "version": 1, "changes": [{"id": 1}]}'],
)  # fmt: skip
def test_a_damaged_file_stops_and_does_not_pass_for_empty(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / overlay.NAME
    path.write_bytes(raw)
    with pytest.raises(ConfigError):
        overlay.read(path)


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / overlay.NAME
    overlay.write(path, applied(("bypass", True)))
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        overlay.write(path, applied(("bypass", False)))
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == [overlay.NAME]


def test_a_forgotten_user_is_in_no_change_and_keys_and_all_else_stay() -> None:
    keys = "identity.keys"
    overlay = applied(
        (f"{keys}.bob", {"sha256": "00", "user": "ann"}),
        (f"{keys}.bob", {"sha256": "11", "user": "ann", "agent": "ann"}),
        (f"{keys}.carl.user", "ann"),
        (f"{keys}.dora", {"user": "anna"}),
        ("identity", {"keys": {"eve": {"user": "ann"}}}),
        ("aliases.ann", "ann"),
        ("limits.depth", 64),
    ).undo(1, who="x", at=1.0)
    made = overlay.forget("ann")
    assert made.version == overlay.version + 1 and made.forget("ann") is made
    news = [change.new for change in made.changes]
    assert news == [
        {"sha256": "00", "user": ""}, {"sha256": "11", "user": "", "agent": "ann"}, "", {"user": "anna"},
        {"keys": {"eve": {"user": ""}}}, "ann", 64,
    ]  # fmt: skip
    assert [change.undone_by for change in made.changes] == [change.undone_by for change in overlay.changes]


def test_it_exports_what_the_file_would_say() -> None:
    made = applied(("limits.depth", 9), ('aliases."gpt-4.1".model', "x"), ("bypass", True)).undo(3, who="a", at=9.0)
    assert yaml.safe_load(made.export()) == {"limits": {"depth": 9}, "aliases": {"gpt-4.1": {"model": "x"}}}
    assert Overlay().export() == "{}\n"


def test_where_the_file_names_none_the_export_keeps_what_runs_by_default(tmp_path: Path) -> None:
    made = applied(("plugins.cache.options.ttl_s", 60), ("upstreams.openai.timeouts.connect_s", 3))
    assert yaml.safe_load(made.export())["plugins"] == {"cache": {"options": {"ttl_s": 60}}}
    text = made.export(WHOLE)
    assert text.startswith(
        "# What stands there as {} is so by default, and listed because a file that names any plugins"
    )
    file = tmp_path / "x.yaml"
    file.write_text(text)
    alone = sources.read(file, {}, {}, None).settings
    assert alone == sources.read(None, {}, {}, made).settings
    assert tuple(alone.plugins) == CHAIN and alone.plugins["cache"].options == {"ttl_s": 60}


def test_what_the_file_must_have_named_is_not_spelt_out() -> None:
    own = applied(("plugins.mine.enabled", False), ("upstreams.mine.verify", True))
    whole = applied(("plugins", {"audit": {}}), ("plugins.audit.mode", "shadow"))
    assert own.export(WHOLE) == own.export() and whole.export(WHOLE) == whole.export()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(["a.b", "a.c", "d"]), st.integers()), max_size=8), st.data())
def test_undoing_everything_leaves_nothing(changes: list[tuple[str, int]], data: st.DataObject) -> None:
    made = applied(*changes)
    for number in data.draw(st.permutations([change.id for change in made.changes])):
        made = made.undo(number, who="a", at=1.0)
    assert made.standing() == ()
    assert len(made.changes) == len(changes)


def test_what_may_be_a_secret_is_not_shown() -> None:
    made = applied(("upstreams.a.headers", {"authorization": "Bearer x", "x-team": "env:TEAM"}), ("limits.depth", 9))
    rows = overlay.listed(made.undo(2, who="a", at=9.0))["changes"]
    assert [row["in_effect"] for row in rows] == [False, True] and rows[0]["new"] == 9
    assert rows[1]["new"] == {"authorization": overlay.VEIL, "x-team": "env:TEAM"}
