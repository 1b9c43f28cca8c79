"""Base models of a Helix platform and their adapters, kept on this machine to be served."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Sequence
from typing import Protocol

from lawtags_client.errors import LawtagsError, NotFoundError
from lawtags_client.files import atomic_write_json
from lawtags_client.helix.client import Helix
from lawtags_client.helix.types.models import HelixAdapter, HelixModel
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.helix.inference.serving import HELIX_URL, HelixModelRecord, deployment_of, served_model
from lawtags_stack.helix.tables import split_reference
from lawtags_stack.runner.mirrored_files import MirroredFiles, read_index
from lawtags_stack.service import Service, StackContext
from lawtags_stack.services.data_store.hub_urls import FilesUrl
from lawtags_stack.services.data_store.trees import FileEntry
from lawtags_stack.services.deployments.records import DeploymentRecord
from lawtags_stack.services.entity_store.records import ModelRecord
from lawtags_stack.services.nim.state import ADAPTER_CONFIG, ADAPTER_WEIGHTS

_INDEX = "files.json"
_UNKNOWN = "1970-01-01T00:00:00Z"
_NEEDED = {True: {ADAPTER_CONFIG, ADAPTER_WEIGHTS}, False: {"config.json"}}
_log = logging.getLogger(__name__)


class Catalog(Protocol):
    """The inference server."""

    def deployments_changed(self) -> None:
        """Look at the models again."""
        ...


class ModelMirror(Service):
    """Follows base models of a platform: downloads what is new, and lists it to the inference server.

    It is the source of models, files and deployments of a ``NimService``.

    Args:
        context: the stack that serves.
        helix: the platform.
        bases: the base models, ``workspace/name``.
        say: prints a line.
    """

    def __init__(
        self, context: StackContext, helix: Helix, bases: Sequence[str], *, say: Callable[[str], None]
    ) -> None:
        super().__init__("mirror", "platform", [])
        self._helix = helix
        self._bases = tuple(bases)
        self._say = say
        self._blobs = context.blobs
        self._folder = context.folder("mirror")
        self._interval = context.options.refresh_interval
        self._files: dict[str, MirroredFiles] = read_index(self._folder / _INDEX, context.blobs)
        self._models: list[HelixModelRecord] = []
        self._deployments: list[DeploymentRecord] = []
        self._task: asyncio.Task[None] | None = None
        self._told: str | None = None
        self.catalog: Catalog | None = None

    # Read by the inference server

    def model_list(self) -> list[ModelRecord]:
        """The models whose files are here."""
        return [*self._models]

    def active(self) -> list[DeploymentRecord]:
        """The base models, as deployments."""
        return self._deployments

    def resolve_url(self, files_url: str) -> tuple[FilesUrl, list[FileEntry]]:
        """The files of a fileset.

        Raises:
            NotFoundError: they are not here.
        """
        place = files_url.removeprefix(HELIX_URL)
        found = self._files.get(place)
        if found is None:
            raise NotFoundError(f"the files of the fileset {place} are not here")
        workspace, _, fileset = place.partition("/")
        return FilesUrl("model", workspace, fileset), found.entries()

    # The service

    async def start(self) -> None:
        """Follow the platform in the background."""
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Stop; a broken download resumes at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _follow(self) -> None:
        while True:
            try:
                await self.look()
                self._told = None
            except LawtagsError as error:
                self._tell(f"the models to serve could not be read: {error.message}")
            except Exception:  # one failed look must not end the service
                _log.exception("the models to serve could not be read")
            await asyncio.sleep(self._interval)

    async def look(self) -> None:
        """Look at the platform once, and download what is new."""
        models: list[HelixModelRecord] = []
        deployments: list[DeploymentRecord] = []
        wanted: dict[str, MirroredFiles] = {}
        failed: LawtagsError | None = None
        for base in self._bases:
            model = await self._helix.models.get(base)
            entities: list[HelixModel | HelixAdapter] = [model, *model.adapters]
            for each in entities:
                if isinstance(each, HelixAdapter) and each.enabled is False:
                    continue
                try:
                    place, files = await self._here(each, model)
                except LawtagsError as error:
                    failed = error
                    # What is served stays so while the platform does not answer.
                    kept = next((old for old in self._models if old.id == each.id), None)
                    if kept is None or isinstance(error, NotFoundError):
                        continue
                    place = str(kept.uploaded_url).removeprefix(HELIX_URL)
                    models.append(kept)
                    wanted[place] = self._files[place]
                    continue
                wanted[place] = files
                models.append(_served(each, base))
            deployments.append(deployment_of({**_entity(model), "status": "READY"}, base))
        changed = wanted != self._files or models != self._models or deployments != self._deployments
        if changed:
            index = {place: files.as_dict() for place, files in wanted.items()}
            await asyncio.to_thread(atomic_write_json, self._folder / _INDEX, index)
            self._files, self._models, self._deployments = wanted, models, deployments
            if self.catalog is not None:
                self.catalog.deployments_changed()
        if failed is not None:
            raise failed

    async def _here(self, entity: HelixModel | HelixAdapter, base: HelixModel) -> tuple[str, MirroredFiles]:
        """The fileset of a model or adapter, and its files, downloaded if they are new."""
        if entity.fileset is None:
            raise NotFoundError(
                f"{entity.reference} has no fileset, so it cannot be served", hint="Link it to its weights."
            )
        owner = entity.workspace or base.workspace or self._helix.workspace
        place = "/".join(split_reference(entity.fileset, owner))
        known = self._files.get(place)
        # Helix has no checksums: weights of the same size are told apart by when they were linked.
        is_adapter = isinstance(entity, HelixAdapter)
        version = f"{entity.id} {entity.updated_at}" if is_adapter else str(entity.id)
        if is_adapter and known is not None and known.version == version and known.are_here(self._blobs):
            return place, known
        listed = await self._helix.filesets.files(place)
        sizes = {file.path: file.size or 0 for file in listed if _is_needed(file.path)}
        missing = sorted(
            ({ADAPTER_CONFIG, ADAPTER_WEIGHTS} if is_adapter else {"config.json"}) - sizes.keys()
        )
        if missing:
            raise NotFoundError(f"{entity.reference}: its fileset {place} lacks {', '.join(missing)}")
        if known is not None and known.matches(version, sizes, self._blobs):
            return place, known
        self._say(f"downloading {entity.reference} to serve it")
        folder = self._folder / "downloads" / place.replace("/", "--")
        await self._helix.filesets.download(place, folder)
        files = await asyncio.to_thread(MirroredFiles.store, folder, sizes, version, self._blobs)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return place, files

    def _tell(self, line: str) -> None:
        if line != self._told:
            self._told = line
            self._say(line)


def _served(each: HelixModel | HelixAdapter, base: str) -> HelixModelRecord:
    if isinstance(each, HelixModel):
        return served_model(_entity(each), base, None)
    workspace = each.workspace or base.partition("/")[0]
    return served_model({**_entity(each), "workspace": workspace}, f"{workspace}--{each.name}", base)


def _entity(each: HelixModel | HelixAdapter) -> JsonObject:
    names = {"id", "name", "workspace", "fileset", "created_at", "updated_at"}
    shown: dict[str, JsonValue] = each.model_dump(mode="json", include=names)
    return {**shown, **{name: shown[name] or _UNKNOWN for name in ("created_at", "updated_at")}}


def _is_needed(path: str) -> bool:
    """Whether a file is needed to serve: alternative checkpoints and documents are not."""
    return "/" not in path and path.endswith((".safetensors", ".json", ".jinja", ".txt", ".model"))
