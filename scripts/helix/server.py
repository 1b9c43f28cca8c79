"""Starts and stops the NeMo Helix that ``scripts/helix/install`` has installed, on loopback.

    scripts/helix/server.py start [--mode MODE] [--own-tasks] [--port N] [--dir FOLDER] [--home FOLDER]
    scripts/helix/server.py stop [--dir FOLDER]

Modes:
  customization  one process: training jobs are accepted, and wait for a runner
  both           also NVIDIA's jobs controller, in a process of its own behind scripts/helix/gate.py:
                 evaluations run, and training waits for a runner; needs the ports N to N+2

``--own-tasks``, with ``both``: NVIDIA's own code also downloads, uploads and registers; only the step that
trains is left to the runner. ``start`` waits until the platform is ready, and prints one JSON object with its
address; ``stop`` ends the processes of that folder, and keeps its data. For tests only: there is no
authentication, and secrets are stored in plain SQLite.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_SERVICES = "entities,files,jobs,models,inference-gateway,secrets,auth,evals,customization"
# The platform puts its own address in place of the configured one, but heeds these.
_ADDRESSES = (
    "BASE",
    "AUTH",
    "ENTITIES",
    "FILES",
    "JOBS",
    "MODELS",
    "SECRETS",
    "INFERENCE_GATEWAY",
    "CUSTOMIZATION",
)
_RUN_FILE = "run.json"
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


class HelixError(Exception):
    """The platform cannot be started; the message says why."""


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the platform is installed: ``root`` is empty, or the root of its chroot."""

    root: str
    venv: str

    @classmethod
    def read(cls, home: Path) -> Installation:
        """Read what the installer has noted."""
        try:
            found = json.loads((home / "install.json").read_text("utf-8"))
        except FileNotFoundError:
            raise HelixError(
                f"nothing is installed in {home}; run scripts/helix/install --dir {home}"
            ) from None
        return cls(found["root"], found["venv"])

    def inside(self, path: Path) -> Path:
        """A path of the platform as it is seen from here."""
        return Path(f"{self.root}{path}")

    def command(self, folder: Path, environment: dict[str, str], *arguments: str) -> list[str]:
        """The command line of the platform's program."""
        settings = [f"{name}={value}" for name, value in environment.items()]
        program = ["/usr/bin/env", "-i", "-C", str(folder), *settings, f"{self.venv}/bin/nemo", *arguments]
        return ["chroot", self.root, *program] if self.root else program


@dataclass(frozen=True, slots=True)
class Options:
    """How to start it."""

    mode: str
    own_tasks: bool
    port: int
    folder: Path
    home: Path
    timeout: float


def start(options: Options) -> dict[str, object]:
    """Start the platform, wait until it is ready, and return its address and processes."""
    found = Installation.read(options.home)
    address = f"http://127.0.0.1:{options.port}"
    if _answers(f"{address}/health/live"):
        raise HelixError(f"port {options.port} is taken")
    if options.own_tasks and options.mode != "both":
        raise HelixError("--own-tasks needs --mode both")
    _prepare(found, options)
    deadline = time.monotonic() + options.timeout
    processes: list[subprocess.Popen[bytes]] = []
    try:
        _write_config(found, options, "platform.yaml", "kubernetes", address, cluster=True)
        processes.append(_platform(found, options, "platform", _SERVICES, "entities,models", options.port))
        _wait(processes[-1], f"{address}/health/ready", deadline, options.folder / "platform.log")
        if options.mode == "both":
            gate = f"http://127.0.0.1:{options.port + 1}"
            words = [sys.executable, str(_HERE / "gate.py"), "--listen", gate.rpartition(":")[2]]
            processes.append(_spawn([*words, "--platform", address], options.folder / "gate.log"))
            _write_config(found, options, "controller.yaml", "none", gate, cluster=False)
            processes.append(
                _platform(found, options, "controller", "", "jobs", options.port + 2, through=gate)
            )
            ready = f"http://127.0.0.1:{options.port + 2}/health/live"
            _wait(processes[-1], ready, deadline, options.folder / "controller.log")
    except BaseException:
        for process in processes:
            process.kill()
        raise
    environment = {**_environment(found, options.folder), "NHX_BASE_URL": address}
    shown: dict[str, object] = {
        "base_url": address,
        "pids": [process.pid for process in processes],
        "storage": found.root or "/",
        "cli": shlex.join(found.command(options.folder, environment)),
    }
    (options.folder / _RUN_FILE).write_text(json.dumps(shown), "utf-8")
    return shown


def stop(folder: Path) -> bool:
    """Stop the platform of a folder; returns whether there was one."""
    try:
        pids = json.loads((folder / _RUN_FILE).read_text("utf-8"))["pids"]
    except FileNotFoundError:
        return False
    for kind in (signal.SIGTERM, signal.SIGKILL):
        for pid in filter(_is_ours, pids):
            os.kill(pid, kind)
        deadline = time.monotonic() + 30
        while any(map(_is_ours, pids)) and time.monotonic() < deadline:
            time.sleep(0.2)
    (folder / _RUN_FILE).unlink()
    return True


