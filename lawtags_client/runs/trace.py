"""One row of a run from its source file to its score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lawtags_client.curation.options import CurationOptions
from lawtags_client.curation.read.sources import QuestionSource, find_sources
from lawtags_client.curation.replay import ReplayedStep, replay
from lawtags_client.errors import ConfigurationError, LawtagsError
from lawtags_client.files import sha256_file
from lawtags_client.json_value import JsonObject
from lawtags_client.runs.documents import read_document
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.predictions import predictions_path, read_prediction_rows
from lawtags_client.runs.rows import read_rows
from lawtags_client.runs.series import TrainingRecord
from lawtags_client.runs.verdict import SYSTEMS
from lawtags_client.tagging.paired import question_f1

PARTS = ("training", "validation", "testing")
_CURATION = "curated/curation.json"
_REJECTED = "curated/rejected.jsonl"
_SHOWN_FILES = 5
_MOST_SCORES = 5

SourceState = Literal["same", "changed", "missing", "not a file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedAnswer:
    """What a system gave for a test row.

    Attributes:
        system: which one.
        tags: that it gave.
        scores: its likeliest tags with their probabilities.
        f1: of the tags.
        text: the model's own words, if it writes.
        error: why there is no answer.
    """

    system: str
    tags: tuple[str, ...]
    scores: dict[str, float]
    f1: float
    text: str | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowTrace:
    """A row of a run, from its source to its score.

    Attributes:
        run: name of the run.
        id: of the question; None for a row that could not be read.
        file: name of the source.
        line: in it.
        sha256: of the source when it was curated.
        source: whether the source is still the same.
        steps: what each step of the curation did; replayed if the source is still the same.
        not_replayed: why the steps could not be replayed.
        outcome: the part that the row went to, or why it was rejected.
        part: ``training``, ``validation`` or ``testing``; None if it was rejected.
        row: its number in the part, from zero.
        title: as curated.
        tags: the true ones, as curated.
        prompt: what the model is asked.
        completion: what it is trained to answer.
        job: the training job.
        model: the model that the job made.
        answers: of all systems, for a test row.
    """

    run: str
    id: str | None
    file: str
    line: int
    sha256: str | None
    source: SourceState
    steps: tuple[ReplayedStep, ...]
    not_replayed: str | None
    outcome: str
    part: str | None = None
    row: int | None = None
    title: str | None = None
    tags: tuple[str, ...] = ()
    prompt: str | None = None
    completion: str | None = None
    job: str | None = None
    model: str | None = None
    answers: tuple[TracedAnswer, ...] = ()


def trace_row(folder: Path, wanted: str) -> RowTrace:
    """Trace a row of a run.

    Args:
        folder: of the run.
        wanted: the id of its question or the beginning of it, or ``FILE:LINE`` of its source, with or
            without folders; a number that begins no id is a line, if the run was made from one file.

    Raises:
        ConfigurationError: no row fits, or several do.
        DataError: a file of the run is damaged.
    """
    if not (folder / _CURATION).is_file() and (folder / _REJECTED).is_file():
        # It cannot be finished, so that there is nothing else to trace.
        raise ConfigurationError(
            f"the curation of {folder.name!r} left no rows",
            hint=f"{folder / _REJECTED} has the place of each row and why it was dropped.",
        )
    part, row = _find(folder, wanted)
    place = row.get("source") if part else row
    file, line = _place(place)
    trace = RowTrace(
        run=folder.name,
        id=_text(row.get("id")),
        file=file,
        line=line,
        sha256=None,
        source="missing",
        steps=(),
        not_replayed=None,
        outcome=part or _rejection(row),
    )
    trace = _with_steps(folder, trace, row if part else None)
    return trace if part is None else _with_results(folder, trace, part, row)


def _find(folder: Path, wanted: str) -> tuple[str | None, JsonObject]:
    """The row that is meant: by its id, by its place, by the beginning of its id, or by its line."""
    begun: list[tuple[str | None, JsonObject]] = []
    numbered: dict[str, tuple[str | None, JsonObject]] = {}
    files: set[str] = set()
    at_place, meant = None, _as_recorded(folder, wanted)
    for part, row in _all_rows(folder):
        identity = _text(row.get("id")) or ""
        if identity == wanted:
            return part, row
        file, line = _place(row.get("source") if part else row)
        files.add(file)
        if f"{file}:{line}" in (wanted, meant):
            at_place = part, row
        if str(line) == wanted:
            numbered[file] = part, row
        if wanted and identity.startswith(wanted):
            begun.append((part, row))
    if at_place is not None:
        return at_place
    if len(begun) == 1:
        return begun[0]
    if begun:
        shown = ", ".join(str(row.get("id")) for _, row in begun[:10])
        raise ConfigurationError(f"{len(begun)} rows begin with {wanted!r}", hint=f"Among them: {shown}")
    if len(files) == 1 and numbered:
        return next(iter(numbered.values()))
    raise ConfigurationError(
        f"run {folder.name!r} has no row {wanted!r}",
        hint="Pass the id of a question, or FILE:LINE of its source, such as questions.jsonl:12. "
        f"Files: {', '.join(sorted(files)[:_SHOWN_FILES]) or 'none'}.",
    )


def _as_recorded(folder: Path, wanted: str) -> str | None:
    """``PATH:LINE`` with the name that the source has in the rows; None if it is no path of a source."""
    path, colon, line = wanted.rpartition(":")
    facts = RunFacts.of_folder(folder)
    try:
        sources = find_sources(facts.data, Path(facts.test) if facts.test else None)
        files = [each for each in sources if not each.hub]
        same = [each.name for each in files if Path(each.location).resolve() == Path(path).resolve()]
    except (LawtagsError, OSError, ValueError):
        return None
    return f"{same[0]}{colon}{line}" if colon and same else None


def _all_rows(folder: Path) -> Iterator[tuple[str | None, JsonObject]]:
    for part in PARTS:
        path = folder / "curated" / "questions" / f"{part}.jsonl"
        for row in read_rows(path) if path.is_file() else ():
            yield part, row
    if (path := folder / _REJECTED).is_file():
        for row in read_rows(path):
            yield None, row


def _with_steps(folder: Path, trace: RowTrace, curated: JsonObject | None) -> RowTrace:
    facts = RunFacts.of_folder(folder)
    recorded = _recorded_source(folder, trace.file)
    try:
        sources = find_sources(facts.data, Path(facts.test) if facts.test else None)
    except LawtagsError as problem:
        return replace(trace, sha256=recorded, not_replayed=problem.message)
    source = next((each for each in sources if each.name == trace.file), None)
    state = _state(source, recorded)
    trace = replace(trace, sha256=recorded, source=state)
    if state != "same":
        return replace(trace, not_replayed=f"the source is {state}")
    try:
        options = CurationOptions.from_dict(facts.curation)
        done = replay(sources, options, trace.file, trace.line)
    except LawtagsError as problem:
        return replace(trace, not_replayed=problem.message)
    differs = curated is not None and (done.title, done.body) != (curated.get("title"), curated.get("body"))
    other = "the steps of this release give another text than the run has" if differs else None
    return replace(trace, steps=done.steps, not_replayed=other)


def _recorded_source(folder: Path, name: str) -> str | None:
    inputs = read_document(dict[str, object], folder, _CURATION).get("inputs")
    for each in inputs if isinstance(inputs, list) else ():
        if isinstance(each, Mapping) and each.get("source") == name:
            return _text(each.get("sha256"))
    return None


def _state(source: QuestionSource | None, recorded: str | None) -> SourceState:
    if source is None:
        return "missing"
    if source.hub:
        return "not a file"
    try:
        return "same" if sha256_file(Path(source.location)) == recorded else "changed"
    except OSError:
        return "missing"


def _with_results(folder: Path, trace: RowTrace, part: str, row: JsonObject) -> RowTrace:
    number = row.get("row")
    number = number if isinstance(number, int) else None
    tags = row.get("tags")
    truth = tuple(map(str, tags)) if isinstance(tags, list) else ()
    prompt, completion = _prompt(folder, part, number)
    trained = (
        read_document(TrainingRecord, folder, "customization.json")
        if (folder / "customization.json").is_file()
        else None
    )
    return replace(
        trace,
        part=part,
        row=number,
        title=_text(row.get("title")),
        tags=truth,
        prompt=prompt,
        completion=completion,
        job=trained.job if trained else None,
        model=trained.output_model if trained else None,
        answers=tuple(_answers(folder, trace.id, truth)) if part == "testing" else (),
    )


def _prompt(folder: Path, part: str, number: int | None) -> tuple[str | None, str | None]:
    path = folder / "curated" / part / f"{part}.jsonl"
    if number is None or not path.is_file():
        return None, None
    for place, row in enumerate(read_rows(path)):
        if place == number:
            messages = row.get("messages")
            if isinstance(messages, list):
                said = [
                    str(each.get("content")) if isinstance(each, Mapping) else str(each) for each in messages
                ]
                return "\n\n".join(said[:-1]), said[-1] if said else None
            return _text(row.get("prompt")), _text(row.get("completion"))
    return None, None


def _answers(folder: Path, identity: str | None, truth: Sequence[str]) -> Iterator[TracedAnswer]:
    for system in SYSTEMS:
        if not predictions_path(folder, system).is_file():
            continue
        for found in read_prediction_rows(folder, system):
            if found.id == identity:
                yield TracedAnswer(
                    system=system,
                    tags=found.tags,
                    scores=dict(list(found.scores.items())[:_MOST_SCORES]),
                    f1=question_f1(truth, found.tags),
                    text=found.text,
                    error=found.error,
                )


def _place(value: object) -> tuple[str, int]:
    found = value if isinstance(value, Mapping) else {}
    line = found.get("line")
    return str(found.get("file") or "?"), line if isinstance(line, int) else 0


def _rejection(row: JsonObject) -> str:
    told = f"rejected by {row.get('step')}: {row.get('reason')}"
    if row.get("detail"):
        told += f" ({row['detail']})"
    if row.get("instead") is not None:
        told += f"; {row['instead']} stays instead, {'{}:{}'.format(*_place(row.get('instead_at')))}"
    return told


def _text(value: object) -> str | None:
    return None if value is None else str(value)
