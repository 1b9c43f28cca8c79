"""Made-up questions whose tags can be learnt from their words."""

from __future__ import annotations

import random

import pytest

from lawtags_client.tagging import Question, Retriever, Vocabulary

TOPICS = {
    "landlord-law": ["tenant", "rent", "lease", "deposit", "eviction"],
    "contract-law": ["agreement", "clause", "signature", "breach", "party"],
    "copyright": ["copy", "song", "author", "license", "film"],
    "criminal-law": ["police", "arrest", "jail", "theft", "charge"],
    "traffic": ["car", "speed", "road", "ticket", "driver"],
    "employment": ["boss", "salary", "overtime", "office", "fired"],
}
PLACES = {"united-states": "America", "united-kingdom": "Britain", "germany": "Berlin"}
FILLER = [
    "can",
    "somebody",
    "tell",
    "whether",
    "the",
    "rule",
    "applies",
    "when",
    "does",
    "this",
    "happen",
    "today",
]


def made_up_questions(count: int, seed: int, *, bodies: bool = True) -> list[Question]:
    generator = random.Random(seed)
    questions = []
    for number in range(count):
        tags = generator.sample(sorted(TOPICS), generator.choice([1, 1, 2]))
        words = [word for tag in tags for word in generator.sample(TOPICS[tag], 2)]
        text = words + generator.sample(FILLER, 5)
        generator.shuffle(text)
        place = generator.choice(sorted(PLACES))
        if generator.random() < 0.5:
            tags.append(place)
        body = f"I live in {PLACES[place]}. {' '.join(generator.choices(FILLER + words, k=20))}"
        if generator.random() < 0.03:
            tags.append(f"rare-{number % 4}")
        questions.append(
            Question(
                id=f"q{seed}-{number}",
                title=" ".join(text).capitalize(),
                body=body if bodies else None,
                tags=tuple(sorted(tags)),
            )
        )
    return questions


def made_up_first_tokens(question: Question, vocabulary: Vocabulary, seed: int) -> dict[str, float]:
    """What a fairly good model might say: the true tags' first letters are likely."""
    import math

    generator = random.Random(f"{seed}{question.id}")
    masses: dict[str, float] = {}
    for tag in vocabulary:
        mass = math.exp(generator.gauss(2.5 if tag in question.tags else 0.0, 1.0))
        token = f" {tag[:6]}"
        masses[token] = masses.get(token, 0.0) + mass
    total = sum(masses.values()) * 1.1
    best = sorted(masses.items(), key=lambda item: -item[1])[:20]
    return {token: math.log(mass / total) for token, mass in best}


@pytest.fixture(scope="session")
def train() -> list[Question]:
    return made_up_questions(200, seed=1)


@pytest.fixture(scope="session")
def validation() -> list[Question]:
    return made_up_questions(60, seed=2)


@pytest.fixture(scope="session")
def test_rows() -> list[Question]:
    return made_up_questions(120, seed=3)


@pytest.fixture(scope="session")
def retriever(train: list[Question]) -> Retriever:
    return Retriever.fit(train, Vocabulary.from_questions(train), seed=0)
