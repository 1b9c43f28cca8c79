"""Starts a runner: locks its folder, checks the platform, and offers base models."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lawtags_client.checkpoints.extents import Extent
from lawtags_client.checkpoints.safetensors_files import INDEX, SINGLE, weight_files
from lawtags_client.errors import BusyError, ConfigurationError, NotFoundError
from lawtags_client.files import atomic_write_text
from lawtags_client.helix.client import Helix
from lawtags_client.helix.names import check_name
from lawtags_client.locks import FolderLock, Holder
from lawtags_client.weights import placed_tensors
from lawtags_stack.base_models import ensure_default_base_model
from lawtags_stack.processes.launching import Launcher, SpawnLauncher
from lawtags_stack.runner.loop import Runner
from lawtags_stack.runner.options import ALL_WORKSPACES, RunnerOptions, check_job_storage
from lawtags_stack.runner.rows import check_model
from lawtags_stack.service import StackOptions

LOCK_FILE = "runner.lock"
_ID_FILE = "runner-id"


async def run_runner(
    helix: Helix,
    options: RunnerOptions,
    *,
    base_models: Mapping[str, Path | None] | None = None,
    serve: Sequence[str] = (),
    launcher: Launcher | None = None,
    say: Callable[[str], None],
) -> None:
    """Run a runner until it is stopped.

    Args:
        helix: the platform.
        options: how it works.
        base_models: ``workspace/name`` of models to offer first, with their Hugging Face folders; None for
            the default base model.
        serve: base models to serve with their adapters, ``workspace/name``.
        launcher: starts the processes that train and compute; None starts each from scratch.
        say: prints a line.

    Raises:
        BusyError: another runner uses the folder.
        ConfigurationError: the server is not NeMo Helix, a folder holds no base model, or an option is wrong.
        LawtagsError: the platform does not answer.
    """
    launcher = launcher or SpawnLauncher()
    if options.workspace != ALL_WORKSPACES:
        check_name(options.workspace, "workspace")
    check_job_storage(options.job_storage)
    with FolderLock(options.folder, lambda holder: _busy(options.folder, holder), file=LOCK_FILE):
        runner = _id(options.folder)
        try:
            info = await helix.cluster_info()
        except NotFoundError as error:
            raise ConfigurationError(
                f"{helix.settings.address('platform').url} is not NeMo Helix",
                hint="Pass the address of the platform with --platform. The embedded stack trains by itself.",
            ) from error
        for name, folder in (base_models or {}).items():
            await offer_base_model(helix, name, folder, say=say)
        async with contextlib.AsyncExitStack() as cleanup:
            if serve:
                from lawtags_stack.runner.serving import serving

                own = StackOptions(
                    refresh_interval=options.poll_seconds,
                    device=options.device,
                    inference_threads=options.threads or 0,
                )
                served = serving(
                    helix, serve, options.folder / "serving", say=say, options=own, launcher=launcher
                )
                await cleanup.enter_async_context(served)
            if options.workspace != ALL_WORKSPACES and not await helix.workspaces.find(options.workspace):
                say(f"there is no workspace {options.workspace} yet; its jobs are taken once it exists")
            say(f"runner {runner} takes jobs of NeMo Helix {info.platform_version}; Ctrl-C stops it")
            await Runner(helix, options, runner=runner, launcher=launcher, say=say).run()
            say("no jobs left")


async def offer_base_model(
    helix: Helix, name: str, folder: Path | None = None, *, say: Callable[[str], None] = lambda line: None
) -> str:
    """Upload a Hugging Face folder as a base model, unless it is there already.

    Args:
        helix: the platform.
        name: the model, ``workspace/name``; its fileset has the same name.
        folder: the folder; None for the default base model.
        say: prints a line.

    Returns:
        The model, as ``workspace/name``.

    Raises:
        ConfigurationError: the folder holds no model that can be trained.
        DataError: its weights are incomplete or damaged.
        ConflictError: a model of that name exists, with other weights.
    """
    source = folder if folder is not None else await asyncio.to_thread(ensure_default_base_model)
    if not source.is_dir():
        raise ConfigurationError(f"{source} is not a folder", hint="Pass a Hugging Face folder.")
    check_model((path.name for path in source.iterdir()), where=str(source))
    await asyncio.to_thread(_check_weights, source)
    workspace, _, short = name.rpartition("/")
    workspace = workspace or helix.workspace
    await helix.workspaces.ensure(name=workspace)
    await helix.filesets.ensure(name=short, workspace=workspace, purpose="model")
    say(f"uploading the base model {workspace}/{short}, unless it is there")
    await helix.filesets.upload(f"{workspace}/{short}", source)
    model = await helix.models.ensure(name=short, workspace=workspace, fileset=f"{workspace}/{short}")
    return model.reference


def _check_weights(folder: Path) -> None:
    """Check weights before gigabytes of them are uploaded: a training would refuse them after as long."""
    files = {path.name: Extent(path, 0, path.stat().st_size) for path in folder.iterdir() if path.is_file()}
    if SINGLE in files:
        # The index of a download that was left, or of shards that were merged: nobody reads it beside this.
        files.pop(INDEX, None)
    for name in weight_files(files, str(folder)):
        placed_tensors(folder / name)


def _id(folder: Path) -> str:
    """The id of the runner of a folder."""
    path = folder / _ID_FILE
    try:
        return path.read_text("utf-8").strip() or _new_id(path)
    except FileNotFoundError:
        return _new_id(path)


def _new_id(path: Path) -> str:
    made = f"lawtags-{secrets.token_hex(6)}"
    atomic_write_text(path, made)
    return made


def _busy(folder: Path, holder: Holder) -> BusyError:
    return BusyError(
        f"another runner uses the folder {folder}: {holder}",
        hint="Stop it, or choose another --dir.",
    )
