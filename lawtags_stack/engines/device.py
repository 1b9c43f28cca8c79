"""Chooses the device and the precision of a worker.

Importing this module must not initialize CUDA: a process that has cannot fork workers that use it.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lawtags_client.errors import ConfigurationError, LawtagsError
from lawtags_stack.processes.environment import worker_environment

if TYPE_CHECKING:
    import torch

    from lawtags_client.products import Precision

AUTO = "auto"
_NAME = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")
_MODULE = "lawtags_stack.engines.device"


def check_device_name(name: str) -> None:
    """Validate a device name, without checking that the device exists.

    Raises:
        ConfigurationError: it is not ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"unknown device {name[:80]!r}", hint="Use auto, cpu, cuda, cuda:N (such as cuda:1) or mps."
        )


@dataclass(frozen=True, slots=True)
class Compute:
    """A device and a precision.

    Args:
        device: where tensors are stored.
        precision: of large matrix products; trained weights and sums are always float32.
    """

    device: torch.device
    precision: Precision

    @classmethod
    def choose(cls, device: str = AUTO, precision: str = AUTO) -> Compute:
        """Choose a device and a precision.

        Args:
            device: ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; ``auto`` uses CUDA or MPS if torch finds one,
                and the CPU otherwise.
            precision: ``float32`` or ``bfloat16``; ``auto`` is bfloat16 on a device that supports it, and
                float32 on the CPU.

        Raises:
            ConfigurationError: torch does not find the device, or it does not support the precision.
        """
        from lawtags_client.products import check_precision

        check_device_name(device)
        found = _find(device)
        if found.type == "cpu":
            chosen: Precision = "bfloat16" if precision == "bfloat16" else "float32"
            check_precision("float32" if precision == AUTO else precision)
        else:
            chosen = "float32" if precision == "float32" or not _has_bfloat16(found) else "bfloat16"
            if precision not in (AUTO, chosen):
                raise ConfigurationError(
                    f"{_label(found)} does not support {precision}",
                    hint="Use float32, which works everywhere.",
                )
        return cls(found, chosen)

    @property
    def on_cpu(self) -> bool:
        """Whether the device is the CPU."""
        return self.device.type == "cpu"

    @property
    def described(self) -> str:
        """The device and the precision, for logs."""
        from lawtags_client.products import described

        return (
            f"{described(self.precision)} on the CPU"
            if self.on_cpu
            else f"{self.precision} on {_label(self.device)}"
        )

    def autocast(self) -> AbstractContextManager[None]:
        """A context in which models with float32 weights compute in the GPU's precision."""
        import torch

        if self.on_cpu or self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def random_states(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of the random number generators of the CPU and a device."""
    import torch

    states = {"torch": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_random_states(device: torch.device, states: dict[str, torch.Tensor]) -> None:
    """Restore the output of ``random_states``, which may be from another type of device."""
    import torch

    torch.set_rng_state(states["torch"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])


def _find(name: str) -> torch.device:
    import torch

    found = _devices()
    wanted = {AUTO: found[0], "cuda": "cuda:0"}.get(name, name)
    if wanted not in found:
        raise ConfigurationError(
            f"there is no device {name}; torch finds {', '.join(map(_label, map(torch.device, found)))}",
            hint=_missing_hint(name),
        )
    return torch.device(wanted)


def _devices() -> list[str]:
    """The devices that torch finds, fastest first."""
    import torch

    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*(f"cuda:{number}" for number in range(cuda)), *mps, "cpu"]


def _missing_hint(name: str) -> str:
    import torch

    if name.startswith("cuda") and not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
        return (
            f"torch {torch.__version__} is built without CUDA. Install a build with it, or use --device auto."
        )
    if name == "mps" and not torch.backends.mps.is_built():
        return f"torch {torch.__version__} is built without MPS, which needs macOS. Use --device auto."
    return "Check the driver (nvidia-smi) and CUDA_VISIBLE_DEVICES, or use --device auto."


def _label(device: torch.device) -> str:
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def _has_bfloat16(device: torch.device) -> bool:
    import torch

    if device.type == "cuda":
        # Older GPUs emulate bfloat16, which is slower than float32.
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type != "mps" or torch.backends.mps.is_macos_or_newer(14, 0)


async def check_device(name: str) -> None:
    """Check in a subprocess that torch finds a device; ``auto`` and ``cpu`` need no check.

    Raises:
        ConfigurationError: torch does not find it; the message lists the devices it finds.
    """
    check_device_name(name)
    if name in (AUTO, "cpu"):
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", _MODULE, name,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=worker_environment(),
    )  # fmt: skip
    try:
        answer, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        said = errors.decode("utf-8", "replace").strip().splitlines()
        reason = said[-1][:500] if said else f"the check ended with exit code {process.returncode}"
        raise ConfigurationError(
            f"the device {name} cannot be used: {reason}",
            hint="Use --device cpu, or reinstall torch.",
        )
    if answer:
        raise ConfigurationError(**json.loads(answer))


def main(arguments: list[str]) -> int:
    """Check a device, and print the reason as JSON if it cannot be used."""
    try:
        Compute.choose(arguments[0])
    except LawtagsError as error:
        print(json.dumps({"message": error.message, "hint": error.hint}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
