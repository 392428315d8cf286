"""Keys for single purposes."""

from proxy.derived import derived


def test_a_key_is_the_same_for_a_purpose_and_another_for_each_other_purpose_and_secret() -> None:
    of, other = derived(b"s" * 32), derived(b"t" * 32)
    assert of("pii") == derived(b"s" * 32)("pii")
    assert len({of("pii"), of("limits"), other("pii")}) == 3
    assert len(of("pii")) == 32
