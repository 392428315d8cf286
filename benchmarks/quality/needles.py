"""Needle tests for extracts: made-up pages of many paragraphs with one fact, and questions for it; seeded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from benchmarks.quality.payloads import CITIES, FIRST, LAST, NOUNS

SEED = 20261122
PARAGRAPHS = 70
SUBJECTS = """
    storage permission backup schedule network migration invoice layout budget training inventory delivery audit
    lighting heating parking recruitment catering translation insurance maintenance procurement archive signage
""".split()  # noqa: SIM905
OPENINGS = (
    "The team went over the {a} again and found that the {b} still depends on what {who} in {city} decides.",
    "As for the {a}, nothing has changed since {month}; the {b} was discussed and put off until {city} answers.",
    "{who} asked for figures on the {a} and got {n} pages, most of them on the {b} in {city}.",
    "A note on the {b}: in {month} it took {n} days, and with the {a} moved to {city} it should take fewer.",
)
SENTENCES = (
    "It was agreed that {who2} writes it down.", "The rest can wait until {month}.", "Costs stood at {n} euros.",
    "Nobody in {city} objected.", "This was said before, and will be said again.", "{n} people took part.",
)  # fmt: skip
MONTHS = "January March April June August October November December".split()  # noqa: SIM905


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence with what is to be filled in, and how it may be asked for: by its words, and by others."""

    said: str
    named: str
    reworded: str


FACTS = (
    Fact(
        "The access code for the {thing} room in {place} is {number}.",
        "What is the access code for the {thing} room in {place}?",
        "How do I get into the {place} room where the {thing}s are, which code opens it?",
    ),
    Fact(
        "{person} approved the {thing} of {number} euros for {place}.",
        "Who approved the {thing} of {number} euros for {place}?",
        "Whose approval did the {place} {thing} have?",
    ),
    Fact(
        "The {thing} in {place} must be returned to {person} by day {number}.",
        "By which day must the {thing} in {place} be returned?",
        "When is {person} to have the {thing} back?",
    ),
    Fact(
        "In {place} the {thing} was replaced after {number} hours because {person} had found a crack.",
        "Why was the {thing} in {place} replaced?",
        "What made them replacing {place}'s {thing}?",
    ),
    Fact(
        "{person} keeps the only key to the {thing} cabinet number {number}.",
        "Who keeps the key to {thing} cabinet number {number}?",
        "Who has keys for cabinets with the {thing}, the one called {number}?",
    ),
    Fact(
        "Since the move to {place}, each {thing} is checked {number} times a week by {person}.",
        "How often is each {thing} checked since the move to {place}?",
        "How many weekly {thing} checks are there in {place}?",
    ),
)


@dataclass(frozen=True, slots=True)
class Case:
    """A text, a question, and the sentence that answers it."""

    text: str
    question: str
    needle: str


def cases(count: int, *, reworded: bool, seed: int = SEED) -> Iterator[Case]:
    """So many, each with a page of its own."""
    random = Random(seed)
    for _ in range(count):
        fact = random.choice(FACTS)
        values = {
            "thing": random.choice(NOUNS), "place": random.choice(CITIES), "number": str(random.randint(100, 9999)),
            "person": f"{random.choice(FIRST)} {random.choice(LAST)}",
        }  # fmt: skip
        needle = fact.said.format(**values)
        paragraphs = [_paragraph(random) for _ in range(PARAGRAPHS)]
        at = random.randrange(PARAGRAPHS)
        paragraphs[at] = _hidden(random, paragraphs[at], needle)
        asked = (fact.reworded if reworded else fact.named).format(**values)
        yield Case("\n\n".join(paragraphs), asked, needle)


def _hidden(random: Random, paragraph: str, needle: str) -> str:
    """The needle as one sentence of a paragraph."""
    sentences = paragraph.split(". ")
    sentences.insert(random.randint(1, len(sentences)), needle.rstrip("."))
    return ". ".join(sentences)


def _paragraph(random: Random) -> str:
    said: Sequence[str] = [random.choice(OPENINGS), *random.sample(SENTENCES, k=random.randint(2, 4))]
    return " ".join(
        one.format(
            a=random.choice(SUBJECTS), b=random.choice([*SUBJECTS, *NOUNS]), city=random.choice(CITIES),
            who=random.choice(FIRST), who2=f"{random.choice(FIRST)} {random.choice(LAST)}", n=random.randint(2, 9999),
            month=random.choice(MONTHS),
        )
        for one in said
    )  # fmt: skip
