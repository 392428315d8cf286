"""What looks like a secret, and what like a name, a path, an expression."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.detection import secretchecks


@given(st.text(min_size=1, max_size=400))
def test_entropy_is_that_of_the_signs(text: str) -> None:
    shares = [text.count(sign) / len(text) for sign in set(text)]
    assert secretchecks.entropy(text) == pytest.approx(-sum(share * math.log2(share) for share in shares), abs=1e-9)


def test_nothing_has_no_entropy() -> None:
    assert secretchecks.entropy("") == 0.0


@pytest.mark.parametrize(
    ("secret", "is_one"),
    [
        ("a8Fk2Lq9Zx3Vb7Nm", True),
        ("s.ZC9Ecf4M5g9o34Q6", True),
        ("3012a5754bbd7169", True),
        ("my_secret_name2", False),
        ("settings.secret2.value", False),
        ("lib/secret/key1.pem", False),
        ("v1.2.3-rc1", False),
        ("alllettersnodigits", False),
        ("0123456789abc", False),
        ("https://a1b2c3.d4", False),
        ("jjwt-jackson-0.11.2", False),
    ],
)
def test_a_token_looks_drawn_by_lot(secret: str, is_one: bool) -> None:
    assert secretchecks.token(secret) is is_one


@pytest.mark.parametrize(
    ("secret", "is_one"),
    [
        ("Summer2024!", True),
        ("hunter22", True),
        ("Pa$$w0rd", True),
        ("nHJJpgfDjbPTNq", True),
        ("password", False),
        ("getpass()", False),
        ("${SECRET}", False),
        ("os.environ.PW", False),
        ("user_name", False),
        ("required.", False),
        ("str(value1", False),
    ],
)
def test_a_password_has_two_kinds_of_signs_and_is_no_expression(secret: str, is_one: bool) -> None:
    assert secretchecks.password(secret) is is_one


def test_base64_of_a_name_and_a_word_is_basic() -> None:
    assert secretchecks.basic("YWRhOnNlY3JldA==")
    assert not secretchecks.basic("understanding")
    assert not secretchecks.basic("bm90aGluZw==")


def test_user_and_password_are_divided_by_a_colon() -> None:
    assert secretchecks.userpass('"ada":"Xy7-pqR2"')
    assert secretchecks.userpass(":d2LkV78zLx")
    assert not secretchecks.userpass("user:password")
    assert not secretchecks.userpass("ada")
    assert not secretchecks.userpass("ada:$PASSWORD1")


def test_a_block_without_a_key_is_none() -> None:
    assert not secretchecks.key("-----BEGIN PRIVATE KEY-----\nanything\n-----END PRIVATE KEY-----")
