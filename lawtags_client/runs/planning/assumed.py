"""The configuration that a plan without a platform assumes."""

from __future__ import annotations

from lawtags_client.platform import TrainingConfig, TrainingLayout
from lawtags_client.platform.helix_jobs import METHODS, TRAINED_TOKENS
from lawtags_client.platform.helix_rehearsal import assumed_model
from lawtags_client.platform.protocol import Dialect
from lawtags_client.runs.planning.rendered_row import DEFAULT_TEMPLATE
from lawtags_client.runs.recipe import Recipe

_CPU_TOKENS = 2048


def assumed_dialect(recipe: Recipe, setting: str) -> Dialect:
    """The API of a platform that cannot be asked: the setting decides, or a config that ends in ``@helix``.

    Args:
        recipe: of the plan.
        setting: ``dialect`` of the settings.
    """
    named = recipe.model.config.partition("@")[2] == "helix"
    return "helix" if setting == "helix" or (setting == "auto" and named) else "v1"


def assumed_config(recipe: Recipe, dialect: Dialect = "v1") -> TrainingConfig:
    """What the recipe says of its configuration, and what is usual for the rest.

    A version that ends in ``cpu``, as those of the embedded stack do, needs no GPU.

    Args:
        recipe: of the plan.
        dialect: the API of the platform.
    """
    if dialect == "helix":
        return _on_helix(recipe)
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


def _on_helix(recipe: Recipe) -> TrainingConfig:
    training, model = recipe.training, assumed_model(recipe.model.config)
    layout = TrainingLayout(micro_batch_size=training.micro_batch_size or 1)
    return TrainingConfig(
        name=model,
        base_model=model,
        max_seq_length=training.max_seq_length or TRAINED_TOKENS,
        methods=METHODS,
        precision=training.precision or "bf16",
        layouts=dict.fromkeys(METHODS, layout),
        dialect="helix",
        checked=False,
    )
