"""What an engine may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What an engine may use; the defaults suit a CPU.

    Args:
        step_tokens: tokens per step; more means fewer, longer steps.
        rows: rows generated at the same time.
        slot_bytes: memory for keys and values of running rows.
        prefix_bytes: memory for common beginnings.
    """

    step_tokens: int = 512
    rows: int = 64
    slot_bytes: int = 512 * 2**20
    prefix_bytes: int = 64 * 2**20

    @classmethod
    def suited(cls, *, on_cpu: bool) -> Limits:
        """What a device uses well: on a GPU small steps cost as much time as large ones."""
        return cls() if on_cpu else cls(2048, 256, 2 * 2**30, 256 * 2**20)
