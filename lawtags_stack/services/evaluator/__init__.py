"""The Evaluator: targets, configs, jobs and results, and live evaluation.

``routes`` speak HTTP, ``state`` keeps what there is, ``work`` runs jobs in threads, ``evaluation`` does one
of them, ``task`` a part of it. What depends on templates and texts of others runs in the sandbox:
``confined``, with ``templates``, ``scoring`` and ``metrics``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lawtags_stack.service import Service, StackContext


def create(context: StackContext) -> Service:
    """Make the Evaluator of a stack."""
    # Here, since the sandbox process imports this package, too, and should start quickly.
    from lawtags_stack.services.evaluator.routes import create

    return create(context)


__all__ = ["create"]
