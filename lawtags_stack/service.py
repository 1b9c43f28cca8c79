"""The base class of the stack's microservices, and what they share."""

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
Dialect = Literal["v1", "helix", "both"]


@dataclass(frozen=True, slots=True)
class StackOptions:
    """Options of a stack.

    Args:
        refresh_interval: seconds between the inference server's scans for new adapters.
        base_models: Hugging Face folders of additional base models, by ``namespace/name``.
        embedding_models: Hugging Face folders of encoders for embeddings, by ``namespace/name``.
        token: bearer token that every request must carry; ``None`` requires none.
        allowed_hosts: additional host names that requests may address; with a token every name is accepted.
        link_local: allow evaluations to call link-local addresses, including cloud metadata services.
        largest_upload: maximum size in bytes of a file in the Data Store.
        device: device for training and inference: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; ``auto`` uses
            CUDA or MPS if torch finds one, and the CPU otherwise.
        training_threads: threads per training; ``None`` uses all cores.
        training_memory_mb: memory limit of a training, in MiB; ``None`` for no limit.
        inference_threads: threads per served model; 0 uses torch's default.
        inference_precision: precision of large products in inference; ``auto`` is bfloat16 on a GPU that
            supports it, and float32 otherwise. On a CPU, ``bfloat16`` needs hardware support.
        empty_commit_url: respond to commits with an empty ``commitUrl``, as real Data Stores do.
        chaos: faults to inject.
        dialect: the API to serve: NeMo Microservices v1, NeMo Helix, or both on one storage.
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
    dialect: Dialect = "v1"

    def settled(self) -> StackOptions:
        """These options, with the overrides of the chaos plan."""
        if self.chaos is None:
            return self
        return replace(
            self,
            refresh_interval=self.chaos.inference.refresh_interval or self.refresh_interval,
            empty_commit_url=self.chaos.data_store.empty_commit_url or self.empty_commit_url,
        )


@dataclass(frozen=True, slots=True)
class Urls:
    """Base URLs of the three ports, without trailing slashes."""

    platform: str
    data_store: str
    inference: str


@dataclass(frozen=True, slots=True)
class StackContext:
    """The dependencies of a service.

    Args:
        dir: the stack's folder.
        database: the SQLite database.
        blobs: the content-addressed files.
        urls: the stack's URLs; known before any service is created.
        options: the stack's options.
        clock: returns the time.
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
        """A service's folder for anything other than rows and blobs; created if missing."""
        folder = self.dir / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


class Service:
    """One microservice: its routes and background work.

    The constructor opens tables and reads nothing of other services; ``start`` resumes interrupted work and
    may use them all.

    Args:
        name: name of its folder.
        port: the port that it is served on.
        routes: its routes, with the full paths of the API.
    """

    def __init__(self, name: str, port: Port, routes: Sequence[BaseRoute]) -> None:
        self.name = name
        self.port = port
        self.routes = routes

    async def start(self) -> None:
        """Start or resume work; must return soon. Requests are served once all services have started."""

    async def stop(self) -> None:
        """Stop work within two seconds; unfinished work must be resumable."""

    def busy(self) -> bool:
        """Whether a job is running or waiting, so the stack is not idle."""
        return False

    def summary(self) -> JsonObject:
        """Status for ``lawtags local status``; must be cheap."""
        return {}
