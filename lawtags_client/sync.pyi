"""The blocking front. Written by scripts/write_sync_stub.py; do not edit."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Generic, ParamSpec, Self, TypeVar, Unpack

import pandas
from pydantic.main import BaseModel

from lawtags_client.asking.tagged import Tagged, TagScorer
from lawtags_client.client import NeMo as AsyncNeMo
from lawtags_client.credentials import TokenSource
from lawtags_client.helix.client import Helix as AsyncHelix
from lawtags_client.helix.collection import Filter
from lawtags_client.helix.file_download import DownloadedFiles
from lawtags_client.helix.file_upload import UploadedFiles
from lawtags_client.helix.filesets import OnBytes as HelixOnBytes
from lawtags_client.helix.jobs import LogCursor, StepFilter
from lawtags_client.helix.running import Details
from lawtags_client.helix.types.automodel import AutomodelSpec
from lawtags_client.helix.types.common import HelixRequest, Resource
from lawtags_client.helix.types.common import Page as HelixPage
from lawtags_client.helix.types.customization import HelixTrainingJob
from lawtags_client.helix.types.deployments import (
    Deployment,
    DeploymentRequest,
    HelixDeploymentConfig,
    HelixDeploymentConfigRequest,
    Provider,
    ProviderChanges,
    ProviderRequest,
)
from lawtags_client.helix.types.evaluations import (
    AggregateScores,
    HelixEvaluationJob,
    HelixEvaluationRecord,
    HelixEvaluationSpec,
    HelixScoredRow,
    LiveScores,
    Metric,
    StoredMetric,
)
from lawtags_client.helix.types.filesets import Fileset, FilesetChanges, FilesetFile, FilesetRequest
from lawtags_client.helix.types.gateway import VirtualModel, VirtualModelChanges, VirtualModelRequest
from lawtags_client.helix.types.jobs import (
    ExecutionProfile,
    HelixJob,
    JobResult,
    JobState,
    JobStatus,
    JobStep,
    JobTask,
    LogLine,
    LogPage,
    QueuedStep,
)
from lawtags_client.helix.types.models import (
    AdapterChanges,
    AdapterRequest,
    HelixAdapter,
    HelixModel,
    HelixModelRequest,
    ModelChanges,
)
from lawtags_client.helix.types.platform import ClusterInfo
from lawtags_client.helix.types.rl import RlSpec
from lawtags_client.helix.types.secrets import Secret, SecretChanges, SecretRequest
from lawtags_client.helix.types.unsloth import UnslothSpec
from lawtags_client.helix.types.workspaces import (
    HelixProject,
    HelixProjectRequest,
    Workspace,
    WorkspaceChanges,
    WorkspaceDeletion,
    WorkspaceRequest,
)
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
from lawtags_client.transport.http import Handler, ServiceTransport
from lawtags_client.transport.raw import RawResponse
from lawtags_client.types.common import APIEndpoint, DeleteResponse, Page, WireModel, WireRequest
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
Ent = TypeVar("Ent", bound=Resource)
EntChanges = TypeVar("EntChanges", bound=HelixRequest)
EntRequest = TypeVar("EntRequest", bound=HelixRequest)
Flt = TypeVar("Flt", bound=WireRequest)
J = TypeVar("J", bound=HelixJob)
L = TypeVar("L", bound=WireModel)
M = TypeVar("M", bound=BaseModel)
Req = TypeVar("Req", bound=WireRequest)
S = TypeVar("S", bound=HelixRequest)
Upd = TypeVar("Upd", bound=WireRequest)

class SyncGateway:
    """Models that answer, and names for them."""

    virtual_models: SyncHelixCollection[VirtualModel, VirtualModelRequest, VirtualModelChanges]
    def url(self, workspace: str | None = None) -> str:
        """The base URL for OpenAI's clients, and for evaluations."""
    def models(self, workspace: str | None = None) -> SyncInference:
        """Chats and completions of all models, by the names of their entities."""
    def provider(self, reference: str) -> SyncInference:
        """Chats and completions of one model server, by the server's own names."""
    def server(self, reference: str) -> ServiceTransport:
        """The transport of one model server, which gets bodies unchanged."""
    def providers(self) -> SyncProviders:
        """The model servers."""

