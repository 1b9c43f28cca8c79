"""A served model scored on the test rows of a dataset, on the platform of a client's settings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from lawtags_client.client import NeMo
from lawtags_client.errors import ConfigurationError, NotFoundError
from lawtags_client.helix.client import Helix
from lawtags_client.platform.choice import helix_of
from lawtags_client.platform.dataset_evaluation import dataset_evaluation
from lawtags_client.platform.helix import HelixPlatform
from lawtags_client.platform.helix_filesets import test_fileset
from lawtags_client.platform.protocol import EvaluationIntent, EvaluationSummary
from lawtags_client.platform.v1 import V1Platform

_MOST_NAMED = 10


async def evaluate_dataset(
    nemo: NeMo,
    dataset: str,
    *,
    model: str,
    namespace: str,
    limit: int,
    key: str | None = None,
    timeout: float,
    on_progress: Callable[[float], None] | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> EvaluationSummary:
    """Have the platform's evaluator score a model.

    Args:
        nemo: an open client.
        dataset: ``namespace/name``; on v1 also the ``hf://`` URL of a file, on Helix
            ``workspace/fileset#file``.
        model: the served model.
        namespace: where the evaluation goes.
        limit: most rows to score.
        key: the idempotency key; by default, it is computed from the rest and from the rows.
        timeout: seconds to wait.
        on_progress: called with the percentage.
        on_notice: called with a sentence that whoever waits should know.

    Raises:
        ConfigurationError: the model is not served, or the dataset has no test file, or several.
        NotFoundError: the dataset does not exist.
        JobFailedError: the evaluation failed.
        WaitTimeoutError: it took longer.
    """
    async with helix_of(nemo) as helix:
        if helix is None:
            wanted = await dataset_evaluation(
                nemo, dataset, model=model, namespace=namespace, limit=limit, key=key
            )
            return await V1Platform(nemo).evaluate(wanted, timeout=timeout, on_progress=on_progress)
        wanted = await _on_helix(helix, dataset, model=model, namespace=namespace, limit=limit, key=key)
        return await HelixPlatform(helix).evaluate(
            wanted, timeout=timeout, on_progress=on_progress, on_notice=on_notice
        )


async def _on_helix(
    helix: Helix, dataset: str, *, model: str, namespace: str, limit: int, key: str | None
) -> EvaluationIntent:
    if await helix.providers.serving(model) is None:
        served = [
            entry.model_entity_id
            async for provider in helix.providers.list(workspace="-")
            for entry in provider.served_models
        ]
        listed = ", ".join(sorted(served)[:_MOST_NAMED]) or "none"
        raise ConfigurationError(
            f"{model} is not served", hint=f"Served models: {listed}. List all with: lawtags models ls"
        )
    fileset, file = await _test_file(helix, dataset)
    rows = await helix.filesets.read(fileset, file)
    # Other rows under the same name are another evaluation.
    content = [model, f"{fileset}#{file}", namespace, str(limit), hashlib.sha256(rows).hexdigest()]
    return EvaluationIntent(
        key=key or hashlib.sha256(" ".join(content).encode()).hexdigest(),
        model=model,
        files_url=f"{fileset}#{file}",
        namespace=namespace,
        limit=limit,
    )


async def _test_file(helix: Helix, dataset: str) -> tuple[str, str]:
    """The fileset and the path of test rows."""
    if dataset.startswith("hf://"):
        raise ConfigurationError(
            f"{dataset!r} is an address of v1, and this is NeMo Helix",
            hint="Use workspace/name of a dataset that a run has uploaded, or workspace/fileset#file.",
        )
    fileset, has_file, file = dataset.partition("#")
    if has_file:
        return fileset, file
    # A run keeps its test rows in a fileset of their own, which no training can see.
    workspace, _, name = fileset.partition("/")
    for candidate in (f"{workspace}/{test_fileset(name)}", fileset):
        try:
            files = await helix.filesets.files(candidate, folder="testing")
        except NotFoundError:
            continue
        found = sorted(each.path for each in files if each.path.endswith(".jsonl"))
        if len(found) == 1:
            return candidate, found[0]
        if found:
            raise ConfigurationError(
                f"{candidate} has {len(found)} files of test rows",
                hint=f"Name one of them: {candidate}#{found[0]}",
            )
    raise NotFoundError(
        f"there are no test rows of {dataset} on the platform",
        hint="Name them as workspace/fileset#file, or use a dataset that a run has uploaded.",
        service="files",
    )
