"""`weir scan cache`: whether two texts would share an answer, how near they are, and why."""

from __future__ import annotations

import orjson
import pytest

from plugins.cache.options import CacheOptions
from plugins.cache.plugin import Cache
from plugins.cache.semantic import semantic
from proxy.scanning import BadRow, scan
from tests import kit


def test_a_row_of_two_texts_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic, "installed", lambda: False)
    rows = [
        b'{"a": "How do I pay?", "b": "how can I pay please", "id": 7}',
        b'{"a": "How do I pay?", "b": "When do I pay?"}',
        b'{"a": "Is my street closed?", "b": "Is my road closed?"}',
    ]
    same, other, doubtful = map(orjson.loads, scan(Cache(kit.kit()), CacheOptions(), rows))
    assert (same["hit"], same["similarity"], same["embedder"], same["id"]) == (True, 1.0, "none", 7)
    assert (other["hit"], other["reason"]) == (False, "words")
    assert (doubtful["hit"], doubtful["reason"]) == (False, "synonym")
    assert 0 < doubtful["similarity"] < 1


def test_a_row_without_both_is_told() -> None:
    with pytest.raises(BadRow, match="line 1 has no `b`"):
        list(scan(Cache(kit.kit()), CacheOptions(), [b'{"a": "text"}']))
    with pytest.raises(BadRow, match=r'"b": '):
        list(scan(Cache(kit.kit()), CacheOptions(), [b"[]"]))
