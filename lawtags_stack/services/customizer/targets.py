"""Targets: the base models that can be trained, and the status of their files."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from lawtags_client.errors import (
    BadRequestError,
    ConfigurationError,
    ConflictError,
    LawtagsError,
    NotFoundError,
)
from lawtags_client.json_value import JsonObject
from lawtags_client.weights import tensors
from lawtags_stack.base_models import (
    DEFAULT_BASE_MODEL,
    DEFAULT_NUM_PARAMETERS,
    default_base_model_folder,
    default_base_model_ready,
    find_default_source,
)
from lawtags_stack.entities import EntityKind, EntityTable
from lawtags_stack.service import StackContext
from lawtags_stack.services.customizer.protocols import CustomizerDataStore
from lawtags_stack.services.customizer.records import TargetRecord
from lawtags_stack.services.data_store.hub_urls import parse_files_url

SEEDED_VERSION = "v1"
"""Version of the stack's built-in targets: ``namespace/name@v1``."""

_FIELDS = (
    "id", "name", "namespace", "created_at", "updated_at", "description", "project", "custom_fields",
    "ownership", "base_model", "enabled", "status", "model_type", "model_uri", "hf_endpoint",
    "model_path", "num_parameters", "precision", "tokenizer",
)  # fmt: skip
_FOLDER = "_folder"


