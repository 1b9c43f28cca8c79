"""Asks providers what they serve, and carries out deployments."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence

import httpx

from lawtags_client.errors import LawtagsError
from lawtags_client.json_value import JsonObject
from lawtags_stack.helix.inference.deployments import DeploymentTables
from lawtags_stack.helix.inference.providers import ADAPTERS, HelixProviders
from lawtags_stack.helix.inference.serving import Serving
from lawtags_stack.helix.inference.upstream import Upstream
from lawtags_stack.helix.schemas import NAME_PATTERN

_log = logging.getLogger(__name__)
_MOST_MODELS = 1000


class Discovery:
    """Looks at all providers and deployments.

    Args:
        providers: the providers.
        deployments: the deployments.
        upstream: calls providers.
        serving: the deployments that the stack serves itself.
    """

    def __init__(
        self, providers: HelixProviders, deployments: DeploymentTables, upstream: Upstream, serving: Serving
    ) -> None:
        self._serving = serving
        self._providers = providers
        self._deployments = deployments
        self._upstream = upstream

    async def run(self) -> None:
        """Look at every provider once; those that do not respond stay as they are."""
        await asyncio.to_thread(self._follow_deployments)
        providers = await asyncio.to_thread(self._providers.all)
        await asyncio.gather(*(self._ask(each) for each in providers))

    async def _ask(self, provider: JsonObject) -> None:
        try:
            listed = await self._upstream.models(provider)
        except (httpx.HTTPError, LawtagsError, ValueError) as error:
            _log.info("provider %s/%s: %s", provider["workspace"], provider["name"], error)
            return
        await asyncio.to_thread(self._record, provider, listed)

    def _record(self, provider: JsonObject, listed: Sequence[JsonObject]) -> None:
        enabled = provider["enabled_models"]
        models = [
            each
            for each in listed[:_MOST_MODELS]
            if isinstance(each.get("id"), str) and (not isinstance(enabled, list) or each["id"] in enabled)
        ]
        deployment = provider["model_deployment_id"]
        if deployment is None:
            found = _entities(models, str(provider["workspace"]))
        else:
            base = self._deployments.model_of(str(deployment), str(provider["workspace"]))
            found = _of_deployment(models, base)
        self._providers.discovered(provider, found, linked=deployment is not None)

    def _follow_deployments(self) -> None:
        self._serving.follow()
        for deployment in self._deployments.all():
            status = deployment["status"]
            if status == "DELETING":
                self._deployments.set_status(deployment, "DELETED", "Deleted deployments-plugin entities.")
            elif status == "DELETED":
                self._deployments.forget(deployment)


def _entities(models: Sequence[JsonObject], workspace: str) -> list[tuple[str, str]]:
    """The entities of discovered models: their ids with characters that names may have."""
    found: list[tuple[str, str]] = []
    for each in models:
        served = str(each["id"])
        name = re.sub("-{2,}", "-", served.lower().replace("/", "-"))
        if re.match(NAME_PATTERN, name):
            found.append((served, f"{workspace}/{name}"))
        else:
            _log.info("the model %.80r has no valid name for an entity", served)
    return found


def _of_deployment(models: Sequence[JsonObject], base: str | None) -> list[tuple[str, str]]:
    """The base of a deployment and its adapters."""
    found: list[tuple[str, str]] = []
    if base is None:
        return found
    for each in models:
        served = str(each["id"])
        if served == base:
            found.append((served, base))
        elif each.get("parent") == base:
            owner, dashes, name = served.partition("--")
            adapter = f"{owner}/{name}" if dashes else f"{base.partition('/')[0]}/{served}"
            found.append((served, f"{base}{ADAPTERS}{adapter}"))
    return found
