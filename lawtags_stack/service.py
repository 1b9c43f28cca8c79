"""The shape of a microservice of the stack, and what the services share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from starlette.routing import BaseRoute

from lawtags_client.json_value import JsonObject
from lawtags_stack.chaos import ChaosPlan
from lawtags_stack.processes.launching import Launcher, SpawnLauncher
from lawtags_stack.store import Blobs, Database
from lawtags_stack.times import Clock, utc_now

Port = Literal["platform", "data_store", "inference"]


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What a stack can be told.

    Args:
        refresh_interval: seconds between two looks of the inference server for new adapters.
        base_models: Hugging Face folders of further base models, by ``namespace/name``.
        embedding_models: Hugging Face folders of encoders to embed with, by ``namespace/name``.
        token: the bearer token every request must carry; ``None`` lets everyone in.
        allowed_hosts: further host names that requests may be sent to; with a token every name is accepted.
        link_local: let evaluations call link-local addresses, those of cloud metadata services included.
        largest_upload: the largest single file in bytes that the Data Store takes.
        device: where trainings and models compute: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; ``auto`` takes
            CUDA or MPS where torch finds one, and the CPU otherwise.
        training_threads: threads a training uses; ``None`` takes all cores.
        training_memory_mb: memory a training may take before it fails; ``None`` sets no limit.
        inference_threads: threads that a model is served with; 0 leaves it to torch.
        inference_precision: what served models compute their large products in; ``auto`` is bfloat16 on a
            GPU that computes in it, and float32 otherwise. On a CPU, ``bfloat16`` needs instructions for it.
        empty_commit_url: answer commits with an empty ``commitUrl``, as deployed Data Stores do.
        chaos: deliberate trouble.
    """

    refresh_interval: float = 5.0
    base_models: Mapping[str, Path] = field(default_factory=dict)
    embedding_models: Mapping[str, Path] = field(default_factory=dict)
    token: str | None = field(default=None, repr=False)
    allowed_hosts: tuple[str, ...] = ()
    link_local: bool = False
    largest_upload: int = 20 << 30
    device: str = "auto"
    training_threads: int | None = None
    training_memory_mb: int | None = None
    inference_threads: int = 0
    inference_precision: Literal["auto", "float32", "bfloat16"] = "auto"
    empty_commit_url: bool = False
    chaos: ChaosPlan | None = None

    def settled(self) -> StackOptions:
        """These options, with what the chaos plan says of them."""
        if self.chaos is None:
            return self
        return replace(
            self,
            refresh_interval=self.chaos.inference.refresh_interval or self.refresh_interval,
            empty_commit_url=self.chaos.data_store.empty_commit_url or self.empty_commit_url,
        )


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the three ports answer, without a trailing slash."""

    platform: str
    data_store: str
    inference: str


@dataclass(frozen=True, slots=True)
class StackContext:
    """What a service is made from.

    Args:
        dir: the stack's folder.
        database: its SQLite file.
        blobs: its content-addressed files.
        urls: where the stack answers; known before any service is made.
        options: what it was told.
        clock: tells the time.
        launcher: starts worker processes.
    """

    dir: Path
    database: Database
    blobs: Blobs
    urls: Urls
    options: StackOptions = field(default_factory=StackOptions)
    clock: Clock = utc_now
    launcher: Launcher = field(default_factory=SpawnLauncher)

    def folder(self, name: str) -> Path:
        """A service's own folder for what is neither row nor blob; made where missing."""
        folder = self.dir / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


class Service:
    """One microservice: its routes, and what runs beside them.

    Making one opens tables and reads nothing of other services; ``start`` resumes what was interrupted and
    may use them all.

    Args:
        name: the name of its folder.
        port: which of the three ports it answers on.
        routes: its routes; paths are those of the API, from ``/`` on.
    """

    def __init__(self, name: str, port: Port, routes: Sequence[BaseRoute]) -> None:
        self.name = name
        self.port = port
        self.routes = routes

    async def start(self) -> None:
        """Begin or resume work; must return soon. Nothing is served before all services have started."""

    async def stop(self) -> None:
        """End work within two seconds; what was begun must be resumable."""

    def busy(self) -> bool:
        """Whether a job is at work or waiting, so that an idle stack must not end."""
        return False

    def summary(self) -> JsonObject:
        """What ``lawtags local status`` shows of it; cheap."""
        return {}
