from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import BadEncoding, MalformedBody, TooLarge, WeirError
from proxy.server.encodings import codings, inflate

CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}
LIMIT = 1 << 20


def taken_off(name: str, body: bytes, limit: int = LIMIT) -> bytes:
    return inflate([("Content-Encoding", name)], body, limit)


@pytest.mark.parametrize("name", CODERS)
@settings(max_examples=25, deadline=None, database=None)
@given(plain=st.binary(max_size=2000).flatmap(lambda seed: st.sampled_from([seed, seed * 50])))
def test_what_was_coded_comes_back(name: str, plain: bytes) -> None:
    assert taken_off(name, CODERS[name](plain)) == plain


def test_a_body_without_coding_is_the_very_same_object() -> None:
    body = b"{}" * 100
    assert inflate([("Content-Type", "application/json")], body, 10) is body
    assert inflate([("content-encoding", "identity")], body, 10) is body


@pytest.mark.parametrize("name", CODERS)
def test_the_limit_is_exact(name: str) -> None:
    assert len(taken_off(name, CODERS[name](b"a" * 1000), 1000)) == 1000
    with pytest.raises(TooLarge):
        taken_off(name, CODERS[name](b"a" * 1001), 1000)


@pytest.mark.parametrize("name", CODERS)
def test_a_bomb_is_refused_without_being_unpacked(name: str) -> None:
    bomb = CODERS[name](bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            taken_off(name, bomb)
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", CODERS)
def test_anything_but_one_whole_frame_is_refused(name: str) -> None:
    """Decoders differ in what they make of the rest: the guards must not read other than the provider."""
    coded = CODERS[name](b"hello" * 100)
    for broken in (coded + b"x", coded + b"\0", coded + coded, coded[:-1], b"", b"hello", b"\x1f\x8b" + coded):
        with pytest.raises(MalformedBody):
            taken_off(name, broken)


def test_skippable_zstd_frames_are_refused() -> None:
    with pytest.raises(MalformedBody):
        taken_off("zstd", b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstandard.compress(b"x"))


def test_raw_deflate_is_read_too() -> None:
    coder = zlib.compressobj(wbits=-15)
    assert taken_off("deflate", coder.compress(b"hi") + coder.flush()) == b"hi"


def test_codings_are_taken_off_in_reverse() -> None:
    body = brotli.compress(gzip.compress(b"hello"))
    assert taken_off("gzip, br", body) == b"hello"
    assert inflate([("Content-Encoding", "gzip"), ("content-encoding", "BR")], body, LIMIT) == b"hello"


@pytest.mark.parametrize("name", ["lzma", "gzip, lzma", "gzip, gzip, gzip", "gzip;q=1", "*"])
def test_unknown_codings_are_refused_unread(name: str) -> None:
    with pytest.raises(BadEncoding) as caught:
        taken_off(name, b"x")
    assert caught.value.status == 415


@settings(max_examples=200, deadline=None, database=None)
@given(name=st.sampled_from(sorted(CODERS)), body=st.binary(max_size=200))
def test_garbage_is_an_error_of_the_caller_and_nothing_else(name: str, body: bytes) -> None:
    try:
        taken_off(name, body)
    except WeirError as error:
        assert error.status in (400, 413)


def test_names_are_read_as_a_list() -> None:
    assert codings([("Content-Encoding", " GZIP ,, identity"), ("X", "br")]) == ["gzip"]
