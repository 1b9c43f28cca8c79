"""The training process on a disk that is full: ``python full_disk_worker.py JOBDIR EVENTS [DEVICE]``.

The first file of weights is cut in the middle, as the system does it.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any


class FullDiskLauncher:
    """Starts training processes that cannot write weights."""

    def start(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        output: IO[bytes],
        input: int | None = None,
        connection: int | None = None,
    ) -> subprocess.Popen[bytes]:
        """See ``Launcher.start``."""
        command = [sys.executable, __file__, *arguments]
        return subprocess.Popen(command, stdin=input, stdout=output, stderr=output)


def main() -> int:
    import safetensors.torch

    from lawtags_stack.engines.training import worker

    def cut(tensors: Any, path: Path, *_: Any, **__: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    safetensors.torch.save_file = cut
    return worker.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
