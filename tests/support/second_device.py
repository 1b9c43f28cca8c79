"""A second device for machines without one: real arithmetic, and an error if devices are mixed.

Its tensors report torch's ``meta`` device, and hold their values on the CPU. Code that creates a tensor
without naming the device creates it on the CPU, and the next operation with a tensor of the second device
fails, as on a GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import transformers
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

SECOND = torch.device("meta")
# The only operations that accept tensors of two devices, on a GPU, too.
_BETWEEN = (torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default)
_paused: list[object] = []


class SecondTensor(torch.Tensor):
    """A tensor on the second device."""

    values: torch.Tensor

    @staticmethod
    def __new__(cls, values: torch.Tensor) -> SecondTensor:
        made: SecondTensor = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, values.shape, strides=values.stride(), storage_offset=values.storage_offset(),
            dtype=values.dtype, device=SECOND, requires_grad=values.requires_grad,
        )  # fmt: skip
        made.values = values
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # Outside the mode, as in the backward pass, whose threads have none.
        return _run(function, args, kwargs or {})


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if _paused:
            return function(*args, **kwargs)
        with self:
            # Without autograd, composite operations arrive undecomposed.
            found = function.decompose(*args, **kwargs)
        return _run(function, args, kwargs) if found is NotImplemented else found


class _Functions(TorchFunctionMode):
    """What torch does before dispatching: conversions between tensors and Python values."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if _paused:
            return function(*args, **kwargs)
        if function is torch.tensor and torch.device(kwargs.get("device") or "cpu") == SECOND:
            del kwargs["device"]
            return SecondTensor(torch.tensor(*args, **kwargs))
        if function is torch.Tensor.tolist and isinstance(args[0], SecondTensor):
            return args[0].values.tolist()
        return function(*args, **kwargs)


def _run(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
    second = [each for each in given if isinstance(each, SecondTensor)]
    # A scalar tensor may be on the CPU.
    strangers = [each for each in given if not isinstance(each, SecondTensor) and each.dim()]
    if second and strangers and function not in _BETWEEN:
        raise RuntimeError(f"{function}: expected all tensors on one device, found meta and cpu")
    device = kwargs.get("device")
    target = device == SECOND if device is not None else bool(second)
    if device is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    known = {id(each.values): each for each in second}

    def inner(value: Any) -> Any:
        return value.values if isinstance(value, SecondTensor) else value

    def outer(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or not target:
            return value
        if id(value) in known:
            return known[id(value)]
        with torch.inference_mode(value.is_inference()):
            return SecondTensor(value)

    return tree_map(outer, function(*tree_map(inner, args), **tree_map(inner, kwargs)))


def _without_second_device(function: Callable[..., Any]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        _paused.append(function)
        try:
            return function(*args, **kwargs)
        finally:
            _paused.pop()

    return called


@contextmanager
def second_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """A context in which the second device exists."""
    generator: Callable[..., torch.Generator] = torch.Generator
    with monkeypatch.context() as patched:
        # Parameters keep their identity when moved, as between real devices.
        patched.setattr(torch.__future__, "_swap_module_params_on_conversion", True)
        optimizers = sys.modules["torch.optim.optimizer"]
        patched.setattr(optimizers, "_get_fused_kernels_supported_devices", lambda: ["cpu", SECOND.type])

        def on_second(device: Any = "cpu") -> torch.Generator:
            assert torch.device(device) == SECOND, "the generator must be on the device"
            return generator()

        patched.setattr(torch, "Generator", on_second)
        # transformers uses torch's own meta device for loading.
        for kind in (transformers.AutoModel, transformers.AutoModelForCausalLM):
            patched.setattr(kind, "from_pretrained", _without_second_device(kind.from_pretrained))
        with _Functions(), _Operations():
            yield SECOND
