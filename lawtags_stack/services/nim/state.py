"""The catalog of served models: base models, discovered adapters, deployed models."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from lawtags_client.errors import DataError, LawtagsError, NotFoundError, ServerError
from lawtags_client.model_config import context_length, read_model_config
from lawtags_stack.base_models import (
    DEFAULT_BASE_MODEL,
    default_base_model_folder,
    ensure_default_base_model,
)
from lawtags_stack.service import StackContext
from lawtags_stack.services.deployments.protocols import Readiness
from lawtags_stack.services.entity_store.records import ModelRecord
from lawtags_stack.services.nim.protocols import DeploymentSource, ModelFiles, ModelSource
from lawtags_stack.services.nim.records import AdapterFiles, ServedEntry
from lawtags_stack.services.nim.trials import Trial, Trials
from lawtags_stack.times import read_moment

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
CHAT_TEMPLATE = "chat_template.jinja"
_SERVABLE_SUFFIXES = (".safetensors", ".json", ".jinja", ".txt", ".model")


class NimState:
    """The catalog of served models, refreshed periodically as in NIM.

    Args:
        context: the stack.
        models: the models.
        files: their files.
        deployed: the deployments of full models.
    """

    def __init__(
        self, context: StackContext, models: ModelSource, files: ModelFiles, deployed: DeploymentSource
    ) -> None:
        self._context = context
        self._models = models
        self._store = files
        self._deployments = deployed
        self._lock = threading.Lock()
        started = int(context.clock().timestamp())
        self._bases = {
            name: ServedEntry(name, name, folder, started, root=name)
            for name, folder in _base_folders(context.options.base_models).items()
        }
        self._found: dict[str, ServedEntry] = {}
        self._faults: dict[str, str] = {}
        self._untried: dict[str, Trial] = {}
        self._deployed: set[str] = set()
        self._run = uuid.uuid4().hex
        self.trials = Trials(context.database)
        self.changed = threading.Event()

    def models(self) -> list[ServedEntry]:
        """All served models, base models first."""
        with self._lock:
            return [*self._bases.values(), *self._found.values()]

    def find(self, name: str) -> ServedEntry:
        """Find a served model by name.

        Raises:
            NotFoundError: it is not served (yet).
            ServerError: it is deployed, and still loading.
        """
        with self._lock:
            served = self._bases.get(name) or self._found.get(name)
            fault, untried = self._faults.get(name), self._untried.get(name)
        if served is None and untried is not None:
            raise ServerError(
                f"The model `{name[:200]}` is being loaded", hint="Retry in a few seconds.", status=503
            )
        if served is None:
            reason = f": {fault}" if fault else self._other_versions(name)
            raise NotFoundError(
                f"The model `{name[:200]}` does not exist{reason}",
                hint="GET /v1/models lists what is served; a new adapter appears after the refresh interval.",
            )
        return served

    def _other_versions(self, name: str) -> str:
        """The served versions of a model, as the end of a message; empty if there are none."""
        base = name.partition("@")[0]
        with self._lock:
            versions = [each for each in (*self._bases, *self._found) if each.partition("@")[0] == base]
        if not versions:
            return ""
        return f"; served versions of it: {', '.join(sorted(versions)[:5])}. Use one of these names"

    def max_length(self, served: ServedEntry) -> int | None:
        """The model's context length in tokens; None while its folder does not exist yet."""
        converted_on_demand = served.folder is ensure_default_base_model
        folder = default_base_model_folder() if converted_on_demand else served.folder()
        try:
            return context_length(read_model_config(folder / "config.json"))
        except DataError:
            return None

    # Used by Deployment Management

    def readiness(self, model: str) -> Readiness:
        """Whether ``namespace/name[@version]`` is served."""
        with self._lock:
            known = model in self._bases or model in self._found
            fault, untried = self._faults.get(model), model in self._untried
        if fault:
            return Readiness("failed", fault)
        if untried or (known and not self._was_deployed(model)):
            return Readiness("pending", f"Loading {model}")
        if known:
            return Readiness("ready")
        # Checked now, since a model registered after the last scan is loaded only after the next one.
        fault = self._unregistered(model) if self._was_deployed(model) else None
        if fault:
            return Readiness("failed", fault)
        fault, missing = self._missing_files(model)
        if fault:
            return Readiness("failed", fault)
        return Readiness("pending", missing)

    def _missing_files(self, model: str) -> tuple[str | None, str]:
        """Why a registered model has no files: the fault if they will not come, and what it waits for."""
        waiting = f"Waiting for the files of {model}"
        found = next((each for each in self._models.model_list() if each.reference == model), None)
        artifact = (found.artifact or {}) if found else {}
        if artifact.get("status") == "upload_failed":
            return f"The upload of {model} failed, so it has no weights. Train it again.", waiting
        if found is not None and not artifact.get("files_url"):
            waiting += ": its entity names none. Set artifact.files_url to its uploaded weights."
        return None, waiting

    def _unregistered(self, model: str) -> str | None:
        """The problem if a deployed model is not in the Entity Store; None if it is."""
        if model in self._context.options.embedding_models:
            return None
        registered = [each.reference for each in self._models.model_list()]
        if model in registered:
            return None
        name = model.partition("@")[0]
        versions = sorted(each for each in registered if each.partition("@")[0] == name)
        others = f"; it has {', '.join(versions[:5])}" if versions else ""
        return f"The Entity Store has no model {model}{others}. Delete the deployment before you repeat it."

    def untried(self) -> list[Trial]:
        """Deployed models that must be loaded before their deployments are ready."""
        with self._lock:
            return list(self._untried.values())

    def faults(self) -> dict[str, str]:
        """Models that cannot be served, with the reason."""
        with self._lock:
            return dict(self._faults)

    def _was_deployed(self, model: str) -> bool:
        """Whether a model was deployed at the last scan, and so has been loaded."""
        with self._lock:
            return model in self._deployed

    def deployments_changed(self) -> None:
        """Scan the deployments again at once."""
        self.changed.set()

    # Discovery

    def discover(self) -> None:
        """Discover which adapters and deployed models can be served."""
        found: dict[str, ServedEntry] = {}
        faults: dict[str, str] = {}
        active = self._deployments.active()
        deployed = {model for each in active if not each.external for model in each.served}
        for each in active:
            if each.external:
                faults |= dict.fromkeys(each.served, "This stack does not proxy external endpoints")
        # Full models first: a deployed one may be the base of an adapter.
        for model in sorted(self._models.model_list(), key=lambda each: each.is_adapter):
            name = model.reference
            if name in self._bases:
                continue
            try:
                if model.is_adapter:
                    served = self._adapter(model, found)
                else:
                    served = self._full(model, deployed)
            except (LawtagsError, OSError) as error:
                faults[name] = str(error)
                continue
            if served is not None:
                found[name] = served
        untried = self._try(deployed, found, faults)
        with self._lock:
            self._found, self._faults, self._untried, self._deployed = found, faults, untried, deployed

    def _try(
        self, deployed: set[str], found: dict[str, ServedEntry], faults: dict[str, str]
    ) -> dict[str, Trial]:
        """Select the deployed models that still must be loaded; adds the faults of others."""
        untried: dict[str, Trial] = {}
        keys: set[str] = set()
        for name in sorted(deployed):
            served = self._bases.get(name) or found.get(name)
            if served is None:
                continue
            key = self._key(served)
            keys.add(key)
            fault = self.trials.fault(key)
            if fault is not None:
                faults[name] = fault
            elif not self.trials.loaded(key):
                untried[name] = Trial(key, served)
            else:
                continue
            # Base models and adapters are served without a trial; a request shows any problem.
            if served.parent is None and name not in self._bases:
                _remove(name, found)
        self.trials.keep(keys)
        return untried

    def _key(self, served: ServedEntry) -> str:
        device, precision = self._context.options.device, self._context.options.inference_precision
        adapter = served.adapter.weights.name if served.adapter else ""
        if served.adapter and served.adapter.template:
            adapter += f"+{served.adapter.template.name}"
        # Base model folders have no digest and may change, so they are tried at each start of the stack.
        run = self._run if served.process in self._bases else ""
        return " ".join([served.process, adapter, device, precision, run])

    def _adapter(self, model: ModelRecord, deployed: Mapping[str, ServedEntry]) -> ServedEntry | None:
        base = model.base_name
        parent = self._bases.get(base) or deployed.get(base)
        files = self._files(model)
        if files is None or parent is None or parent.adapter is not None:
            return None
        missing = {ADAPTER_CONFIG, ADAPTER_WEIGHTS} - files.keys()
        if missing:
            raise NotFoundError(f"its repository lacks {', '.join(sorted(missing))}")
        return ServedEntry(
            model.reference,
            parent.process,
            parent.folder,
            _seconds(model),
            parent=parent.id,
            adapter=AdapterFiles(files[ADAPTER_CONFIG], files[ADAPTER_WEIGHTS], files.get(CHAT_TEMPLATE)),
            root=model.reference,
        )

    def _full(self, model: ModelRecord, deployed: set[str]) -> ServedEntry | None:
        name = model.reference
        files = self._files(model) if name in deployed else None
        if files is None:
            return None
        wanted = {path: blob for path, blob in files.items() if path.endswith(_SERVABLE_SUFFIXES)}
        identity = "\n".join(f"{path} {blob}" for path, blob in sorted(wanted.items()))
        digest = hashlib.sha256(identity.encode("utf-8")).hexdigest()[:24]
        folder = self._context.folder("nim") / "models" / digest
        # New files need a new process; the running one keeps serving the old files.
        process = f"{name}#{digest[:8]}"
        return ServedEntry(name, process, lambda: _linked(folder, wanted), _seconds(model), root=name)

    def _files(self, model: ModelRecord) -> dict[str, Path] | None:
        url = model.uploaded_url
        if url is None:
            return None
        _, files = self._store.resolve_url(url)
        return {file.path: self._context.blobs.path(file.sha256) for file in files}


def _base_folders(named: Mapping[str, Path]) -> dict[str, Callable[[], Path]]:
    folders: dict[str, Callable[[], Path]] = {DEFAULT_BASE_MODEL: ensure_default_base_model}
    for name, folder in named.items():
        folders[name] = partial(Path, folder)
    return folders


def _remove(name: str, found: dict[str, ServedEntry]) -> None:
    """Remove a model and its adapters."""
    process = found.pop(name).process
    for each in [each for each, served in found.items() if served.process == process]:
        del found[each]


def _seconds(model: ModelRecord) -> int:
    return int(read_moment(model.created_at).timestamp())


def _linked(folder: Path, files: Mapping[str, Path]) -> Path:
    """Create a folder that links to stored files by name, without copying the weights."""
    if folder.exists():
        return folder
    temporary = folder.with_name(f".{folder.name}")
    for path, blob in files.items():
        place = temporary / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(blob.resolve())
    temporary.rename(folder)
    return folder
