"""Controls a stack from another process: status, stop, reset."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from lawtags_client.errors import BusyError, ConfigurationError, LawtagsError, WaitTimeoutError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_client.locks import Holder
from lawtags_stack.lock import LOCK_FILE, busy_error, stack_holder, stack_lock
from lawtags_stack.prune import folder_bytes
from lawtags_stack.stack import STACK_FILE, StackAddress, read_address

LOG_FILE = "stack.log"
_STEP = 0.05
# Detached children, kept so that those that exit early are reaped.
_DETACHED: list[subprocess.Popen[bytes]] = []
# The files of a stack; anything else in its folder is left alone.
_OWN = (
    "stack.sqlite", "stack.sqlite-wal", "stack.sqlite-shm", STACK_FILE, LOG_FILE,
    "blobs", "customizer", "nim", "evaluator", "deployments", "data_store", "entity_store",
)  # fmt: skip


def running(dir: Path) -> tuple[Holder, StackAddress | None] | None:
    """Return the process that runs a stack on a folder, and its address; None if no stack is running.

    The address is None while the stack is starting.
    """
    found = stack_holder(dir)
    return (found, read_address(dir)) if found else None


def detach(command: Sequence[str], dir: Path, *, timeout: float = 60.0) -> StackAddress:
    """Start a stack in a process that outlives this one.

    Args:
        command: arguments of the Python interpreter that run the stack in the foreground.
        dir: the stack's folder; the process logs to ``stack.log`` there.
        timeout: seconds to wait until the stack responds.

    Raises:
        BusyError: a stack is already running on the folder.
        LawtagsError: the process exited during startup; the message has its last log line.
        WaitTimeoutError: the stack does not respond in time; its process was ended.
    """
    if (found := stack_holder(dir)) is not None:
        raise busy_error(dir, found)
    dir.mkdir(parents=True, exist_ok=True)
    log = dir / LOG_FILE
    with log.open("wb") as messages:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=messages,
            start_new_session=True,
        )
    try:
        address = _answering(process, dir, log, timeout)
    except BaseException:
        # Whoever is interrupted here has no stack that is left running unnoticed.
        process.terminate()
        raise
    if address is not None:
        _reap()
        _DETACHED.append(process)
        return address
    process.kill()
    process.wait()
    raise WaitTimeoutError(f"the stack did not answer within {timeout:.0f} s", hint=f"See {log}.")


def _answering(process: subprocess.Popen[bytes], dir: Path, log: Path, timeout: float) -> StackAddress | None:
    """The address of a stack that was started, once it answers; None if it does not in time.

    Raises:
        LawtagsError: it exited.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        address = read_address(dir)
        if address is not None and address.pid == process.pid:
            return address
        if process.poll() is not None:
            raise _ended(process.returncode, log)
        time.sleep(_STEP)
    return None


def stop(dir: Path, *, timeout: float = 15.0) -> bool:
    """Stop the stack of a folder, and return whether one was running.

    Raises:
        BusyError: it runs on another host, or does not stop.
    """
    found = stack_holder(dir)
    if found is None:
        return False
    if found.host != socket.gethostname():
        hint = "Stop it on that machine." if found.pid else "It may be starting. Try again in a moment."
        raise BusyError(f"the stack in {dir} is running as {found}", hint=hint)
    os.kill(found.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while stack_holder(dir) is not None:
        if time.monotonic() > deadline:
            raise BusyError(
                f"the stack in {dir} (process {found.pid}) did not stop within {timeout:.0f} s",
                hint="Killing it loses no acknowledged data.",
            )
        time.sleep(_STEP)
    for child in _DETACHED:
        if child.pid == found.pid:
            child.wait(timeout)  # it has released the folder and is about to exit
    _reap()
    return True


def report(dir: Path, *, token: str | None = None, timeout: float = 5.0) -> JsonObject:
    """Report the jobs, models and disk use of a stack; ``running`` says whether it responds.

    Args:
        dir: its folder.
        token: the token it requires, if any.
        timeout: seconds to wait for its response.
    """
    found = running(dir)
    shown: dict[str, JsonValue] = {
        "running": found is not None,
        "dir": str(dir.absolute()),
        "disk_bytes": folder_bytes(dir),
        "disk": disk_use(dir),
    }
    if found is None or found[1] is None:
        return shown
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"{found[1].platform_url}/v1/stack/status", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return {**json.load(answer), "started": found[0].since, **shown}
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 401:
            raise LawtagsError("the stack responded with an error", status=error.code) from None
        reason = "the stack refused the token" if token else "the stack requires its token"
        hint = "Pass its token with --token, or set LAWTAGS_LOCAL_TOKEN or LAWTAGS_TOKEN."
        raise LawtagsError(reason, status=error.code, hint=hint) from None
    except OSError as error:
        raise LawtagsError(f"the stack in {dir} does not respond: {error}") from None


def disk_use(dir: Path) -> dict[str, int]:
    """Disk use in bytes by content: the database, the repositories' files, and each service's folder."""
    database = sum(path.stat().st_size for path in dir.glob("stack.sqlite*"))
    folders = {name: folder_bytes(dir / name) for name in _OWN if (dir / name).is_dir()}
    return {"database": database, **folders}


def reset(dir: Path, confirm: Callable[[str], bool]) -> bool:
    """Delete all data of a folder's stack, and return whether it was deleted.

    Args:
        dir: the folder. Files that do not belong to a stack stay.
        confirm: receives a question that says what will be deleted.

    Raises:
        BusyError: the stack is running.
        ConfigurationError: the folder is not a stack folder.
    """
    if not dir.exists():
        return False
    if not (dir / "stack.sqlite").exists() and any(dir.iterdir()) and not (dir / LOCK_FILE).exists():
        raise ConfigurationError(f"{dir} is not a stack folder; nothing was removed")
    with stack_lock(dir):
        size = folder_bytes(dir) / 1e6
        if not confirm(f"Remove all datasets, models and jobs in {dir} ({size:,.1f} MB)?"):
            return False
        for name in _OWN:
            path = dir / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    return True


def _reap() -> None:
    _DETACHED[:] = [each for each in _DETACHED if each.poll() is None]


def _ended(code: int, log: Path) -> LawtagsError:
    words = log.read_text("utf-8", "replace").strip().splitlines()
    last = words[-1] if words else "it printed nothing"
    kinds = {ConfigurationError.exit_code: ConfigurationError, BusyError.exit_code: BusyError}
    try:
        told = json.loads(last)
        return kinds.get(code, LawtagsError)(told["message"], hint=told.get("hint"))
    except (ValueError, KeyError, TypeError):
        return kinds.get(code, LawtagsError)(f"the stack exited with code {code}: {last}", hint=f"See {log}.")
