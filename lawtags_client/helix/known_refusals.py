"""The refusals of Helix that are text: how each is recognized, which field it is about, and the remedy."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lawtags_client.errors import APIError, ConflictError, NotFoundError, UnprocessableError


@dataclass(frozen=True, slots=True)
class KnownRefusal:
    """One kind of refusal.

    Args:
        pattern: found in its text.
        field: the field of the request that it is about.
        hint: the remedy; may name groups of the pattern.
        kind: the error class, where the status alone would give the wrong one.
        message: replaces the text; may name groups of the pattern.
        status: the only status that it comes with, if others have the same words.
    """

    pattern: re.Pattern[str]
    field: str | None
    hint: str
    kind: type[APIError] | None = None
    message: str | None = None
    status: int | None = None


def _known(
    pattern: str,
    field: str | None,
    hint: str,
    kind: type[APIError] | None = None,
    message: str | None = None,
    status: int | None = None,
) -> KnownRefusal:
    return KnownRefusal(re.compile(pattern), field, hint, kind, message, status)


_Q = r"'(?P<name>[^']{1,300})'"
_CREATE_WORKSPACE = "Create the workspace first: helix.workspaces.create(name={name!r})."
_TAKEN = "Choose another name, change the existing one, or delete it."

KNOWN: tuple[KnownRefusal, ...] = (
    # Training jobs, in the order in which Helix checks.
    _known(
        rf"Model entity not found: {_Q}",
        "spec.model",
        "Check the name, or create the model with a fileset of its weights: helix.models.create(...).",
    ),
    _known(
        rf"Dataset fileset {_Q} not found in workspace '(?P<workspace>[^']{{1,300}})'",
        "spec.dataset",
        "Check the names of the training and validation filesets, or upload the rows first.",
    ),
    _known(
        rf"Dataset path {_Q} not found in fileset",
        "spec.dataset",
        "Only a folder of the fileset may follow '#'. Leave it out, or name a folder that exists.",
    ),
    _known(
        r"global_batch_size \(\d+\) must be divisible",
        "spec.batch.global_batch_size",
        "Set it to a multiple of micro_batch_size times the number of data-parallel GPUs.",
    ),
    _known(
        r"(?i)GPUs \(\d+\) must be divisible",
        "spec.parallelism",
        "Make num_nodes times num_gpus_per_node a multiple of the parallel sizes.",
    ),
    _known(
        rf"Job {_Q} \((?P<state>[^()]{{1,60}})\) is already producing output '(?P<output>[^']{{1,300}})'",
        "spec.output.name",
        "Wait for the job {name!r} or cancel it, or choose another output name.",
        ConflictError,
    ),
    _known(
        rf"Adapter {_Q} already exists on base model",
        "spec.output.name",
        "Adapter names are unique in a workspace. Choose another output name, or delete that adapter.",
        ConflictError,
    ),
    _known(
        r"deployment_config (?:references )?'(?P<name>[^']{1,300})' which does not exist",
        "spec.deployment_config",
        "Create the deployment config first, or leave deployment_config out.",
    ),
    _known(
        r"(?<!\.)deployment_config",
        "spec.deployment_config",
        "Name a deployment config of the model that is trained, or leave deployment_config out.",
        status=422,
    ),
    _known(
        rf"Model {_Q} has no fileset",
        "spec.model",
        "Upload the weights, then link them: helix.models.update({name!r}, fileset='workspace/name').",
    ),
    _known(
        r"execution profile 'gpu_distributed/",
        "spec.parallelism.num_nodes",
        "This platform has no profile for several nodes. Set num_nodes to 1, or ask its administrator.",
    ),
    _known(
        rf"execution profile {_Q} specified in step",
        "spec.training.execution_profile",
        "List the profiles with helix.jobs.execution_profiles(), and use one of them or none.",
    ),
    _known(
        r"referenced secrets were not found",
        "spec.integrations",
        "Create each secret that the job names: helix.secrets.create(...). Then submit it again.",
        UnprocessableError,
    ),
    _known(
        r"GRPO jobs require an environment", "spec.environment", "Set it to a fileset of the environment."
    ),
    _known(
        r"requires a reachable Docker daemon|requires a container runtime",
        "spec",
        "This platform runs no containers, so it trains nothing. Ask its administrator to set "
        "platform.runtime, or use another platform.",
    ),
    # Workspaces. Missing ones are refused in three different texts on create.
    _known(
        r"Could not check for running jobs.*Workspace '(?P<name>[^']{1,300})' not found",
        "workspace",
        _CREATE_WORKSPACE,
        NotFoundError,
        "the workspace {name!r} does not exist",
    ),
    _known(
        rf"Workspace {_Q} (?:not found|does not exist)",
        "workspace",
        _CREATE_WORKSPACE,
        NotFoundError,
        "the workspace {name!r} does not exist",
    ),
    _known(
        r"Referenced resource does not exist",
        "workspace",
        "Create the workspace first: helix.workspaces.create(...).",
        NotFoundError,
        "the workspace of the request does not exist",
        status=422,
    ),
    _known(
        rf"Workspace {_Q} is still being deleted",
        "name",
        "Deleting takes minutes. Choose another name, or wait: helix.workspaces.deletion({name!r}).",
    ),
    # Jobs.
    _known(
        rf"Job {_Q} already exists in workspace",
        "name",
        "Choose another name, or delete that job once it has ended.",
        ConflictError,
    ),
    _known(
        rf"Cannot delete job {_Q} while it is",
        "name",
        "Cancel it, wait until it has ended, then delete it: helix.jobs.cancel({name!r}).",
    ),
    _known(
        rf"Cannot update job step {_Q} to status '\w*?\.?(?P<state>\w+)'",
        "status",
        "Read the step again: it may have been cancelled, paused, or taken by another runner.",
    ),
    _known(
        r"failed to render job config",
        "backend",
        "The job belongs to another backend. Read it with helix.jobs.get(...).",
        NotFoundError,
        "the job belongs to another backend of the customization service",
    ),
    _known(r"Invalid page cursor", "page_cursor", "Start again without a cursor."),
    _known(r"tail cannot be combined", "tail", "Pass either tail, or limit and page_cursor."),
    _known(
        r"filter\.(?P<name>[\w.]+): Input should be a valid list",
        "filter.{name}",
        "Pass two states or more.",
    ),
    _known(
        r"Unknown filter field '(?P<name>[^']{1,200})'", "filter", "Use one of the fields in the message."
    ),
    # Files.
    _known(
        rf"Fileset {_Q} not found in workspace",
        "fileset",
        "Check its name, or create it first: helix.filesets.create(...).",
    ),
    _known(rf"File {_Q} not found", "path", "List the files with helix.filesets.files(...)."),
    _known(
        r"files are immutable",
        "custom_fields.service_source",
        "A service uploaded these files. Take its mark off with helix.filesets.unlock(...), or use another "
        "fileset.",
    ),
    _known(
        r"Cannot delete fileset",
        "name",
        "Delete or relink the models and adapters that use it first.",
    ),
    _known(r"resolves outside of the storage root", "path", "Use a relative path without '..'."),
    _known(
        r"Is a directory",
        "path",
        "A folder of that name exists in the fileset. Choose another path.",
        message="the fileset has a folder of that name",
    ),
    _known(
        r"Failed to connect to upstream storage backend",
        "path",
        "Check that the path names a file, not a folder; otherwise the storage of the platform is down.",
    ),
    _known(r"local storage is not allowed", "storage", "Leave storage out."),
    _known(
        r"Storage backend unavailable",
        "storage",
        "The platform cannot reach that storage. Check its address.",
    ),
    _known(r"does not track a revision", "name", "Only filesets of a hub can be refreshed."),
    _known(r"Invalid range", "range", "The file is shorter. Download it from the beginning."),
    # Models, deployments and the gateway.
    _known(
        r"Model adapter already exists",
        "name",
        "Adapter names are unique in a workspace, whatever their base. Choose another one, or update it.",
    ),
    _known(
        rf"Deployment config {_Q} does not exist",
        "config",
        "Create it first: helix.deployment_configs.create(...).",
    ),
    _known(
        r"Deployments are not enabled",
        None,
        "This platform deploys nothing. Serve the model yourself: helix.providers.create(...).",
    ),
    _known(
        r"Model entity not found for base model (?P<name>\S{1,300}) with adapter (?P<adapter>\S{1,300})",
        "model",
        "The adapter is not served. Check that its server lists it, and that its provider has the id of a "
        "deployment.",
        message="no server has the adapter {adapter} of {name}",
    ),
    _known(
        rf"No VirtualModel named {_Q}",
        "model",
        "Check the name, and that a provider serves it: helix.providers.list().",
        message="no model {name!r} is served",
    ),
    _known(r"Could not extract model", "model", "Set model to workspace/name."),
    _known(
        r"Model provider not found(?: for|:) (?P<name>\S{1,300})",
        "provider",
        "List the providers with helix.providers.list().",
    ),
    _known(
        r"Provider not ready", "provider", "Wait a few seconds until Helix has read the models of its server."
    ),
    _known(
        r"Backend networking error",
        "model",
        "No model server answers at the provider's host_url. Start it, or correct the address.",
    ),
    # Evaluations.
    _known(
        r"metric output spec does not match[^[]*\[(?P<name>[^]]{1,200})\]",
        "spec.metrics.outputs",
        "Make the outputs equal to what the metric produces; metric(...) of lawtags_client.helix does so.",
    ),
    _known(rf"Metric reference {_Q} not found", "spec.metrics", "Store the metric first, or pass it inline."),
    _known(
        r"Input tag '(?P<name>[^']{1,200})' found using 'type' does not match",
        "spec.metrics.payload.metric.type",
        "Use a metric that Helix has, such as exact-match, f1, string-check, bleu or rouge.",
        message="Helix has no metric {name!r}",
    ),
    # General.
    _known(r"(?i)already exists", "name", _TAKEN, ConflictError),
    _known(r"Missing bearer token", None, "Set LAWTAGS_TOKEN: this platform wants a token."),
    _known(r"Access Keys are not enabled", None, "This platform has no access keys; use a bearer token."),
    _known(
        r"An unexpected error occurred",
        None,
        "Helix hit an internal error. An evaluation with a target needs prompt_template, and its generation "
        "parameters need a target; a filter of workspaces must name a known field.",
    ),
    _known(
        r"^Not Found$",
        None,
        "This server has no such route. Run `lawtags doctor` to see which platform it is.",
    ),
)
