"""The three notebooks, executed in order, and kept with what they said."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[2] / "docs" / "notebooks"
STEPS = sorted(NOTEBOOKS.glob("[123]-*.ipynb"))


@pytest.mark.slow
def test_the_three_notebooks_run_in_order(desk: Path) -> None:
    assert [path.stem[0] for path in STEPS] == ["1", "2", "3"]
    for path in STEPS:
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(desk)}}).execute()
        kinds = {
            kind for cell in notebook.cells for out in cell.get("outputs", []) for kind in out.get("data", {})
        }
        assert "image/png" in kinds and "text/html" in kinds


@pytest.mark.parametrize("path", STEPS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_with_its_outputs_and_without_traces_of_a_machine(path: Path) -> None:
    cells = json.loads(path.read_text("utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(output["output_type"] == "error" for output in outputs)
    text = json.dumps(
        [{k: v for k, v in output.get("data", output).items() if k != "image/png"} for output in outputs]
    )
    # Tables of pandas cut long cells unless they are told not to.
    assert "...</td>" not in text
    assert not any(place in text for place in ("/tmp/", "/root/", "/home/", "/work/", "Traceback"))
