"""Token counts by tiktoken, from tables that are shipped: nothing is downloaded, ever.

A table is loaded at first use (about 0.3 s, 50 MB for o200k_base and 30 MB for cl100k_base; the last 0.06 s hold the
interpreter, in a thread too), so a worker that needs counts had better call `load` before it is ready. tiktoken's own
dictionary of ranks is dropped afterwards: counting does not need it. Counts are remembered per text, because agents
send the whole conversation again on each turn.
"""

from __future__ import annotations

import binascii
import gzip
import hashlib
import io
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from importlib.resources import files
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING, Any, cast

import xxhash

from proxy.trim import trim

if TYPE_CHECKING:
    from tiktoken._tiktoken import CoreBPE  # type: ignore[import-not-found]

SLICE_CHARS = 16_384
"""One call of the tokenizer takes about this much: 0.3 to 4 ms."""
FORCE_CHARS = 65_536
"""Without a safe place to cut, this many characters are cut by force; far more overflow the tokenizer's stack."""
REMEMBERED = 16_384
"""Texts whose counts are kept, per encoding (about 2 MB); the oldest goes first."""
BREATH_TOKENS = 2000
"""Others may run after so many tokens of a table that is being loaded: about 1 ms."""
# Between a letter or digit and one of these, both patterns always end a piece: a word takes no such character
# behind it (the apostrophe would be a contraction), a number neither, and what follows is matched from there on.
_CUT = re.compile(r"[^\W_](?=[\s!-&(-/:-@\[-`{-~。，、！？；：」』）])")


@dataclass(frozen=True, slots=True)
class Table:
    """A published encoding: what tiktoken itself knows about it."""

    name: str
    sha256: str
    pattern: str
    special: tuple[tuple[str, int], ...]


O200K = Table(
    "o200k_base",
    "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    (("<|endoftext|>", 199999), ("<|endofprompt|>", 200018)),
)
CL100K = Table(
    "cl100k_base",
    "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
    r"|\s+(?!\S)|\s",
    (
        ("<|endoftext|>", 100257),
        ("<|fim_prefix|>", 100258),
        ("<|fim_middle|>", 100259),
        ("<|fim_suffix|>", 100260),
        ("<|endofprompt|>", 100276),
    ),
)

# Longest prefix first. gpt-oss uses o200k_harmony: the same ranks with more special tokens, so counts are equal.
_FAMILIES: tuple[tuple[str, Table], ...] = (
    ("text-embedding-ada-002", CL100K),
    ("text-embedding-3-", CL100K),
    ("gpt-3.5", CL100K),
    ("gpt-35-", CL100K),
    ("davinci-002", CL100K),
    ("babbage-002", CL100K),
    ("chatgpt-4o", O200K),
    ("gpt-4o", O200K),
    ("gpt-4.1", O200K),
    ("gpt-4.5", O200K),
    ("gpt-5", O200K),
    ("gpt-oss", O200K),
    ("gpt-4", CL100K),
    ("o1", O200K),
    ("o3", O200K),
    ("o4-mini", O200K),
)


def table_of(model: str) -> tuple[Table, bool]:
    """The table for a model, and whether it is the model's own. Families whose tokenizer is not published (Claude,
    Gemini) or not shipped (Llama, Mistral, Qwen) are estimated with o200k_base, without a correction: no source gives
    one that holds."""
    name = model.rpartition("/")[2].lower().removeprefix("ft:")
    for prefix, table in _FAMILIES:
        if name.startswith(prefix):
            return table, True
    return O200K, False


def slices(text: str) -> Iterator[str]:
    """Pieces of a long text whose counts add up to the count of the whole: cut only where no token can lie across.
    A run of `FORCE_CHARS` without such a place is cut by force (that may add a token or two per cut)."""
    start = 0
    while len(text) - start > SLICE_CHARS:
        found = _CUT.search(text, start + SLICE_CHARS, start + FORCE_CHARS)
        end = found.end() if found else min(start + FORCE_CHARS, len(text))
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]


class Breath(Sequence[int]):
    """A token that, read by tiktoken's constructor, lets other threads run first. Without a few of these among its
    tokens the constructor would hold the interpreter from the first to the last."""

    __slots__ = ("_token",)

    def __init__(self, token: bytes) -> None:
        self._token = token

    def __len__(self) -> int:
        return len(self._token)

    def __getitem__(self, at: Any) -> Any:
        return self._token[at]

    def __iter__(self) -> Iterator[int]:
        time.sleep(0)
        return iter(self._token)


