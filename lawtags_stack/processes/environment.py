"""What processes that compute are started with besides what they inherit."""

from __future__ import annotations

import ctypes
import os

_SETTINGS = {
    # Threads that spin while they wait for one another halve the speed on a machine that does other work.
    "OMP_WAIT_POLICY": "PASSIVE",
    # glibc gives each layer's large tensors back to the system, and has them zeroed page by page for the next
    # one: a fifth of the time of a long prompt. So it keeps them.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(512 << 20),
    # Whether there is a GPU can be asked for without starting CUDA, after which no fork could use it.
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
}
# A worker reads folders of this machine alone. It is told so here and not by itself: code that runs within
# another process, as in the tests, would shut the hub to everything that this process starts later.
_OFFLINE = {"HF_HUB_OFFLINE": "1"}


def worker_environment() -> dict[str, str]:
    """The variables of this process, settings for computing that it does not have yet; no way to a hub."""
    return {**_SETTINGS, **os.environ, **_OFFLINE}


def give_memory_back() -> None:
    """Return what is free to the system, once, where glibc offers it; the settings keep it otherwise."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
