"""From rows to tags, with the async client."""

from __future__ import annotations

import asyncio

from lawtags_client import LoRA, NeMo, tag


async def main() -> None:
    """Upload, train, wait until the model is served, tag."""
    async with NeMo.from_env() as nemo:
        dataset = await nemo.data_store.upload_dataset("law/tags", "curated/")
        job = await nemo.customizer.fine_tune(
            config="huggingfacetb/smollm2-135m-instruct",
            dataset=dataset,
            method=LoRA(adapter_dim=8),
            batch_size=4,
            output_model="law/tagger",
        )
        async for event in job.watch():
            print(event)
        model = await job.served(timeout=600)
        tagged = await tag(nemo, title="Can pricing be trademarked?", model=model)
        print(job.id, model, tagged.tags)


asyncio.run(main())
