"""The drawing of the layers is that of the contracts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_drawing_shows_every_layer_of_the_contracts() -> None:
    spec = importlib.util.spec_from_file_location("draw_layers", ROOT / "scripts" / "draw_layers.py")
    assert spec is not None and spec.loader is not None
    draw_layers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw_layers)
    assert set(draw_layers.layers()) == {"lawtags_client", "lawtags_stack"}
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    assert draw_layers.page(text) == text, "Run: python scripts/draw_layers.py"
