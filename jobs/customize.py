"""Fine-tune on a data set, follow the job, and wait until the model answers.

Started again with the same arguments it takes up the job it made before.

Example: python jobs/customize.py law/questions --config google/gemma-2-2b@v1.0.0+80GB --output law/tagger
"""

from __future__ import annotations

import argparse

from lawtags_client import LoRA, NeMo
from lawtags_client.cli.session import script


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", help="namespace/name")
    parser.add_argument("--config", help="namespace/name@version; may be left out where there is one only")
    parser.add_argument("--output", required=True, help="name of the tuned model, namespace/name")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--adapter-dim", type=int, default=32)
    parser.add_argument("--intent", help="a key of your own; a new one trains again")
    parser.add_argument("--profile", help="profile of lawtags.toml")
    given = parser.parse_args()
    async with NeMo.from_env(given.profile) as nemo:
        job = await nemo.customizer.fine_tune(
            dataset=given.dataset,
            config=given.config,
            method=LoRA(adapter_dim=given.adapter_dim),
            epochs=given.epochs,
            batch_size=given.batch_size,
            learning_rate=given.learning_rate,
            output_model=given.output,
            intent=given.intent,
        )
        async for event in job.watch():
            print(event, flush=True)
        print(await job.served())


if __name__ == "__main__":
    script(main)
