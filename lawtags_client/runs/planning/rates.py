"""The user's rate table: what a GPU costs per hour, and what it can do."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.recipe_faults import nearest

_LONGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class GpuRate:
    """A kind of GPU.

    Args:
        name: of the kind.
        memory_gb: its memory, in 10^9 bytes.
        tflops: its peak in bf16, without sparsity, in 10^12 operations per second.
        efficiency: the share of the peak that a training reaches.
        price_per_hour: None if the table has none.
        currency: of the price.
    """

    name: str
    memory_gb: float
    tflops: float
    efficiency: float = 0.3
    price_per_hour: float | None = None
    currency: str | None = None


_KNOWN: Mapping[str, tuple[float, float]] = {
    "A100-40GB": (40, 312),
    "A100-80GB": (80, 312),
    "H100-80GB": (80, 989),
    "H200-141GB": (141, 989),
    "L40S-48GB": (48, 362),
    "L4-24GB": (24, 121),
}
"""Memory and peak of common GPUs, from their data sheets; prices differ per contract."""
DEFAULT_GPU = "A100-80GB"
"""What is assumed if nobody says."""


class _Gpu(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    price_per_hour: float | None = Field(default=None, ge=0)
    memory_gb: float | None = Field(default=None, gt=0)
    tflops: float | None = Field(default=None, gt=0)
    efficiency: float = Field(default=0.3, gt=0, le=1)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = Field(ge=1, le=1)
    currency: str = Field(default="USD", max_length=8)
    gpu: str | None = None
    gpus: dict[str, _Gpu] = Field(default_factory=dict)


def find_rate(table: Path | None, gpu: str | None) -> GpuRate:
    """The GPU that a training is planned for.

    Args:
        table: a TOML file with rates; None for the data sheets alone.
        gpu: its name; by default the one that the table names.

    Raises:
        ConfigurationError: the table is wrong, or has no such GPU.
    """
    rates = _read(table) if table is not None else _Table(schema_version=1)
    chosen = gpu or rates.gpu or (next(iter(rates.gpus)) if len(rates.gpus) == 1 else DEFAULT_GPU)
    given = rates.gpus.get(chosen)
    if given is None and chosen not in _KNOWN:
        names = [*rates.gpus, *_KNOWN]
        alike = nearest(chosen, names)
        meant = f"Did you mean {alike}? " if alike else ""
        raise ConfigurationError(
            f"no GPU {chosen!r} in {table or 'the built-in table'}", hint=f"{meant}Known: {', '.join(names)}."
        )
    memory, tflops = _KNOWN.get(chosen, (None, None))
    if given is not None:
        memory, tflops = given.memory_gb or memory, given.tflops or tflops
    if memory is None or tflops is None:
        raise ConfigurationError(
            f"{table}: [gpus.{chosen!r}] needs memory_gb and tflops, since its data sheet is not known",
            hint=f"Known: {', '.join(_KNOWN)}.",
        )
    return GpuRate(
        chosen,
        memory,
        tflops,
        given.efficiency if given else 0.3,
        given.price_per_hour if given else None,
        rates.currency if given and given.price_per_hour is not None else None,
    )


def _read(path: Path) -> _Table:
    hint = 'For example: schema_version = 1, currency = "EUR", and [gpus.A100-80GB] with price_per_hour = 1.8'
    try:
        if path.stat().st_size > _LONGEST:
            raise ConfigurationError(f"{path} is too large for a rate table", hint=hint)
        return _Table.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except OSError as problem:
        raise ConfigurationError(f"{path} cannot be read: {problem.strerror}", hint=hint) from None
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"{path}: {place}: {first['msg']}", hint=hint) from None
    except ValueError as problem:
        raise ConfigurationError(f"{path} is not a TOML file: {problem}", hint=hint) from None
