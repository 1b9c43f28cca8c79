"""The part of a recipe that says what the training runs on, and what an hour of it costs."""

from __future__ import annotations

from pydantic import Field

from lawtags_client.runs.recipe_section import Section

HIGHEST_PRICE = 1_000_000_000
"""Of an hour; a slip of the finger in an exponent would make every estimate infinite."""


class HardwareSection(Section):
    """What the training runs on, for estimates of memory, time and price. Nothing of it is sent.

    Attributes:
        gpu: kind of GPU, e.g. ``A100-80GB``.
        price_per_gpu_hour: of one GPU.
        price_per_machine_hour: of the machine, where the platform trains without a GPU.
        currency: of the prices.
        memory_gb: of the GPU, in 10^9 bytes; common kinds are known.
        tflops: of the GPU, its peak in bf16; common kinds are known.
        efficiency: the share of the peak that a training reaches.
    """

    gpu: str | None = Field(default=None, min_length=1, max_length=64)
    price_per_gpu_hour: float | None = Field(default=None, ge=0, le=HIGHEST_PRICE)
    price_per_machine_hour: float | None = Field(default=None, ge=0, le=HIGHEST_PRICE)
    currency: str = Field(default="USD", min_length=1, max_length=8)
    memory_gb: float | None = Field(default=None, gt=0)
    tflops: float | None = Field(default=None, gt=0)
    efficiency: float = Field(default=0.3, gt=0, le=1)
