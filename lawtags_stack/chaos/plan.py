"""The chaos file: which requests and jobs meet with what."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lawtags_client.errors import ConfigurationError

Seconds = float


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RequestRule(_Part):
    """What happens to the requests that fit.

    Args:
        port: requests to this port only.
        method: with this method only.
        path: whose path fits this shell pattern.
        skip: let so many of them pass first.
        times: then meddle with so many; absent: with all.
        share: of these, the share to meddle with.
        latency: seconds to wait, or the least and the most.
        answer: the status to answer with instead.
        retry_after: seconds to name in ``Retry-After``.
        drop: close the connection: ``request`` before anything is done, ``reply`` after all was done.
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
            raise ValueError("latency must be seconds, or [least, most]")
        if self.answer is not None and self.drop is not None:
            raise ValueError("use either answer or drop, not both")
        if self.answer is None and self.drop is None and not most:
            raise ValueError("a rule needs latency, answer or drop")
        if self.retry_after is not None and self.answer is None:
            raise ValueError("retry_after needs answer")
        return self

    @property
    def latencies(self) -> tuple[Seconds, Seconds]:
        """The least and the most seconds to wait."""
        return self.latency if isinstance(self.latency, tuple) else (self.latency, self.latency)

    def fits(self, port: str, method: str, path: str) -> bool:
        """Whether a request is meant."""
        return self.port in (None, port) and self.method in (None, method) and fnmatchcase(path, self.path)


class DataStoreChaos(_Part):
    """A Data Store as deployed ones are.

    Args:
        initialization: seconds in which a new repository answers 500.
        empty_commit_url: answer commits with an empty ``commitUrl``.
    """

    initialization: Seconds = Field(default=0.0, ge=0)
    empty_commit_url: bool = False


class CustomizerChaos(_Part):
    """Trainings that wait, break or fail.

    Args:
        jobs: those whose output model or id fits this shell pattern.
        pending: seconds in which a job waits for a GPU.
        kill_at_step: the training process is killed once, when this step is reached.
        fail_at_step: the job fails when this step is reached.
    """

    jobs: str = "*"
    pending: Seconds = Field(default=0.0, ge=0)
    kill_at_step: int | None = Field(default=None, ge=0)
    fail_at_step: int | None = Field(default=None, ge=0)

    def fits(self, job_id: str, output_model: str | None) -> bool:
        """Whether a job is meant."""
        return any(fnmatchcase(name, self.jobs) for name in (job_id, output_model) if name)


class InferenceChaos(_Part):
    """An inference server that takes its time.

    Args:
        refresh_interval: seconds between two looks for new adapters; until then they are answered with 404.
    """

    refresh_interval: Seconds | None = Field(default=None, gt=0)


class ChaosPlan(_Part):
    """A whole chaos file.

    Args:
        schema_version: the version of this form.
        seed: of the chance behind ``share`` and ``latency``.
        requests: of these, the first that fits a request decides.
        data_store, customizer, inference: what these services do by themselves.
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
        ConfigurationError: it cannot be read, or says what is not known; names the place.
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
