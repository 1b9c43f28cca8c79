"""Runs the same scenario with several versions of huggingface_hub, each in its own environment.

``python tests/programs/hub_conformance.py [FILE]`` prints the results, adds them to a document if one is
named, and exits with 1 if a step failed; the environments are in ``.conformance/``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import httpx

from lawtags_stack.stack import StackThread

ROOT = Path(__file__).parents[2]
VERSIONS = ("0.34.*", "0.36.*", "1.18.*", "")
"""The last entry is the latest version."""

HEADING = "## huggingface_hub"


def environment(version: str) -> Path:
    """The interpreter of an environment that contains only a version of huggingface_hub."""
    folder = ROOT / ".conformance" / f"huggingface_hub-{version.removesuffix('.*') or 'newest'}"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    wanted = f"huggingface_hub=={version}" if version else "huggingface_hub"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--upgrade", wanted], check=True)
    return python


def run(python: Path, url: str, namespace: str) -> dict[str, Any]:
    """Run the scenario in an environment."""
    httpx.post(f"{url}/v1/datastore/namespaces", json={"namespace": namespace}).raise_for_status()
    command = [python, ROOT / "tests" / "programs" / "hub_scenario.py", url, namespace]
    done = subprocess.run(command, capture_output=True, text=True)
    if not done.stdout:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def rendered(reports: list[dict[str, Any]]) -> str:
    """The results as a table."""
    steps = max((report["done"] for report in reports), key=len)
    versions = [report["version"] for report in reports]
    lines = [
        HEADING,
        "",
        "Each in an environment of its own, with `HF_HUB_DISABLE_XET=1`; a file of 12 MB goes by LFS.",
        "",
        f"| step | {' | '.join(versions)} |",
        f"| --- |{' --- |' * len(versions)}",
    ]
    for step in steps:
        marks = ["ok" if step in report["done"] else "no" for report in reports]
        lines.append(f"| {step} | {' | '.join(marks)} |")
    lines += [f"\n{report['version']}: {report['problem']}" for report in reports if report["problem"]]
    return "\n".join(lines) + "\n"


def main(document: Path | None) -> int:
    """Run all versions, and append the table to the document."""
    with tempfile.TemporaryDirectory() as folder, StackThread(Path(folder) / "stack") as stack:
        reports = [
            run(environment(version), stack.data_store_url, f"hub-{number}")
            for number, version in enumerate(VERSIONS)
        ]
    if document is not None:
        before = document.read_text("utf-8").partition(HEADING)[0].rstrip()
        document.write_text(f"{before}\n\n{rendered(reports)}", "utf-8")
    print(rendered(reports))
    return 1 if any(report["problem"] for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
