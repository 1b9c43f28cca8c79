"""What a run was made from, and how other inputs under its name are told from the same ones."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lawtags_client.errors import ConfigurationError, DataError, RunInputsError
from lawtags_client.runs.ledger import Ledger, StageRecord
from lawtags_client.runs.recipe import Recipe, parse_recipe

FACT = "inputs"

# A recipe's keys that change how long a run takes, or what people read, and none of its results.
_IMMATERIAL = ("description", "wait")
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

Inputs = Mapping[str, Any]


def inputs_of(
    recipe: Recipe,
    data: Sequence[str],
    test: Path | None,
    services: Mapping[str, str] | None,
    *,
    run_id: str,
) -> dict[str, Any]:
    """Everything that decides the results of a run, fit to be written down.

    Args:
        recipe: what to do.
        data: files, patterns or ``hf://`` names of labeled questions.
        test: labeled questions that are only scored.
        services: address by service; None where it is not known.
        run_id: the run's identity; it salts the hash of secrets.
    """
    return {
        "recipe": _material(recipe.record()),
        "files": _named_files(recipe, run_id),
        "data": _contents(data, None),
        "test": _contents([], test),
        "services": None if services is None else {name: _public(url) for name, url in services.items()},
    }


def differences(known: Inputs, wanted: Inputs) -> list[str]:
    """What differs between two sets of inputs, one line each; what either does not know is passed over."""
    lines = list(_differing(known.get("recipe") or {}, wanted["recipe"], ""))
    for name, before, now in _sides(known.get("files"), wanted["files"]):
        lines.append(f"{name}: {_short(before)} -> {_short(now)}")
    for part in ("data", "test"):
        if known.get(part) is not None and not _same_contents(known[part], wanted[part]):
            lines.append(f"{part}: {_named(known[part])} -> {_named(wanted[part])}")
    for name, before, now in _sides(known.get("services"), wanted["services"]):
        lines.append(f"address of {name}: {before or 'none'} -> {now or 'none'}")
    return lines


def recorded_inputs(ledger: Ledger, folder: Path) -> dict[str, Any] | None:
    """The inputs of a run as its folder records them; None for a new folder."""
    recorded = ledger.fact(FACT)
    if recorded is not None:
        return {**recorded, "recipe": _material(recorded["recipe"])}
    recipe = ledger.fact("recipe")
    return None if recipe is None else _recorded_by_older_releases(recipe, folder)


def holds_results(ledger: Ledger) -> bool:
    """Whether a run holds, or may be about to get, what other inputs must not replace."""
    if any(ledger.finished(name) for name in PAID):
        return True
    training = ledger.stage("customize")
    return training is not None and not _is_over(training)


def check_inputs(ledger: Ledger, folder: Path, wanted: Inputs, names: Sequence[str]) -> list[str]:
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


def _material(record: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a recorded recipe that decides results, with the defaults that its release did not know."""
    # A record that this release cannot read is compared as it stands.
    with contextlib.suppress(ConfigurationError):
        record = parse_recipe(dict(record)).record()
    content = {name: value for name, value in record.items() if name not in _IMMATERIAL}
    # How many threads share a fit does not change it.
    content["retriever"] = {k: v for k, v in (content.get("retriever") or {}).items() if k != "threads"}
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


def _contents(data: Sequence[str], test: Path | None) -> list[dict[str, Any]]:
    from lawtags_client.curation.read.sources import find_sources

    given = [*data] if data else [str(test)] if test else []
    try:
        sources = find_sources(given) if given else []
        # A hub data set has no file to hash; the curation records its revision.
        return [{"source": s.location} if s.hub else {**s.identity()} for s in sources]
    except DataError:
        # The curation says what is wrong with it.
        return [{"source": each} for each in given]


def _recorded_by_older_releases(recipe: Mapping[str, object], folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"recipe": _material(recipe)}
    try:
        inputs = json.loads((folder / "curated" / "curation.json").read_text(encoding="utf-8"))["inputs"]
        for part, test in (("data", False), ("test", True)):
            found[part] = [
                {name: each[name] for name in ("source", "sha256", "bytes") if name in each}
                for each in inputs
                if each["test"] is test
            ]
    except (OSError, ValueError, KeyError, TypeError):
        # Without it, or from a release that wrote none: only the recipe can be compared.
        pass
    return found


def _differing(known: Mapping[str, object], wanted: Mapping[str, object], place: str) -> Iterator[str]:
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


def _same_contents(known: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> bool:
    def keys(contents: Sequence[Mapping[str, Any]]) -> list[tuple[str, str | None]]:
        return sorted((str(each["source"]), each.get("sha256")) for each in contents)

    return keys(known) == keys(wanted)


def _named(contents: Sequence[Mapping[str, Any]]) -> str:
    words = [
        f"{each['source']} ({each['bytes']} bytes, sha256 {each['sha256'][:8]})"
        if "sha256" in each
        else str(each["source"])
        for each in contents
    ]
    return ", ".join(words) or "none"


def _short(value: object) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _public(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname:
        return url
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path.rstrip('/')}"
