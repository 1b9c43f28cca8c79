"""The curation section of a recipe, checked before any question is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, get_type_hints

from lawtags_client.errors import LawtagsError
from lawtags_client.json_value import JsonObject, JsonRow
from lawtags_client.runs.recipe_faults import CORRECT, RecipeFault, dotted, unknown_key
from lawtags_client.runs.recipe_text import Location

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SECTION = "curation"
_NOWHERE: Mapping[str, Sequence[str]] = MappingProxyType({})


def curation_faults(
    curation: JsonObject, elsewhere: Mapping[str, Sequence[str]] = _NOWHERE, *, keyless: bool = True
) -> list[RecipeFault]:
    """What is wrong with the options of a curation.

    Args:
        curation: the section of a recipe.
        elsewhere: the other sections that have a key, by its name.
        keyless: whether a key for hashes of personal data may be missing, as it comes from the environment.
    """
    from lawtags_client.curation import CurationOptions

    unknown = _unknown(CurationOptions, curation)
    found = [unknown_key((SECTION, *location), known, elsewhere) for location, known in unknown]
    for location, _ in unknown:
        curation = _without(curation, location)
    pii = curation.get("pii")
    if keyless and isinstance(pii, Mapping) and pii.get("action") == "hash":
        curation = {**curation, "pii": {"key": "from the environment", **pii}}
    while (problem := _problem(curation)) is not None:
        hint = f" ({problem.hint})" if problem.hint else ""
        location = _named(problem.message, curation)
        told = problem.message.removeprefix(f"{SECTION}.").removeprefix(f"{dotted(location)} ")
        found.append(RecipeFault((SECTION, *location), f"{told}{hint}"))
        if not location:
            break
        # The reading ends at the first wrong value; without that one, it gets to the next.
        curation = _without(curation, location)
    return found


def _problem(curation: JsonObject) -> LawtagsError | None:
    from lawtags_client.curation import CurationOptions

    try:
        CurationOptions.from_dict(curation)
    except LawtagsError as problem:
        return problem
    return None


def _without(values: JsonObject, location: Location) -> JsonRow:
    """A copy of a section that lacks one option."""
    first, *rest = location
    copy = dict(values)
    inner = copy.pop(str(first))
    if rest and isinstance(inner, Mapping):
        copy[str(first)] = _without(inner, tuple(rest))
    return copy


def curation_remedy(faults: Sequence[RecipeFault]) -> str:
    """What to do about faults of a curation: the keys that there are, where one is unknown."""
    from lawtags_client.curation import CurationOptions

    sections = {fault.location[:-1]: None for fault in faults if fault.unknown}
    hints = [
        f"Known options of {dotted(section)}: {', '.join(_fields(_group(CurationOptions, section[1:])))}."
        for section in sections
    ]
    return " ".join([*hints, *([CORRECT] if any(not fault.unknown for fault in faults) else [])])


def groups_of(cls: type[DataclassInstance]) -> dict[str, type[DataclassInstance]]:
    """The options of a dataclass that are groups of options themselves."""
    return {
        name: kind
        for name, kind in get_type_hints(cls).items()
        if isinstance(kind, type) and is_dataclass(kind)
    }


def _unknown(
    cls: type[DataclassInstance], values: JsonObject, place: Location = ()
) -> list[tuple[Location, list[str]]]:
    """Where keys are that do not exist, and the keys that there are."""
    known, groups = _fields(cls), groups_of(cls)
    found: list[tuple[Location, list[str]]] = [
        ((*place, name), known) for name in values if name not in known
    ]
    for name, group in groups.items():
        inner = values.get(name)
        if isinstance(inner, Mapping):
            found += _unknown(group, inner, (*place, name))
    return found


def _fields(cls: type[DataclassInstance]) -> list[str]:
    return [field.name for field in fields(cls)]


def _group(cls: type[DataclassInstance], section: Location) -> type[DataclassInstance]:
    for name in section:
        cls = groups_of(cls)[str(name)]
    return cls


def _named(message: str, curation: JsonObject) -> Location:
    """The option that a message is about: the first of its dotted words that the section has; or none."""
    for word in re.findall(r"[a-z_]+(?:\.[a-z_]+)*", message):
        location: list[str] = []
        inner: object = curation
        for part in word.removeprefix(f"{SECTION}.").split("."):
            if not isinstance(inner, Mapping) or part not in inner:
                break
            location.append(part)
            inner = inner[part]
        else:
            return tuple(location)
    return ()
