"""What does not come back: the same for the same value in every call, by Presidio's operators."""

from __future__ import annotations

import pytest
from presidio_anonymizer.operators import AESCipher

from plugins.pii.operators import Operators, normal
from proxy.derived import derived

SECRET = derived(b"s" * 32)


@pytest.fixture
def operators() -> Operators:
    made = Operators(SECRET)
    made.start()
    return made


@pytest.mark.parametrize("type_", ["SSN", "CREDIT_CARD", "EMAIL", "PHONE"])
def test_redacting_leaves_the_type(operators: Operators, type_: str) -> None:
    assert operators.apply("redact", type_, "x", "t") == f"[{type_}_REDACTED]"


def test_a_mask_shows_the_end_of_what_is_long(operators: Operators) -> None:
    assert operators.apply("mask", "CREDIT_CARD", "4111-1111-1111-1111", "t") == "*" * 15 + "1111"
    assert operators.apply("mask", "IP", "1.2.3.4", "t") == "*" * 7


def test_a_hash_is_the_same_for_two_spellings_and_another_for_each_tenant_and_type(operators: Operators) -> None:
    def hashed(value: str, type_: str = "EMAIL", tenant: str = "t") -> str:
        return operators.apply("hash", type_, value, tenant)

    assert hashed("Ann@B.io") == hashed("ann@b.io") != hashed("bob@b.io")
    assert hashed("ann@b.io", tenant="u") != hashed("ann@b.io")
    assert hashed("(415) 555-2671", "PHONE") == hashed("415.555.2671", "PHONE") != hashed("415.555.2671", "SSN")
    assert normal("CRYPTO", "aB") == "aB"


@pytest.mark.parametrize("value", ["ann@b.io", "日本", "", "x" * 500])
def test_what_is_encrypted_is_read_with_the_key_and_the_same_each_time(operators: Operators, value: str) -> None:
    told = operators.apply("encrypt", "EMAIL", value, "t")
    again = Operators(SECRET)
    again.start()
    assert told == again.apply("encrypt", "EMAIL", value, "t") != operators.apply("encrypt", "EMAIL", value, "u")
    token = told.removeprefix("[EMAIL:").removesuffix("]")
    assert operators.decrypt(token) == value == AESCipher.decrypt(SECRET("pii encrypt"), token)


def test_halves_of_characters_do_not_stop_them(operators: Operators) -> None:
    for operator in ("redact", "mask", "hash", "encrypt"):
        assert "\ud83d" not in operators.apply(operator, "EMAIL", "x\ud83d@b.io", "t")


def test_nobody_sees_the_key(operators: Operators) -> None:
    assert SECRET("pii encrypt").hex() not in repr(operators) + str(operators)
