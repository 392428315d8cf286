"""The second stage: what asks the same, and every way of asking something else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.quality.pairs import pairs
from plugins.cache.semantic.agree import Verdict, agree
from plugins.cache.semantic.lexicon import packaged
from plugins.cache.semantic.reading import read


def verdict(a: str, b: str) -> Verdict:
    lexicon = packaged()
    return agree(read(a, lexicon), read(b, lexicon), lexicon)


SAME = (
    ("How do I reset my password?", "HOW DO I RESET MY PASSWORD"),
    ("How do I reset my password?", "how can I reset my pasword please?"),
    ("How do I reset my password?", "Hi, could you tell me how to reset my password? Thanks!"),
    ("What is the price of a single room?", "How much does a single room cost?"),
    ("Is it possible to pay in euros?", "Can I pay in euros?"),
    ("Where can I park near the harbour?", "Near the harbor, where can I park?"),
    ("I don't know why it won't start", "i dont know why it wont start"),
    ("How long should I boil two eggs?", "How long should I boil 2 eggs?"),
    ("What is twenty-five percent of 1,000?", "what's 25% of 1000"),
    ("Are you open on Mondays?", "are you open Monday?"),
    ("What is the password for guests?", "What is the guest password?"),
    ("Is there a discount for teachers?", "Do you have a discount for teachers?"),
    ("How do I log in to my account?", "How do I sign in to my account?"),
    ("Do you do takeaway?", "do you do take away"),
    ("When is the meeting on 3 May 2024?", "When is the meeting on May 3rd, 2024?"),
    ("What do you charge to fix a fridge?", "What do you charge to repair a refrigerator?"),
    ("¿Dónde está la estación?", "¿dónde está la estación"),
)
OTHER = (
    ("Can I take it with food?", "Can I take it without food?", "negation"),
    ("Which plans include calls?", "Which plans don't include calls?", "negation"),
    ("How long should I boil 2 eggs?", "How long should I boil 3 eggs?", "numbers"),
    ("Is 3.1 supported?", "Is 3.10 supported?", "numbers"),
    ("Is it 5 kg?", "Is it 5 lb?", "words"),
    ("Does it cost £5?", "Does it cost $5?", "words"),
    ("Are you open on Monday?", "Are you open on Sunday?", "dates"),
    ("Does it work with Jira?", "Does it work with Trello?", "names"),
    ("Call Sara about it", "Call Sarah about it", "names"),
    ("How do I convert Word to PDF?", "How do I convert PDF to Word?", "order"),
    ("Can a tenant sue a landlord?", "Can a landlord sue a tenant?", "order"),
    ("Is Rome older than Paris?", "Is Paris older than Rome?", "order"),
    ("What should I do before surgery?", "What should I do after surgery?", "words"),
    ("Can an employee be fired?", "Can an employee fire?", "words"),
    ("Who won the cup?", "Who will win the cup?", "words"),
    ("What is my phone number?", "What is your phone number?", "whose"),
    ("What is the employer rate?", "What is the employee rate?", "words"),
    ("How do I import contacts?", "How do I export contacts?", "words"),
    ("How do I opt in to emails?", "How do I opt out of emails?", "words"),
    ("How do I turn on alerts?", "How do I turn off alerts?", "words"),
    ("How do you spell 'receive'?", "How do you spell 'recieve'?", "quotes"),
    ("Translate to German: the cat sleeps", "Translate to German: the cats sleep", "wording"),
    ("What does `rm -r` do?", "What does `rm -f` do?", "exact text"),
    ("All cats are not grey", "Not all cats are grey", "order"),
    ("Was the shop open?", "Is the shop open?", "words"),
    ("Wie kündige ich?", "Wie verlängere ich?", "exact text"),
)


@pytest.mark.parametrize(("a", "b"), SAME)
def test_what_asks_the_same_is_the_same(a: str, b: str) -> None:
    assert verdict(a, b).answer == "same"
    assert verdict(b, a).answer == "same"


@pytest.mark.parametrize(("a", "b", "reason"), OTHER)
def test_what_asks_something_else_differs_and_says_in_what(a: str, b: str, reason: str) -> None:
    assert (verdict(a, b).answer, verdict(a, b).reason) == ("differs", reason)
    assert verdict(b, a).answer == "differs"


def test_weak_synonyms_are_for_an_embedder_to_decide() -> None:
    assert verdict("Is my street closed?", "Is my road closed?").answer == "unsure"


def test_no_published_trap_is_taken_and_four_of_ten_true_pairs_are_found() -> None:
    found = {True: 0, False: 0}
    published = [pair for pair in pairs() if pair.source == "fow"]
    for pair in published:
        found[pair.same] += verdict(pair.a, pair.b).answer == "same"
    assert found[False] == 0
    assert found[True] >= 0.4 * sum(pair.same for pair in published)


def test_of_a_thousand_made_pairs_hardly_a_trap_is_taken() -> None:
    made = [pair for pair in pairs() if pair.source == "made"]
    wrong = [pair for pair in made if not pair.same and verdict(pair.a, pair.b).answer == "same"]
    assert len(wrong) <= 0.01 * sum(not pair.same for pair in made)


@given(st.text(max_size=80), st.text(max_size=80))
def test_the_order_of_two_texts_does_not_matter(a: str, b: str) -> None:
    assert verdict(a, b).answer == verdict(b, a).answer


WORDS = st.sampled_from(
    [
        "how",
        "do",
        "i",
        "not",
        "change",
        "my",
        "your",
        "name",
        "2",
        "two",
        "before",
        "after",
        "Monday",
        "Berlin",
        "cancel",
        "pasword",
        "password",
        "the",
        "to",
        "from",
    ]
)


@given(st.lists(WORDS, min_size=1, max_size=8), st.lists(WORDS, min_size=1, max_size=8))
def test_two_readings_agree_both_ways_whatever_the_words(a: list[str], b: list[str]) -> None:
    one, other = " ".join(a), " ".join(b)
    assert verdict(one, other).answer == verdict(other, one).answer
    assert verdict(one, one).answer == "same"


@given(st.text(max_size=200))
def test_a_text_asks_what_it_asks(text: str) -> None:
    assert verdict(text, text).answer == "same"
