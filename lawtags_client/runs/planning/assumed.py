"""The configuration that a plan without a platform assumes."""

from __future__ import annotations

from lawtags_client.platform import TrainingConfig, TrainingLayout
from lawtags_client.runs.planning.rendered_row import DEFAULT_TEMPLATE
from lawtags_client.runs.recipe import Recipe

_CPU_TOKENS = 2048


def assumed_config(recipe: Recipe) -> TrainingConfig:
    """What the recipe says of its configuration, and what is usual for the rest.

    A version that ends in ``cpu``, as those of the embedded stack do, needs no GPU.
    """
    base, _, version = recipe.model.config.partition("@")
    training, on_cpu = recipe.training, version.endswith("cpu")
    method = ("sft", training.method)
    layout = TrainingLayout(gpus=0 if on_cpu else 1, micro_batch_size=training.micro_batch_size or 1)
    return TrainingConfig(
        name=recipe.model.config,
        base_model=base,
        max_seq_length=training.max_seq_length or (_CPU_TOKENS if on_cpu else None),
        methods=(method,),
        prompt_template=None if recipe.curation.get("format") == "messages" else DEFAULT_TEMPLATE,
        chat=recipe.curation.get("format") == "messages",
        precision=training.precision,
        layouts={method: layout},
        checked=False,
    )
