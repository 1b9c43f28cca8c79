"""How many planted wrong tags ``lawtags labels review`` lists.

Some rows get wrong tags, every row is scored by models that have not seen it, and the rows are ranked. The
figure is the share of the planted rows among the first rows of the list, which are twice as many::

    python benchmarks/labels.py questions.jsonl --rows 2000 --planted 50 --seeds 5

Kinds of planted errors: ``replace``, one tag by another, drawn by frequency; ``uniform``, drawn from all tags
alike; ``add``, one more tag, drawn by frequency; ``swap``, all tags by those of another row. The file is one
that ``benchmarks/tagging.py`` reads.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score
from tagging import read_labelled

from lawtags_client.encoder.choice import choose_encoder
from lawtags_client.tagging import Question, Retriever, Vocabulary
from lawtags_client.tagging.label_review import doubtful_rows, retriever_evidence, retriever_similarity

KINDS = ("replace", "uniform", "add", "swap")


def plant(
    questions: Sequence[Question], kind: str, count: int, seed: int
) -> tuple[list[Question], dict[int, frozenset[str]]]:
    """The questions with wrong tags, and the wrong tags of each changed row."""
    generator = np.random.default_rng(seed)
    vocabulary = Vocabulary.from_questions(questions)
    weight = np.asarray(vocabulary.counts, dtype=float) if kind != "uniform" else np.ones(len(vocabulary))
    changed, wrong = list(questions), {}
    for row in generator.permutation(len(questions)):
        given = questions[row].tags
        if kind == "swap":
            tags = questions[generator.integers(len(questions))].tags
        else:
            new = vocabulary.tags[generator.choice(len(vocabulary), p=weight / weight.sum())]
            kept = list(given)
            if kind != "add":
                kept.pop(generator.integers(len(kept)))
            tags = (*kept, new)
        false = frozenset(tags) - set(given)
        if not false or len(set(tags)) < len(tags) or (kind == "swap" and set(tags) & set(given)):
            continue
        changed[row] = replace(questions[row], tags=tags)
        wrong[int(row)] = false
        if len(wrong) == count:
            break
    return changed, wrong


def measure(
    questions: Sequence[Question], kind: str, count: int, seed: int, encoder: str
) -> dict[str, float]:
    """Plant errors, rank the rows, and count."""
    changed, wrong = plant(questions, kind, count, seed)
    vocabulary = Vocabulary.from_questions(changed)
    retriever = Retriever.fit(changed, vocabulary, seed=seed, embedder=choose_encoder(encoder).encoder)
    evidence = {"retriever": retriever_evidence(retriever, changed)}
    similarity = retriever_similarity(retriever, changed)
    found = doubtful_rows(changed, vocabulary, evidence, similarity=similarity, seed=seed)
    first = found[: 2 * len(wrong)]
    hits = [each for each in first if each.row in wrong]
    doubt = np.zeros(len(changed))
    doubt[[each.row for each in found]] = [each.doubt for each in found]
    return {
        "planted": len(wrong),
        "found": len(hits),
        "named": sum(each.wrong in wrong[each.row] for each in hits),
        "auc": float(roc_auc_score([row in wrong for row in range(len(changed))], doubt)),
    }


def interval(found: int, planted: int) -> list[float]:
    """Wilson's 95 % interval of a share."""
    share, z = found / planted, 1.96
    middle = (share + z * z / (2 * planted)) / (1 + z * z / planted)
    half = z * np.sqrt(share * (1 - share) / planted + (z / (2 * planted)) ** 2) / (1 + z * z / planted)
    return [round(float(middle - half), 3), round(float(middle + half), 3)]


def main() -> None:
    """Measure each kind, and print one JSON object per kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--planted", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--encoder", default="auto")
    parser.add_argument("--titles", action="store_true", help="leave out bodies")
    options = parser.parse_args()
    questions = read_labelled(options.file)
    random.Random(0).shuffle(questions)
    questions = questions[: options.rows]
    if options.titles:
        questions = [replace(question, body=None) for question in questions]
    for kind in options.kinds:
        runs = [
            measure(questions, kind, options.planted, seed, options.encoder) for seed in range(options.seeds)
        ]
        planted, found = (int(sum(run[name] for run in runs)) for name in ("planted", "found"))
        result = {
            "file": options.file.name,
            "rows": len(questions),
            "kind": kind,
            "share_found": round(found / planted, 3),
            "interval": interval(found, planted),
            "by_seed": [int(run["found"]) for run in runs],
            "wrong_tag_named": round(sum(run["named"] for run in runs) / max(1, found), 3),
            "auc": round(float(np.mean([run["auc"] for run in runs])), 3),
        }
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
