"""Coverage of confidence intervals, on synthetic test sets with many rare tags.

A population of questions is simulated: tags follow Zipf's law, one to four per row, and systems find rare
tags less often. Test sets are drawn from it; the true score is the mean over many test sets of that size.

Example: python benchmarks/intervals.py --sets 400
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from lawtags_client.tagging.metrics import RESAMPLED, bootstrap, paired_bootstrap, score

TAGS = 150
SHOWN = ("micro_f1", "macro_f1", "samples_f1")
SHARES = (1.0 / np.arange(1, TAGS + 1) ** 1.1) / (1.0 / np.arange(1, TAGS + 1) ** 1.1).sum()
Rows = list[set[int]]


class Population:
    """Simulated questions, and the answers of systems."""

    def __init__(self, seed: int) -> None:
        self._chance = np.random.default_rng(seed)

    def draw(self, rows: int) -> tuple[Rows, dict[str, Rows]]:
        """Draw rows: the true tags, and the tags of each system."""
        true = [self._tags(int(size)) for size in self._chance.integers(1, 5, rows)]
        said = {name: [self._found(tags, best) for tags in true] for name, best in SYSTEMS.items()}
        return true, said | {"most frequent": [{0, 1, 2}] * rows}

    def _tags(self, size: int) -> set[int]:
        return set(self._chance.choice(TAGS, size, replace=False, p=SHARES).tolist())

    def _found(self, tags: set[int], best: float) -> set[int]:
        recall = best * (SHARES / SHARES[0]) ** 0.25
        wrong: NDArray[np.int64] = self._chance.choice(TAGS, self._chance.poisson(0.9), p=SHARES)
        return {tag for tag in tags if self._chance.random() < recall[tag]} | set(wrong.tolist())


SYSTEMS = {"better": 0.75, "weaker": 0.65}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[134, 400], help="rows of a test set")
    parser.add_argument("--sets", type=int, default=400, help="test sets per size")
    parser.add_argument("--samples", type=int, default=500, help="resamples per interval")
    given = parser.parse_args()
    names = (*SYSTEMS, "most frequent", "better - weaker")
    print("| rows | figure |", " | ".join(names), "|\n| --- | --- |", " --- |" * len(names))
    for rows in given.rows:
        population = Population(rows)
        expected = _expected(population, rows, given.sets)
        held = {(name, figure): 0 for name in names for figure in SHOWN}
        for _ in range(given.sets):
            true, said = population.draw(rows)
            found = {name: bootstrap(true, each, samples=given.samples) for name, each in said.items()}
            found[names[-1]] = paired_bootstrap(
                true, *(said[name] for name in SYSTEMS), samples=given.samples
            )
            for name, figure in held:
                interval = found[name][figure]
                held[name, figure] += interval.low <= expected[name][figure] <= interval.high
        for figure in SHOWN:
            shares = (f"{held[name, figure] / given.sets:.1%}" for name in names)
            print(f"| {rows} | {figure} |", " | ".join(shares), "|", flush=True)


def _expected(population: Population, rows: int, sets: int) -> dict[str, dict[str, float]]:
    totals: dict[str, dict[str, float]] = {}
    for _ in range(2 * sets):
        true, said = population.draw(rows)
        for name, each in said.items():
            figures = score(true, each).as_dict()
            for figure in RESAMPLED:
                known = totals.setdefault(name, dict.fromkeys(RESAMPLED, 0.0))
                known[figure] += figures[figure] / (2 * sets)
    better, weaker = (totals[name] for name in SYSTEMS)
    return totals | {"better - weaker": {figure: better[figure] - weaker[figure] for figure in RESAMPLED}}


if __name__ == "__main__":
    main()
