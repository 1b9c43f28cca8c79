"""Matrix products and attention on one core: compares torch's defaults with the backends of serving and
training.

    python benchmarks/products.py

The shapes are those of the default base model. Rates are per CPU second, the best of several rounds. It takes
a few seconds and loads no model.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import linear, scaled_dot_product_attention

from lawtags_client.errors import ConfigurationError
from lawtags_client.products import Precision, check_precision, described, packed, product
from lawtags_stack.engines.generation.attention import _causal_by_blocks

SHAPES = {"attention's": (576, 576), "up": (576, 1536), "down": (1536, 576), "head": (576, 49152)}
ROWS = (1, 8, 32, 128, 512)


def best_seconds(work: Callable[[], Any], least: float) -> float:
    """CPU seconds per call, the best of seven rounds of at least ``least`` seconds."""
    work()
    started = time.process_time()
    work()
    calls = max(1, int(least / max(time.process_time() - started, 1e-6)))
    taken = []
    for _ in range(7):
        started = time.process_time()
        for _ in range(calls):
            work()
        taken.append((time.process_time() - started) / calls)
    return min(taken)


def products(least: float) -> None:
    """Billions of operations per second by backend, shape and number of rows."""
    precisions: list[Precision] = ["float32"]
    try:
        check_precision("bfloat16")
        precisions.append("bfloat16")
    except ConfigurationError as error:
        print(error)
    ways = ["float32 by torch", "not packed", *(described(precision) for precision in precisions)]
    print(f"{'GFLOPS':>12} {'rows':>5} " + " ".join(f"{way:>18}" for way in ways))
    for name, (size, outputs) in SHAPES.items():
        weight = torch.randn(outputs, size) / size**0.5
        made = [packed(weight, None, precision) for precision in precisions]
        for count in ROWS:
            rows = torch.randn(count, size)
            calls: list[Callable[[], Any]] = [
                lambda rows=rows, weight=weight: linear(rows, weight),  # type: ignore[misc]
                lambda rows=rows, weight=weight: product(rows, weight),  # type: ignore[misc]
                *(lambda rows=rows, each=each: each(rows) for each in made),
            ]
            rates = [2e-9 * count * size * outputs / best_seconds(call, least) for call in calls]
            print(f"{name:>12} {count:5} " + " ".join(f"{rate:18.0f}" for rate in rates))


def attention(least: float) -> None:
    """Milliseconds per layer of attention, by number and length of rows."""
    print(f"\n{'ms':>12} {'rows':>5} {'torch':>18} {'by blocks':>18}")
    for rows, length in ((8, 64), (2, 300), (1, 1000)):
        query, key, value = (torch.randn(rows, heads, length, 64) for heads in (9, 3, 3))
        whole = best_seconds(
            lambda q=query, k=key, v=value: scaled_dot_product_attention(  # type: ignore[misc]
                q, k, v, is_causal=True, enable_gqa=True
            ),
            least,
        )
        blocks = best_seconds(
            lambda q=query, k=key, v=value: _causal_by_blocks(q / 8, k, v),  # type: ignore[misc]
            least,
        )
        print(f"{f'{length} tokens':>12} {rows:5} {1000 * whole:18.2f} {1000 * blocks:18.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=0.02, help="seconds per round; there are seven")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.inference_mode():
        products(arguments.seconds)
        attention(arguments.seconds)
    print(f"load average after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
