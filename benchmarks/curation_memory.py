"""Curation memory: compares a large file with a small one.

    python benchmarks/curation_memory.py [FILE.jsonl ...] [--megabytes N N] [--names] [--out FILE]

The questions of the files (default: the bundled sample) are repeated, with one lower-case word in five of
each repetition replaced, until the file has the given size: 10 and 1,000 MB. Each file is curated by two
worker processes. Without ``--names`` no personal data is masked (``pii.entities`` is empty): the texts pass
through all other steps, and the benchmark takes minutes instead of hours.

Memory is the total of all processes, sampled ten times per second. Pages shared by several processes, such as
libraries, are counted once per process, so the total overestimates the memory needed.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curation import ENTITIES, SAMPLE, measure, read_questions, repeat

from lawtags_client.files import atomic_write_json

MEGABYTES = (10, 1000)
MOST_MORE = 1_000_000_000
_CODE = """
import sys
from pathlib import Path
from lawtags_client.curation import CurationOptions, PiiOptions, curate
if __name__ == "__main__":
    source, out, workers, *entities = sys.argv[1:]
    options = CurationOptions(pii=PiiOptions(entities=tuple(entities)))
    curate([source], Path(out), options, workers=int(workers))
"""


def write_questions(path: Path, sources: Sequence[Path], size: int) -> int:
    """Write questions until the file has the size.

    Args:
        path: the file.
        sources: the files to repeat.
        size: bytes.

    Returns:
        The number of questions.
    """
    written = rows = 0
    with path.open("wb") as stream:
        for row in repeat(read_questions(sources), sys.maxsize):
            line = json.dumps(row).encode() + b"\n"
            stream.write(line)
            written += len(line)
            rows += 1
            if written >= size:
                return rows
    raise AssertionError("there is no last question")


def curated(source: Path, workers: int, entities: Sequence[str]) -> dict[str, Any]:
    """Curate a file in a process, and return its resource usage."""
    script, out = source.with_suffix(".py"), source.with_suffix(".curated")
    script.write_text(_CODE, encoding="utf-8")
    load = os.getloadavg()[0]
    command = [sys.executable, "-W", "ignore", str(script), str(source), str(out), str(workers), *entities]
    usage = measure(command)
    card = json.loads((out / "curation.json").read_text(encoding="utf-8"))
    shutil.rmtree(out)
    return {
        "bytes": source.stat().st_size,
        "rows": card["inputs"][0]["rows"],
        "rows_kept": sum(card["splits"].values()),
        "peak_bytes": usage.memory,
        "wall_seconds": round(usage.wall, 1),
        "cpu_seconds": round(usage.cpu, 1),
        "load_before": round(load, 1),
        "digest": card["digest"],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="questions; default: the bundled sample")
    parser.add_argument("--megabytes", type=int, nargs="+", default=MEGABYTES, help="sizes of the files")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--names", action="store_true", help="mask personal data, too")
    parser.add_argument("--out", type=Path, help="write the figures to this file")
    chosen = parser.parse_args(arguments)
    entities = ENTITIES if chosen.names else ()
    runs = []
    for megabytes in chosen.megabytes:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "questions.jsonl"
            rows = write_questions(source, chosen.files or [SAMPLE], megabytes * 1_000_000)
            print(f"{megabytes:,} MB: {rows:,} questions", file=sys.stderr)
            digest = hashlib.file_digest(source.open("rb"), "sha256").hexdigest()
            runs.append(curated(source, chosen.workers, entities) | {"input_sha256": digest})
        print(
            f"{megabytes:,} MB: {runs[-1]['peak_bytes'] / 1e6:,.0f} MB at most, "
            f"{runs[-1]['wall_seconds']:,.0f} s, {runs[-1]['cpu_seconds']:,.0f} CPU s, "
            f"load {runs[-1]['load_before']} before"
        )
    for smaller, larger in itertools.pairwise(runs):
        more = larger["peak_bytes"] - smaller["peak_bytes"]
        print(f"{more / 1e6:,.0f} MB more; {MOST_MORE / 1e6:,.0f} MB are allowed")
    if chosen.out:
        atomic_write_json(chosen.out, {"workers": chosen.workers, "names": chosen.names, "runs": runs})
    return int(runs[-1]["peak_bytes"] - runs[0]["peak_bytes"] > MOST_MORE)


if __name__ == "__main__":
    sys.exit(main())
