"""One noun, one class: no class name stands for two things."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
# A blocking client is the asynchronous one, derived.
TWICE = {
    "NeMo": {"lawtags_client/client.py", "lawtags_client/sync.py"},
    "Helix": {"lawtags_client/helix/client.py", "lawtags_client/sync.py"},
}


def test_no_public_class_name_is_used_twice() -> None:
    files = defaultdict(set)
    for package in ("lawtags_client", "lawtags_stack"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    files[node.name].add(path.relative_to(ROOT).as_posix())
    assert len(files) > 400
    assert {name: found for name, found in files.items() if len(found) > 1} == TWICE
