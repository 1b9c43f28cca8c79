"""How the embedded stack is started: in this process, or by a command line in the background."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lawtags_client.errors import ConfigurationError
from lawtags_client.settings import LOCAL_TOKEN_VARIABLE

if TYPE_CHECKING:
    from lawtags_stack.stack import StackAddress

DEFAULT_PORT = 8600

Precision = Literal["auto", "float32", "bfloat16"]
Dialect = Literal["v1", "helix", "both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StackLaunch:
    """A stack to start.

    Attributes:
        dir: the folder for all of its data.
        port: of the platform; the other services use the next two. 0: any free ports.
        host: the address to bind to.
        base_models: folders of Hugging Face models, by ``namespace/name``.
        embedding_models: folders of embedding models, by ``namespace/name``.
        refresh_interval: seconds between checks for new adapters.
        device: where models are trained and served.
        inference_precision: number format for serving.
        idle_timeout: stop after this many seconds without a request or job.
        allowed_hosts: host names to accept requests for, besides loopback.
        link_local: whether evaluations may call link-local addresses.
        chaos: a YAML file of faults to inject.
        dialect: the API to serve.
    """

    dir: Path
    port: int = DEFAULT_PORT
    host: str = "127.0.0.1"
    base_models: Mapping[str, Path] = field(default_factory=dict)
    embedding_models: Mapping[str, Path] = field(default_factory=dict)
    refresh_interval: float = 5.0
    device: str = "auto"
    inference_precision: Precision = "auto"
    idle_timeout: float | None = None
    allowed_hosts: Sequence[str] = ()
    link_local: bool = False
    chaos: Path | None = None
    dialect: Dialect = "v1"

    def check(self) -> None:
        """Check what can be checked before another process starts.

        Raises:
            ConfigurationError: the device or the chaos file cannot be used, or there is nothing that could
                serve a base model.
        """
        if self.dialect == "helix" and self.base_models:
            name, folder = next(iter(self.base_models.items()))
            raise ConfigurationError(
                "NeMo Helix has no base models: --base-model cannot be used with --dialect helix",
                hint="Leave it out, and give it to the runner: lawtags local runner --platform URL "
                f"--base-model {name}={folder}",
            )
        from lawtags_stack.chaos import read_plan
        from lawtags_stack.engines.device import check_device_name

        check_device_name(self.device)
        if self.chaos:
            read_plan(self.chaos)

    def detach(self, *, token: str | None = None) -> StackAddress:
        """Start it in the background; returns once it is ready.

        Args:
            token: the bearer token that requests must carry.

        Raises:
            LawtagsError: it does not start.
        """
        from lawtags_stack.control import detach

        self.check()
        if token:
            os.environ[LOCAL_TOKEN_VARIABLE] = token  # not on a command line that every user can list
        return detach(self.arguments(), self.dir)

    def run(self, on_ready: Callable[[StackAddress], None], *, token: str | None = None) -> None:
        """Run it in this process until it is stopped or idle.

        Args:
            on_ready: called with its address.
            token: the bearer token that requests must carry.
        """
        import asyncio

        from lawtags_stack.chaos import read_plan
        from lawtags_stack.serve import serve
        from lawtags_stack.service import StackOptions
        from lawtags_stack.stack import Stack

        self.check()
        options = StackOptions(
            refresh_interval=self.refresh_interval,
            base_models=dict(self.base_models),
            embedding_models=dict(self.embedding_models),
            token=token or None,
            device=self.device,
            inference_precision=self.inference_precision,
            allowed_hosts=tuple(self.allowed_hosts),
            link_local=self.link_local,
            chaos=read_plan(self.chaos) if self.chaos else None,
            dialect=self.dialect,
        )
        stack = Stack(self.dir, self.port, host=self.host, options=options)
        asyncio.run(serve(stack, on_ready=on_ready, idle_timeout=self.idle_timeout))

    def arguments(self) -> list[str]:
        """Arguments of the Python interpreter that run it in the foreground."""
        options: list[tuple[str, object]] = [
            ("--dir", self.dir),
            ("--port", self.port),
            ("--host", self.host),
            ("--refresh-interval", self.refresh_interval),
            ("--device", self.device),
            ("--inference-precision", self.inference_precision),
            ("--dialect", self.dialect),
        ]
        options += [("--idle-timeout", self.idle_timeout)] if self.idle_timeout is not None else []
        options += [("--chaos", self.chaos)] if self.chaos is not None else []
        options += [("--allow-host", host) for host in self.allowed_hosts]
        options += [("--base-model", f"{name}={folder}") for name, folder in self.base_models.items()]
        options += [
            ("--embedding-model", f"{name}={folder}") for name, folder in self.embedding_models.items()
        ]
        words = [word for name, value in options for word in (name, str(value))]
        flags = ["--allow-link-local"] if self.link_local else []
        return ["-m", "lawtags_client.cli.local", "up", "--json", *words, *flags]


def model_folders(option: str, texts: Sequence[str]) -> dict[str, Path]:
    """The folders of models, by ``namespace/name``.

    Args:
        option: the option that they come from, for messages.
        texts: each ``namespace/name=FOLDER``.

    Raises:
        ConfigurationError: one is of another form, or not a model folder.
    """
    models = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not equals or name.count("/") != 1 or not folder:
            raise ConfigurationError(
                f"{option} {text!r} is not of the form namespace/name=FOLDER",
                hint=f"For example: {option} google/gemma-2-2b=models/gemma-2-2b",
            )
        path = Path(folder).absolute()
        with contextlib.suppress(RuntimeError):  # of no user's home: there is no such folder
            path = Path(folder).expanduser().absolute()
        if not (path / "config.json").is_file():
            raise ConfigurationError(
                f"{option} {name}: {path} is not a Hugging Face model folder",
                hint="It must contain config.json, the tokenizer and *.safetensors.",
            )
        models[name] = path
    return models
