from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from lawtags_client import products
from lawtags_client.errors import ConfigurationError

needs_onednn = pytest.mark.skipif(not products.has_onednn(), reason="torch multiplies by other means here")
# What each precision may be off by, as a share of the result's size.
TOLERANCES = {"float32": 1e-5, "bfloat16": 6e-3}


def usable(precision: Any) -> None:
    try:
        products.check_precision(precision)
    except ConfigurationError as error:
        pytest.skip(error.message)


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("rows", [1, 7, 600])
def test_a_packed_product_is_the_product(precision: Any, biased: bool, rows: int) -> None:
    usable(precision)
    torch.manual_seed(0)
    layer = nn.Linear(96, 160, bias=biased).requires_grad_(False)
    # Rows of very different size: each has a scale of its own.
    given = torch.randn(1, rows, 96) * torch.logspace(-3, 3, rows)[:, None]
    before = given.clone()
    found = products.packed(layer.weight, layer.bias, precision)(given)
    expected = layer(given)
    assert found.dtype == torch.float32
    off = (found - expected).norm(dim=-1) / expected.norm(dim=-1)
    assert off.max() < TOLERANCES[precision]
    assert torch.equal(given, before)


@needs_onednn
@pytest.mark.parametrize("frozen", [False, True])
def test_training_by_onednn_has_the_gradients_of_torch(frozen: bool) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(12, 20), nn.Tanh(), nn.Linear(20, 5, bias=False))
    fast = nn.Sequential(nn.Linear(12, 20), nn.Tanh(), nn.Linear(20, 5, bias=False))
    fast.load_state_dict(plain.state_dict())
    products.use_onednn(fast)
    assert type(fast[0]) is not nn.Linear
    given = torch.randn(4, 6, 12)
    gradients = []
    for model in (plain, fast):
        model[2].requires_grad_(not frozen)
        rows = given.clone().requires_grad_()
        model(rows).pow(2).sum().backward()
        gradients.append([rows.grad, *(p.grad for p in model.parameters() if p.requires_grad)])
    assert len(gradients[0]) == (3 if frozen else 4)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@needs_onednn
def test_layers_of_other_kinds_and_types_are_left_alone() -> None:
    class Own(nn.Linear):
        pass

    model = nn.ModuleList([Own(4, 4), nn.Linear(4, 4, dtype=torch.bfloat16), nn.Embedding(4, 4)])
    kinds = [type(module) for module in model]
    products.use_onednn(model)
    assert [type(module) for module in model] == kinds


def test_a_precision_without_instructions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    products.check_precision("float32")
    with pytest.raises(ConfigurationError, match="does not support bfloat16"):
        products.check_precision("bfloat16")
    with pytest.raises(ConfigurationError, match="unknown precision 'float8'"):
        products.check_precision("float8")


def test_weights_with_gaps_are_closed_up() -> None:
    heads = torch.randn(10, 3, 8)  # what a head's keys are among those of all heads
    rows = torch.randn(5, 8)
    torch.testing.assert_close(products.product(rows, heads[:, 1]), rows @ heads[:, 1].t())
    assert products.dense(heads[:, 1]).is_contiguous()
    whole = torch.randn(10, 8)
    assert products.dense(whole) is whole
    turned = whole.t()
    assert products.dense(turned) is turned


def test_without_onednn_torch_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "has_onednn", lambda: False)
    layer = nn.Linear(16, 8).requires_grad_(False)
    given = torch.randn(3, 16)
    torch.testing.assert_close(products.packed(layer.weight, layer.bias, "float32")(given), layer(given))
    torch.testing.assert_close(products.product(given, layer.weight, layer.bias), layer(given))
    model = nn.Sequential(layer)
    products.use_onednn(model)
    assert type(model[0]) is nn.Linear
    assert products.described("float32") == "float32 by torch"
    with pytest.raises(ConfigurationError):
        products.check_precision("bfloat16")
