"""The blocking front. Written by scripts/write_sync_stub.py; do not edit."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Generic, ParamSpec, Self, TypeVar, Unpack

import pandas
from pydantic.main import BaseModel

from lawtags_client.asking.tagged import Tagged, TagScorer
from lawtags_client.client import NeMo as AsyncNeMo
from lawtags_client.credentials import TokenSource
from lawtags_client.intents import IntentStore
from lawtags_client.json_value import JsonValue
from lawtags_client.services.customizer.base_models import ImportedModel
from lawtags_client.services.customizer.events import JobEvent
from lawtags_client.services.customizer.job import MetricRow
from lawtags_client.services.customizer.methods import Method
from lawtags_client.services.data_store.contents import Source
from lawtags_client.services.data_store.download import Downloaded
from lawtags_client.services.data_store.repositories import Repository
from lawtags_client.services.data_store.upload import OnBytes, Uploaded
from lawtags_client.services.evaluator.building import Measurement, Metrics
from lawtags_client.services.following import JobChange
from lawtags_client.services.inference.dialects import Guided
from lawtags_client.services.inference.entries import Outcome
from lawtags_client.services.inference.guidance import Matches
from lawtags_client.services.inference.pace import Load
from lawtags_client.services.uploaded_dataset import UploadedDataset
from lawtags_client.services.watching import Patience
from lawtags_client.setting_options import SettingOptions
from lawtags_client.settings import Settings
from lawtags_client.tagging.prompt import PromptStyle
from lawtags_client.tagging.question import Question
from lawtags_client.tagging.vocabulary import Vocabulary
from lawtags_client.transport.clock import Clock
from lawtags_client.transport.hooks import EventHooks
from lawtags_client.transport.http import Handler
from lawtags_client.transport.raw import RawResponse
from lawtags_client.types.common import APIEndpoint, DeleteResponse, Page, WireRequest
from lawtags_client.types.customizer import (
    ContainerLogs,
    CustomizationConfig,
    CustomizationConfigFilter,
    CustomizationConfigRequest,
    CustomizationConfigUpdate,
    CustomizationJob,
    CustomizationJobFilter,
    CustomizationJobRequest,
    CustomizationStatusDetails,
    CustomizationTarget,
    CustomizationTargetFilter,
    CustomizationTargetRequest,
    CustomizationTargetUpdate,
    WandBData,
    WandBIntegration,
)
from lawtags_client.types.data_store import DataStoreNamespace, RepoInfo, RepoType, TreeEntry
from lawtags_client.types.deployments import (
    DeploymentConfig,
    DeploymentConfigRequest,
    DeploymentConfigUpdate,
    DeploymentFilter,
    ModelDeployment,
    ModelDeploymentRequest,
    ModelDeploymentUpdate,
    NIMDeploymentConfig,
)
from lawtags_client.types.entity_store import (
    Dataset,
    DatasetFilter,
    DatasetRequest,
    DatasetUpdate,
    Model,
    ModelFilter,
    ModelRequest,
    ModelUpdate,
    Namespace,
    NamespaceFilter,
    NamespaceRequest,
    NamespaceUpdate,
    Project,
    ProjectFilter,
    ProjectRequest,
    ProjectUpdate,
)
from lawtags_client.types.evaluator import (
    EvaluationConfig,
    EvaluationConfigRequest,
    EvaluationConfigUpdate,
    EvaluationEntityFilter,
    EvaluationJob,
    EvaluationJobFilter,
    EvaluationJobRequest,
    EvaluationResult,
    EvaluationResultFilter,
    EvaluationResultRequest,
    EvaluationResultUpdate,
    EvaluationStatusDetails,
    EvaluationTarget,
    EvaluationTargetRequest,
    EvaluationTargetUpdate,
    LiveEvaluation,
)
from lawtags_client.types.inference import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    ClassifyRequest,
    Completion,
    CompletionChoice,
    CompletionChunk,
    CompletionRequest,
    EmbeddingRequest,
    EmbeddingResponse,
    ServedModel,
)
from lawtags_client.types.platform_evaluation import (
    PlatformEvaluationJob,
    PlatformEvaluationJobFilter,
    PlatformEvaluationJobRequest,
    PlatformEvaluationResult,
    PlatformJobLog,
    PlatformJobLogPage,
    PlatformJobResult,
    PlatformJobStatusResponse,
)
from lawtags_client.types.request_fields import ChatFields, ClassifyFields, CompletionFields, EmbeddingFields

P = ParamSpec("P")
T = TypeVar("T")
Flt = TypeVar("Flt", bound=WireRequest)
M = TypeVar("M", bound=BaseModel)
Req = TypeVar("Req", bound=WireRequest)
Upd = TypeVar("Upd", bound=WireRequest)

class SyncModelRequests:
    """One request to a model at a time."""
    def models(self) -> list[ServedModel]:
        """The models that are served now, including adapters."""
    def served(self, model: str, *, timeout: float = 600) -> str:
        """Wait until a model is listed; an adapter needs a refresh of the server after its training."""
    def chat(
        self,
        request: ChatCompletionRequest | None = None,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: Unpack[ChatFields],
    ) -> ChatCompletion:
        """Request the next message of a chat."""
    def complete(
        self,
        request: CompletionRequest | None = None,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: Unpack[CompletionFields],
    ) -> Completion:
        """Complete a text; arguments and errors as for ``chat``, with ``prompt`` in place of messages."""
    def embed(
        self,
        request: EmbeddingRequest | None = None,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: Unpack[EmbeddingFields],
    ) -> EmbeddingResponse:
        """Turn texts into vectors; arguments as for ``chat``, with ``input`` in place of messages."""
    def classify(
        self,
        request: ClassifyRequest | None = None,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: Unpack[ClassifyFields],
    ) -> dict[str, JsonValue]:
        """Classify texts; the response depends on the model. Arguments as for ``embed``."""
    def stream_chat(
        self,
        request: ChatCompletionRequest | None = None,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: Unpack[ChatFields],
    ) -> Iterator[ChatCompletionChunk]:
        """Stream the next message of a chat; arguments as for ``chat``."""
    def stream_completion(
        self,
        request: CompletionRequest | None = None,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: Unpack[CompletionFields],
    ) -> Iterator[CompletionChunk]:
        """Stream a completion; arguments as for ``complete``, errors as for ``stream_chat``."""

class SyncInference(SyncModelRequests):
    """Models that answer."""
    def complete_each(
        self,
        prompts: Iterable[str] | Iterable[str],
        *,
        model: str,
        max_tokens: int = 1,
        logprobs: int | None = None,
        logprobs_needed: bool = True,
        temperature: float = 0.0,
        guided: Guided | None = None,
        matches: Matches = ...,
        telling: bool = False,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        concurrency: int | None = None,
        batch_size: int = 8,
        ordered: bool = False,
        on_load: Callable[[Load], None] | None = None,
    ) -> Iterator[Outcome[CompletionChoice]]:
        """Complete many prompts, with one outcome per prompt, as they arrive."""
    def complete_many(
        self,
        prompts: Iterable[str],
        *,
        model: str,
        max_tokens: int = 1,
        logprobs: int | None = None,
        temperature: float = 0.0,
        guided: Guided | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        concurrency: int | None = None,
        batch_size: int = 8,
    ) -> list[Outcome[CompletionChoice]]:
        """All outcomes of ``complete_each``, in the order of the prompts."""
    def chat_each(
        self,
        requests: Iterable[ChatCompletionRequest] | Iterable[ChatCompletionRequest],
        *,
        guided: Guided | None = None,
        matches: Matches = ...,
        telling: bool = False,
        logprobs: bool | None = None,
        logprobs_needed: bool = True,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        concurrency: int | None = None,
        ordered: bool = False,
        on_load: Callable[[Load], None] | None = None,
    ) -> Iterator[Outcome[ChatCompletion]]:
        """Send many chats, with one outcome per chat, as they arrive; arguments as for ``complete_each``."""

class SyncDeployments:
    """Deployed models."""

    configs: SyncEntities[DeploymentConfig, DeploymentConfigRequest, DeploymentConfigUpdate, DeploymentFilter]
    deployments: SyncEntities[
        ModelDeployment, ModelDeploymentRequest, ModelDeploymentUpdate, DeploymentFilter
    ]
    def deploy(
        self,
        name: str,
        *,
        model: str,
        image: str | None = None,
        gpus: int = 1,
        nim: NIMDeploymentConfig | None = None,
        hf_token: str | None = None,
        wait: bool = True,
        timeout: float = 3600,
        on_state: Callable[[str], None] | None = None,
    ) -> ModelDeployment:
        """Deploy a model and wait until it is ready."""
    def ready(
        self, name: str, *, timeout: float = 3600, on_state: Callable[[str], None] | None = None
    ) -> ModelDeployment:
        """Wait until a deployment is ready."""
    def remove(self, name: str, *, timeout: float = 600) -> None:
        """Delete a deployment, wait until it is gone, and delete its config."""

class SyncPlatformEvaluation:
    """An evaluation in hand, as a platform job."""

    record: PlatformEvaluationJob
    @property
    def id(self) -> str:
        """The service's id for it."""
    @property
    def status(self) -> str | None:
        """The state it was in when last looked at."""
    def refresh(self) -> PlatformEvaluationJob:
        """Read it again."""
    def cancel(self) -> PlatformEvaluationJob:
        """Ask for its end."""
    def wait(
        self, *, timeout: float | None = None, stall: float | None = None, patience: Patience | None = None
    ) -> PlatformEvaluationResult:
        """Wait for the result; arguments and errors as for ``Evaluation.wait``."""

