"""The evaluation of a served model on the test rows of a dataset."""

from __future__ import annotations

import hashlib

from lawtags_client.client import NeMo
from lawtags_client.errors import ConfigurationError
from lawtags_client.platform.protocol import EvaluationIntent
from lawtags_client.services.evaluator.building import dataset_file

_MOST_NAMED = 10


async def dataset_evaluation(
    nemo: NeMo, dataset: str, *, model: str, namespace: str, limit: int, key: str | None = None
) -> EvaluationIntent:
    """The intent to score a model on the test rows of a dataset.

    Args:
        nemo: an open client.
        dataset: ``namespace/name``, or the ``hf://`` URL of a file.
        model: the served model.
        namespace: where the evaluation goes.
        limit: most rows to score.
        key: the idempotency key; by default, it is computed from the rest and from the rows.

    Raises:
        ConfigurationError: the model is not served, or the dataset has no test file, or several.
        NotFoundError: the dataset does not exist.
    """
    await _check_served(nemo, model)
    files_url, digest = await dataset_file(dataset, "testing", nemo.data_store)
    # Other rows under the same name are another evaluation.
    content = " ".join(filter(None, (model, files_url, namespace, str(limit), digest)))
    return EvaluationIntent(
        key=key or hashlib.sha256(content.encode()).hexdigest(),
        model=model,
        files_url=files_url,
        namespace=namespace,
        limit=limit,
    )


async def _check_served(nemo: NeMo, model: str) -> None:
    """Refuse a model that the inference endpoint does not list, before anything is submitted."""
    served = [each.id for each in await nemo.inference.models()]
    if model in served:
        return
    name = model.partition("@")[0]
    versions = [each for each in served if each.partition("@")[0] == name]
    if versions:
        hint = f"Served versions of it: {', '.join(versions[:_MOST_NAMED])}. Use one of them."
    else:
        others = ", ".join(served[:_MOST_NAMED]) or "none"
        hint = f"Served models: {others}. List all with: lawtags models ls"
    raise ConfigurationError(f"{model} is not served", hint=hint)
