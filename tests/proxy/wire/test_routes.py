"""Which paths a codec reads."""

from __future__ import annotations

import pytest

from proxy import wire
from proxy.errors import MalformedBody
from proxy.exchange import Dialect


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/chat/completions", "chat"),
        ("/v1/responses", "responses"),
        ("/v1/completions", "completions"),
        ("/v1/embeddings", "embeddings"),
        ("/v1/messages", "messages"),
        ("/v1/messages/count_tokens", None),
        ("/v1/chat/completions/", None),
        ("/v1/chat/../chat/completions", None),
        ("/v1/chat%2Fcompletions", None),
        ("/V1/chat/completions", None),
        ("/v1/models", None),
        ("", None),
    ],
)
def test_only_exact_paths_have_a_dialect(path: str, dialect: str | None) -> None:
    assert wire.route(path) == dialect


@pytest.mark.parametrize("dialect", ["chat", "completions", "embeddings"])
def test_a_codec_knows_its_dialect_and_its_depth(dialect: Dialect) -> None:
    assert wire.codec(dialect).dialect == dialect
    with pytest.raises(MalformedBody):
        wire.codec(dialect, depth=1).read(b'{"model":"m","input":["x"],"prompt":["x"],"messages":[]}')
