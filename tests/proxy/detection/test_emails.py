from __future__ import annotations

import pytest

from proxy.detection.finder import Finder

FINDER = Finder(frozenset({"EMAIL"}))


def found(text: str) -> list[str]:
    return [text[span.start : span.end] for span in FINDER.find(text)]


@pytest.mark.parametrize(
    "address",
    [
        "ann@example.org",
        "ann.lee+news@mail.example.co.uk",
        "o'neil@example.ie",
        "ANN@EXAMPLE.ORG",
        "x@y.io",
        "max.müller@firma.de",
        "anaïs@correo.españa.es",
        "田中@例え.jp",
        "eva@xn--bcher-kva.example",
        "jo@xn--s6g4ck-vqt.xn--p1ai",
        "jason.606%c09@example.org",
        "ann at example dot com",
        "ann at mail.example dot co",
        "ann [at] example [dot] org",
        "ann(at)example(dot)org",
        "ann (at) example.org",
        "ann[@]example.de",
        "ann.lee AT example DOT com",
        "o'neil (at) example.org",
    ],
)
@pytest.mark.parametrize(
    ("before", "behind"), [("", ""), ("Mail: ", "."), ("<", ">"), ('"', '",'), ("(", ")"), ("cc:", ";")]
)
def test_an_address_is_found_whole(address: str, before: str, behind: str) -> None:
    assert found(before + address + behind) == [address]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("メールはann31@proton.meです。", "ann31@proton.me"),
        ("邮箱a@b.co电话", "a@b.co"),
        ("mailto:ann@example.org?subject=x", "ann@example.org"),
        ("https://example.org/?to=ann@example.com&x=1", "ann@example.com"),
        ("メールはann at hotmail dot frです", "ann at hotmail dot fr"),
    ],
)
def test_what_touches_an_address_is_not_of_it(text: str, address: str) -> None:
    assert found(text) == [address]


@pytest.mark.parametrize(
    "text",
    [
        "a @ b",
        "@app.route",
        "@types/node@18.11.9",
        "icon@2x.png",
        "https://ghp_token@github.com/acme/app.git",
        "postgres://app:secret@db.internal:5432/prod",
        "git@github.com:acme/app.git",
        "root@localhost",
        "look at this dot product",
        "meet at noon at the dot in the map",
        "a@",
        "@",
        "x at y",
    ],
)
def test_what_is_no_address_stays(text: str) -> None:
    assert found(text) == []
