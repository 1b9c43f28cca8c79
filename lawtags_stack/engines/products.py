"""Products of matrices, which are nearly all of a model's work, by the fastest part of torch.

On x86 torch multiplies fp32 matrices with MKL, which on processors of other makers than Intel is less than
half as fast as oneDNN, a part of torch as well (figures: ``benchmarks/README.md``). So here oneDNN is asked,
by the operators that torch's own compiler emits. Weights that never change are laid out for it once. Other
devices multiply by themselves.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from lawtags_client.errors import ConfigurationError

if TYPE_CHECKING:
    from torch import Tensor

Precision = Literal["float32", "bfloat16"]
Product = Callable[["Tensor"], "Tensor"]

_X86 = ("x86_64", "AMD64")
_NEEDED = {"bfloat16": "avx512_bf16"}
_USUAL_ROWS = 512  # the weights' layout is chosen for about so many tokens at once; it serves fewer as well


@cache
def has_onednn() -> bool:
    """Whether oneDNN is to multiply here; on other processors torch's own choice is."""
    there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return there and platform.machine() in _X86


def check_precision(precision: str) -> None:
    """Refuse a precision that this processor has no instructions for: it would only be slower.

    Raises:
        ConfigurationError: it has none, or nothing is called so.
    """
    if precision == "float32":
        return
    if precision not in _NEEDED:
        raise ConfigurationError(f"unknown precision {precision!r}", hint="Use float32 or bfloat16.")
    needed = _NEEDED[precision]
    if not has_onednn() or not torch.cpu.get_capabilities().get(needed):
        raise ConfigurationError(
            f"this processor does not support {precision} (it lacks {needed})",
            hint="Serve in float32, which works everywhere.",
        )


def product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``rows @ weight.T + bias``, without gradients; the weight may be a transposed view."""
    if not (rows.is_cpu and has_onednn()):
        return nn.functional.linear(rows, weight, bias)
    found: Tensor = torch.ops.mkldnn._linear_pointwise(rows, dense(weight), bias, "none", [], "")
    return found


def dense(weight: Tensor) -> Tensor:
    """The weight without gaps between its rows or columns: with such, oneDNN is five hundred times slower."""
    if weight.layout is not torch.strided or weight.is_contiguous() or weight.t().is_contiguous():
        return weight
    return weight.contiguous()


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return product(rows, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        rows, weight = ctx.saved_tensors
        wants_rows, wants_weight, wants_bias = ctx.needs_input_grad
        flat = gradient.reshape(-1, gradient.shape[-1])
        inputs = rows.reshape(-1, rows.shape[-1])
        return (
            product(gradient, weight.t()) if wants_rows else None,
            product(flat.t(), inputs.t()) if wants_weight else None,
            flat.sum(0) if wants_bias else None,
        )


class _OneDnnLinear(nn.Linear):
    """A linear layer whose forward and backward products are oneDNN's."""

    def forward(self, input: Tensor) -> Tensor:
        """The product, with gradients for whatever wants them."""
        found: Tensor = _Differentiable.apply(input, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return found


def train_with_onednn(model: nn.Module) -> None:
    """Let the plain fp32 linear layers of a model multiply by oneDNN, where it is there."""
    if not has_onednn():
        return
    for module in model.modules():
        weight = module.weight if type(module) is nn.Linear else None
        if weight is not None and weight.is_cpu and weight.dtype == torch.float32:
            module.__class__ = _OneDnnLinear


def described(precision: Precision) -> str:
    """What multiplies on the CPU, in words for logs and people."""
    return f"{precision} by {'oneDNN' if has_onednn() else 'torch'}"


def packed(
    weight: Tensor, bias: Tensor | None, precision: Precision, device: torch.device | None = None
) -> Product:
    """The product with a weight that never changes, laid out for it once.

    Args:
        weight: (out, in) in fp32.
        bias: (out,) or None.
        precision: of the product; rows that go in and come out are fp32 in any case.
        device: where it is computed; None leaves the weight where it is.
    """
    return _Packed(weight, bias, getattr(torch, precision), device or weight.device)


class _Packed:
    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, device: torch.device) -> None:
        self._dtype = dtype
        self._weight = weight.to(device, dtype)
        self._bias = None if bias is None else bias.to(device)
        if self._weight.is_cpu and has_onednn():
            self._weight = torch.ops.mkldnn._reorder_linear_weight(self._weight, _USUAL_ROWS)

    def __call__(self, rows: Tensor) -> Tensor:
        if self._dtype == torch.float32:
            return product(rows, self._weight, self._bias)
        found = product(rows.to(self._dtype), self._weight).float()
        return found if self._bias is None else found.add_(self._bias)
