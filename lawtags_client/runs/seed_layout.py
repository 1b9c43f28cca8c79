"""A run as the folder ``results/`` that NeMo Framework and the hackathon's notebooks leave."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from lawtags_client.errors import ConfigurationError
from lawtags_client.files import atomic_write_text, make_folder
from lawtags_client.json_value import JsonRow
from lawtags_client.runs.documents import read_document, require_file
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.lineage import Lineage
from lawtags_client.runs.outputs import JobPlan
from lawtags_client.runs.predictions import predictions_path, read_prediction_rows
from lawtags_client.runs.rows import read_rows
from lawtags_client.runs.series import TrainingRecord
from lawtags_client.runs.verdict import SYSTEMS
from lawtags_client.tagging.question import read_questions

_LEDGER = "ledger.sqlite"
_TESTING = "curated/questions/testing.jsonl"
_ROWS = "curated/testing/testing.jsonl"
_GIT_SECONDS = 20
_RECIPE = "recipe.yaml"


@dataclass(frozen=True, slots=True)
class ExportedRun:
    """A run as the seed's folder.

    Attributes:
        folder: where it is.
        files: paths below it.
    """

    folder: Path
    files: tuple[str, ...]


def export_seed_layout(
    folder: Path, out: Path, *, system: str = "tagger", place: Path | None = None
) -> ExportedRun:
    """Write a run in the layout of the seed; the folder appears once it is complete.

    Args:
        folder: of the run.
        out: the new folder.
        system: whose tags are the predictions of ``test_results``.
        place: the working tree whose commit is recorded; the current folder by default.

    Raises:
        ConfigurationError: the folder exists, the run has no such system, or has not come far enough.
        DataError: a file of the run is damaged.
    """
    if out.exists():
        raise ConfigurationError(f"{out} exists", hint="Name a folder that does not exist yet.")
    if system not in SYSTEMS or not predictions_path(folder, system).is_file():
        present = [name for name in SYSTEMS if predictions_path(folder, name).is_file()]
        raise ConfigurationError(
            f"run {folder.name!r} has no predictions of {system!r}",
            hint=f"Systems: {', '.join(present) or 'none yet; finish the run first'}.",
        )
    for name in ("plan.json", "customization.json", _TESTING):
        require_file(folder, folder / name)
    make_folder(out.parent)
    made = out.parent / f".{out.name}.exporting"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    _write_training(folder, made, place or Path.cwd())
    _write_inference(folder, made, system)
    made.rename(out)
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    return ExportedRun(out, tuple(files))


def _write_training(folder: Path, made: Path, place: Path) -> None:
    plan = read_document(JobPlan, folder, "plan.json")
    record = read_document(TrainingRecord, folder, "customization.json")
    facts = RunFacts.of_folder(folder)
    atomic_write_text(made / "cmd-args.log", "\n".join(_arguments(folder, facts, plan)) + "\n")
    if facts.recipe is not None:
        # With all --set in it, so that the command needs none.
        text = yaml.safe_dump(facts.recipe, sort_keys=False, allow_unicode=True)
        atomic_write_text(made / _RECIPE, text)
    atomic_write_text(made / "git-info.log", "\n".join(_git(folder, place)) + "\n")
    parameters = {
        "base_model": plan.base_model,
        "config": plan.config,
        "max_seq_length": plan.max_seq_length,
        "max_steps": plan.steps,
        **dict(plan.hyperparameters),
    }
    atomic_write_text(made / "hparams.yaml", yaml.safe_dump(parameters, sort_keys=False))
    for path in sorted((folder / "tensorboard").glob("events.out.tfevents*")):
        shutil.copy2(path, made / path.name)
    atomic_write_text(made / "lightning_logs.txt", "\n".join(_log(folder, record)) + "\n")


def _arguments(folder: Path, facts: RunFacts, plan: JobPlan) -> Iterator[str]:
    recipe = _RECIPE if facts.recipe is not None else facts.recipe_name or "RECIPE"
    command = ["lawtags", "run", recipe, "--name", folder.name]
    command += [word for source in facts.data for word in ("--data", source)]
    command += ["--test", facts.test] if facts.test else []
    yield shlex.join(command)
    for name, value in _flat("model", {"config": plan.config, "base_model": plan.base_model}):
        yield f"{name}={value}"
    yield f"trainer.max_steps={plan.steps}"
    for name, value in _flat("training", dict(plan.hyperparameters)):
        yield f"{name}={value}"


def _flat(place: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(f"{place}.{name}", inner)
    else:
        yield place, json.dumps(value, ensure_ascii=False)


def _git(folder: Path, place: Path) -> Iterator[str]:
    for name, value in Lineage.read(folder).as_rows():
        yield f"{name}: {value}"
    commit = _ask_git(place, "rev-parse", "HEAD")
    if commit is None:
        yield "commit hash: none, since the folder of the export is in no git repository"
        return
    changed = (_ask_git(place, "status", "--porcelain", "--untracked-files=no") or "").splitlines()
    yield f"commit hash: {commit} (when the run was exported; files changed since: {len(changed)})"


def _ask_git(place: Path, *words: str) -> str | None:
    command = ["git", "-C", str(place), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _log(folder: Path, record: TrainingRecord) -> Iterator[str]:
    """What the training reported, step by step, and when each stage of the run began and ended."""
    yield f"job {record.job} makes {record.output_model}"
    yield from _series(record)
    for stage in Ledger(folder / _LEDGER).stages():
        yield f"{stage.started_at} {stage.name}: started"
        yield f"{stage.finished_at or '-'} {stage.name}: {stage.status}"


def _series(record: TrainingRecord) -> Iterator[str]:
    points = [(point.step, name, point.value) for name, found in record.metrics.items() for point in found]
    for step, name, value in sorted(points, key=lambda each: (each[0], each[1])):
        # Counted from zero on the platform, and from one here, as in the charts.
        yield f"step {step + 1}: {name}={'nan' if value is None else f'{value:.4f}'}"


def _write_inference(folder: Path, made: Path, system: str) -> None:
    questions = read_questions(folder / _TESTING)
    prompts = [_prompt(row) for row in read_rows(folder / _ROWS)] if (folder / _ROWS).is_file() else []
    (made / "inference").mkdir()
    for name in SYSTEMS:
        if not predictions_path(folder, name).is_file():
            continue
        rows: list[JsonRow] = [
            {
                "input": prompts[given.row] if given.row < len(prompts) else question.title,
                "pred": given.text if given.text is not None else ",".join(given.tags),
                "label": ",".join(sorted(question.tags)),
                "filename": question.id,
            }
            for question, given in zip(questions, read_prediction_rows(folder, name), strict=True)
        ]
        _write_rows(made / "inference" / f"{name}_inputs_preds_labels.jsonl", rows)
    results: list[JsonRow] = [
        {
            "id": question.id,
            "title": question.title,
            "truth": sorted(question.tags),
            "prediction": sorted(given.tags),
        }
        for question, given in zip(questions, read_prediction_rows(folder, system), strict=True)
    ]
    _write_rows(made / f"test_results_{folder.name}.jsonl", results)


def _prompt(row: JsonRow | object) -> str:
    found = row if isinstance(row, dict) else {}
    messages = found.get("messages")
    if isinstance(messages, list):
        said: Sequence[object] = [each.get("content") for each in messages[:-1] if isinstance(each, dict)]
        return "\n\n".join(map(str, said))
    return str(found.get("prompt") or "")


def _write_rows(path: Path, rows: Sequence[JsonRow]) -> None:
    atomic_write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
