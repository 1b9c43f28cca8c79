"""Compares curation with the pipeline of its seed on NeMo Curator 0.9, on the same questions.

    python benchmarks/curation.py [FILE.jsonl ...] [--rows N] [--workers N ...] [--system NAME] [--out FILE]

The files contain questions with ``title``, ``body_markdown`` or ``body_html``, ``tags`` and ``score``; the
default is the bundled sample. They are repeated to ``--rows`` questions (25,000); in each repetition, one
lower-case word in five is replaced with another word from the data, so names, lengths and punctuation are
unchanged and long sentences do not repeat.

``seed`` won a prize in 2024: text extraction with BeautifulSoup, ``UnicodeReformatter``, fifteen
substitutions of section numbers, ``PiiModifier`` (six kinds, replaced) on titles and bodies,
``WordCountFilter`` (15), votes, ``RepeatingTopNGramsFilter`` (5 words, 15 %). Its spaCy model,
en_core_web_lg, is not available from a package index, so both sides use this project's model. It uses one
partition per worker, its default.

``lawtags`` is ``lawtags curate`` with the same limits. In addition to the seed's steps it does cleaning,
exact and near deduplication, splitting, prompts, and the report.

Each measurement is a process. Wall-clock seconds run from its start to its end, including imports and models;
CPU seconds and memory (sampled ten times per second) are totals of all its processes. The seconds of a step
are CPU seconds of the processes that run it.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lawtags_client.files import atomic_write_json

SAMPLE = Path(__file__).parent.parent / "lawtags_client" / "sample" / "questions.jsonl"
SYSTEMS = ("seed", "lawtags")
ENTITIES = ("ADDRESS", "EMAIL_ADDRESS", "LOCATION", "PERSON", "URL", "PHONE_NUMBER")
BODIES = ("body_markdown", "body_html", "question_body", "body")
MIN_WORDS, MIN_SCORE, NGRAM, MAX_REPEATED = 15, 0, 5, 0.15
_WORD = re.compile(r"(?<![\w<&/.@:#=\"'-])[a-z]{4,12}(?![\w>;/.@:=\"'(-])")
_TAG = re.compile(r"(<[^>]*>|https?://\S+|\]\([^)]*\))")
_EVERY = 5


# Questions


def read_questions(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Read questions from files, with their bodies in one field."""
    rows = [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        {
            "title": row.get("title") or row["question_title"],
            "body": next((row[name] for name in BODIES if row.get(name)), ""),
            # Questions without tags would be rejected here before any step.
            "tags": row["tags"] or ["untagged"],
            "score": row.get("score"),
        }
        for row in rows
    ]


def repeat(questions: Sequence[dict[str, Any]], count: int) -> Iterator[dict[str, Any]]:
    """Create ``count`` questions from the given ones."""
    shuffled = list(questions)
    random.Random(0).shuffle(shuffled)
    words = sorted({word for row in shuffled for word in _words(row["title"] + " " + row["body"])})
    for number in range(count):
        turn, place = divmod(number, len(shuffled))
        row = dict(shuffled[place])
        if turn:
            source = random.Random(number)
            row["title"], row["body"] = (_changed(row[name], words, source) for name in ("title", "body"))
        yield {"question_id": number, **row}


def _words(text: str) -> list[str]:
    return [word for part in _TAG.split(text)[::2] for word in _WORD.findall(part)]


def _changed(text: str, words: Sequence[str], source: random.Random) -> str:
    def other(found: re.Match[str]) -> str:
        return source.choice(words) if source.randrange(_EVERY) == 0 else found.group()

    parts = _TAG.split(text)
    parts[::2] = [_WORD.sub(other, part) for part in parts[::2]]
    return "".join(parts)


# The seed


