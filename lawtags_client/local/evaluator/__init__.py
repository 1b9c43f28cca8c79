"""The Evaluator: targets, configs, jobs and results, and live evaluation.

``routes`` speak HTTP, ``state`` keeps what there is, ``work`` runs jobs in a thread, ``evaluation`` does one
of them, with ``rows``, ``templates``, ``asking``, ``scoring`` and ``metrics`` as its parts.
"""

from __future__ import annotations

from lawtags_client.local.evaluator.routes import create

__all__ = ["create"]
