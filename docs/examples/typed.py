"""What a type checker knows of the blocking client; ``make types`` reads this file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_type

from lawtags_client import CustomizationJob, Dataset, JobEvent, LoRA, RawResponse, sync


def follow(nemo: sync.NeMo) -> str:
    """Train, follow, and wait until the model is served."""
    job = nemo.customizer.fine_tune(dataset="law/tags", method=LoRA(), output_model="law/tagger")
    assert_type(job, sync.SyncJob)
    assert_type(job.watch(), Iterator[JobEvent])
    assert_type(job.wait(), CustomizationJob)
    assert_type(nemo.entity_store.datasets.get("law/tags"), Dataset)
    raw = nemo.with_raw_response(nemo.customizer.jobs.get)(job.id)
    assert_type(raw, RawResponse[CustomizationJob])
    assert_type(nemo.with_options(timeout=10), sync.NeMo)
    assert_type(nemo.entity_store.datasets.list(sort="-created_at"), Iterator[Dataset])
    return job.served()
