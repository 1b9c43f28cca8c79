"""The effect of bfloat16 on the answers of the embedded stack: log-probabilities compared with float32.

    python benchmarks/precision.py --questions questions.jsonl --adapter FOLDER --rows 1000

Each title requests one token with its 20 most likely alternatives, like the tagger. ``FOLDER`` contains a
trained adapter in the PEFT format; without one, the base model answers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from itertools import islice
from pathlib import Path

from lawtags_client import sample
from lawtags_client.files import atomic_write_json
from lawtags_stack.base_models import ensure_default_base_model
from lawtags_stack.engines.device import Compute
from lawtags_stack.engines.generation.engine import Engine
from lawtags_stack.engines.generation.request import Sampling

TOP = 20


def read_titles(path: Path, rows: int) -> list[str]:
    """The first titles of a JSON Lines file, with the field names of either layout."""
    with path.open(encoding="utf-8") as lines:
        found = map(json.loads, islice(lines, rows))
        return [row.get("question_title") or row["title"] for row in found]


def first_tokens(
    model: Path, adapter: Path | None, precision: str, titles: list[str]
) -> list[dict[str, float]]:
    """Log-probabilities of the most likely first tokens of each title's answer."""
    engine = Engine.load(model, compute=Compute.choose("cpu", precision))
    name = None
    if adapter is not None:
        name = "adapter"
        engine.add_adapter(name, adapter / "adapter_config.json", adapter / "adapter_model.safetensors")
    prompts = [f"Title: {title}\nTags:" for title in titles]
    asked = Sampling(1, temperature=0, logprobs=TOP)
    answers = engine.generate(prompts, asked, adapters=[name] * len(prompts))
    return [dict(answer.scores[0].top) for answer in answers]


def compare(exact: list[dict[str, float]], other: list[dict[str, float]]) -> dict[str, float]:
    """The differences of log-probabilities, over the tokens that both sides return."""
    apart = [abs(a[token] - b[token]) for a, b in zip(exact, other, strict=True) for token in a if token in b]
    same = [max(a, key=a.__getitem__) == max(b, key=b.__getitem__) for a, b in zip(exact, other, strict=True)]
    shared = [len(a.keys() & b.keys()) / len(a) for a, b in zip(exact, other, strict=True)]
    return {
        "rows": len(exact),
        "mean_difference": statistics.fmean(apart),
        "largest_difference": max(apart),
        "same_likeliest_token": statistics.fmean(same),
        "shared_top_tokens": statistics.fmean(shared),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--model", type=Path, help="a Hugging Face folder; the default base model if not given"
    )
    parser.add_argument("--adapter", type=Path, help="folder of a trained adapter")
    parser.add_argument("--questions", type=Path, default=sample.path())
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    model = arguments.model or ensure_default_base_model()
    titles = read_titles(arguments.questions, arguments.rows)
    report = compare(
        *(first_tokens(model, arguments.adapter, precision, titles) for precision in ("float32", "bfloat16"))
    )
    for name, value in report.items():
        print(f"{name.replace('_', ' '):24} {value:.4g}")
    if arguments.out:
        atomic_write_json(arguments.out, report)


if __name__ == "__main__":
    main()
