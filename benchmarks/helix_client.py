"""Compares the client of NeMo Helix with NVIDIA's own typed client, from the wheel of the platform.

    python benchmarks/helix_client.py                         after scripts/helix/install, about two minutes
    python benchmarks/helix_client.py --url http://127.0.0.1:18080    against NVIDIA's server

Both clients run in the environment of the platform, one after the other, each measurement in its own process:
CPU time and memory until a client is ready, and CPU time per call with 1 and 64 calls in flight. By default,
the embedded stack answers. Figures are medians over the repeats.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx_aiohttp

HERE = Path(__file__).parent
SIDES = ("lawtags", "nemo-helix")
KINDS = ("model", "status", "filesets")
IN_FLIGHT = (1, 64)
FILESETS = 100
_HOME = Path(os.environ.get("LAWTAGS_HELIX_HOME") or "~/.cache/lawtags/helix").expanduser()


class HelixEnvironment:
    """The environment of the platform, with a copy of this package in it.

    Args:
        home: where the platform is installed.
        folder: a name for the copies, below the environment's ``/tmp``.
    """

    def __init__(self, home: Path, folder: str) -> None:
        found = json.loads((home / "install.json").read_text("utf-8"))
        self._root, self._venv = found["root"], found["venv"]
        self._inside = Path("/tmp") / folder
        self.copies = Path(f"{self._root}{self._inside}")

    def __enter__(self) -> HelixEnvironment:
        self.copies.mkdir(parents=True)
        shutil.copytree(HERE.parent / "lawtags_client", self.copies / "lawtags_client")
        # The only requirement of the client that the platform does not have; pure Python.
        shutil.copytree(Path(str(httpx_aiohttp.__file__)).parent, self.copies / "httpx_aiohttp")
        shutil.copy(HERE / "helix_client_sides.py", self.copies)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.copies)

    def measure(self, part: str, **options: Any) -> dict[str, float]:
        """Run one measurement in a new process."""
        words = ["/usr/bin/env", "-i", f"PYTHONPATH={self._inside}", f"HOME={self._inside}"]
        words += [
            f"{self._venv}/bin/python",
            str(self._inside / "helix_client_sides.py"),
            part,
            json.dumps(options),
        ]
        before = ["chroot", self._root] if self._root else []
        ended = subprocess.run([*before, *words], stdout=subprocess.PIPE, check=True)
        figures: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
        return figures


async def prepare(url: str, workspace: str) -> None:
    """Make what the calls ask for: a model, a job that waits for a runner, and a page of filesets."""
    from lawtags_client.helix import AutomodelSpec, Helix

    async with Helix(base_url=url, workspace=workspace) as helix:
        await helix.workspaces.ensure(name=workspace)
        for number in range(FILESETS):
            await helix.filesets.create(name=f"rows-{number:03}", purpose="dataset")
        await helix.models.create(name="base", fileset=f"{workspace}/rows-000")
        spec = {
            "model": "base",
            "dataset": {"training": "rows-001"},
            "training": {"finetuning_type": "lora"},
            "output": {"name": "tagger"},
        }
        await helix.customization.automodel.submit(AutomodelSpec.model_validate(spec), name="tagger")


@contextmanager
def embedded_stack(folder: Path) -> Iterator[str]:
    """Run the embedded stack in a process; yields its address."""
    up = ["local", "up", "--json", "--dialect", "helix", "--dir", str(folder / "stack"), "--port", "0"]
    command = [sys.executable, "-c", "from lawtags_client.cli import main; main()", *up]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        assert running.stdout is not None
        try:
            yield json.loads(running.stdout.readline())["platform_url"]
        finally:
            running.terminate()


def middle(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {name: statistics.median(one[name] for one in found) for name in found[0]}


def run(environment: HelixEnvironment, url: str, repeats: int, total: int) -> None:
    """Measure everything, and print it."""
    workspace = f"bench-{secrets.token_hex(4)}"
    asyncio.run(prepare(url, workspace))
    print(f"{'':34} {'lawtags':>22} {'nemo-helix':>22}")
    # In turns, so that a change of the machine's load meets both.
    ready: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(repeats):
        for side in SIDES:
            ready[side].append(environment.measure("ready", side=side, url=url))
    show("ready", {side: middle(figures) for side, figures in ready.items()}, ("cpu_milliseconds", "mib"))
    for kind in KINDS:
        for in_flight in IN_FLIGHT:
            calls: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
            for _ in range(repeats):
                for side in SIDES:
                    options = {"kind": kind, "in_flight": in_flight, "total": total, "workspace": workspace}
                    calls[side].append(environment.measure("calls", side=side, url=url, **options))
            figures = {side: middle(found) for side, found in calls.items()}
            show(f"{kind}, {in_flight} in flight", figures, ("cpu_microseconds", "calls_per_second"))


def show(what: str, figures: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> None:
    """Print one row per figure."""
    for name in names:
        shown = " ".join(f"{figures[side][name]:22,.0f}" for side in SIDES)
        print(f"{what + ': ' + name.replace('_', ' '):34} {shown}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--home", type=Path, default=_HOME, help="where NeMo Helix is installed")
    parser.add_argument("--url", help="a server, in place of the embedded stack")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--total", type=int, default=512, help="calls per measurement")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        HelixEnvironment(given.home, Path(folder).name) as environment,
    ):
        if given.url:
            run(environment, given.url, given.repeats, given.total)
            return
        with embedded_stack(Path(folder)) as url:
            run(environment, url, given.repeats, given.total)


if __name__ == "__main__":
    main()
