"""``lawtags upload``, ``customize``, ``deploy`` and ``evaluate``: one step alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lawtags_client.cli.interruption import CancelOnInterrupt
from lawtags_client.cli.session import Json, NoInput, Profile, Session, Verbose, command
from lawtags_client.errors import ConfigurationError, JobCancelledError, JobFailedError

if TYPE_CHECKING:
    from lawtags_client.services.customizer.job import Job

_ENDED_BADLY = ("failed", "cancelled")

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it ends, or return immediately.")]
Intent = Annotated[
    str | None,
    typer.Option(
        "--intent", help="Idempotency key: the same key finds the same job, a new key starts another."
    ),
]


@command
def upload(
    folder: Annotated[
        Path, typer.Argument(help="Curated rows: training/, validation/ and optionally testing/.")
    ],
    dataset: Annotated[str, typer.Argument(help="Name of the dataset, namespace/name.")],
    description: Annotated[
        str | None, typer.Option("--description", help="Description of the dataset.")
    ] = None,
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Check curated rows and upload them to the platform; files that are already there are skipped.

    Example: lawtags upload curated law/questions
    """
    session = Session(as_json, profile, verbose, no_input)

    async def work() -> dict[str, Any]:
        async with session.client() as nemo:
            with session.progress() as progress:
                done = await nemo.data_store.upload_dataset(
                    dataset,
                    folder,
                    description=description,
                    on_bytes=lambda sent, total: progress.update(sent, total, "bytes"),
                )
        return {"dataset": done.name, "files_url": done.files_url, "rows": dict(done.rows), "sent": done.sent}

    done = session.run(work())
    if as_json:
        session.emit(done)
    else:
        rows = ", ".join(f"{count} {part}" for part, count in done["rows"].items())
        session.say(f"{done['dataset']} at {done['files_url']}: {rows} rows")


@command
def customize(
    dataset: Annotated[str, typer.Argument(help="Dataset to train on, namespace/name.")],
    config: Annotated[
        str | None, typer.Option("--config", "-c", help="Training config, namespace/name@version.")
    ] = None,
    output_model: Annotated[
        str | None, typer.Option("--output-model", "-m", help="Name of the tuned model, namespace/name.")
    ] = None,
    method: Annotated[
        str, typer.Option("--method", help="Training method: lora, lora_merged or all_weights.")
    ] = "lora",
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the data.")] = 1,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Rows per optimizer step.")] = 16,
    learning_rate: Annotated[
        float, typer.Option("--learning-rate", min=0, help="Learning rate; above 0.")
    ] = 1e-4,
    adapter_dim: Annotated[int, typer.Option("--adapter-dim", min=1, help="Rank of the adapter.")] = 16,
    max_steps: Annotated[
        int | None, typer.Option("--max-steps", min=1, help="Maximum number of optimizer steps.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Other hyperparameters, e.g. warmup_steps=10; repeatable."),
    ] = None,
    intent: Intent = None,
    wait: Wait = True,
    cancel_on_interrupt: CancelOnInterrupt = False,
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Train on a dataset; repeating the command finds the existing job.

    Example: lawtags customize law/questions --config huggingfacetb/smollm2-135m-instruct -m law/tagger
    """
    from lawtags_client.cli.overrides import parse_settings

    session = Session(as_json, profile, verbose, no_input, cancel_on_interrupt)
    chosen = _method(method, adapter_dim)
    _check_names(dataset=dataset, config=config, output_model=output_model)
    if not learning_rate:
        raise ConfigurationError("--learning-rate must be above 0", hint="For example: --learning-rate 1e-4")

    async def work() -> dict[str, Any]:
        async with session.client() as nemo:
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
                hyperparameters=parse_settings(settings or []),
            )
            session.followed = lambda: job.id
            if job.status not in _ENDED_BADLY:
                session.report(f"{job.id} makes {job.output_model}")
            if wait:
                # The history of a job that an earlier command saw end would hide how it ended.
                if job.status not in _ENDED_BADLY:
                    async for event in job.watch():
                        session.report(str(event))
                await _completed(job)
            return {"job": job.id, "status": job.status, "output_model": job.output_model}

    done = session.run(work())
    if as_json:
        session.emit(done)
    else:
        session.say(f"{done['job']} is {done['status']}; model {done['output_model']}")


@command
def deploy(
    model: Annotated[str, typer.Argument(help="A merged or fully tuned model, namespace/name@version.")],
    image: Annotated[
        str | None,
        typer.Option("--image", help="Container image of the NIM, NAME:TAG; not for the embedded stack."),
    ] = None,
    gpus: Annotated[int, typer.Option("--gpus", min=0, help="Number of GPUs.")] = 1,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, help="Seconds to wait until it is ready.")
    ] = 1800,
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Deploy a model and wait until it is ready. LoRA adapters need none: a NIM of their base serves them.

    Example: lawtags deploy law/tagger@v2 --image nvcr.io/nim/nvidia/llm-nim:1.13
    """
    session = Session(as_json, profile, verbose, no_input)
    # A colon before the last slash belongs to the registry's port.
    if image is not None and ":" not in image.rpartition("/")[2]:
        raise ConfigurationError(f"--image {image} has no tag", hint="Write it as NAME:TAG.")
    _check_names(model=model)

    async def work() -> dict[str, Any]:
        async with session.client() as nemo:
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
            return {"model": model, "deployment": f"{deployed.namespace}/{deployed.name}"}

    done = session.run(work())
    if as_json:
        session.emit(done)
    else:
        session.say(f"{done['model']} is ready, deployed as {done['deployment']}")