class SyncProviders(SyncHelixCollection[Provider, ProviderRequest, ProviderChanges]):
    """Model servers that the gateway asks."""
    def serving(self, model: str, *, workspace: str | None = None) -> Provider | None:
        """The provider that serves a model or an adapter, if there is one."""
    def wait_serving(self, model: str, *, timeout: float = 600) -> Provider:
        """Wait until a provider serves a model or an adapter; Helix reads the servers every few seconds."""
    def models(self, reference: str) -> list[Mapping[str, JsonValue]]:
        """What the server of a provider lists itself."""

class SyncHelixDeployments(SyncHelixCollection[Deployment, DeploymentRequest, DeploymentRequest]):
    """Models that are to be deployed."""
    def set_status(
        self, reference: str, status: str, message: str = "", *, provider: str | None = None
    ) -> Deployment:
        """Set the state of a deployment that someone else carries out."""

class SyncDeploymentConfigs(
    SyncHelixCollection[HelixDeploymentConfig, HelixDeploymentConfigRequest, HelixDeploymentConfigRequest]
):
    """How models are to be deployed; an update makes a new version, and needs the whole config."""

class SyncStoredMetrics(SyncHelixListing[StoredMetric]):
    """Metrics that evaluations can name as ``workspace/name``."""
    def create(self, reference: str, metric: Metric) -> StoredMetric:
        """Store a metric."""
    def get(self, reference: str) -> StoredMetric:
        """Read a metric; raises NotFoundError where there is none."""
    def delete(self, reference: str) -> None:
        """Delete a metric; raises NotFoundError where there is none."""

