"""What callers may say of the cache in one call, within what the operator allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.cache.control import Control, control
from plugins.cache.options import CacheOptions
from proxy.errors import Refused

ANY = CacheOptions()


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("", Control()),
        ("no-cache", Control(fresh=True)),
        ("No-Store", Control(unkept=True)),
        ("no-cache, no-store", Control(fresh=True, unkept=True)),
        ("ttl=60", Control(ttl_s=60.0)),
        (" ttl=0 ,no-cache", Control(fresh=True, ttl_s=0.0)),
        ("ttl=999999", Control(ttl_s=86_400.0)),
        ("max-age=3", Control(ignored="not understood")),
        ("no-cache=1", Control(fresh=True)),
        ("no-store=1", Control(unkept=True)),
        ("no-store=false", Control(unkept=True)),
        ('No-Cache="set-cookie"', Control(fresh=True)),
        ("no-store = true, ttl = 60", Control(unkept=True, ttl_s=60.0)),
        ("no-store; no-cache", Control(fresh=True, unkept=True)),
        ("no_store", Control(unkept=True)),
        ("only-if-kept, ttl=60", Control(ttl_s=60.0)),
        ("nostore", Control(ignored="not understood")),
        *[
            (f"ttl={wrong}", Control(ignored="not understood"))
            for wrong in ("", "-1", "1.5", "x", "²", "9" * 10, "1e3")
        ],
    ],
)
def test_words_are_heard_one_by_one(said: str, wanted: Control) -> None:
    assert control(said, ANY) == wanted


def test_what_the_operator_does_not_allow_is_not_heard() -> None:
    strict = CacheOptions(callers=("no-cache",), most_ttl_s=10)
    assert control("no-store", strict) == Control(ignored="not allowed")
    assert control("no-store=1", strict) == Control(ignored="not allowed")
    assert control("ttl=5, no-cache", strict) == Control(fresh=True, ignored="not allowed")
    assert control("no-cache, ttl=5", CacheOptions(callers=())) == Control(ignored="not allowed")


@given(st.text(max_size=60))
def test_nothing_that_is_said_breaks_it(said: str) -> None:
    found = control(said, ANY)
    assert found.ttl_s is None or 0 <= found.ttl_s <= ANY.most_ttl_s


@pytest.mark.parametrize(
    ("name", "value"),
    [("ttl_s", -1.0), ("ttl_s", 4e7), ("retry_s", -0.1), ("memory_bytes", 10), ("entry_bytes", 0), ("sqlite_bytes", 1)],
)
def test_wrong_options_are_told(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        CacheOptions(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("said", ["no-store, only-if-kept", "only-if-kept, ttl=0"])
def test_who_wants_what_is_kept_and_nothing_kept_is_told_so(said: str) -> None:
    with pytest.raises(Refused, match="No answer to this call can be kept"):
        control(said, CacheOptions())
