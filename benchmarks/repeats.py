"""Coverage of intervals over repeated splits, with classifiers that are trained on each of them.

A population of questions is simulated: tags follow Zipf's law, one to four per row, and each tag has words of
its own. From each of many pools of labeled rows, splits are drawn, two classifiers are trained and scored on
them, and the splits are pooled. The true score is the mean over all pools and splits: what to expect of a
classifier that is trained and tested on parts of such a pool.

Example: python benchmarks/repeats.py --pools 300
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lawtags_client.runs.pooling import SplitSampling, pooled
from lawtags_client.tagging.metrics import Interval, Resampled, resample

TAGS, WORDS = 40, 300
FIGURES = ("micro_f1", "macro_f1", "samples_f1")
TESTING, VALIDATION = 0.3, 0.15
REPEATS = (3, 5, 10)

Array = NDArray[np.float64]
Classifier = Callable[[Array, Array, Array], Array]


@dataclass(frozen=True)
class Pool:
    """Labeled rows: logarithmic counts of words, and tags."""

    words: Array
    tags: Array


class Population:
    """Simulated questions."""

    def __init__(self, seed: int) -> None:
        self._chance = np.random.default_rng(seed)
        fixed = np.random.default_rng(1)
        shares = 1.0 / np.arange(1, TAGS + 1)
        self._shares = shares / shares.sum()
        self._of_tag = fixed.dirichlet(np.full(WORDS, 0.05), TAGS)
        self._of_all = fixed.dirichlet(np.full(WORDS, 0.5))

    def draw(self, rows: int) -> Pool:
        """Draw a pool."""
        words, tags = np.zeros((rows, WORDS)), np.zeros((rows, TAGS))
        for row, size in enumerate(self._chance.integers(1, 5, rows)):
            chosen = self._chance.choice(TAGS, size, replace=False, p=self._shares)
            tags[row, chosen] = 1
            words[row] = self._chance.multinomial(
                25, 0.6 * self._of_tag[chosen].mean(axis=0) + 0.4 * self._of_all
            )
        return Pool(np.log1p(words), tags)


def ridge(words: Array, tags: Array, asked: Array) -> Array:
    """Scores of a ridge regression."""
    mean, base = words.mean(axis=0), tags.mean(axis=0)
    centered = words - mean
    weights = np.linalg.solve(centered.T @ centered + 20 * np.eye(WORDS), centered.T @ (tags - base))
    return np.asarray((asked - mean) @ weights + base)


def centroids(words: Array, tags: Array, asked: Array) -> Array:
    """Cosines to the mean of each tag's rows, with a bonus for frequent tags."""
    mean, counts = words.mean(axis=0), tags.sum(axis=0)
    centers = (tags.T @ words) / np.maximum(counts, 1)[:, None] - mean
    centers /= np.linalg.norm(centers, axis=1, keepdims=True) + 1e-9
    centers[counts == 0] = 0
    cosines = (asked - mean) @ centers.T / np.linalg.norm(asked, axis=1, keepdims=True)
    return np.asarray(cosines + 0.03 * np.log1p(counts))


CLASSIFIERS: dict[str, Classifier] = {"ridge": ridge, "centroids": centroids}
SHOWN = (*CLASSIFIERS, "ridge - centroids")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[450, 1500], help="rows of a pool")
    parser.add_argument("--pools", type=int, default=300, help="pools per size")
    parser.add_argument("--samples", type=int, default=300, help="resamples per interval")
    parser.add_argument("--test-file", action="store_true", help="the same test rows in all repeats")
    given = parser.parse_args()
    heads = ("one split", *(f"{count} repeats" for count in REPEATS))
    print("| rows | figure | of |", " | ".join(heads), "|\n| --- | --- | --- |", " --- |" * len(heads))
    for rows in given.rows:
        found = _intervals(rows, given.pools, given.samples, fixed=given.test_file)
        for figure in FIGURES:
            for name in SHOWN:
                cells = _cells([each[name, figure] for each in found], _sampling(rows, fixed=given.test_file))
                print(f"| {rows} | {figure} | {name} |", " | ".join(cells), "|", flush=True)


def _sampling(rows: int, *, fixed: bool) -> SplitSampling:
    held = VALIDATION / (1 - TESTING) if fixed else TESTING
    return SplitSampling(held, same_test_rows=fixed, test_rows=int(TESTING * rows))


def _intervals(
    rows: int, pools: int, samples: int, *, fixed: bool
) -> list[dict[tuple[str, str], list[Interval]]]:
    """For each pool, the intervals of each figure on each of its splits."""
    population, chance = Population(rows), np.random.default_rng(rows + 1)
    found = []
    for _ in range(pools):
        pool = population.draw(rows)
        told: dict[tuple[str, str], list[Interval]] = {}
        for _ in range(max(REPEATS)):
            for name, drawn in _judged(pool, _order(rows, chance, fixed=fixed), samples).items():
                intervals = drawn.intervals()
                for figure in FIGURES:
                    told.setdefault((name, figure), []).append(intervals[figure])
        found.append(told)
    return found


def _order(rows: int, chance: np.random.Generator, *, fixed: bool) -> NDArray[np.int64]:
    """Rows in the order testing, validation, training."""
    testing = int(TESTING * rows)
    order = np.arange(rows)
    chance.shuffle(order[testing:] if fixed else order)
    return order


def _judged(pool: Pool, order: NDArray[np.int64], samples: int) -> dict[str, Resampled]:
    testing, validation = int(TESTING * len(order)), int(VALIDATION * len(order))
    test, held, train = np.split(order, [testing, testing + validation])
    true = _sets(pool.tags[test])
    drawn = {}
    for name, classify in CLASSIFIERS.items():
        scores = classify(pool.words[train], pool.tags[train], pool.words[np.concatenate([held, test])])
        threshold = _best_threshold(scores[: len(held)], pool.tags[held])
        drawn[name] = resample(true, _sets(scores[len(held) :] >= threshold), samples=samples)
    first, second = CLASSIFIERS
    return drawn | {SHOWN[-1]: drawn[first].minus(drawn[second])}


def _best_threshold(scores: Array, tags: Array) -> float:
    def micro_f1(threshold: float) -> float:
        given = scores >= threshold
        return float(2 * (tags * given).sum() / max(1.0, tags.sum() + given.sum()))

    return max(map(float, np.quantile(scores, np.linspace(0.7, 0.99, 25))), key=micro_f1)


def _sets(rows: Array | NDArray[np.bool_]) -> list[set[str]]:
    return [{str(tag) for tag in np.flatnonzero(row)} for row in rows]


def _cells(pools: list[list[Interval]], sampling: SplitSampling) -> list[str]:
    """Share of intervals that hold the true value and, in brackets, their mean width."""
    true = float(np.mean([[each.value for each in pool] for pool in pools]))
    found = [[(pool[0].low, pool[0].high) for pool in pools]]
    for count in REPEATS:
        taken = [pool[:count] for pool in pools]
        means = [
            pooled(
                [each.value for each in pool],
                [((each.high - each.low) / (2 * 1.959964)) ** 2 for each in pool],
                sampling,
            )
            for pool in taken
        ]
        found.append([(mean.low, mean.high) for mean in means])
    return [
        f"{np.mean([low <= true <= high for low, high in bounds]):.1%} "
        f"({np.mean([high - low for low, high in bounds]):.3f})"
        for bounds in found
    ]


if __name__ == "__main__":
    main()
