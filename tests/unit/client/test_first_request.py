"""The first request of a program: what it needs is imported beside the event loop."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import asyncio, builtins, sys, threading
from lawtags_client import NeMo
from lawtags_client.errors import ConnectionFailedError

nemo = NeMo(base_url="http://127.0.0.1:9", max_retries=0)
nemo.customizer
found = {}

class Noting:
    def find_spec(self, name, path=None, target=None):
        if name in ("aiohttp", "lawtags_client.transport.pooled"):
            found[name] = threading.current_thread() is threading.main_thread()

sys.meta_path.insert(0, Noting())

async def ask():
    try: await nemo.customizer.jobs.page()
    except ConnectionFailedError: return 1

async def main():
    # Several at once, of which none waits on the loop for the import of another.
    return sum(await asyncio.gather(*(ask() for _ in range(5))))

print(asyncio.run(main()), found)
"""


def test_connections_are_imported_beside_the_event_loop() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "5 {'lawtags_client.transport.pooled': False, 'aiohttp': False}\n", done.stderr