class Targets:
    """All targets.

    A built-in target is a local folder; one created through the API is copied from a model repository of the
    Data Store. A path from the API is never opened.

    Args:
        context: the stack.
        files: the source of models.
    """

    def __init__(self, context: StackContext, files: CustomizerDataStore) -> None:
        kind = EntityKind(
            record=TargetRecord,
            label="customization target",
            table="customizer_targets",
            id_prefix="target",
            fields=_FIELDS,
            defaults={"custom_fields": {}, "enabled": False, "status": "created", "model_path": ""},
            present=_public,
        )
        self.entities = EntityTable(context.database, kind, clock=context.clock)
        self._context = context
        self._files = files
        self._copies: list[threading.Thread] = []
        self._copying = threading.Lock()

    def seed(self) -> None:
        """Create or update the targets of the default base model and of the configured folders."""
        self._seed_default()
        for name, folder in self._context.options.base_models.items():
            self._put(name, Path(folder).resolve(), num_parameters=count_parameters(Path(folder)))

    def resume(self) -> None:
        """Resume interrupted copies."""
        for target in self.entities.all():
            if target.status in ("created", "pending", "downloading") and target.model_uri:
                self._start_copy(target.namespace, target.name)

    def create(self, fields: JsonObject) -> JsonObject:
        """Create a target, start copying its files, and return the response."""
        target = self.add(fields)
        return self.entities.get(target.namespace, target.name)

    def add(self, fields: JsonObject) -> TargetRecord:
        """Create a target and start copying its files."""
        name = fields.get("name")
        defaults: JsonObject = {}
        if name:
            defaults = {"base_model": f"{fields.get('namespace') or 'default'}/{str(name).split('@')[0]}"}
        target = self.entities.add({**defaults, **fields})
        if target.model_uri:
            self._start_copy(target.namespace, target.name)
        return target

    def patch(self, namespace: str, name: str, fields: JsonObject) -> JsonObject:
        """Update a target; a new ``model_uri`` starts a new copy."""
        before = self.entities.stored(namespace, name)
        self.entities.patch(namespace, name, fields)
        warning = None
        if self.entities.stored(namespace, name).model_uri != before.model_uri:
            warning = "model_uri has changed; its files are being fetched again"
            self.entities.patch(namespace, name, {"status": "created"})
            self._start_copy(namespace, name)
        return {**self.entities.get(namespace, name), "warning_message": warning}

    def delete(self, namespace: str, name: str, *, in_use: Callable[[str], bool]) -> JsonObject:
        """Delete a target and its files.

        Raises:
            ConflictError: a job uses it.
        """
        target = self.entities.stored(namespace, name)
        if in_use(target.reference):
            raise ConflictError(f"Customization target {target.reference} is in use by a job")
        receipt = self.entities.delete(namespace, name)
        # Not the folder in the record: a copy may have finished since it was read.
        shutil.rmtree(self._models / target.id, ignore_errors=True)
        return receipt

    def usable(self, reference: str) -> TargetRecord:
        """Find a target that can be trained.

        Raises:
            NotFoundError: it does not exist.
            BadRequestError: it is not enabled, or its files could not be copied.
        """
        namespace, _, name = reference.partition("/")
        target = self.entities.stored(namespace, name)
        if not target.enabled:
            raise BadRequestError(f"Customization target {reference} is not enabled")
        if target.status in ("failed", "deleting", "deleted"):
            reason = target.description or "its files are not available"
            raise BadRequestError(f"Customization target {reference} is {target.status}: {reason}")
        return target

    def folder(self, reference: str) -> Path | None:
        """The folder of a target's files; None while they are being copied.

        Raises:
            NotFoundError: the target does not exist.
            ConfigurationError: the copy failed.
        """
        namespace, _, name = reference.partition("/")
        target = self.entities.stored(namespace, name)
        if target.status == "failed":
            raise ConfigurationError(f"the files of target {reference} could not be fetched")
        return Path(target.folder) if target.folder and target.status == "ready" else None

    def stop(self, seconds: float) -> None:
        """Wait briefly for copies to finish; unfinished ones restart at the next start."""
        for copy in self._copies:
            copy.join(seconds)

    @property
    def _models(self) -> Path:
        return self._context.folder("customizer") / "models"

    def _seed_default(self) -> None:
        problem = None
        if not default_base_model_ready():
            try:
                find_default_source()
            except ConfigurationError as error:
                problem = f"{error.message}. {error.hint}"
        self._put(
            DEFAULT_BASE_MODEL,
            default_base_model_folder(),
            num_parameters=DEFAULT_NUM_PARAMETERS,
            status="failed" if problem else "ready",
            description=problem or "SmolLM2 135M Instruct, converted from 4-bit weights",
        )

    def _put(
        self,
        base_model: str,
        folder: Path,
        *,
        num_parameters: int,
        status: str = "ready",
        description: str | None = None,
    ) -> None:
        namespace, _, name = base_model.partition("/")
        fields: JsonObject = {
            "namespace": namespace,
            "name": f"{name}@{SEEDED_VERSION}",
            "base_model": base_model,
            "enabled": True,
            "status": status,
            "model_type": "hf",
            "model_path": f"{name}_{SEEDED_VERSION}",
            "precision": "fp32",
            _FOLDER: str(folder),
            "num_parameters": num_parameters,
            "description": description,
        }
        self.entities.put(fields)

    def _start_copy(self, namespace: str, name: str) -> None:
        copy = threading.Thread(target=self._copy, args=(namespace, name), daemon=True)
        self._copies.append(copy)
        copy.start()

    def _copy(self, namespace: str, name: str) -> None:
        try:
            target = self.entities.stored(namespace, name)
        except NotFoundError:
            return
        folder = self._models / target.id
        # Serialized: two copies of the same target would write to the same folder.
        with self._copying:
            try:
                self._record_status(target, {"status": "downloading"})
                self._record_status(target, self._fetched(target, folder))
            except NotFoundError:
                if not self._is_complete(target):
                    shutil.rmtree(folder, ignore_errors=True)

    def _fetched(self, target: TargetRecord, folder: Path) -> JsonObject:
        """Copy a target's files, and return the resulting fields of the target."""
        try:
            self._check_endpoint(target)
            url = parse_files_url(target.model_uri or "")
            shutil.rmtree(folder, ignore_errors=True)
            self._files.download("model", url.namespace, url.repo, folder, url.revision)
            check_folder(folder)
        except (LawtagsError, OSError) as error:
            reason = error.message if isinstance(error, LawtagsError) else str(error)
            return {"status": "failed", "description": reason}
        return {"status": "ready", "model_type": "hf", _FOLDER: str(folder)}

    def _check_endpoint(self, target: TargetRecord) -> None:
        endpoint = (target.hf_endpoint or "").rstrip("/")
        known = self._context.urls.data_store
        if endpoint and endpoint not in (known, f"{known}/v1/hf"):
            raise ConfigurationError(
                f"models come only from this stack's Data Store, not from {endpoint}; upload the model "
                "there and omit hf_endpoint"
            )

    def _record_status(self, target: TargetRecord, fields: JsonObject) -> None:
        """Record the status of a target's copy.

        Raises:
            NotFoundError: the target was deleted meanwhile, or another copy has newer files.
        """

        def updated(now: TargetRecord) -> JsonObject:
            if (now.id, now.model_uri) != (target.id, target.model_uri):
                raise NotFoundError("the target was replaced in the meantime")
            return fields

        self.entities.change(target.namespace, target.name, updated)

    def _is_complete(self, target: TargetRecord) -> bool:
        return any(each.id == target.id for each in self.entities.all())


def check_folder(folder: Path) -> None:
    """Check that a folder contains a Hugging Face model that can be trained.

    Raises:
        ConfigurationError: files are missing; the message names them.
        DataError: a weights file is corrupt.
    """
    missing = [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]
    if not any(folder.glob("*.safetensors")):
        missing.append("*.safetensors")
    if missing:
        raise ConfigurationError(
            f"{folder.name} is not a Hugging Face model folder: it lacks {', '.join(missing)}"
        )
    for weights in folder.glob("*.safetensors"):
        tensors(weights)


def count_parameters(folder: Path) -> int:
    """Count the parameters of a model folder, from the headers of its safetensors files.

    Raises:
        ConfigurationError: the folder contains no model.
        DataError: a file is corrupt.
    """
    check_folder(folder)
    return sum(tensor.size for path in folder.glob("*.safetensors") for tensor in tensors(path))


def _public(document: JsonObject) -> JsonObject:
    return {name: value for name, value in document.items() if not name.startswith("_")}
