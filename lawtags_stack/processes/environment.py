"""Environment variables for worker processes."""

from __future__ import annotations

import ctypes
import os
import re

_SETTINGS = {
    # Threads that busy-wait for each other halve the speed on a machine with other load. Even 50 us
    # (GOMP_SPINCOUNT=4000) cost a training a third of its speed beside the tuning of an encoder on the same
    # two cores, and gained 5 % on idle ones.
    "OMP_WAIT_POLICY": "PASSIVE",
    # glibc returns each layer's large tensors to the system, which then zeroes pages again for the next
    # layer: a fifth of the time of a long prompt. These settings keep the memory.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(512 << 20),
    # Detects a GPU without initializing CUDA, after which a fork could not use it.
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
}
# A worker reads local folders only. Set here rather than in the worker, since worker code that runs inside
# another process, as in tests, would take that process offline for good.
_OFFLINE = {"HF_HUB_OFFLINE": "1"}
# A worker reads models and rows of others, and asks nobody: it needs no token, key or password.
_SECRET = re.compile(r"(?:^|_)(?:TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(?:_|$)", re.IGNORECASE)
_KERNELS_KEPT = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")  # of oneDNN, and of torch


def worker_environment() -> dict[str, str]:
    """The environment for a worker: this process's without secrets, with defaults for computing, offline."""
    own = {name: value for name, value in os.environ.items() if not _SECRET.search(name)}
    return {**_SETTINGS, **own, **_OFFLINE}


def keep_few_kernels(kept: int = 64) -> None:
    """Limit how many compiled products this process keeps, unless the environment says so already.

    oneDNN compiles a product for each number of tokens, and a training meets a new number in nearly every
    pass. Its cache and that of torch around it keep 1,024 each, over 100 MB for a small model; a pass of a
    training needs about 30. Call it before the first product, since the settings are only read then.

    Args:
        kept: products.
    """
    for name in _KERNELS_KEPT:
        os.environ.setdefault(name, str(kept))


def give_memory_back() -> None:
    """Return free memory to the system once, on glibc; the settings above keep it otherwise."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
