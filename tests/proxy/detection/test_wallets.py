from __future__ import annotations

import pytest

from proxy.detection.finder import Finder

FINDER = Finder(frozenset({"CRYPTO"}))


def found(text: str) -> list[str]:
    return [text[span.start : span.end] for span in FINDER.find(text)]


@pytest.mark.parametrize(
    "address",
    [
        "0xf3b999c025e42cca282515b2de2dfac519a06aea",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
        "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
        "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
        "BC1QAR0SRRR7XFKVY5L643LYDNW9RE59GTZZWF5MDQ",
    ],
)
def test_an_address_is_found_whole(address: str) -> None:
    assert found(address) == [address]
    assert found(f'{{"to":"{address}"}}') == [address]


@pytest.mark.parametrize(
    "text",
    [
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
        "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdx",
        "0x" + "0" * 40,
        "0xf3b999c025e42cca282515b2de2dfac519a06aea00",
        "8f953371d3e85eddb89b05ed6b9e680791055315c73e1025ab5dba7bb2aee189",
    ],
)
def test_what_has_a_wrong_checksum_stays(text: str) -> None:
    assert found(text) == []
