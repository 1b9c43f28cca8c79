"""The page on faults names tests that exist."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"


def test_every_fault_names_a_test_that_exists() -> None:
    rows = [
        line
        for line in PAGE.read_text("utf-8").partition("## Fault by fault")[2].splitlines()
        if line.startswith("| ") and not line.startswith(("| fault ", "| --- ", "| **"))
    ]
    assert len(rows) > 35
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", row.rsplit("|", 2)[1])
        assert named, row
        for file, test in named:
            assert test in functions_of(file), f"{file} has no {test}"


@functools.cache
def functions_of(file: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
