"""What is wrong with a value of a recipe, in words that name no type of Python."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic_core import ErrorDetails

_SECTION = "must be a section, with one option per line below it"
_KINDS: Mapping[str, str] = {
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "literal_error": "must be {expected}",
    "greater_than": "must be above {gt:.15g}",
    "greater_than_equal": "must be at least {ge:.15g}",
    "less_than": "must be below {lt:.15g}",
    "less_than_equal": "must be at most {le:.15g}",
    "model_type": _SECTION,
    "dict_type": _SECTION,
    "tuple_type": "must be a list, such as [a, b]",
    "missing": "is missing",
    "extra_forbidden": "unknown option",
}
"""By the type of the error, as pydantic names it."""

_BRANCHES = frozenset({"int", "float"})
_YAML_TRUTH = "YAML reads yes, on, no and off as true and false"


def message_of(error: ErrorDetails) -> str:
    """What is wrong with a value; the value itself may be a secret, and is not repeated.

    Args:
        error: of pydantic, with its context and input.
    """
    kind, given = error["type"], error["input"]
    if kind not in _KINDS:
        return error["msg"].removeprefix("Value error, ")
    told = _KINDS[kind].format(**error.get("ctx", {}))
    if kind in ("missing", "extra_forbidden"):
        return told
    if given is None:
        return f"{told}, and is empty"
    if kind == "string_type" and not isinstance(given, list | dict):
        truth = f" ({_YAML_TRUTH})" if isinstance(given, bool) else ""
        return f"{told}: put it in quotes{truth}"
    if kind == "literal_error" and isinstance(given, bool):
        return f"{told} ({_YAML_TRUTH}: put it in quotes)"
    if kind.endswith("_parsing") and str(given).strip()[:1].isdigit():
        return f"{told}, without a unit"
    return told


def place_of(error: ErrorDetails) -> tuple[int | str, ...]:
    """Where the wrong value is, without the kind of number that was tried."""
    location = error["loc"]
    if error["type"] != "extra_forbidden" and len(location) > 1 and location[-1] in _BRANCHES:
        return location[:-1]
    return location
