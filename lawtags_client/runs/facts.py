"""What a run records of itself as a whole: its identity, and what it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_client.runs.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenOver:
    """Where a run comes from that began with the finished stages of another one.

    Attributes:
        run: name of the other run.
        run_id: its identity.
        stage: the first stage that was not taken over.
    """

    run: str
    run_id: str | None
    stage: str

    def as_json(self) -> dict[str, JsonValue]:
        """As the ledger holds it."""
        return {"run": self.run, "run_id": self.run_id, "stage": self.stage}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Facts of a run, as its ledger holds them.

    Attributes:
        run_id: the run's identity, made once.
        recipe: the recipe's record, without secrets.
        data: files or ``hf://`` names of labeled questions.
        test: labeled questions that are only scored.
        profile: the profile of the settings that the run was made with.
        inputs: everything that decides the results; absent in runs of older releases.
        taken_over: the run whose finished stages this one began with, if there is one.
        datasets: what it has begun to upload, under the names of the platform; absent in older releases.
        undone: when what the run had made on its platform was removed, in ISO 8601 and UTC.
    """

    run_id: str | None = None
    recipe: JsonObject | None = None
    data: tuple[str, ...] = ()
    test: str | None = None
    profile: str | None = None
    inputs: JsonObject | None = None
    taken_over: TakenOver | None = None
    datasets: tuple[str, ...] = ()
    undone: str | None = None

    @classmethod
    def read(cls, ledger: Ledger) -> RunFacts:
        """The facts that a ledger holds."""
        facts = ledger.facts()
        data, datasets = facts.get("data"), facts.get("datasets")
        return cls(
            run_id=_text(facts.get("run_id")),
            recipe=_object(facts.get("recipe")),
            data=tuple(map(str, data)) if isinstance(data, list) else (),
            test=_text(facts.get("test")),
            profile=_text(facts.get("profile")),
            inputs=_object(facts.get("inputs")),
            taken_over=_taken_over(facts.get("taken_over")),
            datasets=tuple(map(str, datasets)) if isinstance(datasets, list) else (),
            undone=_text((_object(facts.get("undone")) or {}).get("at")),
        )

    @classmethod
    def of_folder(cls, folder: Path) -> RunFacts:
        """The facts of the run in a folder; empty if there is none."""
        path = folder / "ledger.sqlite"
        return cls.read(Ledger(path)) if path.exists() else cls()

    def write(self, ledger: Ledger) -> None:
        """Record all of them, or none, except where the run comes from, and what it has on a platform."""
        ledger.set_facts(
            {
                "run_id": self.run_id,
                "recipe": self.recipe,
                "data": list(self.data),
                "test": self.test,
                "profile": self.profile,
                "inputs": self.inputs,
            }
        )

    @property
    def recipe_name(self) -> str | None:
        """The name of the recipe."""
        return _text((self.recipe or {}).get("name"))

    @property
    def curation(self) -> JsonObject:
        """The curation section of the recipe."""
        return _object((self.recipe or {}).get("curation")) or {}


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None


def _taken_over(value: JsonValue) -> TakenOver | None:
    found = _object(value) or {}
    run, stage = _text(found.get("run")), _text(found.get("stage"))
    if run is None or stage is None:
        return None
    return TakenOver(run=run, run_id=_text(found.get("run_id")), stage=stage)


def _object(value: JsonValue) -> JsonObject | None:
    return value if isinstance(value, Mapping) else None