class SyncHelixEvaluations(SyncJobRoutes[HelixEvaluationJob]):
    """Evaluation jobs."""

    metrics: SyncStoredMetrics
    records: SyncHelixListing[HelixEvaluationRecord]
    def service_name(self) -> str | None:
        """What the platform calls the service: ``evals``, ``evaluator``, or None where it has none."""
    def submit(
        self,
        spec: HelixEvaluationSpec,
        *,
        name: str | None = None,
        key: str | None = None,
        workspace: str | None = None,
        description: str | None = None,
        project: str | None = None,
        custom_fields: Mapping[str, JsonValue] | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> HelixEvaluationJob:
        """Submit an evaluation, or find the one that was submitted for the same intent before."""
    def scores(self, reference: str) -> AggregateScores:
        """The scores of a finished evaluation over all rows."""
    def rows(self, reference: str) -> Iterator[HelixScoredRow]:
        """The rows of a finished evaluation with their scores, as they arrive."""
    def score_live(
        self, metrics: list[Metric], rows: list[dict[str, JsonValue]], *, workspace: str | None = None
    ) -> LiveScores:
        """Score a few rows at once, without a job."""

class SyncStepCalls(SyncHelixJobs):
    """The calls of a runner, beside those of all jobs."""
    def move_step(
        self,
        reference: str,
        step: str,
        state: JobState,
        *,
        details: Details | None = None,
        error: Details | None = None,
        expected_id: str | None = None,
    ) -> JobStep:
        """Move a step to a state."""
    def report(
        self,
        reference: str,
        step: str,
        task: str,
        state: JobState,
        *,
        details: Details | None = None,
        error: Details | None = None,
        stack: str | None = None,
    ) -> JobTask:
        """Create or update a task of a step; its details are copied to those of the job."""
    def add_details(self, reference: str, details: Details) -> None:
        """Merge details into those of a job, also after its end."""
    def add_result(self, reference: str, name: str, artifact_url: str) -> JobResult:
        """Register a result of a job."""
    def claim(self, reference: str, step: str, runner: str) -> bool:
        """Take a step for one runner alone, by a result of the job that can exist once."""
    def send_logs(self, step: QueuedStep, task: str, lines: Sequence[LogLine]) -> int:
        """Add lines to a job's log."""

class SyncHelixJobs(SyncJobRoutes[HelixJob]):
    """Jobs of every service, by the generic route, which also has their plan and their steps."""
    def pause(self, reference: str) -> HelixJob:
        """Pause a job; it is ``pausing`` until what carries it out confirms. One that has ended stays so."""
    def resume(self, reference: str) -> HelixJob:
        """Resume a paused job; any other stays as it is."""
    def steps(self, reference: str) -> list[JobStep]:
        """The steps of a job that exist so far; later ones are created when those before have completed."""
    def step(self, reference: str, name: str) -> JobStep:
        """One step of a job with its config."""
    def queue(
        self,
        wanted: StepFilter | None = None,
        *,
        workspace: str = "-",
        page_size: int = 100,
        sort: str = "created_at",
    ) -> list[QueuedStep]:
        """The first page of the steps that wait for someone to carry them out."""
    def execution_profiles(self) -> list[ExecutionProfile]:
        """The ways to carry out steps that the platform offers."""

class SyncJobRoutes(SyncHelixListing[J], Generic[J]):
    """What every route of jobs has, whichever service it belongs to."""
    def get(self, reference: str) -> J:
        """Read a job."""
    def find(self, reference: str) -> J | None:
        """Read a job, or None if it does not exist."""
    def status(self, reference: str) -> JobStatus:
        """The state of a job with its steps and tasks; losses are in the task of the training step."""
    def cancel(self, reference: str) -> J:
        """Cancel a job; one that has ended stays as it is."""
    def delete(self, reference: str, *, missing_ok: bool = False) -> bool:
        """Delete a job that has ended, with its steps, logs and results; returns whether it existed."""
    def log_page(
        self,
        reference: str,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        tail: int | None = None,
        step: str | None = None,
        task: str | None = None,
    ) -> LogPage:
        """Some lines of a job's log; only those of its current attempt exist."""
    def logs(self, reference: str, *, step: str | None = None, task: str | None = None) -> Iterator[LogLine]:
        """All lines of a job's log so far, oldest first; arguments as for ``log_page``."""
    def next_lines(self, reference: str, cursor: LogCursor, *, limit: int = ...) -> list[LogLine]:
        """The next lines of a log, at most one page; an empty list where there are none yet."""
    def results(self, reference: str) -> list[JobResult]:
        """What a job has left, newest first."""
    def result(self, reference: str, name: str) -> JobResult:
        """One result of a job, without its content."""
    def read_result(self, reference: str, name: str, *, max_bytes: int = ...) -> bytes:
        """The content of a result; that of a folder is a ``.tar.gz``."""
    def download_result(self, reference: str, name: str, path: Path) -> Path:
        """Write the content of a result to a file, in pieces."""
    def wait(
        self,
        reference: str,
        *,
        timeout: float | None = None,
        stall: float | None = None,
        patience: Patience | None = None,
        on_status: Callable[[JobStatus], Awaitable[None]] | None = None,
    ) -> JobStatus:
        """Wait until a job has completed."""

class SyncBackend(SyncJobRoutes[HelixTrainingJob], Generic[S]):
    """The jobs of one training backend."""
    def submit(
        self,
        spec: S,
        *,
        name: str | None = None,
        key: str | None = None,
        workspace: str | None = None,
        description: str | None = None,
        project: str | None = None,
        custom_fields: Mapping[str, JsonValue] | None = None,
        output_location: str | None = None,
        profile: str | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
    ) -> HelixTrainingJob:
        """Submit a job, or find the one that was submitted for the same intent before."""

class SyncCustomization:
    """Training, by backend."""

    automodel: SyncBackend[AutomodelSpec]
    rl: SyncBackend[RlSpec]
    unsloth: SyncBackend[UnslothSpec]
    def jobs(
        self, *, workspace: str | None = None, sort: str | None = None, filter: Filter | None = None
    ) -> Iterator[HelixTrainingJob]:
        """The jobs of all backends, from all pages."""
    def backends(self) -> list[str]:
        """The backends that the platform has."""

class SyncAdapters(SyncHelixCollection[HelixAdapter, AdapterRequest, AdapterChanges]):
    """Low-rank adapters; names are unique in a workspace, whatever the base."""
    def create_under(
        self,
        base: str,
        request: AdapterRequest | None = None,
        *,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: object,
    ) -> HelixAdapter:
        """Create an adapter under a base model, in the workspace of that model."""
    def register(self, base: str, request: AdapterRequest | None = None, **fields: object) -> HelixAdapter:
        """Create an adapter under a base model, or point the existing one of that base to new weights."""
    def check_base(self, base: str, name: str) -> None:
        """Check that an adapter of a name could be registered under a base model, now."""

class SyncHelixModels(SyncHelixCollection[HelixModel, HelixModelRequest, ModelChanges]):
    """Models. Deleting one deletes the adapters under it, and leaves the filesets."""

class SyncHelixSecrets(SyncHelixCollection[Secret, SecretRequest, SecretChanges]):
    """Secrets, which jobs and providers name; their values appear in no message, log or repr."""
    def create(
        self,
        request: SecretRequest | None = None,
        *,
        workspace: str | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: object,
    ) -> Secret:
        """Create a secret; arguments and errors as for other entities."""
    def update(
        self,
        reference: str,
        changes: SecretChanges | None = None,
        *,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: object,
    ) -> Secret:
        """Change a secret; arguments and errors as for other entities."""
    def value(self, reference: str) -> str:
        """The value of a secret."""

class SyncHelixFilesets(SyncHelixCollection[Fileset, FilesetRequest, FilesetChanges]):
    """Folders of files. Creating one is a POST that answers 200; one that a model uses cannot be deleted."""
    def files(self, reference: str, *, folder: str = "") -> list[FilesetFile]:
        """The files of a fileset, sorted by path."""
    def upload(
        self,
        reference: str,
        sources: Path | Mapping[str, Source],
        *,
        prune: bool = False,
        on_bytes: HelixOnBytes | None = None,
    ) -> UploadedFiles:
        """Send files, except those that are there already."""
    def download(
        self,
        reference: str,
        folder: Path,
        *,
        below: str = "",
        keep: bool = False,
        on_bytes: HelixOnBytes | None = None,
    ) -> DownloadedFiles:
        """Get the files of a fileset; a broken download resumes where it stopped."""
    def read(self, reference: str, path: str, *, max_bytes: int = ...) -> bytes:
        """A small file, whole."""
    def stream(self, reference: str, path: str, *, start: int = 0) -> Iterator[Iterator[bytes]]:
        """A file in pieces."""
    def delete_file(self, reference: str, path: str, *, missing_ok: bool = False) -> bool:
        """Delete a file; returns whether it existed."""
    def unlock(self, reference: str) -> Fileset:
        """Take off the mark of the service that uploaded the files, so that files can be added."""

class SyncProjects(SyncHelixCollection[HelixProject, HelixProjectRequest, WorkspaceChanges]):
    """Projects, which label things that belong together."""

class SyncHelixListing(Generic[L]):
    """A list with pages."""
    @property
    def model(self) -> type[L]:
        """The type of an entry."""
    def page(
        self,
        number: int = 1,
        *,
        workspace: str | None = None,
        page_size: int = ...,
        sort: str | None = None,
        filter: Filter | None = None,
    ) -> HelixPage[L]:
        """One page of the list."""
    def list(
        self,
        *,
        workspace: str | None = None,
        page_size: int = ...,
        sort: str | None = None,
        filter: Filter | None = None,
    ) -> Iterator[L]:
        """Yield all entries of all pages, each one once; arguments as for ``page``."""

class SyncHelixCollection(SyncHelixListing[Ent], Generic[Ent, EntRequest, EntChanges]):
    """Named entities."""
    def create(
        self,
        request: EntRequest | None = None,
        *,
        workspace: str | None = None,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: object,
    ) -> Ent:
        """Create an entity."""
    def get(self, reference: str) -> Ent:
        """Read an entity."""
    def find(self, reference: str) -> Ent | None:
        """Read an entity, or None if it does not exist."""
    def update(
        self,
        reference: str,
        changes: EntChanges | None = None,
        *,
        extra_body: Mapping[str, JsonValue] | None = None,
        **fields: object,
    ) -> Ent:
        """Change some fields of an entity; maps such as ``custom_fields`` are replaced whole."""
    def delete(self, reference: str, *, missing_ok: bool = False) -> bool:
        """Delete an entity."""
    def ensure(
        self,
        request: EntRequest | None = None,
        *,
        workspace: str | None = None,
        compare: tuple[str, ...] | None = None,
        **fields: object,
    ) -> Ent:
        """Create an entity, or return the existing one if it is the same."""

class SyncHelixWorkspaces(SyncHelixCollection[Workspace, WorkspaceRequest, WorkspaceChanges]):
    """Workspaces, which hold everything else."""
    def deletion(self, name: str) -> WorkspaceDeletion:
        """How far the deletion of a workspace is; its contents go in the background, over minutes."""

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
        """The Data Store: uploads and downloads of files."""
    @property
    def entity_store(self) -> SyncEntityStore:
        """The Entity Store: namespaces, projects, datasets and models."""
    @property
    def customizer(self) -> SyncCustomizer:
        """The Customizer: training jobs and their configs."""
    @property
    def evaluator(self) -> SyncEvaluator:
        """The Evaluator: evaluation jobs and their results."""
    @property
    def deployments(self) -> SyncDeployments:
        """Deployment Management: deploys and removes models."""
    @property
    def inference(self) -> SyncInference:
        """Inference: completions, chats and embeddings of served models."""
    def clock_ahead(self) -> float | None:
        """Seconds by which the platform's clock is ahead of this machine's; None if it sends no time."""
    def with_raw_response(self, call: Callable[P, T]) -> Callable[P, RawResponse[T]]:
        """A call that returns the raw response, too: status, headers and body beside the result."""

    @classmethod
    def of(cls, client: AsyncNeMo) -> Self:
        """A blocking client around an async one, which is from then on used only through it."""
    def close(self) -> None:
        """Close every connection."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

class Helix:
    """NeMo Helix, typed and asynchronous; a service is imported when it is first used."""
    def __init__(
        self,
        settings: Settings | None = None,
        *,
        base_url: str | None = None,
        token: TokenSource = None,
        workspace: str = "default",
        principal: str | None = None,
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
    workspace: str
    @classmethod
    def from_env(
        cls,
        profile: str | None = None,
        *,
        workspace: str = "default",
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        intents: IntentStore | None = None,
        **overrides: Unpack[SettingOptions],
    ) -> Self:
        """A client for the platform that arguments, environment and ``lawtags.toml`` name."""
    @property
    def intents(self) -> IntentStore:
        """The store of what was submitted."""
    def cluster_info(self) -> ClusterInfo:
        """The version of the platform."""
    def is_ready(self) -> bool:
        """Whether the platform is up and takes requests."""
    @property
    def workspaces(self) -> SyncHelixWorkspaces:
        """Workspaces."""
    @property
    def projects(self) -> SyncProjects:
        """Projects."""
    @property
    def filesets(self) -> SyncHelixFilesets:
        """Filesets and their files."""
    @property
    def secrets(self) -> SyncHelixSecrets:
        """Secrets."""
    @property
    def models(self) -> SyncHelixModels:
        """Models."""
    @property
    def adapters(self) -> SyncAdapters:
        """Low-rank adapters of models."""
    @property
    def customization(self) -> SyncCustomization:
        """Training."""
    @property
    def jobs(self) -> SyncHelixJobs:
        """Jobs of every service."""
    @property
    def runner(self) -> SyncStepCalls:
        """The calls of a program that carries out steps of jobs."""
    @property
    def evaluations(self) -> SyncHelixEvaluations:
        """Scoring."""
    @property
    def deployment_configs(self) -> SyncDeploymentConfigs:
        """How models are to be deployed."""
    @property
    def deployments(self) -> SyncHelixDeployments:
        """Models that are to be deployed."""
    @property
    def providers(self) -> SyncProviders:
        """Model servers that the gateway asks."""
    @property
    def gateway(self) -> SyncGateway:
        """Models that answer."""
    @property
    def inference(self) -> SyncInference:
        """Chats and completions of all models, as of ``gateway.models()``; ``tag`` asks it."""
    @classmethod
    def of(cls, client: AsyncHelix) -> Self:
        """A blocking client around an async one, which is from then on used only through it."""
    def close(self) -> None:
        """Close every connection."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

def tag(
    nemo: NeMo | Helix,
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
    nemo: NeMo | Helix,
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
