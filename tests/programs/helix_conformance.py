"""Replays what was recorded on NeMo Helix against the embedded stack, and writes the table of the docs.

``python tests/programs/helix_conformance.py FILE`` puts the table at the end of a document.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from conformance_table import HEADING, conformance_table
from recording_replay import replay_recording


def main(document: Path) -> None:
    """Replay everything, and write the table."""
    with tempfile.TemporaryDirectory() as folder:
        table = conformance_table(replay_recording(Path(folder) / "stack"))
    before = document.read_text("utf-8").partition(HEADING)[0].rstrip()
    document.write_text(f"{before}\n\n{table}", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
