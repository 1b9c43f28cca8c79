"""Functions of the user that are called before each request and after each response."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypedDict, TypeVar

from lawtags_client.errors import ConfigurationError, LawtagsError
from lawtags_client.transport.headers import checked_headers

logger = logging.getLogger(__name__)

E = TypeVar("E")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """A request that is about to be sent.

    Args:
        service: the name of the service.
        method: GET, POST and so on.
        url: without its query, which may be signed.
        headers: with secrets masked.
        resend: how many attempts of the same call came before.
    """

    service: str
    method: str
    url: str
    headers: Mapping[str, str]
    resend: int = 0


@dataclass(frozen=True, slots=True)
class ResponseEvent:
    """What became of a request.

    Args:
        request: the request.
        status: the HTTP status; None if no response came.
        headers: of the response, with secrets masked.
        seconds: until the response's headers arrived, or the attempt failed.
        request_id: the server's id for the request.
        error: the class of the error, if no response came.
    """

    request: RequestEvent
    status: int | None
    headers: Mapping[str, str]
    seconds: float
    request_id: str | None = None
    error: str | None = None


Headers: TypeAlias = Mapping[str, str] | None
RequestHook: TypeAlias = Callable[[RequestEvent], Headers | Awaitable[Headers]]
"""Called with each request; may return headers to add to it."""
ResponseHook: TypeAlias = Callable[[ResponseEvent], Awaitable[None] | None]
"""Called with each response."""


class EventHooks(TypedDict, total=False):
    """Hooks by the event that they are called for."""

    request: Sequence[RequestHook]
    response: Sequence[ResponseHook]


def checked_hooks(hooks: EventHooks | None) -> EventHooks:
    """Hooks that can be called.

    Raises:
        ConfigurationError: an event is unknown, or a hook is not a function.
    """
    passed: object = {} if hooks is None else hooks
    if not isinstance(passed, Mapping):
        raise ConfigurationError(
            f"event_hooks is a {type(passed).__name__}", hint="Pass {'request': [hook], 'response': [hook]}."
        )
    given: Mapping[str, object] = dict(passed)
    unknown = sorted(set(given) - {"request", "response"})
    if unknown:
        raise ConfigurationError(
            f"there is no event {', '.join(map(repr, unknown))}", hint="Use 'request' and 'response'."
        )
    for event, functions in given.items():
        if not isinstance(functions, Sequence) or not all(map(callable, functions)):
            raise ConfigurationError(
                f"the hooks for {event!r} are not a list of functions", hint="Pass {'request': [hook]}."
            )
    return hooks or {}


async def before(hooks: EventHooks, event: RequestEvent) -> dict[str, str]:
    """Call the hooks for a request; the headers that they add.

    Raises:
        ConfigurationError: a hook failed. Nothing has been sent.
    """
    added: dict[str, str] = {}
    for hook in hooks.get("request", ()):
        try:
            added |= checked_headers(await _called(hook, event))
        except LawtagsError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f"the request hook {_name(hook)} failed: {type(error).__name__}",
                hint="Fix the hook; nothing was sent.",
            ) from error
    return added


async def after(hooks: EventHooks, event: ResponseEvent) -> None:
    """Call the hooks for a response; one that fails must not lose the response, and is logged."""
    for hook in hooks.get("response", ()):
        try:
            await _called(hook, event)
        except Exception as error:
            logger.warning("the response hook %s failed: %s", _name(hook), type(error).__name__)
            logger.debug("the response hook failed", exc_info=True)


async def _called(hook: Callable[[E], R | Awaitable[R]], event: E) -> R:
    result = hook(event)
    return await result if inspect.isawaitable(result) else result


def _name(hook: object) -> str:
    return getattr(hook, "__qualname__", type(hook).__qualname__)
