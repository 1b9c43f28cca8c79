"""What a list command says on stderr when there is nothing to list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from lawtags_client.errors import LawtagsError


async def explain_empty(
    namespaces: Callable[[], Awaitable[Sequence[str]]],
    what: str,
    *,
    status: str | None = None,
    namespace: str | None,
) -> str:
    """Why a list is empty: no such namespace, or nothing in it that matches.

    Args:
        namespaces: returns those that the platform has.
        what: what is listed, such as ``jobs``.
        status: the state that was asked for, if any.
        namespace: the namespace that was asked for, if any.
    """
    if namespace is not None:
        try:
            known = await namespaces()
        except LawtagsError:
            # Their service may be unreachable; that nothing was found is true all the same.
            known = [namespace]
        if namespace not in known:
            return f"No namespace {namespace}; namespaces: {', '.join(known) or 'none'}"
    filters = [f"status {status}" if status else "", f"namespace {namespace}" if namespace else ""]
    asked = " and ".join(filter(None, filters))
    return f"No {what} with {asked}" if asked else f"No {what} yet"
