"""The Evaluator: targets, configs, jobs and results, and live evaluation.

``routes`` speak HTTP, ``state`` keeps what there is, ``queue`` runs jobs in threads, ``evaluation`` does one
of them, ``task`` a part of it. What depends on templates and texts of others runs in the sandbox:
``confined``, with ``templates``, ``scoring`` and ``metrics``; its process imports this package, too, and
should start quickly.
"""