_SECTIONS = [
    (re.compile(pattern), by)
    for pattern, by in (
        (r"§(?=\S)", "§ "),
        (r"§§(?=\S)", "§§ "),
        (r"(\d+[a-z]?)-(\d+)", r"\1–\2"),
        (r"(\d+)([a-z]{1,3})\b", r"\1\2"),
        (r"(\d+[a-z]{2})-(\d+)", r"\1–\2"),
        (r"(§§? *\d+)-(\d+)", r"\1–\2"),
        (r"([a-z]{2})-(\d+)", r"\1–\2"),
        (r"\bUSC\b", "U.S.C."),
        (r"§ *(?=\d)", "§ "),
        (r"§§ *(?=\d)", "§§ "),
        (r"(§§? *\d+)-(\d+)", r"\1–\2"),
        (r"\(([a-z])\)", r"(\1)"),
        (r"(\([a-z]\))-(\([a-z]\))", r"\1–\2"),
        (r"(\d+) *U\.S\.C\.", r"\1 U.S.C."),
        (r"(\d+) U\.S\.C\. *§ *(\d+) *\(([a-z])\)", r"\1 U.S.C. § \2(\3)"),
    )
]


def text_of(document: str) -> str:
    """The text of a document on one line, as in the seed."""
    from bs4 import BeautifulSoup

    return re.sub(r"\s+", " ", BeautifulSoup(document, "lxml").get_text()).strip()


def format_sections(text: str) -> str:
    """Fifteen substitutions like the seed's."""
    for pattern, by in _SECTIONS:
        text = pattern.sub(by, text)
    return text


def use_model(model: str) -> None:
    """Make Curator's recognizer of personal data load this model instead of its own."""
    import tldextract.tldextract
    from nemo_curator.pii import algorithm

    class Engine(algorithm.CustomNlpEngine):  # type: ignore[misc]
        def __init__(self, ner_model_configuration: Any) -> None:
            super().__init__([{"lang_code": "en", "model_name": model}], ner_model_configuration)

        @staticmethod
        def _download_spacy_model_if_needed(model_name: str) -> None:
            """Do nothing: the model is loaded from its path."""

    algorithm.CustomNlpEngine = Engine
    # Its list of domain suffixes would be downloaded at the first email address; it includes a snapshot.
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


def seed_steps() -> list[tuple[str, Callable[[Any], Any]]]:
    """The seed's modules in order; titles and bodies as one step."""
    from nemo_curator import Modify, ScoreFilter, Sequential
    from nemo_curator.filters import DocumentFilter, RepeatingTopNGramsFilter, WordCountFilter
    from nemo_curator.modifiers import DocumentModifier, UnicodeReformatter
    from nemo_curator.modifiers.pii_modifier import PiiModifier

    class SectionNumbers(DocumentModifier):  # type: ignore[misc]
        def modify_document(self, text: str) -> str:
            return format_sections(text)

    class LeastScore(DocumentFilter):  # type: ignore[misc]
        def score_document(self, score: float) -> float:
            return score

        def keep_document(self, score: float) -> bool:
            return score >= MIN_SCORE

    def pii() -> Any:
        return PiiModifier(
            supported_entities=list(ENTITIES), anonymize_action="replace", language="en", device="cpu"
        )

    def both(modifier: Callable[[], Any]) -> Any:
        return Sequential([Modify(modifier(), text_field=name) for name in ("title", "question")])

    def kept(chosen: Any, name: str, score_type: str) -> Any:
        return ScoreFilter(chosen, text_field=name, score_type=score_type)

    repeating = RepeatingTopNGramsFilter(n=NGRAM, max_repeating_ngram_ratio=MAX_REPEATED)
    return [
        ("unicode", both(UnicodeReformatter)),
        ("section_numbers", Modify(SectionNumbers(), text_field="question")),
        ("pii", both(pii)),
        ("word_count", kept(WordCountFilter(min_words=MIN_WORDS), "question", "int")),
        ("votes", kept(LeastScore(), "question_score", "float")),
        ("repeated_ngrams", kept(repeating, "question", "float")),
    ]


