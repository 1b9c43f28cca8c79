"""Holding an answer to a form, in whichever way the server understands."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from lawtags_client.errors import BadRequestError, UnprocessableError

logger = logging.getLogger(__name__)

R = TypeVar("R")
Guided: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]


def forms(guided: Guided | None) -> list[dict[str, Any]]:
    """The fields that may hold an answer to what is wanted, in the order in which to try them.

    As an extension of NIM, then at the top level of the request, then as its response format, then not.

    Args:
        guided: ``guided_regex`` or the like, and what else the request needs then; or several such, the one
            to be preferred first.
    """
    alternatives = [guided] if isinstance(guided, Mapping) else list(guided or ())
    found = []
    for alternative in alternatives:
        names = [name for name in alternative if name.startswith("guided_")]
        rest = {name: value for name, value in alternative.items() if name not in names}
        found.append(rest | {"nvext": {name: alternative[name] for name in names}})
    found += [dict(alternative) for alternative in alternatives]
    found += [form for alternative in alternatives for form in _response_format(alternative)]
    return [*found, {}]


def with_logprobs(
    tried: Sequence[Mapping[str, Any]], number: int | bool | None, *, needed: bool
) -> list[dict[str, Any]]:
    """The same fields and log-probabilities of so many tokens; where they are not needed, then without."""
    if number is None:
        return [*map(dict, tried)]
    scored = [{**form, "logprobs": number} for form in tried]
    return scored if needed else [*scored, *map(dict, tried)]


def _response_format(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    schema = options.get("guided_json")
    if not isinstance(schema, Mapping):
        return []
    rest = {name: value for name, value in options.items() if name != "guided_json"}
    wanted = {"name": "answer", "schema": dict(schema), "strict": True}
    return [rest | {"response_format": {"type": "json_schema", "json_schema": wanted}}]


class Guidance:
    """Remembers, per model, in which form guided decoding is accepted, and kept to."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], int] = {}

    async def ask(
        self,
        model: str,
        tried: Sequence[Mapping[str, Any]],
        act: Callable[[dict[str, Any]], Awaitable[R]],
        *,
        held: Callable[[R], bool] | None = None,
    ) -> R:
        """Make a request in the first form that the server takes, and keeps to.

        What is refused in a form that was accepted before is at fault itself, and not tried in another.

        Args:
            model: the model asked.
            tried: fields to be added to the request, one form after the other; empty for no guidance.
            act: makes the request.
            held: whether an answer is of the form that was asked for. Servers pass over fields that they do
                not know, so that an answer of another form shows that this one is not known.

        Raises:
            APIError: the service refused the request.
        """
        key = (model, *(name for form in tried for name in form))
        known = self._known.get(key)
        for place in range(known or 0, len(tried)):
            last = place == len(tried) - 1
            try:
                result = await act(dict(tried[place]))
            except (BadRequestError, UnprocessableError):
                if last or known is not None:
                    raise
                continue
            if not last and _guides(tried[place]) and held is not None and not held(result):
                known = None
                continue
            if _guides(tried[0]) and not _guides(tried[place]) and key not in self._known:
                logger.warning("%s does not take guided decoding; answers are parsed as they come", model)
            # Another request may have got further meanwhile.
            self._known[key] = max(place, self._known.get(key, 0))
            return result
        raise AssertionError("the last form returns or raises")


def _guides(form: Mapping[str, Any]) -> bool:
    return any(name in ("nvext", "response_format") or name.startswith("guided_") for name in form)
