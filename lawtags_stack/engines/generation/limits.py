"""Resource limits of an engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits of an engine; the defaults suit a CPU.

    Args:
        step_tokens: tokens per step; more means fewer, longer steps.
        rows: maximum number of rows generated concurrently.
        slot_bytes: memory for keys and values of running rows.
        prefix_bytes: memory for shared prefixes.
    """

    step_tokens: int = 512
    rows: int = 64
    slot_bytes: int = 512 * 2**20
    prefix_bytes: int = 64 * 2**20

    @classmethod
    def suited(cls, *, on_cpu: bool) -> Limits:
        """Limits that suit a device: on a GPU, small steps take as long as large ones."""
        return cls() if on_cpu else cls(2048, 256, 2 * 2**30, 256 * 2**20)