def read_ranks(table: Table) -> dict[bytes, int]:
    """The shipped table, verified."""
    packed = files("proxy").joinpath("tables", f"{table.name}.tiktoken.gz").read_bytes()
    raw = gzip.decompress(packed)
    if hashlib.sha256(raw).hexdigest() != table.sha256:
        raise RuntimeError(f"the token table {table.name} is damaged: its SHA-256 is not the published one")
    ranks: dict[bytes, int] = {}
    for line in io.BytesIO(raw):
        token, _, rank = line.partition(b" ")
        ranks[binascii.a2b_base64(token)] = int(rank)
    return ranks


def with_breaths(ranks: dict[bytes, int]) -> dict[Any, int]:
    return {token if rank % BREATH_TOKENS else Breath(token): rank for token, rank in ranks.items()}


@cache
def core() -> type[CoreBPE]:
    """tiktoken's compiled part. What is around it (a second engine of patterns, and the means to fetch tables) is of no
    use here, and takes 4 MB. Heavy too, and a worker that never counts does not need it."""
    package = find_spec("tiktoken")
    places = package.submodule_search_locations if package is not None else None
    spec = PathFinder.find_spec("_tiktoken", places)
    if spec is None or spec.loader is None:
        raise ImportError("tiktoken is not installed")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast("type[CoreBPE]", module.CoreBPE)


class Tokenizer:
    """One encoding. It keeps a copy of the ranks of its own; what they were read into is thrown away."""

    def __init__(self, table: Table) -> None:
        made = core()(with_breaths(read_ranks(table)), dict(table.special), table.pattern)
        self._encode: Callable[[str], list[int]] = made.encode_ordinary
        self._decode: Callable[[list[int]], bytes] = made.decode_bytes

    def encode_ordinary(self, text: str) -> list[int]:
        """Special tokens in the text are the ordinary text they are."""
        try:
            return self._encode(text)
        except UnicodeEncodeError:  # halves of characters: pairs of them are joined, others replaced
            return self._encode(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))

    def decode(self, tokens: list[int]) -> str:
        return self._decode(tokens).decode("utf-8", "replace")


build = Tokenizer


class Counts:
    """One loaded encoding and the counts it remembers."""

    def __init__(self, table: Table) -> None:
        made = build(table)
        self._encode, self._decode = made.encode_ordinary, made.decode
        self._seed = secrets.randbits(64)  # colliding texts can be constructed only for a seed that is known
        self._known: dict[int, int] = {}
        self._lock = threading.Lock()

    def key(self, text: str) -> int:
        return xxhash.xxh3_128_intdigest(text.encode("utf-8", "surrogatepass"), self._seed)

    def remember(self, key: int, count: int) -> None:
        with self._lock:
            if len(self._known) >= REMEMBERED and key not in self._known:
                del self._known[next(iter(self._known))]
            self._known[key] = count

    def measure(self, text: str) -> int:
        """Special tokens in the text count as the ordinary text they are."""
        return len(self._encode(text))

    def text(self, tokens: list[int]) -> str | None:
        """None where one of them is no token of this table."""
        try:
            return self._decode(tokens)
        except (KeyError, OverflowError, TypeError):
            return None

    def count(self, text: str) -> int:
        key = self.key(text)
        known = self._known.get(key)
        if known is None:
            known = sum(map(self.measure, slices(text)))
            self.remember(key, known)
        return known


class Tokens:
    """Implements `ports.Tokens`. Safe from threads: the tokenizer lets the interpreter go while it works."""

    def __init__(self) -> None:
        self._loaded: dict[str, Counts] = {}
        self._lock = threading.Lock()

    def load(self, model: str) -> None:
        """Loads the model's table now. Blocks for about 0.3 s the first time; give it to a thread or call it early."""
        self._counts(model)

    def loaded(self, model: str) -> bool:
        return table_of(model)[0].name in self._loaded

    def exact(self, model: str) -> bool:
        return table_of(model)[1]

    def count(self, text: str, model: str) -> int:
        return self._counts(model).count(text) if text else 0

    def decode(self, tokens: list[int], model: str) -> str | None:
        """The text that a caller sent as tokens; None where the model's table is not known or does not hold them."""
        return self._counts(model).text(tokens) if self.exact(model) else None

    def _counts(self, model: str) -> Counts:
        table = table_of(model)[0]
        counts = self._loaded.get(table.name)
        if counts is not None:
            return counts
        with self._lock:
            if table.name not in self._loaded:
                self._loaded[table.name] = Counts(table)
                trim()
            return self._loaded[table.name]
