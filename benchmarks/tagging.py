"""Compares taggers on one labeled file.

Without a language model it compares the most frequent tags, TF-IDF with logistic regression, and the
retriever. Given the log-probabilities of first answer tokens, it adds the tagger, which mixes both::

    python benchmarks/tagging.py questions.jsonl --test 700 --validation 300
    python benchmarks/tagging.py questions.jsonl --folds 5
    python benchmarks/tagging.py questions.jsonl --test 700 --validation 300 --first-tokens tokens.jsonl

A row of the labeled file has ``title`` (or ``question_title``), ``tags``, ``id`` (or ``row_id``), and
optionally ``body`` (or ``body_markdown``, ``body_html``, ``question_body``); rows with ``tags_complete``
false are skipped. A row of the other file is ``{"id": ..., "first_token": {" copyright": -0.31, ...}}``, for
the validation and test rows that ``--write-split FOLDER`` writes; train the model only on its training rows.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

from lawtags_client.files import atomic_write_json, atomic_write_text
from lawtags_client.tagging import (
    MostFrequent,
    Question,
    Retriever,
    TfidfLogistic,
    Vocabulary,
    fit_tagger,
    save_tagger,
)
from lawtags_client.tagging.metrics import bootstrap, paired_bootstrap, score

Tags = list[tuple[str, ...]]


@dataclass
class Outcome:
    """The true tags, each system's tags, and its time."""

    true: list[tuple[str, ...]] = field(default_factory=list)
    said: dict[str, Tags] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    training_rows: list[int] = field(default_factory=list)

    def add(self, system: str, said: Tags, seconds: float) -> None:
        self.said.setdefault(system, []).extend(said)
        self.seconds[system] = self.seconds.get(system, 0.0) + seconds


def read_labelled(path: Path) -> list[Question]:
    questions = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        row = json.loads(line)
        if row.get("tags_complete") is False or not row.get("tags"):
            continue
        body, html = (
            row.get("body") or row.get("body_markdown"),
            row.get("body_html") or row.get("question_body"),
        )
        if not body and html:
            body = unescape(re.sub(r"<[^>]+>", " ", html))
        title = row.get("title") or row.get("question_title")
        mapped = {"id": row.get("id") or row.get("row_id") or number, "title": title, "body": body}
        questions.append(Question.from_row(mapped | {"tags": row["tags"]}, path=path, line=number))
    return questions


def read_first_tokens(path: Path) -> dict[str, dict[str, float]]:
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return {str(row["id"]): row["first_token"] for row in rows}


def compare(
    parts: Mapping[str, Sequence[Question]],
    outcome: Outcome,
    *,
    n_jobs: int,
    seed: int,
    first_tokens: Mapping[str, Mapping[str, float]] | None,
    save: Path | None,
) -> None:
    """Fit every system on the training rows, and tag the test rows."""
    train, validation, test = parts["training"], parts["validation"], parts["testing"]
    outcome.training_rows.append(len(train))
    outcome.true.extend(question.tags for question in test)
    for name, kind in (("most_frequent", MostFrequent), ("tfidf", TfidfLogistic)):
        started = time.perf_counter()
        options: dict[str, Any] = {"n_jobs": n_jobs} if kind is TfidfLogistic else {}
        said = kind.fit(train, validation, **options).predict(test)
        outcome.add(name, said, time.perf_counter() - started)

    started = time.perf_counter()
    retriever = Retriever.fit(train, Vocabulary.from_questions(train), seed=seed, n_jobs=n_jobs)
    evidence = None if first_tokens is None else [first_tokens.get(row.id) for row in validation]
    tagger = fit_tagger(retriever, train, validation, evidence, seed=seed)
    fitted = time.perf_counter()
    outcome.add("retriever", [item.tags for item in tagger.tag(test)], fitted - started)
    scored = time.perf_counter() - fitted
    outcome.seconds["scoring"] = outcome.seconds.get("scoring", 0.0) + scored
    if first_tokens is not None:
        lm = [first_tokens.get(row.id) for row in test]
        outcome.add("tagger", [item.tags for item in tagger.tag(test, lm)], fitted - started)
        if tagger.mix is not None:
            print(f"weights of the mix: {tagger.mix.weights.round(3).tolist()}", file=sys.stderr)
    if save is not None:
        save_tagger(tagger, save)
        size = sum(file.stat().st_size for file in save.glob("tagger.*"))
        print(f"saved tagger: {size / 1e6:.1f} MB", file=sys.stderr)


