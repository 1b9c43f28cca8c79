"""The user's rate table: what an hour of a training costs, and what a GPU can do."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.recipe_faults import dotted, nearest
from lawtags_client.runs.recipe_hardware import HIGHEST_PRICE, HardwareSection
from lawtags_client.runs.recipe_messages import message_of, place_of
from lawtags_client.runs.recipe_section import Section

_LONGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class HourlyPrice:
    """What an hour of a job costs.

    Args:
        amount: for all of its GPUs, or for the machine.
        currency: of the amount.
        of: what is paid for, in words.
    """

    amount: float
    currency: str
    of: str

    def of_seconds(self, seconds: float) -> float:
        """The price of so many seconds."""
        return self.amount * seconds / 3600


@dataclass(frozen=True, slots=True)
class GpuRate:
    """A kind of GPU, and prices.

    Args:
        name: of the kind.
        memory_gb: its memory, in 10^9 bytes.
        tflops: its peak in bf16, without sparsity, in 10^12 operations per second.
        efficiency: the share of the peak that a training reaches.
        price_per_hour: of one GPU; None if it is not known.
        currency: of the prices.
        machine_price_per_hour: of a machine that trains without a GPU; None if it is not known.
    """

    name: str
    memory_gb: float
    tflops: float
    efficiency: float = 0.3
    price_per_hour: float | None = None
    currency: str | None = None
    machine_price_per_hour: float | None = None

    def hourly(self, gpus: int) -> HourlyPrice | None:
        """What an hour of a job costs; None without a price.

        Args:
            gpus: that it keeps busy; 0 for a machine without one.
        """
        price = self.price_per_hour if gpus else self.machine_price_per_hour
        if price is None:
            return None
        return HourlyPrice(
            max(1, gpus) * price, self.currency or "USD", f"{gpus} x {self.name}" if gpus else "the machine"
        )


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


class _Gpu(Section):
    price_per_hour: float | None = Field(default=None, ge=0, le=HIGHEST_PRICE)
    memory_gb: float | None = Field(default=None, gt=0)
    tflops: float | None = Field(default=None, gt=0)
    efficiency: float = Field(default=0.3, gt=0, le=1)


class _Machine(Section):
    price_per_hour: float = Field(ge=0, le=HIGHEST_PRICE)


class _Table(Section):
    schema_version: int = Field(ge=1, le=1)
    currency: str = Field(default="USD", min_length=1, max_length=8)
    gpu: str | None = None
    gpus: dict[str, _Gpu] = Field(default_factory=dict)
    machine: _Machine | None = None


def read_rates(table: Path | None, gpu: str | None) -> HardwareSection:
    """The hardware that a rate table describes, as a recipe holds it.

    Args:
        table: a TOML file with rates; None for the data sheets alone.
        gpu: its kind; by default the one that the table names.

    Raises:
        ConfigurationError: the table is wrong, or has no such GPU.
    """
    rates = _read(table) if table is not None else _Table(schema_version=1)
    chosen = gpu or rates.gpu or (next(iter(rates.gpus)) if len(rates.gpus) == 1 else DEFAULT_GPU)
    given = rates.gpus.get(chosen) or _Gpu()
    found = HardwareSection(
        gpu=chosen,
        price_per_gpu_hour=given.price_per_hour,
        price_per_machine_hour=rates.machine.price_per_hour if rates.machine else None,
        currency=rates.currency,
        memory_gb=given.memory_gb,
        tflops=given.tflops,
        efficiency=given.efficiency,
    )
    _sheet(found, place=str(table or "the built-in table"), names=[*rates.gpus, *_KNOWN])
    return found


def rate_of(hardware: HardwareSection) -> GpuRate:
    """The GPU and the prices of a recipe, with the data sheet of a common GPU.

    Raises:
        ConfigurationError: the GPU is not a common one, and the recipe does not say what it can do.
    """
    memory, tflops = _sheet(hardware, place="hardware.gpu", names=list(_KNOWN))
    priced = hardware.price_per_gpu_hour is not None or hardware.price_per_machine_hour is not None
    return GpuRate(
        hardware.gpu or DEFAULT_GPU,
        memory,
        tflops,
        hardware.efficiency,
        hardware.price_per_gpu_hour,
        hardware.currency if priced else None,
        hardware.price_per_machine_hour,
    )


def _sheet(hardware: HardwareSection, *, place: str, names: list[str]) -> tuple[float, float]:
    """Memory and peak: those that are given, or those of the data sheet."""
    name = hardware.gpu or DEFAULT_GPU
    memory, tflops = _KNOWN.get(name, (None, None))
    memory, tflops = hardware.memory_gb or memory, hardware.tflops or tflops
    if memory is not None and tflops is not None:
        return memory, tflops
    if name not in names:
        alike = nearest(name, names)
        meant = f"Did you mean {alike}? " if alike else ""
        raise ConfigurationError(
            f"no GPU {name!r} in {place}",
            hint=f"{meant}Known: {', '.join(dict.fromkeys(names))}. Others need memory_gb and tflops.",
        )
    raise ConfigurationError(
        f"{place}: [gpus.{name!r}] needs memory_gb and tflops, since its data sheet is not known",
        hint=f"Known: {', '.join(_KNOWN)}.",
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
        faults = {dotted(place_of(each)): message_of(each) for each in problem.errors(include_url=False)}
        told = "; ".join(f"{place}: {message}" for place, message in faults.items())
        raise ConfigurationError(f"{path}: {told}", hint=hint) from None
    except ValueError as problem:
        raise ConfigurationError(f"{path} is not a TOML file: {problem}", hint=hint) from None
