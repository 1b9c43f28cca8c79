"""Holding an answer to a pattern, in whichever way the server understands."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from lawtags_client.errors import BadRequestError, UnprocessableError

logger = logging.getLogger(__name__)

R = TypeVar("R")


def _as_nvext(options: Mapping[str, Any]) -> dict[str, Any]:
    return {"nvext": dict(options)}


def _as_top_level(options: Mapping[str, Any]) -> dict[str, Any]:
    return dict(options)


def _not_at_all(options: Mapping[str, Any]) -> dict[str, Any]:
    return {}


_FORMS = (_as_nvext, _as_top_level, _not_at_all)


class Guidance:
    """Remembers, per model, in which form guided decoding is accepted."""

    def __init__(self) -> None:
        self._form: dict[str, int] = {}

    async def ask(
        self, model: str, options: Mapping[str, Any], act: Callable[[dict[str, Any]], Awaitable[R]]
    ) -> R:
        """Make a request with guidance: as a NIM extension, else at the top level, else without.

        Args:
            model: the model asked.
            options: ``guided_regex`` and the like; none for no guidance.
            act: makes the request, with fields to be added to it.

        Raises:
            APIError: the service refused the request even without guidance.
        """
        if not options:
            return await act({})
        for form in range(self._form.get(model, 0), len(_FORMS)):
            try:
                result = await act(_FORMS[form](options))
            except (BadRequestError, UnprocessableError):
                if form == len(_FORMS) - 1:
                    raise
                continue
            if form == len(_FORMS) - 1 and self._form.get(model) != form:
                logger.warning("%s does not take guided decoding; answers are parsed as they come", model)
            self._form[model] = form
            return result
        raise AssertionError("the last form returns or raises")
