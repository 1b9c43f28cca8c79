"""What an evaluation measures and how, from the names of a dataset, a model and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypedDict, TypeVar

from lawtags_client.errors import ConfigurationError, NotFoundError
from lawtags_client.json_value import JsonValue
from lawtags_client.services.uploaded_dataset import UploadedDataset
from lawtags_client.settings import ServiceAddress
from lawtags_client.types.common import APIEndpoint, WireRequest
from lawtags_client.types.entity_store import Dataset
from lawtags_client.types.evaluator import (
    EvaluationConfigRequest,
    EvaluationParams,
    EvaluationTargetRequest,
    MetricConfig,
    ModelTarget,
    TaskConfig,
)
from lawtags_client.types.platform_evaluation import InlineEvaluationConfig, InlineEvaluationTarget

if TYPE_CHECKING:
    from lawtags_client.services.data_store import DataStore

R = TypeVar("R", bound=WireRequest)
Metrics: TypeAlias = Sequence[str] | Mapping[str, MetricConfig]
"""Names of metrics, or a dictionary of metrics, whose keys are the names of the scores."""

_TASK = "answers"
"""The only task of an evaluation that is built here; scores are called ``answers.f1``."""
PROMPT, REFERENCE = "{{item.prompt}}", "{{item.completion}}"
"""Templates for the rows that curation writes."""
MAX_TOKENS = 64
_OUTPUT = "{{sample.output_text}}"
_TEXT_METRICS = ("em", "f1", "rouge")
_CHECKS = ("equals", "contains")
_METRIC_NAMES = ("bleu", *_CHECKS, *_TEXT_METRICS)


def metric(name: str, reference: str) -> MetricConfig:
    """A metric that compares the model's answer with a reference.

    Args:
        name: one of ``_METRIC_NAMES``.
        reference: a template, such as ``{{item.completion}}``.

    Raises:
        ConfigurationError: there is no metric of that name.
    """
    if name in _CHECKS:
        return MetricConfig(type="string-check", params={"check": [_OUTPUT, name, reference]})
    if name in _TEXT_METRICS:
        return MetricConfig(type=name, params={"ground_truth": reference})
    if name == "bleu":
        return MetricConfig(type=name, params={"references": [reference]})
    raise ConfigurationError(
        f"there is no metric {name!r}",
        hint=f"Use {', '.join(_METRIC_NAMES)}, or pass a dictionary of MetricConfig.",
    )


class Measurement(TypedDict, total=False):
    """What is measured and how; the arguments of ``Evaluator.evaluate``."""

    dataset: str | Dataset | UploadedDataset | None
    model: str | APIEndpoint | None
    metrics: Metrics | None
    split: str
    prompt: str
    reference: str
    chat: bool
    max_tokens: int
    limit: int | None
    config: str | EvaluationConfigRequest | None
    target: str | EvaluationTargetRequest | None


def rows_config(metrics: Metrics) -> EvaluationConfigRequest:
    """A config that compares the ``output`` of rows with their ``reference``.

    Args:
        metrics: ``equals``, ``contains``, or metrics by name.

    Raises:
        ConfigurationError: a metric is unknown, or there is none.
    """
    if isinstance(metrics, str) or not metrics:
        raise ConfigurationError("metrics is not a list of names", hint='Pass metrics=["equals"].')
    if not isinstance(metrics, Mapping):
        if unknown := sorted(set(metrics) - set(_CHECKS)):
            raise ConfigurationError(
                f"rows have no metric {', '.join(unknown)}",
                hint=f"Use {', '.join(_CHECKS)}, or pass a dictionary of MetricConfig.",
            )
        metrics = {
            name: MetricConfig(type="string-check", params={"check": ["{{output}}", name, "{{reference}}"]})
            for name in metrics
        }
    return EvaluationConfigRequest(
        type="custom", tasks={_TASK: TaskConfig(type="data", metrics=dict(metrics))}
    )


def answer_config(
    files_url: str,
    metrics: Metrics,
    *,
    prompt: str,
    reference: str,
    chat: bool,
    max_tokens: int,
    limit: int | None,
) -> EvaluationConfigRequest:
    """A config that compares a model's greedy answers to the rows of one file with their references.

    Args:
        files_url: of the file.
        metrics: what is computed.
        prompt: a template of a row's fields.
        reference: a template of a row's fields.
        chat: whether the model is asked by the chat API.
        max_tokens: maximum length of an answer.
        limit: number of rows to score; all by default.

    Raises:
        ConfigurationError: a metric is unknown, or there is none.
    """
    if isinstance(metrics, str) or not metrics:
        raise ConfigurationError(
            "metrics is not a list of names", hint=f'Pass metrics=["f1"]; known: {", ".join(_METRIC_NAMES)}.'
        )
    if not isinstance(metrics, Mapping):
        metrics = {name: metric(name, reference) for name in metrics}
    asked: dict[str, JsonValue] = (
        {"messages": [{"role": "user", "content": prompt}]} if chat else {"prompt": prompt}
    )
    task = TaskConfig(
        type="chat-completion" if chat else "completion",
        dataset=Dataset(files_url=files_url),
        params={"template": {**asked, "max_tokens": max_tokens, "temperature": 0.0}},
        metrics=dict(metrics),
    )
    config = EvaluationConfigRequest(type="custom", tasks={_TASK: task})
    if limit is not None:
        config.params = EvaluationParams(limit_samples=limit)
    return config


def model_target(model: str | APIEndpoint, address: ServiceAddress, *, chat: bool) -> EvaluationTargetRequest:
    """A target that is a served model.

    Args:
        model: its id, or an endpoint of its own.
        address: of the inference service, whose token goes with the endpoint.
        chat: whether the model is asked by the chat API.
    """
    if isinstance(model, str):
        path = "/v1/chat/completions" if chat else "/v1/completions"
        model = APIEndpoint(url=address.url + path, model_id=model)
        if address.token:
            model.api_key = address.token
    return EvaluationTargetRequest(type="model", model=ModelTarget(api_endpoint=model))


def inline_config(config: str | EvaluationConfigRequest) -> str | InlineEvaluationConfig:
    """A config as a platform job takes it.

    Raises:
        ConfigurationError: it has a field that a platform job does not take.
    """
    return config if isinstance(config, str) else _inline(InlineEvaluationConfig, config)


def inline_target(target: str | EvaluationTargetRequest) -> str | InlineEvaluationTarget:
    """A target as a platform job takes it; raises as ``inline_config`` does."""
    return target if isinstance(target, str) else _inline(InlineEvaluationTarget, target)


def _inline(kind: type[R], request: WireRequest) -> R:
    given = request.to_wire()
    unknown = sorted(set(given) - set(kind.model_fields))
    if unknown:
        raise ConfigurationError(
            f"a platform job takes no {', '.join(unknown)} in a {type(request).__name__}",
            hint="Leave it out, or store the entity and pass its namespace/name.",
        )
    return kind.model_validate(given)


async def dataset_file(
    dataset: str | Dataset | UploadedDataset, split: str, store: DataStore
) -> tuple[str, str | None]:
    """The URL of the one file that is scored, and a digest of its content, if it is known.

    Args:
        dataset: URL or ``namespace/name/path`` of a file, or a dataset with one file in ``split``.
        split: the folder of that file.
        store: lists the files of a dataset that is given by name.

    Raises:
        ConfigurationError: the dataset has no such file, or several.
        NotFoundError: the dataset does not exist.
    """
    if isinstance(dataset, UploadedDataset):
        path = _only(dataset.name, split, dataset.files)
        return f"{dataset.files_url}/{path}", dataset.files[path]
    named = dataset if isinstance(dataset, str) else dataset.files_url
    if named is None:
        raise ConfigurationError("the dataset has no files_url", hint="Pass its name or the URL of a file.")
    scheme, _, rest = named.rpartition("://")
    name = rest.removeprefix("datasets/") if scheme == "hf" else rest
    parts = name.strip("/").split("/")
    if scheme not in ("", "hf") or len(parts) > 2:
        return (named if scheme else f"hf://datasets/{named.strip('/')}"), None
    try:
        entries = await store.files("/".join(parts))
    except NotFoundError as error:
        raise NotFoundError(
            f"there is no dataset {name} in the Data Store",
            hint="Check its name, or upload it with: lawtags upload FOLDER NAMESPACE/NAME",
            service=error.service,
            status=error.status,
            url=error.url,
        ) from error
    files = {entry.path: entry.lfs.oid if entry.lfs else entry.oid for entry in entries}
    path = _only(name, split, files)
    return f"hf://datasets/{'/'.join(parts)}/{path}", files[path]


def _only(name: str, split: str, files: Iterable[str]) -> str:
    found = sorted(path for path in files if path.startswith(f"{split}/"))
    if len(found) != 1:
        shown = ", ".join(f"{name}/{path}" for path in found[:5])
        raise ConfigurationError(
            f"{name} has {len(found) or 'no'} files in {split}/, and an evaluation scores one",
            hint=f"Pass one of them as the dataset: {shown}." if found else "Pass another split.",
        )
    return found[0]