def run_seed(source: Path, out: Path, workers: int) -> dict[str, Any]:
    """Curate like the seed; returns CPU seconds and rows by step."""
    import dask.dataframe
    import pandas
    from distributed import Client, LocalCluster, wait
    from nemo_curator.datasets import DocumentDataset

    from lawtags_client.curation.mask.models import find_model

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.run(use_model, find_model()[0])

        def seconds() -> float:
            return time.process_time() + float(sum(client.run(time.process_time).values()))

        steps: list[dict[str, Any]] = []
        clock = seconds()
        rows = []
        for line in source.open(encoding="utf-8"):
            row = json.loads(line)
            rows.append(
                {
                    "id": f"law-stackexchange-qa-{row['question_id']}",
                    "title": text_of(row["title"]),
                    "question": text_of(row["body"]),
                    "question_score": float(row["score"] or 0),
                    "tags": ",".join(sorted(row["tags"])),
                }
            )
        steps.append({"name": "html", "rows_out": len(rows), "seconds": seconds() - clock})
        dataset = DocumentDataset(dask.dataframe.from_pandas(pandas.DataFrame(rows), npartitions=workers))
        for name, step in seed_steps():
            clock = seconds()
            dataset = DocumentDataset(step(dataset).df.persist())
            wait(dataset.df)
            steps.append({"name": name, "rows_out": len(dataset.df), "seconds": seconds() - clock})
        clock = seconds()
        dataset.to_json(str(out))
        steps.append({"name": "writing", "rows_out": steps[-1]["rows_out"], "seconds": seconds() - clock})
    return {"steps": steps}


# This project


def run_lawtags(source: Path, out: Path, workers: int) -> dict[str, Any]:
    """Curate like ``lawtags curate``; returns CPU seconds and rows by step."""
    from lawtags_client.curation import CurationOptions, curate, curator
    from lawtags_client.curation.options import FilterOptions, PiiOptions, SplitOptions
    from lawtags_client.curation.steps import run_step

    # Steps are timed by wall clock, which means little on a busy machine.
    curator.run_step = functools.partial(run_step, clock=time.process_time)  # type: ignore[attr-defined]
    options = CurationOptions(
        pii=PiiOptions(entities=ENTITIES),
        filters=FilterOptions(
            min_words=MIN_WORDS, min_score=MIN_SCORE, ngram=NGRAM, max_repeated=MAX_REPEATED
        ),
        split=SplitOptions(training=0.95, validation=0.05, testing=0),
    )
    report = curate([source], out, options, workers=workers, clock=time.process_time)
    return {
        "steps": [
            {"name": step.name, "rows_out": step.rows_out, "seconds": step.seconds} for step in report.steps
        ],
        "digest": report.digest,
    }


# Measurement


@dataclass(frozen=True)
class Usage:
    """Resource usage of a process and its children."""

    wall: float
    cpu: float
    memory: int


def measure(command: Sequence[str]) -> Usage:
    """Run a command to its end.

    Raises:
        CalledProcessError: it failed.
    """
    import psutil

    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=sys.stderr)
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        root = psutil.Process(process.pid)
        while not done.wait(0.1):
            peak = max(peak, sum(map(_memory, [root, *_children(root)])))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    wall = time.perf_counter() - started
    done.set()
    watcher.join()
    if code:
        raise subprocess.CalledProcessError(code, list(command))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Usage(wall, cpu, peak)


def _children(root: Any) -> list[Any]:
    import psutil

    try:
        return list(root.children(recursive=True))
    except psutil.Error:
        return []


def _memory(process: Any) -> int:
    import psutil

    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def run_all(source: Path, rows: int, systems: Sequence[str], workers: Sequence[int]) -> list[dict[str, Any]]:
    """Measure each system with each number of workers."""
    results = []
    for system in systems:
        for count in workers:
            with tempfile.TemporaryDirectory() as folder:
                result = Path(folder) / "result.json"
                command = [
                    sys.executable, "-W", "ignore", __file__, "--child", system, "--workers", str(count),
                    "--source", str(source), "--out", str(result),
                ]  # fmt: skip
                load = os.getloadavg()[0]
                usage = measure(command)
                taken = json.loads(result.read_text(encoding="utf-8"))
            results.append(
                {
                    "system": system,
                    "workers": count,
                    "rows": rows,
                    "wall_seconds": round(usage.wall, 1),
                    "cpu_seconds": round(usage.cpu, 1),
                    "peak_bytes": usage.memory,
                    "load_before": round(load, 1),
                    "load_after": round(os.getloadavg()[0], 1),
                    **taken,
                }
            )
            print(summary(results[-1]), file=sys.stderr)
    return results


# Output


