"""``lawtags local runner``: carries out the training jobs of a NeMo Helix platform on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lawtags_client.cli.command import command
from lawtags_client.cli.options import JobStorage
from lawtags_client.cli.session import Session
from lawtags_client.errors import ConfigurationError
from lawtags_client.extras import require
from lawtags_client.settings import RUNNER_FOLDER

if TYPE_CHECKING:
    from lawtags_stack.runner.options import RunnerOptions

_HELP = """Carry out the training jobs of a NeMo Helix platform on this machine, in place of its GPUs.

Takes jobs of the backends automodel (LoRA, merged LoRA, all weights) and rl (DPO), one at a time: downloads
model and dataset, trains, reports losses and logs to the platform, uploads the result and registers it. A
runner that is stopped or killed resumes when it is started again with the same --dir. Several
runners, each with its own --dir, share the jobs of one platform.

\b
Examples:
  lawtags local runner --platform http://127.0.0.1:8080
  lawtags local runner --platform http://127.0.0.1:8080 --base-model law/smollm2-135m-instruct
  lawtags local runner --platform http://127.0.0.1:8080 --base-model law/gemma-2-2b-it=models/gemma-2-2b-it
  lawtags local runner --platform http://127.0.0.1:8080 --workspace law --idle-timeout 60
  lawtags local runner --platform http://127.0.0.1:8080 --serve law/gemma-2-2b-it
"""

Platform = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Address of the platform; by default, the profile's platform_url."),
]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="LAWTAGS_TOKEN", show_envvar=True, help="Bearer token, if the platform requires one."
    ),
]
Dir = Annotated[Path, typer.Option("--dir", help="Working folder: downloads, checkpoints, results.")]
Workspace = Annotated[
    str | None, typer.Option(metavar="NAME", help="Take jobs of this workspace only; by default, of all.")
]
BaseModel = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WS/NAME[=FOLDER]",
        help="Upload a Hugging Face folder as a base model first, unless it is there; without FOLDER, the "
        "default base model. Repeatable.",
    ),
]
Device = Annotated[
    str,
    typer.Option(help="Where to train: cpu, cuda, cuda:N or mps. auto: on a GPU if PyTorch finds one."),
]
IdleTimeout = Annotated[
    float | None, typer.Option(min=0.1, help="Stop after this many seconds without a job.")
]
Serve = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WS/NAME",
        help="Serve a base model and its adapters, too, through the gateway of the platform, which must run "
        "on this machine. Repeatable.",
    ),
]
StopWithInput = Annotated[
    bool,
    typer.Option(help="Stop when standard input closes, for a program that starts a runner.", hidden=True),
]


@command
def runner(
    session: Session,
    platform: Platform = None,
    dir: Dir = RUNNER_FOLDER,
    workspace: Workspace = None,
    base_model: BaseModel = None,
    serve: Serve = None,
    device: Device = "auto",
    job_storage: JobStorage = None,
    idle_timeout: IdleTimeout = None,
    token: Token = None,
    stop_with_input: StopWithInput = False,
) -> None:
    require(["local"], "the runner")
    from lawtags_stack.engines.device import check_device_name
    from lawtags_stack.runner.options import ALL_WORKSPACES, RunnerOptions

    check_device_name(device)
    options = RunnerOptions(
        folder=dir.absolute(),
        device=device,
        workspace=workspace or ALL_WORKSPACES,
        job_storage=job_storage,
        idle_timeout=idle_timeout,
    )
    models = dict(map(_base_model, base_model or []))
    work = _run(session, options, models, serve or [], platform=platform, token=token or None)
    session.run(
        _until_input_closes(work) if stop_with_input else work,
        left_behind="The job goes on from its last checkpoint when the runner is started again.",
    )


runner.__doc__ = _HELP


async def _run(
    session: Session,
    options: RunnerOptions,
    models: dict[str, Path | None],
    serve: list[str],
    *,
    platform: str | None,
    token: str | None,
) -> None:
    from lawtags_client.helix.client import Helix
    from lawtags_stack.runner.start import run_runner

    async with Helix.from_env(session.profile, platform_url=platform, token=token) as helix:
        say = functools.partial(_say, session)
        await run_runner(helix, options, base_models=models, serve=serve, say=say)


async def _until_input_closes(work: Coroutine[object, None, None]) -> None:
    """Run work until it ends, or standard input closes: then the program that started this one is gone."""
    loop, closed = asyncio.get_running_loop(), asyncio.Event()

    def read() -> None:
        # A thread that waits in a buffered reader holds a lock that the interpreter wants at its end.
        while os.read(sys.stdin.fileno(), 1 << 10):
            pass
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(closed.set)

    threading.Thread(target=read, daemon=True).start()
    task, end = asyncio.ensure_future(work), asyncio.ensure_future(closed.wait())
    try:
        await asyncio.wait({task, end}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        end.cancel()
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    if not task.cancelled():
        task.result()


def _say(session: Session, line: str) -> None:
    if session.json:
        session.emit({"message": line})
    else:
        session.say(line)


def _base_model(text: str) -> tuple[str, Path | None]:
    name, _, folder = text.partition("=")
    if name.count("/") != 1 or not all(name.split("/")):
        raise ConfigurationError(
            f"--base-model {text!r} is not of the form workspace/name or workspace/name=FOLDER",
            hint="For example: --base-model law/gemma-2-2b-it=models/gemma-2-2b-it",
        )
    return name, Path(folder) if folder else None
