"""Each noun of the glossary has its class in the file that the glossary names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_class_is_in_its_file() -> None:
    rows = [
        line
        for line in (ROOT / "docs" / "glossary.md").read_text("utf-8").splitlines()
        if "`lawtags_" in line
    ]
    assert len(rows) > 40
    for row in rows:
        *_, classes, file = [cell.strip() for cell in row.strip("|").split("|")]
        path = ROOT / file.strip("`")
        assert path.exists(), row
        if path.suffix == ".py" and file.startswith("`lawtags_client"):
            defined = {
                node.name
                for node in ast.walk(ast.parse(path.read_text("utf-8")))
                if isinstance(node, ast.ClassDef)
            }
            named = set(re.findall(r"`(\w+)`", classes))
            assert named and named <= defined, row
