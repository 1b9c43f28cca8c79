"""What more training rows would bring: a system fitted on sub-samples, and the curve through its scores.

The curve is ``a - b * rows ** -c``, as learning curves of classifiers are (Viering and Loog 2021, arXiv
2103.10948). The gain from twice the rows is read off it. Its interval comes from fitting the curve on
resampled test rows; it does not cover that the curve may bend where there are no points.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from lawtags_client.errors import ConfigurationError
from lawtags_client.files import atomic_write_json
from lawtags_client.runs.documents import read_document
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.recipe import Recipe, parse_recipe
from lawtags_client.tagging.question import Question, read_questions

if TYPE_CHECKING:
    from lawtags_client.tagging._numpy import Floats

CurveSystem = Literal["tfidf", "retriever"]
FILE = "learning-curve.json"
SHARES = (0.125, 0.25, 0.5, 1.0)

_LEAST_ROWS = 20
_EXPONENTS = 40
_PARTS = ("training", "validation", "testing")

Fit = Callable[[Sequence[Question], Sequence[Question], Sequence[Question]], Sequence[frozenset[str]]]
"""Fits a system on training and validation rows, and returns the tags that it gives the test rows."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The score with a number of training rows.

    Attributes:
        rows: of training, of which a share of the validation rows is used as well.
        micro_f1: on the test rows, on average over the sub-samples.
        low: end of its 95 % interval.
        high: end of its 95 % interval.
        samples: how many sub-samples of this size were fitted.
    """

    rows: int
    micro_f1: float
    low: float
    high: float
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurve:
    """The learning curve of a system.

    Attributes:
        system: which one.
        points: in ascending order of rows.
        doubled: twice the training rows.
        gain: of micro F1 that the curve gives for these.
        low: end of its 95 % interval.
        high: end of its 95 % interval.
        schema_version: of the file.
    """

    schema_version: int = 1
    system: str
    points: tuple[CurvePoint, ...]
    doubled: int
    gain: float
    low: float
    high: float

    @property
    def sentence(self) -> str:
        """What twice the data would bring, in words."""
        if self.low <= 0 <= self.high:
            return (
                f"No gain from twice the training rows ({self.doubled:,}) is shown for {self.system}: "
                f"the curve gives {self.gain:+.3f} micro F1 [{self.low:+.3f}, {self.high:+.3f}]."
            )
        return (
            f"Twice the training rows ({self.doubled:,}) would change micro F1 of {self.system} by about "
            f"{self.gain:+.3f} [{self.low:+.3f}, {self.high:+.3f}], if the curve continues."
        )


def measure_learning_curve(
    folder: Path,
    system: str,
    *,
    repeats: int = 3,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> LearningCurve:
    """Fit a system on sub-samples of a run's training rows, and write ``learning-curve.json``.

    Args:
        folder: of the run.
        system: ``tfidf``, or ``retriever`` with the encoder of the run.
        repeats: sub-samples of each size; all rows are fitted once.
        on_progress: called with fits done, all fits, and what is being fitted.

    Raises:
        ConfigurationError: there is no such system, or there are too few rows.
        DataError: a file of the run is damaged.
    """
    if system not in get_args(CurveSystem):
        raise ConfigurationError(
            f"there is no learning curve of {system!r}", hint=f"Systems: {', '.join(get_args(CurveSystem))}."
        )
    recipe = parse_recipe(RunFacts.of_folder(folder).recipe or {})
    parts = {part: read_questions(folder / "curated" / "questions" / f"{part}.jsonl") for part in _PARTS}
    fit = _tfidf(recipe) if system == "tfidf" else _retriever(recipe)
    curve = fit_curve(
        system,
        parts,
        fit,
        samples=recipe.evaluation.bootstrap,
        seed=recipe.training.seed,
        repeats=repeats,
        on_progress=on_progress,
    )
    atomic_write_json(folder / FILE, asdict(curve))
    return curve


def find_learning_curve(folder: Path) -> LearningCurve | None:
    """The learning curve that was measured for a run, if one was.

    Raises:
        DataError: the file is damaged.
    """
    return read_document(LearningCurve, folder, FILE) if (folder / FILE).is_file() else None


def fit_curve(
    system: str,
    parts: Mapping[str, Sequence[Question]],
    fit: Fit,
    *,
    samples: int,
    seed: int,
    repeats: int,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> LearningCurve:
    """Fit a system on sub-samples, and a curve through its scores.

    Args:
        system: its name.
        parts: questions by part.
        fit: fits the system.
        samples: resamples of the test rows.
        seed: of sub-samples and resamples.
        repeats: sub-samples of each size.
        on_progress: called with fits done, all fits, and what is being fitted.

    Raises:
        ConfigurationError: there are too few rows for three sizes.
    """
    from lawtags_client.tagging._numpy import np
    from lawtags_client.tagging.metrics import resample

    training, validation, testing = (parts[part] for part in _PARTS)
    shares = [share for share in SHARES if round(share * len(training)) >= _LEAST_ROWS]
    if len(shares) < 3:
        raise ConfigurationError(
            f"{len(training)} training rows are too few for a learning curve",
            hint=f"It takes at least {_LEAST_ROWS * 4} rows.",
        )
    truth = [frozenset(question.tags) for question in testing]
    total = sum(1 if share == 1 else repeats for share in shares)
    done, sizes, values, drawn = 0, [], [], []
    for share in shares:
        found = []
        for repeat in range(1 if share == 1 else repeats):
            chance = random.Random(f"{seed} {share} {repeat}")
            rows = _some(training, share, chance)
            if on_progress is not None:
                on_progress(done, total, f"{system} on {len(rows)} rows")
            given = fit(rows, _some(validation, share, chance), testing)
            found.append(resample(truth, given, samples=samples, seed=seed))
            done += 1
        sizes.append(round(share * len(training)))
        values.append(sum(each.point["micro_f1"] for each in found) / len(found))
        drawn.append(np.mean([each.drawn["micro_f1"] for each in found], axis=0))
    doubled = 2 * len(training)
    resampled = np.stack(drawn, axis=1)
    gains = _at(sizes, resampled, doubled) - _at(sizes, resampled, sizes[-1])
    own = np.array([values])
    gain = float((_at(sizes, own, doubled) - _at(sizes, own, sizes[-1]))[0])
    low, high = (float(np.quantile(gains, end)) for end in (0.025, 0.975))
    points = []
    for place, (count, value) in enumerate(zip(sizes, values, strict=True)):
        ends = [float(np.quantile(resampled[:, place], end)) for end in (0.025, 0.975)]
        points.append(
            CurvePoint(
                count,
                value,
                min(ends[0], value),
                max(ends[1], value),
                1 if place + 1 == len(sizes) else repeats,
            )
        )
    return LearningCurve(
        system=system,
        points=tuple(points),
        doubled=doubled,
        gain=gain,
        low=min(low, gain),
        high=max(high, gain),
    )


def _some(questions: Sequence[Question], share: float, chance: random.Random) -> list[Question]:
    """A share of the rows in their order, and never none of them."""
    count = min(len(questions), max(1, round(share * len(questions))))
    chosen = set(chance.sample(range(len(questions)), count))
    return [question for place, question in enumerate(questions) if place in chosen]


def _at(sizes: Sequence[int], values: Floats, rows: int) -> Floats:
    """The curve through the values of each row of ``values``, at a number of training rows.

    For each exponent, ``a`` and ``b`` are linear; the exponent with the least squares is taken. A curve that
    would fall is flat.
    """
    from lawtags_client.tagging._numpy import np

    best, least = np.zeros(len(values)), np.full(len(values), np.inf)
    for exponent in np.linspace(0.05, 1.5, _EXPONENTS):
        x = np.asarray(sizes, dtype=np.float64) ** -exponent
        centered = x - x.mean()
        slope = np.minimum(values @ centered / (centered @ centered), 0.0)
        level = values.mean(axis=1) - slope * x.mean()
        errors = ((level[:, None] + slope[:, None] * x - values) ** 2).sum(axis=1)
        better = errors < least
        best = np.where(better, level + slope * float(rows) ** -exponent, best)
        least = np.where(better, errors, least)
    return np.clip(best, 0.0, 1.0)


def _tfidf(recipe: Recipe) -> Fit:
    from lawtags_client.tagging.baselines import TfidfLogistic

    def fit(
        training: Sequence[Question], validation: Sequence[Question], testing: Sequence[Question]
    ) -> Sequence[frozenset[str]]:
        fitted = TfidfLogistic.fit(training, validation, n_jobs=recipe.retriever.threads)
        rows = fitted.decision.all_tags(fitted.scores(testing), fitted.vocabulary)
        return [frozenset(tags) for tags in rows]

    return fit


def _retriever(recipe: Recipe) -> Fit:
    from lawtags_client.encoder.choice import choose_encoder
    from lawtags_client.tagging.fitting import fit_tagger
    from lawtags_client.tagging.retriever import Retriever
    from lawtags_client.tagging.retriever_fit import RetrieverOptions
    from lawtags_client.tagging.vocabulary import Vocabulary

    options = recipe.retriever
    embedder = choose_encoder(options.encoder, threads=options.threads).encoder

    def fit(
        training: Sequence[Question], validation: Sequence[Question], testing: Sequence[Question]
    ) -> Sequence[frozenset[str]]:
        retriever = Retriever.fit(
            training,
            Vocabulary.from_questions(training),
            options=RetrieverOptions(folds=options.folds, most_rows=options.max_rows),
            n_jobs=options.threads,
            seed=recipe.training.seed,
            embedder=embedder,
        )
        tagger = fit_tagger(
            retriever,
            training,
            validation,
            most=recipe.evaluation.max_tags,
            optimize=recipe.evaluation.optimize,
            seed=recipe.training.seed,
        )
        return [frozenset(found.tags) for found in tagger.tag_scored(tagger.scores(testing), testing)]

    return fit
