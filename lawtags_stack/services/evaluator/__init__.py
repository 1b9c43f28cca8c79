"""The Evaluator: targets, configs, jobs and results, and live evaluation.

``routes`` handles HTTP, ``state`` stores everything, ``queue`` runs jobs in threads, ``evaluation`` runs one
of them, and ``task`` one of its tasks. Work on untrusted templates and texts runs in the sandbox:
``sandboxed``, with ``templates``, ``scoring`` and ``metrics``. The sandbox process imports this package, so
the import must be fast.
"""
