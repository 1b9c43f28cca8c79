"""What changes when a recipe moves from NeMo Microservices v1 to NeMo Helix.

A recipe runs on both as it is. But what it leaves open is decided by the platform, and v1 and Helix decide
differently; and some names that v1 takes, Helix refuses. The migrated recipe says both explicitly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lawtags_client.json_value import JsonObject, JsonRow, JsonValue
from lawtags_client.platform.helix_jobs import TRAINED_TOKENS
from lawtags_client.platform.references import helix_reference
from lawtags_client.runs.recipe import Recipe, merged, nested

# Hugging Face's names of the layers that NeMo's stand for; NeMo fuses some of them.
_MODULES = {
    "linear_qkv": ("q_proj", "k_proj", "v_proj"),
    "linear_proj": ("o_proj",),
    "linear_fc1": ("gate_proj", "up_proj"),
    "linear_fc2": ("down_proj",),
}


@dataclass(frozen=True, slots=True)
class Change:
    """A key of a recipe that differs after the migration.

    Args:
        key: dotted name.
        before: value in the recipe; None if it was not set.
        after: value in the migrated recipe; None if it is removed.
        reason: why, as a sentence.
    """

    key: str
    before: JsonValue
    after: JsonValue
    reason: str


@dataclass(frozen=True, slots=True)
class Migration:
    """A migrated recipe, and how it differs.

    Args:
        recipe: the new recipe.
        changes: in the order of the recipe's keys.
        notes: what the recipe cannot say, as sentences.
    """

    recipe: Recipe
    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    def document(self) -> JsonRow:
        """The migrated recipe as a file holds it, without the defaults and the key of ``curation.pii``."""
        content = self.recipe.model_dump(mode="json", exclude_defaults=True) | {"schema_version": 1}
        if _has_key(self.recipe):
            pii = {name: value for name, value in content["curation"]["pii"].items() if name != "key"}
            content["curation"] = content["curation"] | {"pii": pii}
        return content


def migrate_recipe(recipe: Recipe) -> Migration:
    """Migrate a recipe from v1 to Helix.

    Args:
        recipe: as it ran on v1.
    """
    changes = [*_names(recipe), *_training(recipe)]
    content = recipe.model_dump(mode="json")
    for change in changes:
        content = merged(content, nested({change.key: change.after}))
    return Migration(Recipe.model_validate(content), tuple(changes), tuple(_notes(recipe)))


def _names(recipe: Recipe) -> Iterator[Change]:
    config = recipe.model.config
    after = helix_reference(config)
    if config.partition("@")[0] != after:
        yield Change(
            "model.config",
            config,
            f"{after}@helix",
            "On Helix, the base is a model entity workspace/name, and names are lower case.",
        )
    for key, value in (("model.output", recipe.model.output), ("dataset.name", recipe.dataset.name)):
        valid = helix_reference(value)
        if valid != value:
            yield Change(key, value, valid, "Helix does not take this name.")


def _training(recipe: Recipe) -> Iterator[Change]:
    training = recipe.training
    decays = training.optimizer is None or training.optimizer.endswith("_cosine_annealing")
    if decays and not training.min_learning_rate:
        yield Change(
            "training.min_learning_rate",
            training.min_learning_rate,
            float(f"{training.learning_rate / 10:.12g}"),
            "v1 decays to a tenth of the learning rate, even if this is 0; Helix does not by default.",
        )
    if training.optimizer is None:
        yield Change(
            "training.optimizer",
            None,
            "adamw_with_cosine_annealing",
            "v1's default is AdamW; that of Helix is Adam.",
        )
    # Of the optimizers with a flat rate, v1 leaves the betas to the trainer.
    if decays and training.adam_beta2 is None:
        yield Change("training.adam_beta2", None, 0.99, "v1's default is 0.99, that of Helix 0.999.")
    if training.log_every_n_steps is not None:
        yield Change(
            "training.log_every_n_steps",
            training.log_every_n_steps,
            None,
            "Helix reports every ten seconds at most, with the whole series.",
        )
    if training.target_modules is not None:
        found = _modules(training.target_modules)
        if found != list(training.target_modules):
            yield Change(
                "training.target_modules",
                list(training.target_modules),
                list[JsonValue](found),
                "Helix takes Hugging Face's names of layers in place of NeMo's.",
            )


def _modules(names: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for name in names:
        prefix, dot, last = name.rpartition(".")
        found += [f"{prefix}{dot}{each}" for each in _MODULES.get(last, (last,))]
    return list(dict.fromkeys(found))


def _notes(recipe: Recipe) -> Iterator[str]:
    training = recipe.training
    base = helix_reference(recipe.model.config)
    yield f"The platform needs the model entity {base}, linked to a fileset with safetensors and tokenizer."
    yield (
        "nemo-platform, Helix's predecessor, takes the same requests, but some of its releases cannot train: "
        "`lawtags doctor` says which backends a platform has."
    )
    yield (
        "Validation rows are uploaded into the training fileset: Helix downloads that one alone, whatever "
        "dataset.validation of the job says."
    )
    if training.method != "all_weights" and training.target_modules is None:
        yield (
            "The recipe sets no training.target_modules: v1 tunes a built-in subset of the layers, and Helix "
            "all linear ones."
        )
    if training.weight_decay is None:
        yield "The recipe sets no training.weight_decay: v1 leaves it to the trainer, and Helix uses 0.01."
    if training.val_check_interval is not None:
        yield (
            "Helix keeps the checkpoint with the lowest validation loss by default, so more validations may "
            "change which one."
        )
    if training.max_seq_length is None:
        yield (
            f"Rows are truncated to {TRAINED_TOKENS:,} tokens, the default of Helix; on v1, the config "
            "decides (max_seq_length)."
        )
    if _has_key(recipe):
        yield "The key of curation.pii is not written to the migrated recipe: set LAWTAGS_PII_KEY."
    if training.method == "lora":
        yield "An adapter is an entity below its base, without a version: each intent has its own name."


def _has_key(recipe: Recipe) -> bool:
    pii = recipe.curation.get("pii")
    return isinstance(pii, Mapping) and pii.get("key") is not None


def changes_as_json(changes: tuple[Change, ...]) -> list[JsonObject]:
    """Changes as JSON objects, one per key."""
    return [
        {"key": each.key, "before": each.before, "after": each.after, "reason": each.reason}
        for each in changes
    ]