def _prepare(found: Installation, options: Options) -> None:
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in ("data", "files", "jobs", "state", "home"):
        found.inside(options.folder / name).mkdir(parents=True, exist_ok=True)
    # Steps of training jobs name the interpreter of NVIDIA's images.
    link = found.inside(Path("/opt/venv"))
    if found.root:
        if not link.is_symlink():
            link.symlink_to(found.venv)
        for name in ("resolv.conf", "hosts"):
            shutil.copyfile(f"/etc/{name}", f"{found.root}/etc/{name}")
    elif options.own_tasks and not (link / "bin" / "python").exists():
        raise HelixError(f"--own-tasks needs a link /opt/venv that points to {found.venv}")


def _write_config(
    found: Installation, options: Options, name: str, runtime: str, address: str, *, cluster: bool
) -> None:
    folder = options.folder
    child = {
        "working_directory": str(folder / "jobs"),
        "cleanup_completed_jobs_immediately": False,
        "ttl_seconds_before_active": 1800,
        "ttl_seconds_active": 3600,
        "ttl_seconds_after_finished": 300,
    }
    # A child process profile of the name "gpu" takes over the container steps of training jobs.
    profiles = ["default", "gpu"] if options.own_tasks else ["default"]
    executors: list[dict[str, object]] = [
        {"provider": "subprocess", "profile": profile, "backend": "subprocess", "config": child}
        for profile in profiles
    ]
    if cluster:
        config = {"namespace": "default", "storage": {"pvc_name": "jobs"}}
        executors += [
            {"provider": provider, "profile": profile, "backend": "kubernetes_job", "config": config}
            for profile in ("default", "gpu")
            for provider in ("cpu", "gpu")
        ]
    settings = {
        "platform": {"runtime": runtime, "base_url": address},
        "auth": {"enabled": False},
        "secrets": {"allow_key_creation": True},
        "files": {"default_storage_config": {"type": "local", "path": str(folder / "files")}},
        "jobs": {"executors": executors},
    }
    # JSON is YAML.
    found.inside(folder / name).write_text(json.dumps(settings), "utf-8")


def _environment(found: Installation, folder: Path) -> dict[str, str]:
    return {
        "HOME": str(folder / "home"),
        "NHX_DATA_DIR": str(folder / "data"),
        "XDG_STATE_HOME": str(folder / "state"),
        "PATH": f"{found.venv}/bin:/usr/bin:/bin",
        "SSL_CERT_FILE": os.environ.get("SSL_CERT_FILE", _CERTIFICATES),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _platform(
    found: Installation,
    options: Options,
    name: str,
    services: str,
    controllers: str,
    port: int,
    *,
    through: str | None = None,
) -> subprocess.Popen[bytes]:
    environment = _environment(found, options.folder)
    if through is not None:
        environment |= {f"NHX_{service}_URL": through for service in _ADDRESSES}
    words = ["services", "run", "--services", services, "--controllers", controllers]
    words += ["--config", str(options.folder / f"{name}.yaml"), "--host", "127.0.0.1", "--port", str(port)]
    return _spawn(found.command(options.folder, environment, *words), options.folder / f"{name}.log")


def _spawn(words: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def _wait(process: subprocess.Popen[bytes], url: str, deadline: float, log: Path) -> None:
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            state = "is not ready" if process.poll() is None else "has ended"
            last = "\n".join(log.read_text("utf-8", "replace").splitlines()[-10:])
            raise HelixError(f"the platform {state}; the end of {log}:\n{last}")
        time.sleep(1)


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10):
            return True
    except OSError:
        return False


def _is_ours(pid: int) -> bool:
    """Whether a process of that id is a platform or a gate, and not another that got the id later."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z" and (b"services\0run" in words or b"gate.py" in words)


def main(arguments: Sequence[str] | None = None) -> int:
    """Start or stop; returns the exit code."""
    default_home = os.environ.get("LAWTAGS_HELIX_HOME") or "~/.cache/lawtags/helix"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("--mode", choices=["customization", "both"], default="both")
    parser.add_argument("--own-tasks", action="store_true")
    parser.add_argument("--port", type=int, default=18080, metavar="N")
    parser.add_argument("--dir", type=Path, default=Path("/tmp/lawtags-helix"), metavar="FOLDER")
    parser.add_argument("--home", type=Path, default=Path(default_home).expanduser(), metavar="FOLDER")
    parser.add_argument("--timeout", type=float, default=900, metavar="SECONDS")
    given = parser.parse_args(arguments)
    folder = given.dir.absolute()
    try:
        if given.action == "stop":
            stop(folder)
            return 0
        options = Options(given.mode, given.own_tasks, given.port, folder, given.home, given.timeout)
        sys.stdout.write(json.dumps(start(options)) + "\n")
    except HelixError as error:
        sys.stderr.write(f"helix: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
