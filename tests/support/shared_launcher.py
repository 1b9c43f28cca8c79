"""One fork server for all stacks that tests run in threads."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from lawtags_stack.processes.fork_launcher import ForkLauncher
from lawtags_stack.processes.launching import Launcher
from lawtags_stack.stack import make_launcher


@functools.cache
def shared_launcher() -> Launcher:
    """The launcher for the workers of any number of stacks."""
    return make_launcher(Path(os.devnull))


def stop_shared_launcher() -> None:
    """Stop the fork server, if it runs."""
    if shared_launcher.cache_info().currsize and isinstance(launcher := shared_launcher(), ForkLauncher):
        launcher.stop()
