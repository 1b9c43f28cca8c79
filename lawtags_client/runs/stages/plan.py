"""Plan: what the job will be, before anything is paid for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from lawtags_client.errors import ConfigurationError
from lawtags_client.files import atomic_write_json
from lawtags_client.platform import TrainingConfig
from lawtags_client.runs.hyperparameters import job_hyperparameters, plan_steps
from lawtags_client.runs.outputs import CurateOutput, JobPlan, PlanOutput, TokenCounts
from lawtags_client.runs.recipe import Recipe
from lawtags_client.runs.rows import read_rows
from lawtags_client.runs.stage import RunContext, file_digests
from lawtags_client.runs.tokens import token_counter


class Plan:
    """Counts tokens and steps and checks the recipe against the platform; writes ``plan.json``."""

    name = "plan"
    version = 1
    leaves = PlanOutput

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        return {
            "curation": context.left(CurateOutput).digest,
            "model": context.recipe.model.model_dump(),
            "training": context.recipe.training.model_dump(),
        }

    async def run(self, context: RunContext) -> PlanOutput:
        recipe = context.recipe
        context.progress.update(0, None, f"reading the config {recipe.model.config}")
        config = await context.platform.config(recipe.model.config)
        counter = token_counter(recipe.model.tokenizer)
        lengths = [
            counter.count(_text(row)) for row in read_rows(context.curated / "training" / "training.jsonl")
        ]
        rows = context.left(CurateOutput).rows
        _check(recipe, config, rows)
        if config.chat and not _wants_messages(recipe):
            context.progress.note(f"{config.name} has a chat template, which only rows of messages use")
        steps = plan_steps(recipe.training, len(lengths), sum(lengths))
        plan = JobPlan(
            config=config.name,
            base_model=config.base_model,
            num_parameters=config.num_parameters,
            max_seq_length=config.max_seq_length,
            rows=rows,
            tokens=_token_counts(lengths, config.max_seq_length, exact=counter.exact),
            steps=steps,
            rows_seen=min(steps * recipe.training.batch_size, recipe.training.epochs * len(lengths)),
            hyperparameters=job_hyperparameters(recipe.training, steps),
            output_model=recipe.model.output,
        )
        path = context.folder / "plan.json"
        atomic_write_json(path, asdict(plan))
        return PlanOutput(
            files=file_digests(context.folder, [path]),
            summary={"steps": steps, "training tokens": sum(lengths), "longest row": max(lengths)},
            plan=plan,
        )


def _token_counts(lengths: Sequence[int], most: int | None, *, exact: bool) -> TokenCounts:
    return TokenCounts(
        counter="tokenizer" if exact else "estimate",
        training_total=sum(lengths),
        mean=round(sum(lengths) / len(lengths), 1),
        longest=max(lengths),
        over_max_seq_length=sum(length > (most or length) for length in lengths),
    )


def _wants_messages(recipe: Recipe) -> bool:
    return bool(recipe.curation.get("format") == "messages")


def _check(recipe: Recipe, config: TrainingConfig, rows: Mapping[str, int]) -> None:
    training = recipe.training
    if config.prompt_template is None and config.chat and not _wants_messages(recipe):
        raise ConfigurationError(
            f"{config.name} has a chat template and no prompt template", hint="Set curation.format: messages."
        )
    if ("sft", training.method) not in config.methods:
        offered = ", ".join(f"{kind}/{method}" for kind, method in config.methods)
        raise ConfigurationError(
            f"{config.name} does not offer sft/{training.method}", hint=f"It offers: {offered or 'nothing'}"
        )
    check_parts(rows)
    if training.batch_size > rows["validation"]:
        raise ConfigurationError(
            f"batch_size {training.batch_size} is larger than the {rows['validation']} validation rows, "
            "which the Customizer refuses",
            hint=f"Add --set training.batch_size={_power_of_two(rows['validation'])}, or add more questions.",
        )


def check_parts(rows: Mapping[str, int]) -> None:
    """Refuse a split that leaves a part without rows.

    Args:
        rows: how many there are, by part.

    Raises:
        ConfigurationError: a part has none.
    """
    for part in ("training", "validation", "testing"):
        if rows.get(part, 0) < 1:
            raise ConfigurationError(
                f"no {part} rows are left after curation",
                hint="See curated/rejected.jsonl for the reasons; add more labeled questions.",
            )


def _power_of_two(most: int) -> int:
    """The largest power of two that is not above ``most``."""
    return 1 << (most.bit_length() - 1)


def _text(row: Mapping[str, object]) -> str:
    if "messages" in row:
        return json.dumps(row["messages"], ensure_ascii=False)
    return f"{row['prompt']} {row['completion']}"
