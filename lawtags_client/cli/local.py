"""``lawtags local``: the embedded stack, up and down."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lawtags_client.cli.command import command, folder_command
from lawtags_client.cli.local_runner import runner
from lawtags_client.cli.session import Session
from lawtags_client.cli.stack_launch import DEFAULT_PORT, Dialect, Precision, StackLaunch, model_folders
from lawtags_client.extras import require
from lawtags_client.settings import LOCAL_PROFILE, LOCAL_TOKEN_VARIABLE, STACK_FOLDER

if TYPE_CHECKING:
    from lawtags_stack.stack import StackAddress

app = typer.Typer(help="The embedded stack: NeMo microservices on this machine.", no_args_is_help=True)
app.command()(runner)

Dir = Annotated[Path, typer.Option("--dir", help="Folder for all data of the stack.")]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar=LOCAL_TOKEN_VARIABLE,
        show_envvar=True,
        help="Bearer token that requests must carry.",
    ),
]
StatusToken = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar=[LOCAL_TOKEN_VARIABLE, "LAWTAGS_TOKEN"],
        show_envvar=True,
        help="Bearer token of the stack.",
    ),
]


Port = Annotated[
    int,
    typer.Option(help="Port of the platform; Data Store and inference use the next two. 0: any free ports."),
]
Host = Annotated[str, typer.Option(help="Address to bind to; any address except loopback requires a token.")]
Detach = Annotated[
    bool, typer.Option("--detach", help="Return once it is ready, and keep it running in the background.")
]
BaseModel = Annotated[
    list[str] | None,
    typer.Option(metavar="NS/NAME=FOLDER", help="A Hugging Face folder to use as a base model; repeatable."),
]
EmbeddingModel = Annotated[
    list[str] | None,
    typer.Option(metavar="NS/NAME=FOLDER", help="A Hugging Face folder of an embedding model; repeatable."),
]
RefreshInterval = Annotated[
    float, typer.Option(min=0.05, help="Seconds between the inference server's checks for new adapters.")
]
Device = Annotated[
    str,
    typer.Option(
        help="Where to train and serve models: cpu, cuda, cuda:N or mps. "
        "auto: on a GPU if PyTorch finds one, otherwise on the CPU."
    ),
]
InferencePrecision = Annotated[
    Precision,
    typer.Option(
        help="Number format for serving. auto: bfloat16 on a GPU, float32 on a CPU. "
        "On a CPU, bfloat16 needs a processor that supports it."
    ),
]
IdleTimeout = Annotated[
    float | None,
    typer.Option(min=0.1, help="Stop after this many seconds without a request or job."),
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Also accept requests for this host name; repeatable. Not needed with a token.",
    ),
]
AllowLinkLocal = Annotated[
    bool,
    typer.Option(
        "--allow-link-local",
        help="Let evaluations call link-local addresses, including cloud metadata services.",
    ),
]
StackDialect = Annotated[
    Dialect,
    typer.Option(help="The API to serve: NeMo Microservices v1, NeMo Helix, or both on one storage."),
]
Chaos = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="YAML file of faults to inject; see docs/local-stack.md."),
]


@app.command()
@folder_command
def up(
    session: Session,
    dir: Dir = STACK_FOLDER,
    port: Port = DEFAULT_PORT,
    host: Host = "127.0.0.1",
    detach: Detach = False,
    base_model: BaseModel = None,
    embedding_model: EmbeddingModel = None,
    refresh_interval: RefreshInterval = 5.0,
    device: Device = "auto",
    inference_precision: InferencePrecision = "auto",
    idle_timeout: IdleTimeout = None,
    allow_host: AllowHost = None,
    allow_link_local: AllowLinkLocal = False,
    chaos: Chaos = None,
    dialect: StackDialect = "v1",
    token: Token = None,
) -> None:
    """Start the stack, print its addresses once it is ready, and run it until Ctrl-C or SIGTERM.
    Example: lawtags local up --detach

    With --chaos, it injects faults, so that you can test how your own code handles them. This file refuses
    two polls, drops the reply to a submission, and lets training jobs wait for 30 s as for a busy GPU:

    \b
      schema_version: 1
      requests:
        - {path: /v1/customization/jobs/cust-*, times: 2, answer: 429}
        - {path: /v1/customization/jobs, method: POST, times: 1, drop: reply}
      customizer: {pending: 30}
    """
    require(["local"], "the embedded stack")
    launch = StackLaunch(
        dir=dir,
        port=port,
        host=host,
        base_models=model_folders("--base-model", base_model or []),
        embedding_models=model_folders("--embedding-model", embedding_model or []),
        refresh_interval=refresh_interval,
        device=device,
        inference_precision=inference_precision,
        idle_timeout=idle_timeout,
        allowed_hosts=allow_host or [],
        link_local=allow_link_local,
        chaos=chaos,
        dialect=dialect,
    )
    on_ready = functools.partial(_print_address, session, launch=launch, token=bool(token))
    if detach:
        on_ready(launch.detach(token=token))
    else:
        launch.run(on_ready, token=token)


@app.command()
@folder_command
def down(session: Session, dir: Dir = STACK_FOLDER) -> None:
    """Stop the stack. Nothing is lost; interrupted jobs resume at the next start.

    Example: lawtags local down
    """
    from lawtags_stack.control import stop

    stopped = stop(dir)
    if session.json:
        session.emit({"stopped": stopped, "dir": str(dir)})
    else:
        session.say("Stopped." if stopped else f"No stack is running in {dir}.")


@app.command()
@command
def status(session: Session, dir: Dir = STACK_FOLDER, token: StatusToken = None) -> None:
    """Show whether the stack is running, with jobs, models and disk usage.

    Without --profile, it is the stack of --dir; a profile means the stack at its platform_url.

    Example: lawtags local status --json
    """
    if session.profile in (None, LOCAL_PROFILE):
        from lawtags_stack.control import report

        found = report(dir, token=token)
    else:
        from lawtags_client.cli.local_status import fetch_report

        found = session.run(fetch_report(str(session.profile), token=token or None))
    if session.json:
        session.emit(found)
        return
    from lawtags_client.cli.local_status import lines, usage

    for line in lines(found):
        session.say(line)
    if session.profile in (None, LOCAL_PROFILE) and "platform_url" in found:
        session.say("")
        for line in usage(found, here=dir == STACK_FOLDER, token=bool(token)):
            session.say(line)


@app.command()
@folder_command
def prune(
    session: Session,
    dir: Dir = STACK_FOLDER,
    keep: Annotated[
        float,
        typer.Option(min=0, max=876_000, help="Hours to keep files that were uploaded but not committed."),
    ] = 1.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be removed; remove nothing.")
    ] = False,
) -> None:
    """Remove unreferenced files from a stopped stack: deleted repositories, scratch files of jobs.

    Datasets, models, jobs and their results stay. Example: lawtags local prune --dry-run
    """
    from datetime import timedelta

    from lawtags_stack.prune import prune as remove

    found = remove(dir, kept=timedelta(hours=keep), dry_run=dry_run).as_dict()
    if session.json:
        session.emit({**found, "removed": not dry_run, "dir": str(dir)})
        return
    verb = "Would remove" if dry_run else "Removed"
    session.say(
        f"{verb} {found['blobs']} files, {found['trees']} snapshots and {found['folders']} working folders: "
        f"{found['bytes'] / 1e6:,.1f} MB."
    )


@app.command()
@folder_command
def reset(
    session: Session,
    dir: Dir = STACK_FOLDER,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove all data of a stopped stack, after asking. Example: lawtags local reset --yes"""
    from lawtags_stack.control import reset as clear

    done = clear(dir, lambda question: yes or session.confirm(question))
    if session.json:
        session.emit({"reset": done, "dir": str(dir)})
    else:
        session.say(f"{dir} is empty now." if done else "Nothing was removed.")


def _print_address(session: Session, address: StackAddress, *, launch: StackLaunch, token: bool) -> None:
    shown = address.as_dict()
    if session.json:
        session.emit(shown)
        return
    from lawtags_client.cli.local_status import usage

    for name in ("platform_url", "data_store_url", "inference_url"):
        session.say(f"{name.removesuffix('_url').replace('_', ' '):11} {shown[name]}")
    from lawtags_stack.base_models import DEFAULT_BASE_MODEL

    names = [DEFAULT_BASE_MODEL, *launch.base_models] if launch.dialect != "helix" else []
    for name in names:
        session.say(f"base model  {name}")
    if launch.dialect != "v1":
        session.say(
            "NeMo Helix has no base model of its own, and needs a runner that trains. Start one beside it:\n"
            f"  lawtags local runner --platform {shown['platform_url']} "
            "--base-model law/smollm2-135m-instruct"
        )
    session.say("")
    for line in usage(shown, here=launch.dir == STACK_FOLDER, token=token):
        session.say(line)


if __name__ == "__main__":
    app()
