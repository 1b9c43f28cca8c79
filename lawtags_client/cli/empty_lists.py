"""What a list command says on stderr when there is nothing to list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lawtags_client.errors import LawtagsError

if TYPE_CHECKING:
    from lawtags_client.client import NeMo


async def explain_empty(nemo: NeMo, what: str, *, status: str | None = None, namespace: str | None) -> str:
    """Why a list is empty: no such namespace, or nothing in it that matches.

    Args:
        nemo: an open client.
        what: what is listed, such as ``jobs``.
        status: the state that was asked for, if any.
        namespace: the namespace that was asked for, if any.
    """
    if namespace is not None:
        try:
            known = sorted({each.id async for each in nemo.entity_store.namespaces.list() if each.id})
        except LawtagsError:
            # The Entity Store may be unreachable; that nothing was found is true all the same.
            known = [namespace]
        if namespace not in known:
            return f"No namespace {namespace}; namespaces: {', '.join(known) or 'none'}"
    filters = [f"status {status}" if status else "", f"namespace {namespace}" if namespace else ""]
    asked = " and ".join(filter(None, filters))
    return f"No {what} with {asked}" if asked else f"No {what} yet"
