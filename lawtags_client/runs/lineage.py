"""Where a model comes from: recipe, data, curation and job, with the digests by which they are recognized."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.runs.documents import read_document
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.ledger import Ledger
from lawtags_client.runs.outputs import UploadOutput
from lawtags_client.runs.series import TrainingRecord
from lawtags_client.version import __version__

_LEDGER = "ledger.sqlite"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """An input of a run.

    Attributes:
        name: of the file, or its ``hf://`` name.
        digest: SHA-256 of a file, or revision of a dataset; None if neither is recorded.
        rows: how many it has; None if that is not recorded.
        test: whether its rows were only scored.
    """

    name: str
    digest: str | None
    rows: int | None
    test: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where the model of a run comes from.

    Attributes:
        run: name of the run.
        run_id: its identity.
        started: when its first stage began, in ISO 8601 and UTC.
        lawtags: version of this package.
        recipe: name of the recipe.
        recipe_digest: SHA-256 of the recipe as it is recorded, as canonical JSON.
        sources: the files of questions.
        curation: digest of the curated rows.
        dataset: the rows on the platform.
        job: the training job.
        model: what the job made.
    """

    run: str
    run_id: str | None
    started: str | None
    lawtags: str
    recipe: str | None
    recipe_digest: str | None
    sources: tuple[SourceFile, ...]
    curation: str | None
    dataset: str | None
    job: str | None
    model: str | None

    @classmethod
    def read(cls, folder: Path) -> Lineage:
        """The lineage that a run has recorded; what it does not have yet is None.

        Raises:
            DataError: a file of the run is damaged.
        """
        ledger = Ledger(folder / _LEDGER)
        facts, stages = RunFacts.read(ledger), ledger.stages()
        card = _document(folder, "curated/curation.json")
        uploaded = ledger.finished("upload")
        trained = (
            read_document(TrainingRecord, folder, "customization.json")
            if (folder / "customization.json").is_file()
            else None
        )
        digest = card.get("digest")
        return cls(
            run=folder.name,
            run_id=facts.run_id,
            started=stages[0].started_at if stages else None,
            lawtags=__version__,
            recipe=facts.recipe_name,
            recipe_digest=_digest(facts.recipe) if facts.recipe is not None else None,
            sources=tuple(_sources(card.get("inputs"))),
            curation=digest if isinstance(digest, str) else None,
            dataset=UploadOutput.from_json(uploaded.output).dataset if uploaded else None,
            job=trained.job if trained else None,
            model=trained.output_model if trained else None,
        )

    def as_rows(self) -> list[tuple[str, str]]:
        """What is known, as names and values for a table."""
        known = [
            ("run", f"{self.run} ({self.run_id})" if self.run_id else self.run),
            ("started", self.started),
            ("recipe", f"{self.recipe}, SHA-256 {self.recipe_digest}" if self.recipe_digest else self.recipe),
            *((f"{'test ' if each.test else ''}data", _in_words(each)) for each in self.sources),
            ("curated rows", self.curation),
            ("dataset", self.dataset),
            ("training job", self.job),
            ("model", self.model),
            ("lawtags", self.lawtags),
        ]
        return [(name, value) for name, value in known if value]


def _in_words(source: SourceFile) -> str:
    rows = "" if source.rows is None else f", {source.rows} rows"
    return source.name + rows + (f", SHA-256 {source.digest}" if source.digest else "")


def _digest(recipe: object) -> str:
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _document(folder: Path, name: str) -> dict[str, object]:
    return read_document(dict[str, object], folder, name) if (folder / name).is_file() else {}


def _sources(inputs: object) -> Iterator[SourceFile]:
    for each in inputs if isinstance(inputs, list) else ():
        if isinstance(each, Mapping):
            digest, rows = each.get("sha256") or each.get("revision"), each.get("rows")
            yield SourceFile(
                name=str(each.get("source")),
                digest=str(digest) if digest else None,
                rows=rows if isinstance(rows, int) else None,
                test=bool(each.get("test")),
            )
