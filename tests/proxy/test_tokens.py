"""Tokens: equal to tiktoken, without network, in bounded slices."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken.model import MODEL_PREFIX_TO_ENCODING, MODEL_TO_ENCODING
from tiktoken_ext import openai_public  # type: ignore[import-untyped]

from proxy import tokens as subject
from proxy.tokens import CL100K, O200K, Counts, Table, Tokens, read_ranks, slices, table_of

CORPUS = [
    "",
    " ",
    "Hello, world!",
    "What's up? They'll say it's DON'T or I'VE.",
    "   leading and trailing   \n\n\t  ",
    '{"a": [1, 2, 3.14159], "b": {"c": "d\\u00e9"}}',
    "def f(x):\n    return x ** 2  # square\n\n\nclass A:\n\tpass\r\n",
    "漢字とかな交じり文。你好，世界！ 안녕하세요",
    "Привет, мир! Γειά σου Κόσμε. مرحبا بالعالم हिन्दी",
    "👩‍👩‍👧‍👦 emoji 🏳️‍🌈 and é combining e\u0301",
    "<|endoftext|> and <|im_start|>system<|endofprompt|>",
    "1234567890 12,345.67 0x1F 1e-9",
    "a" * 3000,
    "\ud83d lone surrogate",
    "https://example.org/a/b?c=d&e=f#g //\n/// path/to/file",
    "nul \x00 and bell \x07",
]
JOINTS = [
    "word",
    "Word's",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "12345",
    ".",
    "'",
    "’",
    "/",
    "{",
    '"',
    "。",
    "é",
    "e\u0301",
    "漢",
    "_",
    "²",
]


@pytest.fixture(scope="module")
def counter() -> Tokens:
    tokens = Tokens()
    tokens.load("gpt-4o")
    tokens.load("gpt-4")
    return tokens


@pytest.fixture(scope="module")
def reference() -> dict[str, tiktoken.Encoding]:
    """Built from tiktoken's own definitions over the shipped ranks, so that a drifted pattern is found."""
    made = {}
    for table in (O200K, CL100K):
        ranks = read_ranks(table)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(openai_public, "load_tiktoken_bpe", lambda url, expected_hash, ranks=ranks: ranks)
            made[table.name] = tiktoken.Encoding(**openai_public.ENCODING_CONSTRUCTORS[table.name]())
    return made


@pytest.mark.parametrize("table", [O200K, CL100K], ids=lambda table: table.name)
def test_a_table_says_what_tiktoken_says(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def no_ranks(url: str, expected_hash: str) -> dict[bytes, int]:
        asked.append(expected_hash)
        return {}

    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", no_ranks)
    known = openai_public.ENCODING_CONSTRUCTORS[table.name]()
    assert known["pat_str"] == table.pattern
    assert known["special_tokens"] == dict(table.special)
    assert asked == [table.sha256]


@pytest.mark.parametrize(("model", "name"), [("gpt-4o-mini", "o200k_base"), ("gpt-4-turbo", "cl100k_base")])
def test_counts_equal_tiktoken(counter: Tokens, reference: dict[str, tiktoken.Encoding], model: str, name: str) -> None:
    for text in CORPUS:
        assert counter.count(text, model) == len(reference[name].encode(text, disallowed_special=())), text[:40]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(JOINTS) | st.text(max_size=4), max_size=60).map("".join))
def test_slices_add_up_to_the_whole(counter: Tokens, reference: dict[str, tiktoken.Encoding], text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "SLICE_CHARS", 3)
        pieces = list(slices(text))
    assert "".join(pieces) == text
    for encoding in reference.values():
        assert sum(len(encoding.encode_ordinary(piece)) for piece in pieces) == len(encoding.encode_ordinary(text))


def test_no_slice_is_longer_than_the_bound() -> None:
    for text in ("a" * 300_000, " " * 1_000_000, "word and word, " * 20_000, "漢" * 100_000):
        pieces = list(slices(text))
        assert max(map(len, pieces)) <= subject.FORCE_CHARS
        assert "".join(pieces) == text


def test_a_million_spaces_do_not_break_the_tokenizer(counter: Tokens) -> None:
    assert counter.count(" " * 1_000_000, "gpt-4o") == pytest.approx(1_000_000 / 128, rel=0.02)


def test_models_go_to_the_table_tiktoken_gives_them() -> None:
    table = MODEL_TO_ENCODING | {f"{prefix}x": name for prefix, name in MODEL_PREFIX_TO_ENCODING.items()}
    for model, name in table.items():
        if name in ("o200k_base", "cl100k_base", "o200k_harmony"):
            found, exact = table_of(model)
            assert (found.name, exact) == (name.replace("harmony", "base"), True), model
        else:
            assert table_of(model)[1] is False, model


@pytest.mark.parametrize(
    "model", ["claude-sonnet-4-5", "llama-3.3-70b", "gemini-2.5-pro", "mistral-large", "qwen3", ""]
)
def test_other_families_are_estimates(counter: Tokens, model: str) -> None:
    assert not counter.exact(model)
    assert counter.count("An estimate is better than nothing.", model) == 7


def test_a_provider_prefix_and_a_tuned_model_keep_their_family(counter: Tokens) -> None:
    assert counter.exact("openai/gpt-4o-mini")
    assert table_of("ft:gpt-3.5-turbo:org:name:id") == (CL100K, True)


def test_a_count_is_remembered_and_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "REMEMBERED", 3)
    monkeypatch.setattr(subject, "build", lambda table: _Letters())
    counts = Counts(O200K)
    assert [counts.count(text) for text in ("a", "bb", "a", "ccc", "dddd", "a")] == [1, 2, 1, 3, 4, 1]
    assert len(counts._known) == 3
    assert counts._known[counts.key("dddd")] == 4


def test_two_processes_hash_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "build", lambda table: _Letters())
    assert Counts(O200K).key("text") != Counts(O200K).key("text")


def test_a_damaged_table_is_refused() -> None:
    with pytest.raises(RuntimeError, match="damaged"):
        read_ranks(Table("o200k_base", "0" * 64, "", ()))


def test_nothing_is_loaded_before_it_is_needed() -> None:
    code = "import sys; from proxy.tokens import Tokens; Tokens().exact('gpt-4o'); sys.exit('tiktoken' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_network_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert Tokens().count("No network here.", "gpt-4") == 4


class _Letters:
    """Stands in for an encoding: one token per character."""

    def encode_ordinary(self, text: str) -> list[int]:
        return list(map(ord, text))

    def decode(self, tokens: list[int]) -> str:
        return "".join(map(chr, tokens))
