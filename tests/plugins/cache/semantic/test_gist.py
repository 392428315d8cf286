"""The gist of a text: what it asks for, however it asks; and texts near each other that have another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.quality.pairs import pairs
from plugins.cache.semantic import gist
from plugins.cache.semantic.agree import agree
from plugins.cache.semantic.lexicon import packaged
from plugins.cache.semantic.reading import read

LEXICON = packaged()


def same(a: str, b: str) -> bool:
    return agree(read(a, LEXICON), read(b, LEXICON), LEXICON).answer == "same"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("How do I delete my account permanently?", "please tell me how to permanently delete my account"),
        ("Adding a user to my team - how does that work?", "How can I add a user to my team?"),
        ("What are the symptoms of the flu?", "flu symptoms"),
        ("What is dependency injection?", "Can you explain dependency injection to me?"),
        ("By whom was the Mona Lisa painted?", "Who painted the Mona Lisa?"),
        ("What is the difference between cats and dogs?", "dogs vs cats"),
        ("How do I reverse a list in Python?", "python reverse a list"),
        ("Give me five ideas for a birthday party", "List 5 birthday party ideas"),
        ("Tell me a joke about cats", "tell me a cat joke"),
        ("How far is the moon from the earth?", "What's the distance between the earth and the moon?"),
        ("How should potatoes be stored?", "What's the best way to store potatoes?"),
        ("My tap is leaking. How can I fix it?", "How do I fix a leaking tap?"),
        ("How many kilometers are in 10 miles?", "Convert 10 miles to km"),
        ("Remind me tomorrow at 5pm", "Set a reminder for 5 pm tomorrow"),
    ],
)
def test_who_asks_in_another_way_asks_the_same(a: str, b: str) -> None:
    assert same(a, b)
    assert same(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("What is the password for the guest network?", "What is the guest password for the network?"),
        ("Photos of Anna", "Photos for Anna"),
        ("Where is my package?", "Where are my packages?"),
        ("Write a poem about love", "How do I write a poem about love?"),
        ("Can my landlord evict me?", "Can I evict my landlord?"),
        ("In what year did Mozart die?", "On what date did Mozart die?"),
        ("How many days does shipping take?", "How many weeks does shipping take?"),
        ("Is my data encrypted at rest?", "Is your data encrypted at rest?"),
        ("Meeting on Monday at 5 pm", "Meeting on Monday by 5 pm"),
        ("man bites dog", "dog bites man"),
        ("Translate big into French", "Translate large into French"),
    ],
)
def test_one_word_elsewhere_asks_something_else(a: str, b: str) -> None:
    assert not same(a, b)
    assert not same(b, a)


def test_what_hangs_on_a_direction_may_stand_anywhere_and_no_other_way_round() -> None:
    first, turned, other = (
        read(text, LEXICON).gist
        for text in ("Trains from Paris to Lyon", "Trains to Lyon from Paris", "Trains from Lyon to Paris")
    )
    assert first.whole == turned.whole != other.whole


def test_words_that_may_well_mean_the_same_leave_it_to_an_embedder() -> None:
    one, other, far = (
        read(text, LEXICON).gist
        for text in ("How do I conceal a tattoo?", "How do I hide a tattoo?", "How do I remove a tattoo?")
    )
    assert gist.close(one, other)
    assert not gist.close(one, far)
    assert not gist.same(one, other)


def test_no_trap_of_those_written_by_hand_is_taken() -> None:
    traps = [
        pair for pair in pairs() if not pair.same and pair.source in ("second", "development", "last", "closing", "fow")
    ]
    assert len(traps) > 400
    assert [pair for pair in traps if same(pair.a, pair.b)] == []


def test_more_than_half_of_what_was_read_while_the_rules_were_made_is_found() -> None:
    true = [pair for pair in pairs() if pair.same and pair.source in ("second", "development")]
    assert sum(same(pair.a, pair.b) for pair in true) >= 0.6 * len(true)


ASKED = (
    "How do I reset my password?", "What is the capital of Australia?", "Can I pay with PayPal?", "flu symptoms",
    "Write a poem about autumn", "How long does a refund take?", "Wo finde ich meine Rechnungen?",
)  # fmt: skip


@pytest.mark.parametrize(
    "said",
    ["only", "always", "never", "in Germany", "tomorrow", "for children", "offline", "again", "all", "not",
     "on weekends",
     "without a licence", "before noon", "two", "by email", "for free", "until Monday", "as a student", "if it rains"],
)  # fmt: skip
def test_a_restriction_makes_it_another_question(said: str) -> None:
    for text in ASKED:
        whole = text.rstrip("?")
        assert not same(text, f"{whole} {said}?")
        first, _, rest = whole.partition(" ")
        assert not same(text, f"{first} {said} {rest}?")


@given(st.text(alphabet="abdehinorstw '?.,#2-", max_size=60), st.text(alphabet="abdehinorstw '?.,#2-", max_size=60))
def test_two_gists_agree_both_ways(a: str, b: str) -> None:
    one, other = read(a, LEXICON).gist, read(b, LEXICON).gist
    assert gist.same(one, other) == gist.same(other, one)
    assert gist.close(one, other) == gist.close(other, one)
    assert gist.conflict(one, other) == gist.conflict(other, one)
