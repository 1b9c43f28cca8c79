"""Whatever the guide imports is public: its module lists the name in ``__all__``."""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCES = [
    ROOT / "README.md",
    *sorted(DOCS.glob("*.md")),
    *sorted((DOCS / "examples").glob("*.py")),
    *sorted((DOCS / "notebooks").glob("*.ipynb")),
]


def code(source: Path) -> Iterator[str]:
    text = source.read_text("utf-8")
    if source.suffix == ".py":
        yield text
    elif source.suffix == ".ipynb":
        yield from (
            "".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"
        )
    else:
        blocks = re.findall(r"^```(?:python|py)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        yield from (block for block in blocks if "--8<--" not in block)


def imported(source: Path) -> set[tuple[str, str]]:
    found = set()
    for part in code(source):
        for node in ast.walk(ast.parse(part)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lawtags_"):
                found |= {(node.module or "", name.name) for name in node.names}
            elif isinstance(node, ast.Import):
                found |= {(name.name, "") for name in node.names if name.name.startswith("lawtags_")}
    return found


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_what_the_guide_imports_is_public(source: Path) -> None:
    hidden = [f"{module}.{name}" for module, name in sorted(imported(source)) if not is_public(module, name)]
    assert hidden == []


def is_public(module: str, name: str) -> bool:
    home = importlib.import_module(module)
    if name in getattr(home, "__all__", ()):
        return True
    # A module of a package is public if it lists its names itself.
    return hasattr(home, "__path__") and hasattr(importlib.import_module(f"{module}.{name}"), "__all__")


def test_the_guide_is_read_for_imports() -> None:
    found = {name for source in SOURCES for _, name in imported(source)}
    assert {"NeMo", "LoRA", "sync", "StackThread", "ConfigurationError"} <= found


def test_files_that_pages_include_exist() -> None:
    lines = [
        line
        for page in sorted(DOCS.glob("*.md"))
        for line in page.read_text("utf-8").splitlines()
        if re.match(r"-+ *8", line)
    ]
    assert len(lines) >= 2
    for line in lines:
        included = re.fullmatch(r'--8<-- "([\w/.-]+)"', line)
        assert included, line
        assert (DOCS / included[1]).is_file()
