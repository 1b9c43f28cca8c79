"""``lawtags local``: the embedded stack, up and down."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lawtags_client.cli.session import Json, NoInput, Profile, Session, Verbose, command
from lawtags_client.errors import ConfigurationError
from lawtags_client.extras import require
from lawtags_client.settings import LOCAL_PROFILE, LOCAL_TOKEN_VARIABLE, STACK_FOLDER

app = typer.Typer(help="The embedded stack: NeMo microservices on this machine.", no_args_is_help=True)

_DEFAULT_PORT = 8600

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
# Scripts give the same options to every command; "local" is the stack of the working directory.
OnlyLocal = Annotated[str | None, typer.Option("--profile", "-p", hidden=True)]


@app.command()
@command
def up(
    dir: Dir = STACK_FOLDER,
    port: Annotated[
        int,
        typer.Option(
            help="Port of the platform; Data Store and inference use the next two. 0: any free ports."
        ),
    ] = _DEFAULT_PORT,
    host: Annotated[
        str, typer.Option(help="Address to bind to; any address except loopback requires a token.")
    ] = "127.0.0.1",
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once it is ready, and keep it running in the background.")
    ] = False,
    base_model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NS/NAME=FOLDER", help="A Hugging Face folder to use as a base model; repeatable."
        ),
    ] = None,
    embedding_model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NS/NAME=FOLDER", help="A Hugging Face folder of an embedding model; repeatable."
        ),
    ] = None,
    refresh_interval: Annotated[
        float, typer.Option(min=0.05, help="Seconds between the inference server's checks for new adapters.")
    ] = 5.0,
    device: Annotated[
        str,
        typer.Option(
            help="Where models are trained and served: cpu, cuda, cuda:N or mps. "
            "auto: on a GPU if torch finds one, else on the CPU."
        ),
    ] = "auto",
    inference_precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        typer.Option(
            help="Number format for serving. auto: bfloat16 on a GPU, float32 on a CPU. "
            "On a CPU, bfloat16 needs a processor that supports it."
        ),
    ] = "auto",
    idle_timeout: Annotated[
        float | None,
        typer.Option(min=0.1, help="Stop after this many seconds without a request or job."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Accept requests for this host name, too; repeatable. Not needed with a token.",
        ),
    ] = None,
    allow_link_local: Annotated[
        bool,
        typer.Option(
            "--allow-link-local",
            help="Let evaluations call link-local addresses, including cloud metadata services.",
        ),
    ] = False,
    chaos: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML file of faults to inject; see docs/local-stack.md."),
    ] = None,
    token: Token = None,
    as_json: Json = False,
    profile: OnlyLocal = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Start the stack, print its addresses once it is ready, and run it until Ctrl-C or SIGTERM.

    Example: lawtags local up --detach

    With --chaos it injects faults, so that you can test how your own code handles them.

    For example: two refused polls, a submission whose reply is lost, and a GPU that is busy for a while:

    \b
      schema_version: 1
      requests:
        - {path: /v1/customization/jobs/cust-*, times: 2, answer: 429}
        - {path: /v1/customization/jobs, method: POST, times: 1, drop: reply}
      customizer: {pending: 30}
    """
    session = Session(json=as_json, verbose=verbose)
    _refuse_profile("up", profile)
    require(["local"], "the embedded stack")
    models = _model_folders("--base-model", base_model or [])
    encoders = _model_folders("--embedding-model", embedding_model or [])
    from lawtags_stack.chaos import read_plan
    from lawtags_stack.engines.device import check_device_name

    check_device_name(device)
    # Read here as well where the stack runs in another process: what is wrong with it is said at once.
    plan = read_plan(chaos) if chaos else None
    if detach:
        from lawtags_stack.control import detach as start

        if token:
            os.environ[LOCAL_TOKEN_VARIABLE] = token  # not on a command line that every user can list
        command_line = foreground(
            dir,
            port=port,
            host=host,
            models=models,
            encoders=encoders,
            refresh=refresh_interval,
            idle=idle_timeout,
            chaos=chaos,
            device=device,
            precision=inference_precision,
            allowed_hosts=allow_host or [],
            link_local=allow_link_local,
        )
        _tell(session, start(command_line, dir).as_dict(), dir, token=bool(token))
        return
    from lawtags_stack.serve import serve
    from lawtags_stack.service import StackOptions
    from lawtags_stack.stack import Stack

    options = StackOptions(
        refresh_interval=refresh_interval,
        base_models=models,
        embedding_models=encoders,
        token=token or None,
        device=device,
        inference_precision=inference_precision,
        allowed_hosts=tuple(allow_host or ()),
        link_local=allow_link_local,
        chaos=plan,
    )
    stack = Stack(dir, port, host=host, options=options)
    import asyncio

    asyncio.run(
        serve(
            stack,
            on_ready=lambda address: _tell(session, address.as_dict(), dir, token=bool(token)),
            idle_timeout=idle_timeout,
        )
    )


