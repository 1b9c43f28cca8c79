"""The site is built without a warning, and holds what it promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from endpoint_list import endpoints

ROOT = Path(__file__).parents[2]


def test_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")
    coverage = (tmp_path / "coverage" / "index.html").read_text("utf-8")
    assert all(endpoint.call in coverage for endpoint in endpoints())
    reference = (tmp_path / "reference" / "services" / "index.html").read_text("utf-8")
    assert "upload_dataset" in reference and "tag_many" in reference
