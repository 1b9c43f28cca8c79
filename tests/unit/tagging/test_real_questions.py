"""On real questions the retriever beats the baselines."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

from lawtags_client.tagging import MostFrequent, Question, Retriever, TfidfLogistic, Vocabulary, fit_tagger
from lawtags_client.tagging.metrics import paired_bootstrap, score

DATA = Path(os.environ.get("LAWTAGS_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")
BODIES = DATA / "law-se-bodies-dev.jsonl"


@pytest.mark.data
@pytest.mark.skipif(not BODIES.is_file(), reason=f"{BODIES.name} is not here; set LAWTAGS_DATA to its folder")
def test_the_retriever_beats_the_baselines_on_legal_questions() -> None:
    rows = [json.loads(line) for line in BODIES.read_text(encoding="utf-8").splitlines()]
    questions = [
        Question.from_row(row | {"id": row["row_id"], "body": row["body_markdown"]})
        for row in rows
        if row["tags_complete"]
    ]
    random.Random(0).shuffle(questions)
    true: list[tuple[str, ...]] = []
    said: dict[str, list[tuple[str, ...]]] = {"retriever": [], "tfidf": [], "most_frequent": []}
    for fold in range(3):
        test = questions[fold::3]
        rest = [question for place, question in enumerate(questions) if place % 3 != fold]
        validation, train = rest[:50], rest[50:]
        retriever = Retriever.fit(train, Vocabulary.from_questions(train))
        tagger = fit_tagger(retriever, train, validation)
        true += [question.tags for question in test]
        said["retriever"] += [tagging.tags for tagging in tagger.tag(test)]
        said["tfidf"] += TfidfLogistic.fit(train, validation).predict(test)
        said["most_frequent"] += MostFrequent.fit(train, validation).predict(test)
    reached = {name: score(true, tags).micro_f1 for name, tags in said.items()}
    assert reached["retriever"] > 0.55
    assert reached["tfidf"] > reached["most_frequent"] + 0.15
    assert paired_bootstrap(true, said["retriever"], said["tfidf"])["micro_f1"].low > 0
