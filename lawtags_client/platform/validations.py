"""When a training job validates, and what that takes."""

from __future__ import annotations

import asyncio

from lawtags_client.client import NeMo
from lawtags_client.errors import LawtagsError
from lawtags_client.types.common import reference
from lawtags_client.types.customizer import CustomizationJob

# A validation computes no gradients: a third of the work where all weights are trained. With an adapter,
# those of the weights are missing in training, too; the median of ten trainings of SmolLM2 on a CPU is .41.
_ROW_COST = {"all_weights": 1 / 3}
_ADAPTER_ROW_COST = 0.41
# A step takes little less time with fewer rows (SmolLM2 on two cores: 2.4 s with four, 1.9 s with two), while
# a validation takes the same.
_FEWEST_ROWS = 4
# Without validation files, the platform holds out 10 % of the training rows.
HELD_OUT_SHARE = 1 / 9
# Only an estimate depends on the answer.
_LONGEST_WAIT = 10.0
_HUB_DATASETS = "hf://datasets/"


def steps_between_validations(interval: float | None, per_epoch: int, steps: int | None = None) -> int:
    """Steps between two validations, by the hyperparameter ``val_check_interval``.

    A job that ends before the first one validates before its last step, and after it, as every job does.

    Args:
        interval: steps, or a share of an epoch from 0 to 1; None for one epoch.
        per_epoch: steps of an epoch.
        steps: of the whole job, if known.
    """
    every = _interval(interval, per_epoch)
    return every if steps is None or steps >= every else max(steps - 1, 1)


def _interval(interval: float | None, per_epoch: int) -> int:
    if interval is None or interval <= 0:
        return per_epoch
    if isinstance(interval, float) and interval <= 1:
        return max(int(per_epoch * interval), 1)
    return min(int(interval), per_epoch)


def validation_cost(method: str | None, rows: float, batch_size: int) -> float:
    """The training steps that take about as long as one validation.

    Args:
        method: ``finetuning_type`` of the job.
        rows: for validation.
        batch_size: rows of a training step.
    """
    return _ROW_COST.get(method or "", _ADAPTER_ROW_COST) * rows / max(batch_size, _FEWEST_ROWS)


async def validation_share(nemo: NeMo, job: CustomizationJob) -> float:
    """Validation rows per training row, by the sizes of the job's files.

    Args:
        nemo: an open client.
        job: the job; if its files cannot be listed, the share that the platform holds out is assumed.
    """
    if job.dataset is None:
        return HELD_OUT_SHARE
    name, _, revision = reference(job.dataset).removeprefix(_HUB_DATASETS).partition("@")
    try:
        async with asyncio.timeout(_LONGEST_WAIT):
            # Without retries: whoever watches a job may not reach the Data Store at all, and waits for this.
            store = nemo.with_options(max_retries=0).data_store
            files = await store.files(name, revision=revision or "main")
    except (LawtagsError, TimeoutError):
        return HELD_OUT_SHARE
    training, validation = (
        sum(each.size or 0 for each in files if each.path.startswith(folder))
        for folder in ("training/", "validation/")
    )
    return validation / training if training and validation else HELD_OUT_SHARE