@command
def evaluate(
    model: Annotated[str, typer.Argument(help="A served model.")],
    dataset: Annotated[
        str,
        typer.Argument(
            help="Test rows on the platform: NS/NAME, or hf://datasets/NS/NAME/testing/testing.jsonl."
        ),
    ],
    namespace: Annotated[str, typer.Option("--namespace", help="Namespace of the evaluation.")] = "default",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Score at most this many rows.")] = 200,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, help="Seconds to wait for the result.")
    ] = 3600,
    intent: Intent = None,
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Score a served model's answers with string metrics, in the platform's Evaluator.

    Example: lawtags evaluate law/tagger@v2 law/questions
    """
    import hashlib

    from lawtags_client.platform import EvaluationIntent
    from lawtags_client.platform.v1 import V1Platform
    from lawtags_client.services.evaluator.building import dataset_file

    session = Session(as_json, profile, verbose, no_input)
    named = "/" in dataset and "://" not in dataset and not Path(dataset).exists()
    if not named and not dataset.startswith("hf://"):
        raise ConfigurationError(
            f"{dataset!r} is not on the platform",
            hint="Upload the rows with `lawtags upload`, then pass the name of the dataset, NS/NAME.",
        )

    async def work() -> dict[str, Any]:
        async with session.client() as nemo:
            files_url, digest = await dataset_file(dataset, "testing", nemo.data_store)
            # Other rows under the same name are another evaluation.
            decides = " ".join(filter(None, (model, files_url, namespace, str(limit), digest)))
            key = intent or hashlib.sha256(decides.encode()).hexdigest()
            wish = EvaluationIntent(
                key=key, model=model, files_url=files_url, namespace=namespace, limit=limit
            )
            with session.progress() as progress:
                done = await V1Platform(nemo).evaluate(
                    wish, timeout=timeout, on_progress=lambda share: progress.update(share, 100, "evaluation")
                )
        return {"job": done.job_id, "rows": done.scored, "scores": dict(done.scores)}

    found = session.run(work())
    if as_json:
        session.emit(found)
        return
    rows = [(name, f"{value:.4f}") for name, value in found["scores"].items()]
    # Rows whose request failed may be missing in a mean.
    scored = "" if found["rows"] is None else f", {found['rows']} rows scored"
    session.table(("score", "value"), rows, title=f"{found['job']}{scored}")


async def _completed(job: Job) -> None:
    try:
        await job.wait()
    except (JobFailedError, JobCancelledError) as problem:
        repaired = "" if isinstance(problem, JobCancelledError) else "Fix the reported error. "
        raise type(problem)(
            problem.message,
            job_id=problem.job_id,
            reason=problem.reason,
            hint=f"{repaired}To train again, repeat the command with --intent NAME; NAME must be new.",
        ) from None


def _method(name: str, adapter_dim: int) -> Any:
    from lawtags_client import AllWeights, LoRA, LoRAMerged

    if name == "all_weights":
        return AllWeights()
    kinds = {"lora": LoRA, "lora_merged": LoRAMerged}
    if name not in kinds:
        raise ConfigurationError(f"unknown method {name!r}", hint="Use lora, lora_merged or all_weights.")
    return kinds[name](adapter_dim=adapter_dim)


def _check_names(**names: str | None) -> None:
    """Refuse what is not ``namespace/name`` before any service is asked."""
    from lawtags_client.transport.paths import split_reference

    for what, name in names.items():
        if name is not None and not name.startswith("hf://"):
            split_reference(name, what.replace("_", " "))
