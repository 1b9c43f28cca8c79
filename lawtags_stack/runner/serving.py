"""Serves base models of a Helix platform and their adapters from this machine, through its gateway."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from lawtags_client.errors import ConflictError, LawtagsError, NotFoundError
from lawtags_client.helix.client import Helix
from lawtags_client.helix.names import make_name, split_reference
from lawtags_client.helix.types.deployments import ExecutorConfigRequest, ModelSpecRequest, Provider
from lawtags_stack.processes.launching import Launcher
from lawtags_stack.runner.mirror import ModelMirror
from lawtags_stack.service import Service, StackContext, StackOptions
from lawtags_stack.services.nim import NimService
from lawtags_stack.stack import Stack

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PATIENCE = 5.0
_log = logging.getLogger(__name__)


async def deploy_base_model(helix: Helix, base: str) -> str:
    """Create the deployment of a base model and its adapters, or find it.

    A platform that can serve it does so; on others, ``serving`` takes its place.

    Args:
        helix: the platform.
        base: the model, ``workspace/name``.

    Returns:
        The deployment, ``workspace/name``.

    Raises:
        ConflictError: a deployment of that name is of another model.
    """
    workspace, model = split_reference(base, helix.workspace, "base model")
    name = _deployment_name(model)
    await helix.deployment_configs.ensure(
        name=name,
        workspace=workspace,
        engine="vllm",
        model_spec=ModelSpecRequest(model_namespace=workspace, model_name=model, lora_enabled=True),
        executor_config=ExecutorConfigRequest(gpu=1),
        model_entity_id=f"{workspace}/{model}",
        compare=("model_entity_id",),
    )
    await helix.deployments.ensure(name=name, workspace=workspace, config=name, compare=("config",))
    return f"{workspace}/{name}"


@contextlib.asynccontextmanager
async def serving(
    helix: Helix,
    bases: Sequence[str],
    folder: Path,
    *,
    say: Callable[[str], None],
    options: StackOptions | None = None,
    launcher: Launcher | None = None,
) -> AsyncIterator[None]:
    """Serve base models and their adapters for as long as the block takes.

    The platform must reach this machine's loopback. New adapters are served without a restart. What another
    server of this machine serves already, such as that of another runner, is left to it.

    Args:
        helix: the platform.
        bases: the base models, ``workspace/name``.
        folder: for the downloaded files.
        say: prints a line.
        options: of the server.
        launcher: starts the processes that compute.

    Raises:
        NotFoundError: there is no such base model.
        ConflictError: a provider of the deployment's name is someone else's.
    """
    references = []
    for base in [await _reference(helix, given) for given in dict.fromkeys(bases)]:
        if (url := await _server_of(helix, base)) is None:
            references.append(base)
        else:
            say(f"{base} and its adapters are served at {url} already; this runner does not serve it")
    if not references:
        yield
        return

    def services(context: StackContext) -> list[Service]:
        mirror = ModelMirror(context, helix, references, say=say)
        nim = NimService(context, mirror, mirror, mirror)
        mirror.catalog = nim.state
        return [mirror, nim]

    stack = Stack(folder, options=options, launcher=launcher, services=services)
    await stack.start()
    providers: list[str] = []
    try:
        for base in references:
            deployment = await deploy_base_model(helix, base)
            await _register(helix, deployment, stack.address.inference_url)
            providers.append(deployment)
            say(f"serves {base} and its adapters at {stack.address.inference_url}")
        yield
    finally:
        for provider in providers:
            await _unregister(helix, provider, stack.address.inference_url)
        await stack.stop()


async def _reference(helix: Helix, base: str) -> str:
    """A base model as ``workspace/name``."""
    try:
        return (await helix.models.get(base)).reference
    except NotFoundError as error:
        workspace, name = split_reference(base, helix.workspace, "base model")
        error.hint = f"Upload it with --base-model {workspace}/{name}=FOLDER, or see: lawtags models ls"
        raise


def _deployment_name(model: str) -> str:
    """The name of the deployment of a model, and of its provider."""
    return make_name(f"lawtags-{model}")


async def _server_of(helix: Helix, base: str) -> str | None:
    """The address of a server of this machine that serves a base model, if there is one that answers."""
    workspace, model = split_reference(base, helix.workspace, "base model")
    deployment = f"{workspace}/{_deployment_name(model)}"
    found = await helix.providers.find(deployment)
    url = found.host_url if found is not None and _belongs(found, deployment) else None
    return url if url is not None and await asyncio.to_thread(_answers, url) else None


def _belongs(provider: Provider, deployment: str) -> bool:
    return provider.model_deployment_id in (deployment, deployment.rpartition("/")[2])


def _answers(url: str) -> bool:
    """Whether a model server answers at an address of loopback; no other address is asked."""
    try:
        address = urlsplit(url)
        if address.hostname not in _LOOPBACK:
            return False
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=_PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", "/v1/models")
            return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException, ValueError):
        return False


async def _register(helix: Helix, deployment: str, url: str) -> None:
    """Make a server the provider of a deployment, in place of one of an earlier start."""
    workspace, _, name = deployment.partition("/")
    before = await helix.providers.find(deployment)
    if before is not None:
        if not _belongs(before, deployment):
            # Deleting it could delete models of users.
            raise ConflictError(
                f"the provider {deployment} exists and does not belong to the deployment of that name",
                field="model_deployment_id",
                hint="Rename or delete it. Mind that its deletion deletes the models that only it serves.",
            )
        # It lists what that server had.
        await helix.providers.delete(deployment, missing_ok=True)
    await helix.providers.create(name=name, workspace=workspace, host_url=url, model_deployment_id=deployment)


async def _unregister(helix: Helix, provider: str, url: str) -> None:
    """Delete a provider of a deployment, which leaves the models and adapters as they are.

    One that has another address by now belongs to another server.
    """
    try:
        found = await helix.providers.find(provider)
        if found is None or str(found.host_url).rstrip("/") != url.rstrip("/"):
            return
        await helix.providers.delete(provider, missing_ok=True)
    except LawtagsError as error:
        _log.info("the provider %s could not be deleted: %s", provider, error)
