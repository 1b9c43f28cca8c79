"""The stack: all services, on one folder and three ports."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from lawtags_client.errors import ConfigurationError
from lawtags_client.files import atomic_write_json
from lawtags_stack.engines.device import check_device, check_device_name
from lawtags_stack.http.origin import OriginPolicy
from lawtags_stack.lock import ADDRESS_FILE, stack_lock
from lawtags_stack.processes.fork_launcher import ForkLauncher
from lawtags_stack.processes.launching import Launcher, SpawnLauncher
from lawtags_stack.server.application import Activity, application, status_route
from lawtags_stack.server.chaos_gate import NoRepositories, RepositoryAges
from lawtags_stack.server.servers import Servers, listen
from lawtags_stack.service import Port, Service, StackContext, StackOptions, Urls
from lawtags_stack.store import Blobs, Database
from lawtags_stack.times import Clock, utc_now, zulu_seconds

_log = logging.getLogger(__name__)

ServiceFactory = Callable[[StackContext], list[Service]]
PORTS: tuple[Port, ...] = ("platform", "data_store", "inference")
STACK_FILE = ADDRESS_FILE
DATABASE_FILE = "stack.sqlite"
LAUNCHER_LOG = "launcher.log"
# Libraries for training and generation that take seconds to import.
_IMPORTED_ONCE = (
    "lawtags_stack.engines.training.worker",
    "lawtags_stack.engines.training.examples",
    "lawtags_stack.engines.training.model",
    "lawtags_stack.engines.training.loop",
    "lawtags_stack.engines.generation.worker",
    "lawtags_stack.engines.generation.engine",
    "transformers.models.auto.modeling_auto",
    "peft",
)
_STOP_SECONDS = 2.5


@dataclass(frozen=True, slots=True)
class StackAddress:
    """The process and URLs of a running stack, as in ``stack.json`` and ``lawtags local up --json``."""

    platform_url: str
    data_store_url: str
    inference_url: str
    dir: str
    pid: int

    def as_dict(self) -> dict[str, str | int]:
        """Convert to a JSON object."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class Stack:
    """The embedded stack.

    Example:
        >>> stack = Stack(Path("stack"), platform_port=0)
        >>> await stack.start()
        >>> stack.address.platform_url
        'http://127.0.0.1:40123'
        >>> await stack.stop()

    Args:
        dir: folder for all data; created if missing.
        platform_port: the platform's port; Data Store and inference use the next two. Zero uses any three
            free ports.
        host: the address to bind to. Anything but loopback requires a token in the options.
        options: see ``StackOptions``.
        clock: returns the time.
        launcher: starts worker processes, and is not stopped; None creates one that stops with the stack.
        services: makes other services than those of the dialect.

    Raises:
        ConfigurationError: the host requires a token, the port is too high, or the device name is invalid.
    """

    def __init__(
        self,
        dir: Path,
        platform_port: int = 0,
        *,
        host: str = "127.0.0.1",
        options: StackOptions | None = None,
        clock: Clock = utc_now,
        launcher: Launcher | None = None,
        services: ServiceFactory | None = None,
    ) -> None:
        self.dir = dir.absolute()
        self.activity = Activity()
        self.services: list[Service] = []
        self._options = (options or StackOptions()).settled()
        self._host = host
        self._port = platform_port
        self._clock = clock
        self._launcher = launcher
        self._factory = services
        self._address: StackAddress | None = None
        self._cleanup = contextlib.AsyncExitStack()
        if not 0 <= platform_port <= 65533:
            raise ConfigurationError(
                f"invalid port {platform_port}: the stack also uses the next two, and all must be below 65536"
            )
        check_device_name(self._options.device)
        if not is_loopback(host) and not self._options.token:
            raise ConfigurationError(
                f"binding to {host} opens the stack to other machines, which requires a token",
                hint="Add --token, or bind to 127.0.0.1.",
            )

    @property
    def address(self) -> StackAddress:
        """The stack's address, once started."""
        if self._address is None:
            raise RuntimeError("the stack has not been started")
        return self._address

    async def start(self) -> StackAddress:
        """Lock the folder, resume interrupted work, and serve; returns once all ports respond.

        Raises:
            BusyError: another stack uses the folder.
            ConfigurationError: a port is taken, a later version wrote the folder, or torch does not find the
                device.
        """
        try:
            return await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Finish requests, stop the services resumably, and release folder and ports."""
        await self._cleanup.aclose()
        self._address = None

    def busy(self) -> bool:
        """Whether a service has a running or waiting job."""
        return any(service.busy() for service in self.services)

    async def _start(self) -> StackAddress:
        cleanup = self._cleanup
        cleanup.enter_context(stack_lock(self.dir, clock=self._clock))
        await check_device(self._options.device)
        sockets = self._listen()
        for each in sockets.values():
            cleanup.callback(each.close)
        urls = Urls(*(self._url(sockets[port]) for port in PORTS))
        _check_not_lost(self.dir)
        database = Database(self.dir / DATABASE_FILE)
        cleanup.callback(database.close)
        await asyncio.to_thread(database.check)
        blobs = Blobs(self.dir / "blobs")
        launcher = self._launcher or self._own_launcher()
        context = StackContext(self.dir, database, blobs, urls, self._options, self._clock, launcher)
        made = (self._factory(context), NoRepositories()) if self._factory else _services(context)
        self.services, repositories = made
        cleanup.push_async_callback(self._stop_services)
        for service in self.services:
            await service.start()
        address = StackAddress(urls.platform, urls.data_store, urls.inference, str(self.dir), os.getpid())
        await self._serve(sockets, address, repositories)
        atomic_write_json(self.dir / STACK_FILE, address.as_dict() | {"started": zulu_seconds(self._clock())})
        cleanup.callback((self.dir / STACK_FILE).unlink, missing_ok=True)
        self._address = address
        return address

    def _own_launcher(self) -> Launcher:
        launcher = make_launcher(self.dir / LAUNCHER_LOG)
        if isinstance(launcher, ForkLauncher):
            self._cleanup.push_async_callback(asyncio.to_thread, launcher.stop)
        return launcher

    async def _serve(
        self, sockets: dict[Port, socket.socket], address: StackAddress, repositories: RepositoryAges
    ) -> None:
        applications = []
        origins = OriginPolicy.of(
            self._host, self._options.allowed_hosts, token=self._options.token is not None
        )
        for port in PORTS:
            extra = [status_route(self.services, address.as_dict())] if port == "platform" else []
            app = application(
                port, self.services, extra, self.activity, self._clock, self._options,
                self._url(sockets[port]), origins, repositories,
            )  # fmt: skip
            applications.append((app, sockets[port]))
        servers = Servers(applications)
        self._cleanup.push_async_callback(servers.stop)
        await servers.start()

    async def _stop_services(self) -> None:
        async def stop(service: Service) -> None:
            try:
                await asyncio.wait_for(service.stop(), _STOP_SECONDS)
            except Exception as error:
                _log.warning("%s did not shut down cleanly: %r", service.name, error)

        await asyncio.gather(*(stop(service) for service in self.services))

    def _listen(self) -> dict[Port, socket.socket]:
        found: dict[Port, socket.socket] = {}
        try:
            for offset, port in enumerate(PORTS):
                number = self._port + offset if self._port else 0
                found[port] = listen(self._host, number, purpose=port.replace("_", " "))
        except BaseException:
            for each in found.values():
                each.close()
            raise
        return found

    def _url(self, listening: socket.socket) -> str:
        host, port = listening.getsockname()[:2]
        # An address that this machine can reach, whatever the stack is bound to.
        wildcard = {"0.0.0.0": "127.0.0.1", "::": "::1"}
        host = wildcard.get(host, host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class StackThread:
    """A stack in a thread, for tests and for programs without asyncio.

    Example:
        >>> with StackThread(Path("stack")) as stack:
        ...     print(stack.platform_url)

    Args:
        dir, platform_port, options, launcher: as for ``Stack``.
    """

    def __init__(
        self,
        dir: Path,
        platform_port: int = 0,
        *,
        options: StackOptions | None = None,
        launcher: Launcher | None = None,
    ) -> None:
        self.stack = Stack(dir, platform_port, options=options, launcher=launcher)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="lawtags-stack", daemon=True)

    @property
    def platform_url(self) -> str:
        """Entity Store, Customizer, Evaluator, Deployment Management."""
        return self.stack.address.platform_url

    @property
    def data_store_url(self) -> str:
        """The Data Store; ``/v1/hf`` below it is the endpoint for ``huggingface_hub``."""
        return self.stack.address.data_store_url

    @property
    def inference_url(self) -> str:
        """The inference server."""
        return self.stack.address.inference_url

    def start(self, timeout: float = 60.0) -> None:
        """Start; returns once all ports respond. Raises as ``Stack.start``."""
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.stack.start(), self.loop).result(timeout)
        except BaseException:
            self._end()
            raise

    def stop(self, timeout: float = 10.0) -> None:
        """Stop; returns once folder and ports are free."""
        if self.loop.is_closed():
            return
        try:
            asyncio.run_coroutine_threadsafe(self.stack.stop(), self.loop).result(timeout)
        finally:
            self._end()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        # Created here, since the thread that stops the stack may have a running event loop.
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def _end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()


def make_launcher(log: Path) -> Launcher:
    """Create the launcher for a stack's workers: forks on Linux; other systems' libraries do not survive a
    fork.

    Args:
        log: file for the fork server's output.
    """
    return ForkLauncher(log, _IMPORTED_ONCE) if sys.platform == "linux" else SpawnLauncher()


def _services(context: StackContext) -> tuple[list[Service], RepositoryAges]:
    """Create the services in the order of their start, each with its dependencies."""
    # Imported here, since commands that only look for a running stack do not need them.
    from lawtags_stack.services.nim import NimService

    if context.options.dialect != "v1":
        from lawtags_stack.helix.service import HelixService

        helix = HelixService(context)
        if context.options.dialect == "helix":
            nim = NimService(context, helix.serving, helix.serving, helix.serving)
            helix.serving.server = nim.state
            return [helix, nim], NoRepositories()
    from lawtags_stack.services.customizer import CustomizerService
    from lawtags_stack.services.data_store import DataStoreService
    from lawtags_stack.services.deployments import ActiveDeployments, DeploymentService
    from lawtags_stack.services.entity_store import EntityStoreService
    from lawtags_stack.services.evaluator.routes import EvaluatorService

    data_store, entity_store = DataStoreService(context), EntityStoreService(context)
    files, entities = data_store.state, entity_store.state
    active = ActiveDeployments(context.database, clock=context.clock)
    if context.options.dialect == "both":
        from lawtags_stack.helix.inference.serving import JoinedDeployments, JoinedModels

        joined = JoinedModels([entities, helix.serving], files, helix.serving)
        nim = NimService(context, joined, joined, JoinedDeployments([active, helix.serving]))
        helix.serving.server = nim.state
    else:
        nim = NimService(context, entities, files, active)
    deployments = DeploymentService(context, active, nim.state)
    customizer = CustomizerService(context, entities, files)
    evaluator = EvaluatorService(context, entities, files)
    v1: list[Service] = [data_store, entity_store, deployments, customizer, nim, evaluator]
    return [helix, *v1] if context.options.dialect == "both" else v1, files.repositories


def _check_not_lost(dir: Path) -> None:
    database = dir / DATABASE_FILE
    if database.exists() and database.stat().st_size:
        return
    # A kill during the very first start leaves an empty database, but no files yet.
    if next((dir / "blobs").glob("??/*"), None) is not None:
        raise ConfigurationError(
            f"the database {database} is {'empty' if database.exists() else 'missing'}, but the folder "
            "contains datasets and models that it should list",
            hint=f"Restore it from a backup, or start over with: lawtags local reset --dir {dir}",
        )


def read_address(dir: Path) -> StackAddress | None:
    """Read the address of a folder's stack, which may have died since."""
    try:
        found = json.loads((dir / STACK_FILE).read_text("utf-8"))
        return StackAddress(**{name: found[name] for name in StackAddress.__dataclass_fields__})
    except (FileNotFoundError, ValueError, KeyError):
        return None


def is_loopback(host: str) -> bool:
    """Whether an address is reachable only from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


__all__ = ["Stack", "StackAddress", "StackOptions", "StackThread", "is_loopback", "read_address"]