def splits(
    questions: list[Question], *, folds: int, test: int, validation: int
) -> list[dict[str, list[Question]]]:
    if not folds:
        cut = test + validation
        return [{"testing": questions[:test], "validation": questions[test:cut], "training": questions[cut:]}]
    parts = []
    for fold in range(folds):
        rest = [row for place, row in enumerate(questions) if place % folds != fold]
        part = {"testing": questions[fold::folds], "validation": rest[:validation]}
        parts.append(part | {"training": rest[validation:]})
    return parts


def report(outcome: Outcome, *, samples: int) -> dict[str, Any]:
    systems: dict[str, Any] = {}
    for name, said in outcome.said.items():
        intervals = bootstrap(outcome.true, said, samples=samples)
        row: dict[str, Any] = score(outcome.true, said).as_dict()
        row["intervals"] = {figure: [part.low, part.high] for figure, part in intervals.items()}
        for other in ("tfidf", "retriever"):
            if name not in (other, "most_frequent"):
                pair = paired_bootstrap(outcome.true, said, outcome.said[other], samples=samples)["micro_f1"]
                row[f"micro_f1_minus_{other}"] = [pair.value, pair.low, pair.high]
        row["seconds"] = round(outcome.seconds[name], 2)
        systems[name] = row
    return {
        "test_rows": len(outcome.true),
        "training_rows": outcome.training_rows,
        "scoring_seconds": round(outcome.seconds["scoring"], 3),
        "systems": systems,
    }


def show(result: Mapping[str, Any]) -> None:
    print(f"{result['test_rows']} test rows, {result['training_rows']} training rows")
    for name, row in result["systems"].items():
        low, high = row["intervals"]["micro_f1"]
        line = (
            f"{name:14} micro {row['micro_f1']:.3f} [{low:.3f}, {high:.3f}]  samples {row['samples_f1']:.3f}"
        )
        line += f"  macro {row['macro_f1']:.3f}  exact {row['exact_match']:.3f}  {row['seconds']:6.1f} s"
        for other in ("tfidf", "retriever"):
            if f"micro_f1_minus_{other}" in row:
                value, low, high = row[f"micro_f1_minus_{other}"]
                line += f"  vs {other} {value:+.3f} [{low:+.3f}, {high:+.3f}]"
        print(line)
    print(f"scoring all test rows without a model: {result['scoring_seconds']:.2f} s")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="labeled questions, JSON Lines")
    parser.add_argument("--test", type=int, default=700, help="test rows of a single split")
    parser.add_argument("--validation", type=int, default=300, help="validation rows of each split")
    parser.add_argument("--folds", type=int, default=0, help="pool the test rows of this many folds instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="threads")
    parser.add_argument("--samples", type=int, default=1000, help="resamples of the intervals")
    parser.add_argument("--first-tokens", type=Path, help="first-token log-probabilities by question id")
    parser.add_argument("--write-split", type=Path, help="write the first split here and stop")
    parser.add_argument("--save", type=Path, help="save the last tagger here")
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    questions = read_labelled(given.file)
    random.Random(given.seed).shuffle(questions)
    parts = splits(questions, folds=given.folds, test=given.test, validation=given.validation)
    if given.write_split:
        for name, rows in parts[0].items():
            lines = (
                json.dumps({"id": row.id, "title": row.title, "body": row.body, "tags": list(row.tags)})
                for row in rows
            )
            atomic_write_text(given.write_split / f"{name}.jsonl", "\n".join(lines) + "\n")
        return
    first_tokens = read_first_tokens(given.first_tokens) if given.first_tokens else None
    outcome = Outcome()
    for part in parts:
        compare(part, outcome, n_jobs=given.jobs, seed=given.seed, first_tokens=first_tokens, save=given.save)
    result = report(outcome, samples=given.samples)
    show(result)
    if given.json:
        atomic_write_json(given.json, result)


if __name__ == "__main__":
    main()