@app.command()
@command
def down(
    dir: Dir = STACK_FOLDER,
    as_json: Json = False,
    profile: OnlyLocal = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Stop the stack. Nothing is lost; interrupted jobs resume at the next start.

    Example: lawtags local down
    """
    from lawtags_stack.control import stop

    session = Session(json=as_json, verbose=verbose)
    _refuse_profile("down", profile)
    stopped = stop(dir)
    if as_json:
        session.emit({"stopped": stopped, "dir": str(dir)})
    else:
        session.say("Stopped." if stopped else f"No stack is running in {dir}.")


@app.command()
@command
def status(
    dir: Dir = STACK_FOLDER,
    token: StatusToken = None,
    as_json: Json = False,
    profile: Profile = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Show whether the stack is running, with jobs, models and disk usage.

    Without --profile, it is the stack of --dir; a profile means the stack at its platform_url.

    Example: lawtags local status --json
    """
    session = Session(json=as_json, profile=profile, verbose=verbose)
    if profile in (None, LOCAL_PROFILE):
        from lawtags_stack.control import report

        found = report(dir, token=token)
    else:
        from lawtags_client.cli.local_status import fetch_report

        found = session.run(fetch_report(profile, token=token or None))
    if as_json:
        session.emit(found)
        return
    from lawtags_client.cli.local_status import lines, usage

    for line in lines(found):
        session.say(line)
    if profile in (None, LOCAL_PROFILE) and "platform_url" in found:
        session.say("")
        for line in usage(found, here=dir == STACK_FOLDER, token=bool(token)):
            session.say(line)


@app.command()
@command
def prune(
    dir: Dir = STACK_FOLDER,
    keep: Annotated[
        float, typer.Option(min=0, help="Hours to keep files that were uploaded but not committed.")
    ] = 1.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be removed; remove nothing.")
    ] = False,
    as_json: Json = False,
    profile: OnlyLocal = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Remove unreferenced files from a stopped stack: deleted repositories, scratch files of jobs.

    Datasets, models, jobs and their results stay. Example: lawtags local prune --dry-run
    """
    from datetime import timedelta

    from lawtags_stack.prune import prune as remove

    session = Session(json=as_json, verbose=verbose)
    _refuse_profile("prune", profile)
    found = remove(dir, kept=timedelta(hours=keep), dry_run=dry_run).as_dict()
    if as_json:
        session.emit({**found, "removed": not dry_run, "dir": str(dir)})
        return
    verb = "Would remove" if dry_run else "Removed"
    session.say(
        f"{verb} {found['blobs']} files, {found['trees']} snapshots and {found['folders']} working folders: "
        f"{found['bytes'] / 1e6:,.1f} MB."
    )


@app.command()
@command
def reset(
    dir: Dir = STACK_FOLDER,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
    profile: OnlyLocal = None,
    verbose: Verbose = 0,
    no_input: NoInput = False,
) -> None:
    """Remove all data of a stopped stack, after asking. Example: lawtags local reset --yes"""
    from lawtags_stack.control import reset as clear

    session = Session(json=as_json, verbose=verbose, no_input=no_input)
    _refuse_profile("reset", profile)
    done = clear(dir, lambda question: yes or session.confirm(question))
    if as_json:
        session.emit({"reset": done, "dir": str(dir)})
    else:
        session.say(f"{dir} is empty now." if done else "Nothing was removed.")


def _refuse_profile(name: str, profile: str | None) -> None:
    if profile not in (None, LOCAL_PROFILE):
        raise ConfigurationError(
            f"lawtags local {name} works on a folder of this machine, not on the profile {profile!r}",
            hint="Give the folder with --dir, without --profile.",
        )


def _tell(session: Session, address: dict[str, Any], dir: Path, *, token: bool) -> None:
    if session.json:
        session.emit(address)
        return
    from lawtags_client.cli.local_status import usage

    for name in ("platform_url", "data_store_url", "inference_url"):
        session.say(f"{name.removesuffix('_url').replace('_', ' '):11} {address[name]}")
    from lawtags_stack.base_models import DEFAULT_BASE_MODEL

    session.say(f"base model  {DEFAULT_BASE_MODEL}")
    session.say("")
    for line in usage(address, here=dir == STACK_FOLDER, token=token):
        session.say(line)


def _model_folders(option: str, texts: list[str]) -> dict[str, Path]:
    models = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not equals or name.count("/") != 1 or not folder:
            raise ConfigurationError(
                f"{option} {text!r} is not of the form namespace/name=FOLDER",
                hint=f"For example: {option} google/gemma-2-2b=models/gemma-2-2b",
            )
        path = Path(folder).expanduser().absolute()
        if not (path / "config.json").is_file():
            raise ConfigurationError(
                f"{option} {name}: {path} is not a Hugging Face model folder",
                hint="It must contain config.json, the tokenizer and *.safetensors.",
            )
        models[name] = path
    return models


def foreground(
    dir: Path,
    *,
    port: int = _DEFAULT_PORT,
    host: str = "127.0.0.1",
    models: Mapping[str, Path] | None = None,
    encoders: Mapping[str, Path] | None = None,
    refresh: float = 5.0,
    idle: float | None = None,
    chaos: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    allowed_hosts: Sequence[str] = (),
    link_local: bool = False,
) -> list[str]:
    """Arguments of the Python interpreter that run a stack in the foreground."""
    line = [
        "-m",
        "lawtags_client.cli.local",
        "up",
        "--json",
        "--dir",
        str(dir),
        "--port",
        str(port),
        "--host",
        host,
    ]
    line += ["--refresh-interval", str(refresh), "--device", device, "--inference-precision", precision]
    line += ["--idle-timeout", str(idle)] if idle is not None else []
    line += ["--chaos", str(chaos)] if chaos is not None else []
    for host_name in allowed_hosts:
        line += ["--allow-host", host_name]
    line += ["--allow-link-local"] if link_local else []
    for name, folder in (models or {}).items():
        line += ["--base-model", f"{name}={folder}"]
    for name, folder in (encoders or {}).items():
        line += ["--embedding-model", f"{name}={folder}"]
    return line


if __name__ == "__main__":
    app()
