"""``lawtags upload``, ``customize``, ``deploy`` and ``evaluate``: one step alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.options import CancelOnInterrupt, Intent, Wait
from lawtags_client.cli.session import Session
from lawtags_client.errors import ConfigurationError, JobCancelledError, JobFailedError

if TYPE_CHECKING:
    from lawtags_client.client import NeMo
    from lawtags_client.platform import EvaluationSummary
    from lawtags_client.services.customizer.job import Job
    from lawtags_client.services.customizer.methods import Method
    from lawtags_client.services.uploaded_dataset import UploadedDataset
    from lawtags_client.types.deployments import ModelDeployment

_ENDED_BADLY = ("failed", "cancelled")
_ON_HELIX = "Use `lawtags run`, or lawtags_client.helix from Python."
_SERVE_ON_HELIX = "Use `lawtags local runner --serve WS/NAME`, or lawtags_client.helix from Python."

AdapterDim = Annotated[int, typer.Option("--adapter-dim", min=1, help="Rank of the adapter.")]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, help="Rows per optimizer step.")]
Config = Annotated[
    str | None, typer.Option("--config", "-c", help="Training config, namespace/name@version.")
]
Epochs = Annotated[int, typer.Option("--epochs", min=1, help="Passes over the data.")]
Hyperparameter = Annotated[
    list[str] | None, typer.Option("--set", help="Other hyperparameters, e.g. warmup_steps=10; repeatable.")
]
LearningRate = Annotated[float, typer.Option("--learning-rate", min=0, help="Learning rate; above 0.")]
MaxSteps = Annotated[
    int | None, typer.Option("--max-steps", min=1, help="Maximum number of optimizer steps.")
]
MethodName = Annotated[
    str, typer.Option("--method", help="Training method: lora, lora_merged or all_weights.")
]
WandbProject = Annotated[
    str | None,
    typer.Option("--wandb-project", help="Weights & Biases project that the platform reports to."),
]
WandbEntity = Annotated[str | None, typer.Option("--wandb-entity", help="Its user or team.")]
OutputModel = Annotated[
    str | None, typer.Option("--output-model", "-m", help="Name of the tuned model, namespace/name.")
]


@command
def upload(
    session: Session,
    folder: Annotated[
        Path, typer.Argument(help="Curated rows: training/, validation/ and optionally testing/.")
    ],
    dataset: Annotated[str, typer.Argument(help="Name of the dataset, namespace/name.")],
    description: Annotated[
        str | None, typer.Option("--description", help="Description of the dataset.")
    ] = None,
) -> None:
    """Check curated rows and upload them to the platform; files that are already there are skipped.

    Example: lawtags upload curated law/tags
    """

    from lawtags_client.platform.choice import require_v1

    _check_names(dataset=dataset)

    async def work() -> UploadedDataset:
        async with session.client() as nemo:
            await require_v1(nemo, "lawtags upload", _ON_HELIX)
            with session.progress() as progress:
                return await nemo.data_store.upload_dataset(
                    dataset,
                    folder,
                    description=description,
                    on_bytes=lambda sent, total: progress.update(sent, total, "bytes"),
                )

    done = session.run(work())
    if session.json:
        session.emit(
            {"dataset": done.name, "files_url": done.files_url, "rows": dict(done.rows), "sent": done.sent}
        )
    else:
        rows = ", ".join(f"{count} {part}" for part, count in done.rows.items())
        session.say(f"{done.name} at {done.files_url}: {rows} rows")


@command
def customize(
    session: Session,
    dataset: Annotated[str, typer.Argument(help="Dataset to train on, namespace/name.")],
    config: Config = None,
    output_model: OutputModel = None,
    method: MethodName = "lora",
    epochs: Epochs = 1,
    batch_size: BatchSize = 16,
    learning_rate: LearningRate = 1e-4,
    adapter_dim: AdapterDim = 16,
    max_steps: MaxSteps = None,
    settings: Hyperparameter = None,
    intent: Intent = None,
    wandb_project: WandbProject = None,
    wandb_entity: WandbEntity = None,
    wait: Wait = True,
    cancel_on_interrupt: CancelOnInterrupt = False,
) -> None:
    """Train on a dataset; repeating the command finds the existing job.

    Example: lawtags customize law/tags --config huggingfacetb/smollm2-135m-instruct -m law/tagger
    """
    from lawtags_client.cli.overrides import parse_settings
    from lawtags_client.platform.choice import require_v1
    from lawtags_client.types.customizer import WandBData

    session.cancel_on_interrupt = cancel_on_interrupt
    chosen = _method(method, adapter_dim)
    _check_names(dataset=dataset, config=config, output_model=output_model)
    if not learning_rate:
        raise ConfigurationError("--learning-rate must be above 0", hint="For example: --learning-rate 1e-4")
    hyperparameters = parse_settings(settings or [])

    async def work() -> Job:
        async with session.client() as nemo:
            await require_v1(nemo, "lawtags customize", _ON_HELIX)
            job = await nemo.customizer.fine_tune(
                dataset=dataset,
                config=config,
                method=chosen,
                epochs=epochs,
                batch_size=batch_size,
                learning_rate=learning_rate,
                max_steps=max_steps,
                output_model=output_model,
                intent=intent,
                hyperparameters=hyperparameters,
                wandb=WandBData(project=wandb_project, entity=wandb_entity) if wandb_project else None,
            )
            await _follow(session, nemo, job, wait=wait)
            return job

    done = session.run(work())
    if session.json:
        session.emit({"job": done.id, "status": done.status, "output_model": done.output_model})
    else:
        session.say(f"{done.id} is {done.status}; {_model_of(done)}")


@command
def deploy(
    session: Session,
    model: Annotated[str, typer.Argument(help="A merged or fully tuned model, namespace/name@version.")],
    image: Annotated[
        str | None,
        typer.Option("--image", help="Container image of the NIM, NAME:TAG; not for the embedded stack."),
    ] = None,
    gpus: Annotated[int, typer.Option("--gpus", min=0, help="Number of GPUs.")] = 1,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, help="Seconds to wait until it is ready.")
    ] = 1800,
) -> None:
    """Deploy a model and wait until it is ready. The NIM of a base model serves its LoRA adapters.

    Example: lawtags deploy law/tagger@v2 --image nvcr.io/nim/nvidia/llm-nim:1.13
    """
    # A colon before the last slash belongs to the registry's port.
    if image is not None and ":" not in image.rpartition("/")[2]:
        raise ConfigurationError(f"--image {image} has no tag", hint="Write it as NAME:TAG.")
    _check_names(model=model)
    from lawtags_client.platform.choice import require_v1

    async def work() -> ModelDeployment:
        async with session.client() as nemo:
            await require_v1(nemo, "lawtags deploy", _SERVE_ON_HELIX)
            # Kubernetes allows neither slashes nor dots nor @ in the name of what it runs.
            place = re.sub(r"[^a-z0-9-]+", "-", model.split("/")[-1].lower()).strip("-")
            deployed = await nemo.deployments.deploy(
                f"{model.split('/')[0]}/{place}",
                model=model,
                image=image,
                gpus=gpus,
                timeout=timeout,
                on_state=lambda words: session.report(f"{place}: {words}"),
            )
            await nemo.inference.served(model, timeout=timeout)
            return deployed

    done = session.run(work())
    name = f"{done.namespace}/{done.name}"
    if session.json:
        session.emit({"model": model, "deployment": name})
    else:
        session.say(f"{model} is ready, deployed as {name}")


@command
def evaluate(
    session: Session,
    model: Annotated[str, typer.Argument(help="A served model.")],
    dataset: Annotated[
        str,
        typer.Argument(
            help="Test rows on the platform: NS/NAME, or hf://datasets/NS/NAME/testing/testing.jsonl; "
            "on NeMo Helix WS/NAME, or WS/FILESET#FILE."
        ),
    ],
    namespace: Annotated[str, typer.Option("--namespace", help="Namespace of the evaluation.")] = "default",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Score at most this many rows.")] = 200,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, help="Seconds to wait for the result.")
    ] = 3600,
    intent: Intent = None,
) -> None:
    """Score a served model's answers with string metrics, in the platform's Evaluator.

    Example: lawtags evaluate law/tagger@v2 law/tags
    """
    from lawtags_client.platform.evaluating import evaluate_dataset

    _check_uploaded(dataset)

    async def work() -> EvaluationSummary:
        async with session.client() as nemo:
            with session.progress() as progress:
                return await evaluate_dataset(
                    nemo,
                    dataset,
                    model=model,
                    namespace=namespace,
                    limit=limit,
                    key=intent,
                    timeout=timeout,
                    on_progress=lambda share: progress.update(share, 100, "evaluation"),
                    on_notice=progress.note,
                )

    done = session.run(work())
    if session.json:
        session.emit({"job": done.job_id, "rows": done.scored, "scores": dict(done.scores)})
        return
    # Rows whose request failed may be missing in a mean.
    scored = "" if done.scored is None else f", {done.scored} rows scored"
    rows = [(name, f"{value:.4f}") for name, value in done.scores.items()]
    session.table(("score", "value"), rows, title=f"{done.job_id}{scored}")


def _model_of(job: Job) -> str:
    if job.output_model is None:
        return "no model is kept (pass --output-model NS/NAME to get one)"
    return f"output model: {job.output_model}"


async def _follow(session: Session, nemo: NeMo, job: Job, *, wait: bool) -> None:
    from lawtags_client.cli.job_watch import show_job
    from lawtags_client.services.customizer.events import WarningIssued

    session.followed = lambda: job.id
    # The history of a job that an earlier command followed to its bad end would hide how it ended.
    ended = job.status in _ENDED_BADLY
    if not ended:
        session.report(f"{job.id}: {_model_of(job)}")
    if not wait:
        for warning in job.record.warnings:
            session.report(str(WarningIssued.of(warning)))
        return
    try:
        if not ended:
            with session.progress() as progress:
                await show_job(nemo, job.id, progress)
        # Its record is read again; a job that had ended before raises here.
        await job.wait()
    except (JobFailedError, JobCancelledError) as problem:
        repaired = "" if isinstance(problem, JobCancelledError) else "Fix the reported error. "
        raise type(problem)(
            problem.message,
            job_id=problem.job_id,
            reason=problem.reason,
            hint=f"{repaired}To train again, repeat the command with --intent NAME; NAME must be new.",
        ) from None


def _method(name: str, adapter_dim: int) -> Method:
    from lawtags_client import AllWeights, LoRA, LoRAMerged

    methods: Mapping[str, Method] = {
        "lora": LoRA(adapter_dim=adapter_dim),
        "lora_merged": LoRAMerged(adapter_dim=adapter_dim),
        "all_weights": AllWeights(),
    }
    if name not in methods:
        raise ConfigurationError(f"unknown method {name!r}", hint="Use lora, lora_merged or all_weights.")
    return methods[name]


def _check_names(**names: str | None) -> None:
    """Refuse what is not ``namespace/name`` before any request is sent."""
    from lawtags_client.transport.paths import split_reference

    for what, name in names.items():
        if name is not None and not name.startswith("hf://"):
            split_reference(name, what.replace("_", " "))


def _check_uploaded(dataset: str) -> None:
    """Refuse rows that are not on the platform, such as a local file."""
    is_name = "/" in dataset and "://" not in dataset and not Path(dataset).exists()
    if not is_name and not dataset.startswith("hf://"):
        raise ConfigurationError(
            f"{dataset!r} is not on the platform",
            hint="Upload the rows with `lawtags upload`, then pass the name of the dataset, NS/NAME.",
        )