class SyncEvaluation:
    """A submitted evaluation."""

    record: EvaluationJob
    @property
    def id(self) -> str:
        """Its id."""
    @property
    def status(self) -> str | None:
        """Its last known state."""
    @property
    def progress(self) -> float | None:
        """Its progress, 0 to 100; None if the service does not report it."""
    def refresh(self) -> EvaluationJob:
        """Read it again."""
    def cancel(self) -> None:
        """Request cancellation."""
    def wait(
        self, *, timeout: float | None = None, stall: float | None = None, patience: Patience | None = None
    ) -> EvaluationResult:
        """Wait for the result."""

class SyncPlatformEvaluationJobs(SyncListing[PlatformEvaluationJob, PlatformEvaluationJobFilter]):
    """Evaluations as platform jobs."""
    def get(self, job_id: str) -> PlatformEvaluationJob:
        """Read an evaluation."""
    def create(
        self,
        request: PlatformEvaluationJobRequest,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> PlatformEvaluationJob:
        """Submit an evaluation, without an intent; ``Evaluator.evaluate_as_platform_job`` is idempotent."""
    def status(self, job_id: str) -> PlatformJobStatusResponse:
        """How far an evaluation is, step by step."""
    def cancel(self, job_id: str) -> PlatformEvaluationJob:
        """Ask for an evaluation's end."""
    def delete(self, job_id: str) -> None:
        """Drop an evaluation."""
    def log_page(
        self, job_id: str, *, limit: int = ..., page_cursor: str | None = None
    ) -> PlatformJobLogPage:
        """A part of what an evaluation wrote."""
    def logs(self, job_id: str, *, limit: int = ...) -> Iterator[PlatformJobLog]:
        """Every line that an evaluation wrote, page after page."""
    def results(self, job_id: str) -> list[PlatformJobResult]:
        """The files that an evaluation left."""
    def result(self, job_id: str, name: str) -> PlatformJobResult:
        """One file that an evaluation left."""
    def download_result(self, job_id: str, name: str) -> bytes:
        """The content of a file that an evaluation left."""
    def artifacts(self, job_id: str) -> bytes:
        """Everything that an evaluation left, as one archive."""
    def evaluation_results(self, job_id: str) -> PlatformEvaluationResult:
        """What an evaluation found."""

class SyncEvaluationJobs(SyncListing[EvaluationJob, EvaluationJobFilter]):
    """Evaluations."""
    def get(self, job_id: str) -> EvaluationJob:
        """Read an evaluation; the only place where its state stands."""
    def create(
        self,
        request: EvaluationJobRequest,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> EvaluationJob:
        """Submit an evaluation, without an intent; ``Evaluator.evaluate`` is idempotent."""
    def status(self, job_id: str) -> EvaluationStatusDetails:
        """How far an evaluation is."""
    def results(self, job_id: str) -> EvaluationResult:
        """What an evaluation found."""
    def download_results(self, job_id: str) -> bytes:
        """Everything about an evaluation, as a ZIP file."""
    def logs(self, job_id: str) -> bytes:
        """An evaluation's logs, as the service gives them."""
    def cancel(self, job_id: str) -> None:
        """Ask for an evaluation's end."""
    def delete(self, job_id: str) -> None:
        """Drop an evaluation."""

class SyncEvaluator:
    """Scoring on the platform."""

    targets: SyncEntities[
        EvaluationTarget, EvaluationTargetRequest, EvaluationTargetUpdate, EvaluationEntityFilter
    ]
    configs: SyncEntities[
        EvaluationConfig, EvaluationConfigRequest, EvaluationConfigUpdate, EvaluationEntityFilter
    ]
    results: SyncEntities[
        EvaluationResult, EvaluationResultRequest, EvaluationResultUpdate, EvaluationResultFilter
    ]
    jobs: SyncEvaluationJobs
    platform_jobs: SyncPlatformEvaluationJobs
    def evaluation(self, job_id: str) -> SyncEvaluation:
        """Look up an existing evaluation."""
    def live(
        self,
        *,
        rows: Sequence[Mapping[str, JsonValue]] | None = None,
        metrics: Metrics | None = None,
        config: EvaluationConfigRequest | None = None,
        target: EvaluationTargetRequest | None = None,
        timeout: float = ...,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> LiveEvaluation:
        """Score immediately, without storing anything on the platform."""
    def evaluate(
        self,
        *,
        dataset: str | Dataset | UploadedDataset | None = None,
        model: str | APIEndpoint | None = None,
        metrics: Metrics | None = None,
        split: str = "testing",
        prompt: str = ...,
        reference: str = ...,
        chat: bool = False,
        max_tokens: int = ...,
        limit: int | None = None,
        config: str | EvaluationConfigRequest | None = None,
        target: str | EvaluationTargetRequest | None = None,
        intent: str | None = None,
        namespace: str | None = None,
        project: str | None = None,
        description: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> SyncEvaluation:
        """Submit an evaluation. The call is idempotent."""
    def platform_evaluation(self, job_id: str) -> SyncPlatformEvaluation:
        """Look up an existing evaluation that is a platform job."""
    def evaluate_as_platform_job(
        self,
        *,
        name: str | None = None,
        intent: str | None = None,
        namespace: str | None = None,
        project: str | None = None,
        description: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **measured: Unpack[Measurement],
    ) -> SyncPlatformEvaluation:
        """Submit an evaluation as a platform job, which has steps, logs and files. The call is idempotent."""

class SyncJob:
    """A customization job."""

    record: CustomizationJob
    @property
    def id(self) -> str:
        """Its id."""
    @property
    def status(self) -> str | None:
        """Its last known state."""
    @property
    def output_model(self) -> str | None:
        """Its output model, ``namespace/name@version``."""
    def refresh(self) -> CustomizationJob:
        """Read it again."""
    def details(self) -> CustomizationStatusDetails:
        """Read its progress, metrics and history."""
    def watch(self, *, patience: Patience | None = None) -> Iterator[JobEvent]:
        """Yield every event since the start of the job, each one once, until the job ends."""
    def looks(self, *, patience: Patience | None = None) -> Iterator[list[JobEvent]]:
        """As ``watch``, with the events of one poll together."""
    def wait(
        self, *, timeout: float | None = None, stall: float | None = None, patience: Patience | None = None
    ) -> CustomizationJob:
        """Wait until it is complete."""
    def cancel(self) -> CustomizationJob:
        """Request cancellation; use ``wait`` to wait for it."""
    def metrics(self) -> list[MetricRow]:
        """Its metrics so far, one row per point."""
    def metrics_frame(self) -> pandas.DataFrame:
        """Its metrics so far, as a pandas data frame."""
    def served(self, *, timeout: float = 600) -> str:
        """Wait until it is complete and the inference service lists its model."""

class SyncBaseModels:
    """Base models that the platform was not shipped with."""
    def add(
        self,
        model: str,
        source: str | Path,
        *,
        version: str = "v1",
        config_version: str = "v1.0.0+80GB",
        methods: Sequence[Method] = ...,
        max_seq_length: int = 1024,
        prompt_template: str | None = "{prompt} {completion}",
        chat_prompt_template: str | None = None,
        num_gpus: int = 1,
        training_precision: str = "bf16-mixed",
        num_parameters: int | None = None,
        precision: str | None = None,
        hf_endpoint: str | None = ...,
        timeout: float | None = 3600,
        on_bytes: OnBytes | None = None,
    ) -> ImportedModel:
        """Bring a base model onto the platform: its files, a target, a config; and wait until it is ready."""
    def ready(self, target: str, *, timeout: float | None = 3600) -> CustomizationTarget:
        """Wait until the files of a target are there."""

class SyncJobs(SyncListing[CustomizationJob, CustomizationJobFilter]):
    """Training jobs."""
    def get(self, job_id: str) -> CustomizationJob:
        """Read a job."""
    def create(
        self,
        request: CustomizationJobRequest,
        *,
        wandb_api_key: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> CustomizationJob:
        """Submit a job, without an intent; ``fine_tune`` and ``submit`` are idempotent."""

class SyncCustomizer:
    """Training on the platform."""

    targets: SyncEntities[
        CustomizationTarget, CustomizationTargetRequest, CustomizationTargetUpdate, CustomizationTargetFilter
    ]
    configs: SyncEntities[
        CustomizationConfig, CustomizationConfigRequest, CustomizationConfigUpdate, CustomizationConfigFilter
    ]
    jobs: SyncJobs
    @property
    def base_models(self) -> SyncBaseModels:
        """Base models that the platform was not shipped with."""
    def status(self, job_id: str) -> CustomizationStatusDetails:
        """A job's progress with all metrics."""
    def cancel(self, job_id: str) -> CustomizationJob:
        """Cancel a job."""
    def logs(self, job_id: str) -> ContainerLogs:
        """The logs of the job's containers."""
    def job(self, job_id: str) -> SyncJob:
        """Look up an existing job."""
    def watch_many(
        self,
        jobs: Iterable[str | SyncJob | CustomizationJob],
        *,
        every: float = ...,
        patience: Patience | None = None,
        filter: CustomizationJobFilter | None = None,
    ) -> Iterator[JobChange[CustomizationJob]]:
        """Follow many jobs until all of them have ended."""
    def config(self, wanted: str | None, method: Method | None = None) -> CustomizationConfig:
        """Find a config by name."""
    def fine_tune(
        self,
        *,
        dataset: str | Dataset | UploadedDataset,
        config: str | None = None,
        method: Method | None = None,
        epochs: int = 1,
        batch_size: int = 16,
        learning_rate: float = 0.0001,
        max_steps: int | None = None,
        output_model: str | None = None,
        intent: str | None = None,
        hyperparameters: Mapping[str, object] | None = None,
        namespace: str | None = None,
        project: str | None = None,
        description: str | None = None,
        wandb: WandBData | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> SyncJob:
        """Submit a training job. The call is idempotent, even after a crash or a lost response."""
    def submit(
        self,
        request: CustomizationJobRequest,
        *,
        key: str | None = None,
        data: str | None = None,
        token: str | None = None,
        integrations: Sequence[WandBIntegration] = ...,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> SyncJob:
        """Submit a job once per intent; ``fine_tune`` builds the request for you."""

class SyncListing(Generic[M, Flt]):
    """A collection that can be listed."""
    def page(
        self,
        number: int = 1,
        *,
        page_size: int = ...,
        sort: str | None = None,
        filter: Flt | None = None,
        search: Mapping[str, object] | None = None,
    ) -> Page[M]:
        """One page of the list."""
    def list(
        self,
        *,
        page_size: int = ...,
        sort: str | None = None,
        filter: Flt | None = None,
        search: Mapping[str, object] | None = None,
    ) -> Iterator[M]:
        """Yield all entries of all pages, each one once."""

class SyncEntities(SyncListing[M, Flt], Generic[M, Req, Upd, Flt]):
    """A collection of named entities."""
    def create(
        self,
        request: Req | None = None,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: object,
    ) -> M:
        """Create an entity."""
    def get(self, reference: str) -> M:
        """Read an entity."""
    def find(self, reference: str) -> M | None:
        """Read an entity, or None if it does not exist."""
    def update(
        self,
        reference: str,
        changes: Upd | None = None,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: object,
    ) -> M:
        """Change some fields of an entity."""
    def delete(
        self, reference: str, *, missing_ok: bool = False, timeout: float | None = None
    ) -> DeleteResponse | None:
        """Delete an entity."""
    def create_or_get(
        self,
        request: Req | None = None,
        *,
        compare: tuple[str, ...] | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: object,
    ) -> M:
        """Create an entity, or return the existing one if it is the same."""

class SyncEntityStore:
    """What the platform knows by name."""

    namespaces: SyncEntities[Namespace, NamespaceRequest, NamespaceUpdate, NamespaceFilter]
    projects: SyncEntities[Project, ProjectRequest, ProjectUpdate, ProjectFilter]
    datasets: SyncEntities[Dataset, DatasetRequest, DatasetUpdate, DatasetFilter]
    models: SyncEntities[Model, ModelRequest, ModelUpdate, ModelFilter]
    def ensure_namespace(self, name: str) -> Namespace:
        """Get a namespace, or create it if it is missing."""

class SyncRepositories:
    """Repositories of the Data Store."""
    def create(
        self,
        repository: Repository,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> None:
        """Create a repository; it is usable once ``ready`` returns."""
    def create_or_get(self, repository: Repository) -> None:
        """See that a repository is there, making it where it is missing."""
    def delete(self, repository: Repository, *, missing_ok: bool = False, timeout: float = 60) -> None:
        """Drop a repository and wait until it is gone."""
    def has_file(self, repository: Repository, path: str, revision: str = "main") -> bool:
        """Whether a repository holds a file."""
    def info(self, repository: Repository, revision: str | None = None) -> RepoInfo:
        """Read a repository, at a revision where one is given."""
    def ready(self, repository: Repository, *, timeout: float = 120) -> RepoInfo:
        """Wait until a new repository can be written to."""
    def tree(self, repository: Repository, revision: str = "main") -> list[TreeEntry]:
        """All files of a repository."""
    def revisions(self, repository: Repository) -> dict[str, str]:
        """The branches of a repository and the commits they are at."""
    def default_revision(self, repository: Repository) -> str:
        """The branch that is meant where none is named: ``main``, or the only other one of a model."""
    def list(self, namespace: str | None = None, type: RepoType = "dataset") -> list[RepoInfo]:
        """The repositories of a type, of one namespace or of all."""

class SyncNamespaces:
    """Namespaces of the Data Store, which are not those of the Entity Store."""
    def create(self, name: str, *, extra_headers: Mapping[str, str] | None = None) -> DataStoreNamespace:
        """Create a namespace."""
    def get(self, name: str) -> DataStoreNamespace:
        """Read a namespace."""
    def delete(self, name: str) -> None:
        """Drop a namespace."""
    def create_or_get(self, name: str) -> DataStoreNamespace:
        """The namespace of that name, made where it is missing."""
    def list(self) -> list[DataStoreNamespace]:
        """Every namespace."""

class SyncDataStore:
    """Files on the platform."""

    namespaces: SyncNamespaces
    repositories: SyncRepositories
    def upload_dataset(
        self,
        name: str,
        folder: str | Path,
        *,
        description: str | None = None,
        project: str | None = None,
        required: tuple[str, ...] = ...,
        on_bytes: OnBytes | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> UploadedDataset:
        """Upload a folder of curated rows, ready to train on."""
    def prepare(self, repository: Repository) -> None:
        """Create namespace and repository if they are missing, and wait until they are ready."""
    def upload_folder(
        self,
        name: str,
        folder: str | Path,
        *,
        repo_type: RepoType = "dataset",
        message: str = "Upload folder",
        on_bytes: OnBytes | None = None,
    ) -> Uploaded:
        """Upload a folder unchanged to an existing repository, except hidden files and symbolic links."""
    def upload_files(
        self,
        name: str,
        files: Mapping[str, Source],
        *,
        repo_type: RepoType = "dataset",
        message: str = "Upload files",
        on_bytes: OnBytes | None = None,
    ) -> Uploaded:
        """Upload files, as bytes or paths, to an existing repository."""
    def upload_file(
        self, name: str, path: str, source: Source, *, repo_type: RepoType = "dataset"
    ) -> Uploaded:
        """Upload one file to an existing repository; see ``upload_files``."""
    def delete_files(
        self,
        name: str,
        paths: Iterable[str],
        *,
        repo_type: RepoType = "dataset",
        message: str = "Delete files",
    ) -> None:
        """Delete files of a repository, in one commit."""
    def files(self, name: str, *, repo_type: RepoType = "dataset", revision: str = "main") -> list[TreeEntry]:
        """The files of a repository."""
    def download(
        self,
        name: str,
        folder: str | Path,
        *,
        repo_type: RepoType = "dataset",
        revision: str | None = None,
        prefix: str = "",
    ) -> Downloaded:
        """Download the files of a repository, verified by hash."""

class NeMo:
    """NeMo microservices, typed and asynchronous."""
    def __init__(
        self,
        settings: Settings | None = None,
        *,
        base_url: str | None = None,
        token: TokenSource = None,
        timeout: float | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
        event_hooks: EventHooks | None = None,
        intents: IntentStore | None = None,
        clock: Clock | None = None,
        handler: Handler | None = None,
    ) -> None: ...
    settings: Settings
    clock: Clock
    @classmethod
    def from_env(
        cls,
        profile: str | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        event_hooks: EventHooks | None = None,
        intents: IntentStore | None = None,
        **overrides: Unpack[SettingOptions],
    ) -> Self:
        """A client for the services that arguments, environment and ``lawtags.toml`` name."""
    def with_options(
        self,
        *,
        timeout: float | None = None,
        max_retries: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Self:
        """A light copy with other limits or headers, which shares connections, tokens and intents."""
    @property
    def intents(self) -> IntentStore:
        """The store of what was submitted."""
    @property
    def data_store(self) -> SyncDataStore:
        """Files."""
    @property
    def entity_store(self) -> SyncEntityStore:
        """Namespaces, projects, datasets, models."""
    @property
    def customizer(self) -> SyncCustomizer:
        """Training."""
    @property
    def evaluator(self) -> SyncEvaluator:
        """Scoring."""
    @property
    def deployments(self) -> SyncDeployments:
        """Models that are to be served."""
    @property
    def inference(self) -> SyncInference:
        """Models that answer."""
    def clock_ahead(self) -> float | None:
        """Seconds by which the platform's clock is ahead of this machine's; None where it does not tell."""
    @classmethod
    def of(cls, nemo: AsyncNeMo) -> Self:
        """A blocking client around an async one, which is from then on used only through it."""
    def with_raw_response(self, call: Callable[P, T]) -> Callable[P, RawResponse[T]]:
        """A call that returns the raw response, too: status, headers and body beside the result."""
    def close(self) -> None:
        """Close every connection."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

def tag(
    nemo: NeMo,
    *,
    title: str,
    body: str | None = None,
    model: str,
    tagger: TagScorer | None = None,
    vocabulary: Vocabulary | None = None,
    style: PromptStyle | None = None,
    chat: bool | None = None,
    at_most: int | None = None,
    threshold: float | None = None,
    unmasked: bool = False,
) -> Tagged:
    """Tag one question."""

def tag_many(
    nemo: NeMo,
    questions: Iterable[Question] | Iterable[Question],
    *,
    model: str,
    tagger: TagScorer | None = None,
    vocabulary: Vocabulary | None = None,
    style: PromptStyle | None = None,
    chat: bool | None = None,
    at_most: int | None = None,
    threshold: float | None = None,
    unmasked: bool = False,
    concurrency: int | None = None,
    batch_size: int = 8,
    ordered: bool = True,
) -> Iterator[Tagged]:
    """Tag many questions; one that cannot be tagged carries its error."""
