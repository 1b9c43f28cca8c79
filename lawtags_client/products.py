"""Matrix products, which dominate a model's run time, with the fastest backend in torch.

On x86, torch multiplies fp32 matrices with MKL, which on non-Intel processors is less than half as fast as
oneDNN, also part of torch (figures: ``benchmarks/README.md``). This module calls oneDNN through the operators
that torch's compiler emits, and packs constant weights once. Other devices use their own products.
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
_USUAL_ROWS = 512  # tokens per product that the weight layout is optimized for; fewer work, too


@cache
def has_onednn() -> bool:
    """Whether to use oneDNN; on other processors torch's default is used."""
    there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return there and platform.machine() in _X86


def check_precision(precision: str) -> None:
    """Reject a precision without hardware support on this processor, which would only be slower.

    Raises:
        ConfigurationError: it has no support, or the name is unknown.
    """
    if precision == "float32":
        return
    if precision not in _NEEDED:
        raise ConfigurationError(f"unknown precision {precision!r}", hint="Use float32 or bfloat16.")
    needed = _NEEDED[precision]
    if not has_onednn() or not torch.cpu.get_capabilities().get(needed):
        raise ConfigurationError(
            f"this processor does not support {precision} (it lacks {needed})",
            hint="Use float32, which works everywhere.",
        )


def product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``rows @ weight.T + bias``, without gradients; the weight may be a transposed view."""
    if not (rows.is_cpu and has_onednn()):
        return nn.functional.linear(rows, weight, bias)
    found: Tensor = torch.ops.mkldnn._linear_pointwise(rows, dense(weight), bias, "none", [], "")
    return found


def dense(weight: Tensor) -> Tensor:
    """Make the weight contiguous: with strides, oneDNN is five hundred times slower."""
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
    """A linear layer whose forward and backward products use oneDNN."""

    def forward(self, input: Tensor) -> Tensor:
        """Compute the product, with gradients where required."""
        found: Tensor = _Differentiable.apply(input, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return found


def use_onednn(model: nn.Module) -> None:
    """Switch the plain fp32 linear layers of a model to oneDNN, if available."""
    if not has_onednn():
        return
    for module in model.modules():
        weight = module.weight if type(module) is nn.Linear else None
        if weight is not None and weight.is_cpu and weight.dtype == torch.float32:
            module.__class__ = _OneDnnLinear


def described(precision: Precision) -> str:
    """The CPU backend for products, for logs."""
    return f"{precision} by {'oneDNN' if has_onednn() else 'torch'}"


def packed(
    weight: Tensor, bias: Tensor | None, precision: Precision, device: torch.device | None = None
) -> Product:
    """Create the product with a constant weight, packed once.

    Args:
        weight: (out, in) in fp32.
        bias: (out,) or None.
        precision: of the product; inputs and outputs are always fp32.
        device: the device; None leaves the weight where it is.
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
