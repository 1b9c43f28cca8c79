"""From rows to tags, with the blocking client."""

from __future__ import annotations

from lawtags_client import LoRA, sync

with sync.NeMo.from_env() as nemo:
    dataset = nemo.data_store.upload_dataset("law/tags", "curated/")
    job = nemo.customizer.fine_tune(
        config="huggingfacetb/smollm2-135m-instruct",
        dataset=dataset,
        method=LoRA(adapter_dim=8),
        batch_size=4,
        output_model="law/tagger",
    )
    for event in job.watch():
        print(event)
    model = job.served(timeout=600)
    tagged = sync.tag(nemo, title="Can pricing be trademarked?", model=model)
    print(job.id, model, tagged.tags)
