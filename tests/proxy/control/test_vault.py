from __future__ import annotations

from proxy.control.vault import Vault


def test_what_is_locked_comes_back_for_its_call_and_key_only() -> None:
    content = {"mode": "full", "input": [{"text": "a secret"}]}
    kept = Vault("key one").lock(content, "call-1")
    assert "secret" not in str(kept)
    assert Vault("key one").unlock(kept, "call-1") == content
    assert Vault("key one").unlock(kept, "call-2") is None
    assert Vault("key two").unlock(kept, "call-1") is None
    assert Vault("key one").unlock({"data": "!"}, "call-1") is None
