"""The chaos file: which faults to inject into which requests and jobs."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lawtags_client.errors import ConfigurationError

Seconds = float


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class RequestRule(_Part):
    """A fault for the requests that match.

    Args:
        port: match requests to this port only.
        method: match this HTTP method only.
        path: match paths that fit this shell pattern.
        skip: number of matching requests to let through first.
        times: number of requests to affect after that; None affects all.
        share: fraction of these requests to affect.
        latency: seconds to wait, or the minimum and maximum.
        answer: HTTP status to respond with.
        retry_after: seconds to send in ``Retry-After``.
        drop: close the connection: ``request`` before processing, ``reply`` after it.
    """

    port: Literal["platform", "data_store", "inference"] | None = None
    method: str | None = None
    path: str = "*"
    skip: int = Field(default=0, ge=0)
    times: int | None = Field(default=None, ge=1)
    share: float = Field(default=1.0, gt=0.0, le=1.0)
    latency: Seconds | tuple[Seconds, Seconds] = 0.0
    answer: int | None = Field(default=None, ge=400, le=599)
    retry_after: Seconds | None = Field(default=None, ge=0)
    drop: Literal["request", "reply"] | None = None

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        least, most = self.latencies
        if not 0 <= least <= most:
            raise ValueError("latency must be a number of seconds, or [minimum, maximum]")
        if self.answer is not None and self.drop is not None:
            raise ValueError("use either answer or drop, not both")
        if self.answer is None and self.drop is None and not most:
            raise ValueError("a rule needs latency, answer or drop")
        if self.retry_after is not None and self.answer is None:
            raise ValueError("retry_after needs answer")
        return self

    @property
    def latencies(self) -> tuple[Seconds, Seconds]:
        """The minimum and maximum seconds to wait."""
        return self.latency if isinstance(self.latency, tuple) else (self.latency, self.latency)

    def fits(self, port: str, method: str, path: str) -> bool:
        """Whether the rule matches a request."""
        return self.port in (None, port) and self.method in (None, method) and fnmatchcase(path, self.path)


class DataStoreChaos(_Part):
    """Data Store quirks, as seen in real deployments.

    Args:
        initialization: seconds during which a new repository responds with 500.
        empty_commit_url: respond to commits with an empty ``commitUrl``.
    """

    initialization: Seconds = Field(default=0.0, ge=0)
    empty_commit_url: bool = False


class CustomizerChaos(_Part):
    """Training jobs that stay pending, crash or fail.

    Args:
        jobs: affect jobs whose output model or id matches this shell pattern.
        pending: seconds a job stays pending, as if it waited for a GPU.
        kill_at_step: kill the training process once, at this step.
        fail_at_step: fail the job at this step.
    """

    jobs: str = "*"
    pending: Seconds = Field(default=0.0, ge=0)
    kill_at_step: int | None = Field(default=None, ge=0)
    fail_at_step: int | None = Field(default=None, ge=0)

    def fits(self, job_id: str, output_model: str | None) -> bool:
        """Whether the faults apply to a job."""
        return any(fnmatchcase(name, self.jobs) for name in (job_id, output_model) if name)


class InferenceChaos(_Part):
    """An inference server that discovers adapters late.

    Args:
        refresh_interval: seconds between scans for new adapters; until then requests for them get 404.
    """

    refresh_interval: Seconds | None = Field(default=None, gt=0)


class ChaosPlan(_Part):
    """A chaos file.

    Args:
        schema_version: version of the file format.
        seed: random seed for ``share`` and ``latency``.
        requests: rules for requests; the first match applies.
        data_store, customizer, inference: faults of these services.
    """

    schema_version: Literal[1]
    seed: int = 0
    requests: tuple[RequestRule, ...] = ()
    data_store: DataStoreChaos = DataStoreChaos()
    customizer: CustomizerChaos = CustomizerChaos()
    inference: InferenceChaos = InferenceChaos()


def read_plan(path: Path) -> ChaosPlan:
    """Read a chaos file.

    Raises:
        ConfigurationError: the file cannot be read, or a field is invalid; names the field.
    """
    try:
        said = yaml.safe_load(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"the chaos file {path} cannot be read: {error}") from error
    try:
        return ChaosPlan.model_validate(said, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigurationError(
            f"the chaos file {path} is invalid at {place}: {first['msg']}",
            hint="See docs/local-stack.md for its format.",
        ) from None
