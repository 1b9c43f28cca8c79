"""What a training ran out of: memory, or space on the disk."""

from __future__ import annotations

import errno
from dataclasses import dataclass

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Exhaustion:
    """What ran out, and what to do about it."""

    reason: str
    hint: str


DISK = Exhaustion(
    "no space is left on the disk of the machine that trains",
    "Free space there, or start the stack or the runner with another --dir; then submit the job again.",
)
_MEMORY_HINT = (
    "Lower max_seq_length, train an adapter rather than all weights, or free memory. "
    "A stack started with --device cpu trains in main memory."
)
_MEMORY = Exhaustion("out of memory", _MEMORY_HINT)
_GPU_MEMORY = Exhaustion("out of memory on the GPU", _MEMORY_HINT)


def exhaustion(error: Exception) -> Exhaustion | None:
    """What ran out, if that is why something failed.

    Args:
        error: why it failed.
    """
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return DISK
    # safetensors has an error of its own, with the words of the system.
    if "No space left on device" in str(error) or "Disk quota exceeded" in str(error):
        return DISK
    # On the CPU and MPS, torch reports a failed allocation as a RuntimeError with a message only.
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return _MEMORY
    return _GPU_MEMORY if "out of memory" in str(error) else None
