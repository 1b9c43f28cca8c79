"""Plan: what the job will be, before anything is paid for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lawtags_client.errors import ConfigurationError
from lawtags_client.files import atomic_write_json
from lawtags_client.platform import FineTuneIntent, TrainingConfig, TrainingLayout
from lawtags_client.platform.helix_jobs import training_spec
from lawtags_client.runs.gates import PRICE_PER_POINT, check_gates, require_price
from lawtags_client.runs.hyperparameters import job_hyperparameters, job_layout, plan_steps
from lawtags_client.runs.job_estimates import EstimateInputs, with_estimates
from lawtags_client.runs.naming import PLANS
from lawtags_client.runs.outputs import CurateOutput, JobPlan, PlanOutput, TokenCounts
from lawtags_client.runs.planning.dialects import dialect_findings
from lawtags_client.runs.planning.findings import PlanFinding, data_findings, training_findings
from lawtags_client.runs.planning.memory import RowLengths
from lawtags_client.runs.planning.rates import rate_of
from lawtags_client.runs.planning.timing import workload
from lawtags_client.runs.recipe import Recipe
from lawtags_client.runs.recipe_hardware import HardwareSection
from lawtags_client.runs.rows import read_rows
from lawtags_client.runs.stage import RunContext, file_digests
from lawtags_client.runs.stages.customize import reported_to
from lawtags_client.runs.tokens import TokenCounter, token_counter


@dataclass(frozen=True, slots=True)
class PlanWish:
    """What ``lawtags plan`` asks for beyond what a run needs.

    Args:
        occasion: another one makes the plan again, as calibrations and earlier runs may have changed.
    """

    occasion: str


class Plan:
    """Counts tokens and steps and checks the recipe against the platform; writes ``plan.json``.

    Args:
        wish: of ``lawtags plan``; None in a run.
    """

    name = "plan"
    version = 2
    leaves = PlanOutput

    def __init__(self, wish: PlanWish | None = None) -> None:
        self._wish = wish

    def inputs(self, context: RunContext) -> Mapping[str, object]:
        hardware = context.recipe.hardware
        return {
            "curation": context.left(CurateOutput).digest,
            "model": context.recipe.model.model_dump(),
            "training": context.recipe.training.model_dump(),
            # Absent in runs of releases that knew none.
            **({"hardware": hardware.model_dump()} if hardware != HardwareSection() else {}),
            **({"occasion": self._wish.occasion} if self._wish else {}),
        }

    async def run(self, context: RunContext) -> PlanOutput:
        recipe = context.recipe
        context.progress.update(0, None, f"reading the config {recipe.model.config}")
        config = await context.platform.config(recipe.model.config)
        rows = context.left(CurateOutput).rows
        refused = _refused(recipe, config, rows)
        if refused is not None and self._wish is None:
            raise refused
        if config.chat and not _wants_messages(recipe):
            context.progress.note(f"{config.name} has a chat template, which only rows of messages use")
        plan = await asyncio.to_thread(self._planned, context, config, rows)
        if refused is not None:
            found = PlanFinding(
                topic="platform", level="error", message=f"{refused.message}.", remedy=refused.hint
            )
            plan = replace(plan, findings=(found, *plan.findings))
        for finding in plan.findings:
            # The command prints all of them; a run, those that probably have to be changed.
            if self._wish is None and finding.level == "warning" and finding.topic != "data":
                context.progress.note(str(finding))
        path = context.folder / "plan.json"
        atomic_write_json(path, asdict(plan))
        tokens = plan.tokens
        return PlanOutput(
            files=file_digests(context.folder, [path]),
            summary={
                "steps": plan.steps,
                "training tokens": tokens.training_total,
                "longest row": tokens.longest,
            },
            plan=plan,
        )

    def _planned(self, context: RunContext, config: TrainingConfig, rows: Mapping[str, int]) -> JobPlan:
        recipe, counter = context.recipe, token_counter(context.recipe.model.tokenizer)
        lengths = _lengths(context.curated, "training", counter)
        steps = plan_steps(recipe.training, len(lengths.rows), sum(lengths.rows))
        plan = JobPlan(
            config=config.name,
            base_model=config.base_model,
            num_parameters=config.num_parameters,
            max_seq_length=config.max_seq_length,
            rows=dict(rows),
            tokens=_token_counts(lengths.rows, config.max_seq_length, exact=counter.exact),
            steps=steps,
            rows_seen=min(steps * recipe.training.batch_size, recipe.training.epochs * len(lengths.rows)),
            hyperparameters=job_hyperparameters(recipe.training, steps, len(lengths.rows)),
            output_model=recipe.model.output,
            findings=(
                *data_findings(context.curated),
                *training_findings(recipe.training, rows, steps, tokens_per_epoch=sum(lengths.rows)),
                *dialect_findings(recipe.training, config),
                *_cut_rows(lengths.rows, config),
            ),
        )
        most = config.max_seq_length
        longest = min(max(lengths.rows), most or max(lengths.rows))
        mean = sum(lengths.rows) / len(lengths.rows)
        validation = _lengths(context.curated, "validation", counter).rows
        return with_estimates(
            plan,
            EstimateInputs(
                recipe,
                config,
                workload(recipe.training, steps, lengths.rows, validation, most),
                RowLengths(longest, max(lengths.answers), mean),
                context.folder,
                _runs_of(context.folder),
            ),
        )


@dataclass(frozen=True, slots=True)
class _Lengths:
    rows: list[int]
    answers: list[int]


def _lengths(curated: Path, part: str, counter: TokenCounter) -> _Lengths:
    found = _Lengths([], [])
    for row in read_rows(curated / part / f"{part}.jsonl"):
        found.rows.append(counter.count(_text(row)))
        found.answers.append(counter.count(str(row.get("completion", ""))))
    return found


def _runs_of(folder: Path) -> Path:
    """The folder of runs that the folder of a run, or of a plan, is in."""
    return folder.parent.parent if folder.parent.name == PLANS else folder.parent


def _cut_rows(lengths: Sequence[int], config: TrainingConfig) -> list[PlanFinding]:
    most = config.max_seq_length
    over = sum(length > most for length in lengths) if most else 0
    if not over:
        return []
    told = f"{over:,} of {len(lengths):,} rows are longer than the {most:,} tokens that {config.name} takes."
    return [
        PlanFinding(
            topic="prompts",
            level="warning",
            place="curation.style.max_tokens",
            message=told,
            remedy="Lower it, so that bodies are cut and not answers.",
        )
    ]


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


def _refused(recipe: Recipe, config: TrainingConfig, rows: Mapping[str, int]) -> ConfigurationError | None:
    """What the platform would refuse, if anything; a part without rows cannot even be planned."""
    try:
        _check(recipe, config, rows)
    except ConfigurationError as problem:
        if min(rows.get(part, 0) for part in ("training", "validation")) < 1:
            raise
        return problem
    return None


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
    check_gates(recipe.gates)
    if any(gate.metric == PRICE_PER_POINT for gate in recipe.gates):
        layout = config.layouts.get(("sft", training.method), TrainingLayout())
        require_price(rate_of(recipe.hardware).hourly(layout.gpus * layout.nodes))
    if config.dialect == "helix":
        _check_on_helix(recipe, config)
    elif training.method != "all_weights" and training.adapter_dim & (training.adapter_dim - 1):
        raise ConfigurationError(
            f"adapter_dim {training.adapter_dim} is no power of two, which the Customizer requires",
            hint=f"Add --set training.adapter_dim={_power_of_two(training.adapter_dim)}.",
        )
    if training.batch_size > rows["validation"]:
        raise ConfigurationError(
            f"batch_size {training.batch_size} is larger than the {rows['validation']} validation rows, "
            "which the Customizer refuses",
            hint=f"Add --set training.batch_size={_power_of_two(rows['validation'])}, or add more questions.",
        )


def _check_on_helix(recipe: Recipe, config: TrainingConfig) -> None:
    """Refuse what a job of Helix has no field for."""
    asked = FineTuneIntent(
        key="planned",
        config=config.name,
        dataset=config.name,
        hyperparameters=job_hyperparameters(recipe.training, 1, 1),
        output_model=recipe.model.output,
        layout=job_layout(recipe.training),
        wandb=reported_to(recipe.wandb),
    )
    training_spec(asked, base=config.base_model, dataset=asked.dataset)


def check_parts(rows: Mapping[str, int]) -> None:
    """Refuse a split that leaves a part without rows, or too few of them to fit anything.

    Args:
        rows: how many there are, by part.

    Raises:
        ConfigurationError: a part has none, or training too few.
    """
    for part in ("training", "validation", "testing"):
        if rows.get(part, 0) < 1:
            told = ", ".join(f"{count} {name}" for name, count in rows.items())
            raise ConfigurationError(
                f"no {part} rows are left after curation ({told})",
                hint="Add more labeled questions, or change curation.split. Rows that were dropped are in "
                "curated/rejected.jsonl of the run.",
            )
    from lawtags_client.tagging.retriever import FEWEST_ROWS

    if rows["training"] < FEWEST_ROWS:
        raise ConfigurationError(
            f"{rows['training']} training rows are left after curation; the retriever needs {FEWEST_ROWS}",
            hint="Add more labeled questions, or change curation.split.",
        )


def _power_of_two(most: int) -> int:
    """The largest power of two that is not above ``most``."""
    return 1 << (most.bit_length() - 1)


def _text(row: Mapping[str, object]) -> str:
    if "messages" in row:
        return json.dumps(row["messages"], ensure_ascii=False)
    return f"{row['prompt']} {row['completion']}"
