"""Prints a verdict and a few tagged questions."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from lawtags_client.cli.tables import fitting_table
from lawtags_client.runs.gates import gates_of
from lawtags_client.runs.language_model import language_model_in_words
from lawtags_client.runs.metrics import Metrics, SystemFigures
from lawtags_client.runs.predictions import read_predictions
from lawtags_client.runs.repeats import RepeatedFigure, RepeatedVerdict, one_split_in_words
from lawtags_client.runs.trust import calibration_in_words
from lawtags_client.runs.verdict import SYSTEMS, embeddings_in_words, lost_in_words, sentences
from lawtags_client.tagging.question import read_questions
from lawtags_client.terminal import escape_controls


def print_verdict(console: Console, metrics: Metrics, repeats: RepeatedVerdict | None = None) -> None:
    """Print the systems side by side, best first, and how they differ, for better or worse.

    Args:
        console: where to.
        metrics: the verdict.
        repeats: the verdict over repeated splits, if there is one.
    """
    rows = f"{metrics.test_rows} test rows"
    if repeats is not None:
        rows += f" of the run's own {repeats.unit}"
    headings = ("system", "micro F1 [95 %]", "macro F1 [95 %]", "samples F1", "exact", "no answer")
    table = fitting_table(
        console,
        headings,
        [(name, *_figures(found)) for name, found in metrics.ranked],
        title=rows,
        optional=("exact", "samples F1", "macro F1 [95 %]"),
        numbers=headings[1:],
        box=SIMPLE,
    )
    console.print(table)
    for name, _ in metrics.ranked:
        _print_line(console, Text(f"{name}: {SYSTEMS.get(name, '')}", "dim"))
    console.print()
    for line in language_model_in_words(metrics):
        _print_line(console, Text(line, "bold"))
    for line in (*embeddings_in_words(metrics), *sentences(metrics)):
        _print_line(console, Text(line))
    for line in calibration_in_words(metrics, ("tagger",)):
        _print_line(console, Text(line))
    for line in lost_in_words(metrics):
        _print_line(console, Text(escape_controls(line), "yellow"))
    for line in one_split_in_words(metrics.test_rows, repeats):
        _print_line(console, Text(line, "dim"))
    if repeats is not None:
        print_repeats(console, repeats)
    for gate in gates_of(metrics, repeats):
        mark = Text("passed", "green") if gate.passed else Text("not passed", "red")
        _print_line(console, Text(f"gate {gate.gate}: {gate.found}, ") + mark)


def print_repeats(console: Console, repeats: RepeatedVerdict) -> None:
    """Print the verdict over repeated splits."""
    console.print()
    _print_line(console, Text(repeats.headline, "bold"))
    headings = ("system", "mean micro F1 [95 %]", "lowest-highest", "mean macro F1 [95 %]")
    rows = [
        (
            name,
            _mean(figures["micro_f1"]),
            f"{min(figures['micro_f1'].values):.3f}-{max(figures['micro_f1'].values):.3f}",
            _mean(figures["macro_f1"]),
        )
        for name, figures in repeats.ranked
    ]
    optional = ("mean macro F1 [95 %]", "lowest-highest")
    console.print(fitting_table(console, headings, rows, optional=optional, numbers=headings[1:], box=SIMPLE))
    for line in repeats.sentences:
        _print_line(console, Text(line))


def _print_line(console: Console, text: Text) -> None:
    """Print a sentence, indented: wrapped between words in a terminal, on one line elsewhere."""
    if console.is_terminal:
        console.print(Padding(text, (0, 0, 0, 2)))
    else:
        console.print(Text("  ") + text, soft_wrap=True)


def _mean(figure: RepeatedFigure) -> str:
    return f"{figure.mean:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def _figures(found: SystemFigures) -> list[str]:
    return [
        f"{found.micro_f1:.3f} {_interval(found, 'micro_f1')}",
        f"{found.macro_f1:.3f} {_interval(found, 'macro_f1')}",
        f"{found.samples_f1:.3f}",
        f"{found.exact_match:.3f}",
        # Older verdicts do not say.
        "?" if found.failed is None else str(found.failed) if found.failed else "-",
    ]


def _interval(found: SystemFigures, metric: str) -> str:
    low, high = found.intervals[metric]
    return f"[{low:.3f}, {high:.3f}]"


def print_examples(console: Console, folder: Path, count: int = 3) -> None:
    """Print a few test questions with the tagger's tags; correct ones are green."""
    questions = read_questions(folder / "curated" / "questions" / "testing.jsonl")
    given = read_predictions(folder, "tagger")
    console.print()
    for question, tags in list(zip(questions, given, strict=True))[:count]:
        shown = Text("    ")
        for tag in sorted(tags):
            shown.append(escape_controls(tag) + " ", "green" if tag in question.tags else None)
        missed = sorted(set(question.tags) - tags)
        if missed:
            shown.append(escape_controls(f" (missed: {' '.join(missed)})"), "dim")
        console.print(Text(f"  {escape_controls(question.title)}"), soft_wrap=True)
        console.print(shown, soft_wrap=True)
    console.print()
