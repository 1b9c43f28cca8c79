"""Finds the process that listens on a local port."""

from __future__ import annotations

from pathlib import Path

_LISTENING = "0A"


def port_owner(port: int, proc: Path = Path("/proc")) -> str | None:
    """Find the process that listens on a port, e.g. ``python (process 4711: python -m http.server)``.

    Args:
        port: the port.
        proc: Linux's process file system; without it, as on macOS, the result is None.

    Returns:
        ``None`` if unknown: another operating system, or another user's process.
    """
    sockets = {f"socket:[{inode}]" for inode in _inodes(port, proc)}
    for process in proc.glob("[0-9]*") if sockets else ():
        try:
            if any(str(each.readlink()) in sockets for each in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                name = (process / "comm").read_text("utf-8").strip()
                return f"{name} (process {process.name}: {' '.join(words).strip()[:120]})"
        except OSError:
            continue  # another user's, or exited
    return None


def _inodes(port: int, proc: Path) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text("utf-8").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found