def summary(result: dict[str, Any]) -> str:
    """One measurement on one line."""
    return (
        f"{result['system']}, {result['workers']} workers: {result['cpu_seconds']:.0f} CPU s, "
        f"{result['wall_seconds']:.0f} s, {result['peak_bytes'] / 1e6:,.0f} MB, "
        f"load {result['load_before']} before and {result['load_after']} after"
    )


def table_of_steps(results: Sequence[dict[str, Any]]) -> str:
    """Rows per CPU second by step, for the measurements with the fewest workers."""
    fewest = min(result["workers"] for result in results)
    chosen = {result["system"]: result for result in results if result["workers"] == fewest}
    names = list(dict.fromkeys(step["name"] for result in chosen.values() for step in result["steps"]))
    lines = [
        "| step | " + " | ".join(f"{system}: CPU s | rows/s | rows left" for system in chosen) + " |",
        "| --- |" + " ---: | ---: | ---: |" * len(chosen),
    ]
    for name in names:
        cells = []
        for result in chosen.values():
            step = next((step for step in result["steps"] if step["name"] == name), None)
            if step is None:
                cells += ["–", "", ""]
                continue
            rate = result["rows"] / step["seconds"] if step["seconds"] > 0.005 else None
            cells += [f"{step['seconds']:.1f}", f"{rate:,.0f}" if rate else "", f"{step['rows_out']:,}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def table_of_runs(results: Sequence[dict[str, Any]]) -> str:
    """Figures of whole runs."""
    lines = [
        "| system | workers | CPU s | rows per CPU s | s | rows/s | peak memory | load before | after |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for result in results:
        rows, cpu, wall = result["rows"], result["cpu_seconds"], result["wall_seconds"]
        lines.append(
            f"| {result['system']} | {result['workers']} | {cpu:,.0f} | {rows / cpu:,.0f} | {wall:,.0f} "
            f"| {rows / wall:,.0f} | {result['peak_bytes'] / 1e6:,.0f} MB | {result['load_before']} "
            f"| {result['load_after']} |"
        )
    return "\n".join(lines)


def ratios(results: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Speedups between the systems, and between numbers of workers."""
    by_key = {(result["system"], result["workers"]): result for result in results}
    found = {}
    for workers in sorted({result["workers"] for result in results}):
        if all((system, workers) in by_key for system in SYSTEMS):
            seed, ours = by_key["seed", workers], by_key["lawtags", workers]
            for kind in ("cpu", "wall"):
                key = f"{kind}_seconds"
                found[f"seed / lawtags, {workers} workers, {kind}"] = round(seed[key] / ours[key], 2)
    for system in SYSTEMS:
        runs = sorted((r for r in results if r["system"] == system), key=lambda r: r["workers"])
        if len(runs) > 1:
            speed = runs[0]["wall_seconds"] / runs[-1]["wall_seconds"]
            found[f"{system}, {runs[0]['workers']} / {runs[-1]['workers']} workers, wall"] = round(speed, 2)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="questions; default: the bundled sample")
    parser.add_argument("--rows", type=int, default=25_000, help="number of questions to create from them")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="processes")
    parser.add_argument("--system", choices=SYSTEMS, nargs="+", default=SYSTEMS, help="system to measure")
    parser.add_argument("--out", type=Path, help="write the figures to this file")
    parser.add_argument("--child", choices=SYSTEMS, help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.child:
        run = run_seed if chosen.child == "seed" else run_lawtags
        atomic_write_json(chosen.out, run(chosen.source, chosen.out.parent / "curated", chosen.workers[0]))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "questions.jsonl"
        with source.open("w", encoding="utf-8") as stream:
            for row in repeat(read_questions(chosen.files or [SAMPLE]), chosen.rows):
                stream.write(json.dumps(row) + "\n")
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        results = run_all(source, chosen.rows, chosen.system, chosen.workers)
    report = {"rows": chosen.rows, "input_sha256": digest, "ratios": ratios(results), "runs": results}
    print(f"\n{table_of_steps(results)}\n\n{table_of_runs(results)}\n")
    for name, value in report["ratios"].items():
        print(f"{name}: {value:.2f} times")
    if chosen.out:
        atomic_write_json(chosen.out, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
