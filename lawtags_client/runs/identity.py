"""What a run was made from, and how different inputs under its name are recognized."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lawtags_client.errors import ConfigurationError, DataError, LawtagsError, RunInputsError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_client.runs.documents import read_document, validated
from lawtags_client.runs.facts import RunFacts
from lawtags_client.runs.ledger import Ledger, StageRecord
from lawtags_client.runs.recipe import Recipe, parse_recipe

if TYPE_CHECKING:
    from lawtags_client.curation.read.sources import QuestionSource

# A recipe's keys that change how long a run takes, or what people read, and none of its results.
_IMMATERIAL = ("description", "wait", "wandb", "mlflow")
# The same, within its sections: the number of threads does not change a fit, and repeats only add results.
_IMMATERIAL_OPTIONS = {
    "retriever": ("threads",),
    "evaluation": ("repeats", "repeated_systems"),
}
_SHOWN_DIFFERENCES = 12

# From here on a stage leaves what costs a training to get back.
PAID = ("customize", "serve", "predict", "evaluate", "report")
# A training that failed with one of these is over, or never began; after others it may be under way.
_OVER = frozenset(
    {
        "JobFailedError", "JobCancelledError", "ConfigurationError", "MissingExtraError", "DataError",
        "BadRequestError", "AuthenticationError", "PermissionDeniedError", "NotFoundError",
        "UnprocessableError", "ConnectionFailedError",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A file of questions that a run was made from.

    Attributes:
        source: its name, or its ``hf://`` name.
        sha256: of its content; None for what is not a file.
        bytes: its size.
    """

    source: str
    sha256: str | None = None
    bytes: int | None = None

    def __str__(self) -> str:
        return self.source if self.sha256 is None else f"{self.source} ({self._content})"

    @property
    def _content(self) -> str:
        return f"{self.bytes} bytes, sha256 {(self.sha256 or '')[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInputs:
    """Everything that decides the results of a run; None is what older releases did not record.

    Attributes:
        recipe: the part of its record that decides results.
        files: digests of the files that the recipe names, and of its secrets.
        data: labeled questions.
        test: labeled questions that are only scored.
        services: address by service.
    """

    recipe: JsonObject
    files: dict[str, str] | None = None
    data: tuple[SourceRecord, ...] | None = None
    test: tuple[SourceRecord, ...] | None = None
    services: dict[str, str] | None = None

    def as_json(self) -> dict[str, JsonValue]:
        """As the ledger holds them."""
        return {
            "recipe": self.recipe,
            "files": self.files,
            "data": _sources_as_json(self.data),
            "test": _sources_as_json(self.test),
            "services": self.services,
        }


def inputs_of(
    recipe: Recipe,
    data: Sequence[str],
    test: Path | None,
    services: Mapping[str, str] | None,
    *,
    run_id: str,
) -> RunInputs:
    """The inputs of a run.

    Args:
        recipe: what to do.
        data: files, patterns or ``hf://`` names of labeled questions.
        test: labeled questions that are only scored.
        services: address by service; None where it is not known.
        run_id: the run's identity; it salts the hash of secrets.
    """
    return RunInputs(
        recipe=_material(recipe.record()),
        files=_named_files(recipe, run_id),
        data=_contents(data, None),
        test=_contents([], test),
        services=None if services is None else public_addresses(services),
    )


def public_addresses(services: Mapping[str, str]) -> dict[str, str]:
    """Addresses as a run records them: without credentials and queries."""
    return {name: _public(url) for name, url in services.items()}


def differences(known: RunInputs, wanted: RunInputs) -> list[str]:
    """What differs between two sets of inputs, one line each; what either does not record is ignored."""
    lines = list(_differing(known.recipe, wanted.recipe, ""))
    for name, before, now in _sides(known.files, wanted.files):
        lines.append(f"{name}: {_short(before)} -> {_short(now)}")
    for part, recorded, given in (("data", known.data, wanted.data), ("test", known.test, wanted.test)):
        if recorded is not None and not _same_contents(recorded, given or ()):
            lines.append(f"{part}: {_named(recorded)} -> {_named(given or ())}")
    for name, before, now in _sides(known.services, wanted.services):
        lines.append(f"address of {name}: {before or 'none'} -> {now or 'none'}")
    return lines


def recorded_inputs(ledger: Ledger, folder: Path) -> RunInputs | None:
    """The inputs of a run as its folder records them; None for a new folder.

    Raises:
        DataError: they are damaged.
    """
    facts = RunFacts.read(ledger)
    if facts.inputs is not None:
        hint = "Use the release that wrote the run, or start another one with --new."
        found = validated(RunInputs, facts.inputs, what="the run's inputs", hint=hint, path=ledger.path)
        return replace(found, recipe=_material(found.recipe))
    return None if facts.recipe is None else _recorded_by_older_releases(facts.recipe, folder)


def holds_results(ledger: Ledger) -> bool:
    """Whether a run holds, or may be about to get, what other inputs must not replace."""
    if any(ledger.finished(name) for name in PAID):
        return True
    training = ledger.stage("customize")
    return training is not None and not _is_over(training)


def check_inputs(ledger: Ledger, folder: Path, wanted: RunInputs, names: Sequence[str]) -> list[str]:
    """Compare the inputs of a run with those that it was made from.

    A run that holds no result yet may be given other inputs: what depends on them is done again, and the
    differences are returned for saying so.

    Args:
        ledger: the run's.
        folder: the run's.
        wanted: the inputs of today.
        names: all stages of the run.

    Raises:
        RunInputsError: they differ, and the run has come to its end, has trained or is training.
    """
    known = recorded_inputs(ledger, folder)
    found = [] if known is None else differences(known, wanted)
    if found and (holds_results(ledger) or all(ledger.finished(name) for name in names)):
        shown = found[:_SHOWN_DIFFERENCES]
        more = [f"and {len(found) - len(shown)} more"] if len(found) > len(shown) else []
        raise RunInputsError(
            f"run {folder.name!r} was made from different inputs, and its results are kept. Differences: "
            + "; ".join([*shown, *more]),
            hint="Add --new to start the next run, or --name to choose another name.",
            differences=found,
        )
    return found


def _is_over(training: StageRecord) -> bool:
    return training.status == "failed" and (training.error or {}).get("error") in _OVER


def _material(record: JsonObject) -> JsonObject:
    """The part of a recorded recipe that decides results, with the defaults that its release did not know."""
    # A record that this release cannot read is compared as it stands.
    with contextlib.suppress(ConfigurationError):
        record = parse_recipe(dict(record)).record()
    content = {name: value for name, value in record.items() if name not in _IMMATERIAL}
    for section, options in _IMMATERIAL_OPTIONS.items():
        found = content.get(section)
        content[section] = (
            {k: v for k, v in found.items() if k not in options} if isinstance(found, Mapping) else {}
        )
    return content


def _named_files(recipe: Recipe, run_id: str) -> dict[str, str]:
    from lawtags_client.curation.options import CurationOptions
    from lawtags_client.runs.tokens import token_counter

    pii = recipe.curation.get("pii")
    key = pii.get("key") if isinstance(pii, Mapping) else None
    # As in the ledger: a remembered recipe has no key, and none is needed here.
    options = {name: value for name, value in recipe.curation.items() if name != "pii"}
    found = dict(CurationOptions.from_dict(options).file_digests())
    found["tokenizer"] = token_counter(recipe.model.tokenizer).identity
    if key is not None:
        found["pii.key"] = hashlib.sha256(f"{run_id} {key}".encode()).hexdigest()
    return found


def _sources_as_json(sources: Sequence[SourceRecord] | None) -> JsonValue:
    if sources is None:
        return None
    return [{k: v for k, v in asdict(source).items() if v is not None} for source in sources]


def _contents(data: Sequence[str], test: Path | None) -> tuple[SourceRecord, ...]:
    from lawtags_client.curation.read.sources import find_sources

    given = [*data] if data else [str(test)] if test else []
    try:
        sources = find_sources(given) if given else []
        # A hub data set has no file to hash; the curation records its revision.
        return tuple(SourceRecord(s.location) if s.hub else _identity(s) for s in sources)
    except DataError:
        # The curation says what is wrong with it.
        return tuple(SourceRecord(each) for each in given)


def _identity(source: QuestionSource) -> SourceRecord:
    return validated(SourceRecord, source.identity(), what=source.name, hint="Check the path.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _CuratedSource:
    source: str
    sha256: str | None = None
    bytes: int | None = None
    test: bool


@dataclass(frozen=True, slots=True)
class _CurationCard:
    inputs: tuple[_CuratedSource, ...]


def _recorded_by_older_releases(recipe: JsonObject, folder: Path) -> RunInputs:
    found = RunInputs(recipe=_material(recipe))
    try:
        inputs = read_document(_CurationCard, folder, "curated/curation.json").inputs
    except (OSError, LawtagsError):
        # Without it, or from a release that wrote none: only the recipe can be compared.
        return found
    sources = [(each.test, SourceRecord(each.source, each.sha256, each.bytes)) for each in inputs]
    return replace(
        found,
        data=tuple(source for test, source in sources if not test),
        test=tuple(source for test, source in sources if test),
    )


def _differing(known: JsonObject, wanted: JsonObject, place: str) -> Iterator[str]:
    for name in dict.fromkeys((*known, *wanted)):
        before, now = known.get(name), wanted.get(name)
        if before == now:
            continue
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            yield from _differing(before, now, f"{place}{name}.")
        else:
            yield f"{place}{name}: {_short(before)} -> {_short(now)}"


def _sides(
    known: Mapping[str, str] | None, wanted: Mapping[str, str] | None
) -> Iterator[tuple[str, str | None, str | None]]:
    if known is None or wanted is None:
        return
    for name in dict.fromkeys((*known, *wanted)):
        if known.get(name) != wanted.get(name):
            yield name, known.get(name), wanted.get(name)


def _same_contents(known: Sequence[SourceRecord], wanted: Sequence[SourceRecord]) -> bool:
    def keys(contents: Sequence[SourceRecord]) -> list[tuple[str, str]]:
        return sorted((each.source, each.sha256 or "") for each in contents)

    return keys(known) == keys(wanted)


def _named(contents: Sequence[SourceRecord]) -> str:
    return ", ".join(map(str, contents)) or "none"


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _public(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname:
        return url
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path.rstrip('/')}"
