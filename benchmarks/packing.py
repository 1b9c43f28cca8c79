"""Compares sequence packing with batches of similar length, which the trainer uses.

Both get the same rows per step. A packed sequence contains several rows, each with its own positions, and
attention is restricted to a row; there is no padding, but the scores between rows are computed in vain. The
script reports the share of padding in the trainer's batches, tokens per CPU second of both, and the largest
difference between their losses.

    python benchmarks/packing.py FILE.jsonl [--model FOLDER] [--steps N] [--json]

``FILE.jsonl`` contains rows with ``title`` and ``tags``, and optionally a body as text, Markdown or HTML.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lawtags_stack.engines.training.batches import PaddedBatch, collate, epoch_batches, split_by_tokens
from lawtags_stack.engines.training.examples import Example, RowEncoder
from lawtags_stack.engines.training.job import LoraSettings, TrainingJob
from lawtags_stack.engines.training.rows import TrainingRow

LIMIT = 512


def examples_of(path: Path, encoder: RowEncoder, count: int) -> list[Example]:
    """The rows of a file as training examples."""
    rows = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        found = json.loads(line)
        if found.get("tags"):
            written = (found.get(name) for name in ("body", "body_markdown", "body_html"))
            body = re.sub(r"<[^>]+>", " ", next(filter(None, written), ""))
            prompt = f"Title: {found['title']}\n{body[:4000]}\nTags:"
            content = {"prompt": prompt, "completion": ", ".join(found["tags"])}
            rows.append(TrainingRow(path.name, number, content))
    return encoder.encode(rows[:count]).examples


def packed(batch: Sequence[int], examples: Sequence[Example]) -> list[list[int]]:
    """Partition a batch to fill sequences, with the longest-first heuristic."""
    parts: list[list[int]] = []
    for index in sorted(batch, key=lambda each: examples[each].size, reverse=True):
        for part in parts:
            if sum(examples[each].size for each in part) + examples[index].size <= LIMIT:
                part.append(index)
                break
        else:
            parts.append([index])
    return parts


def sequence(rows: Sequence[Example]) -> tuple[PaddedBatch, Any]:
    """Pack rows into one sequence, and return the positions of its tokens."""
    import torch

    tokens = torch.tensor([[token for row in rows for token in row.tokens]])
    positions = torch.tensor([[place for row in rows for place in range(row.size)]])
    learnt = torch.tensor([[wanted for row in rows for wanted in (False, *row.learnt[1:])]])
    keep = learnt[:, 1:].contiguous()
    return PaddedBatch(tokens[:, :-1].contiguous(), keep, tokens[:, 1:][keep]), positions[:, :-1].contiguous()


def step(module: Any, batch: PaddedBatch, positions: Any = None) -> float:
    """Run forward and backward, and return the summed loss."""
    from torch.nn.functional import cross_entropy

    found = module(
        input_ids=batch.tokens, position_ids=positions, logits_to_keep=batch.keep, use_cache=False
    ).logits
    loss = cross_entropy(found.view(-1, found.shape[-1]), batch.targets, reduction="sum")
    loss.backward()
    module.zero_grad()
    return float(loss.item())


def measure(
    module: Any, padding: int, examples: Sequence[Example], batch_size: int, steps: int
) -> dict[str, Any]:
    """Run both variants on the same batches, alternating within each step."""
    batches = epoch_batches(examples, batch_size=batch_size, seed=42, epoch=0)
    parts = [part for batch in batches for part in split_by_tokens(batch, examples, LIMIT)]
    real = sum(example.size for example in examples)
    taken = sum(len(part) * max(examples[index].size for index in part) for part in parts)
    seconds = {"like length": 0.0, "packed": 0.0}
    chosen = random.Random(0).sample(batches, min(steps + 1, len(batches)))
    worst, tokens = 0.0, 0
    for number, batch in enumerate(chosen):
        losses = {"like length": 0.0, "packed": 0.0}
        started = time.process_time()
        for part in split_by_tokens(batch, examples, LIMIT):
            rows = [examples[index] for index in part]
            losses["like length"] += step(module, collate(rows, padding=padding))
        between = time.process_time()
        for part in packed(batch, examples):
            losses["packed"] += step(module, *sequence([examples[index] for index in part]))
        if number == 0:
            continue  # the first one is a warm-up
        seconds["like length"] += between - started
        seconds["packed"] += time.process_time() - between
        worst = max(worst, abs(losses["packed"] / losses["like length"] - 1))
        tokens += sum(examples[index].size for index in batch)
    return {
        "rows": len(examples),
        "mean_tokens": round(statistics.mean(example.size for example in examples), 1),
        "padding_share": round(1 - real / taken, 4),
        "tokens_per_cpu_second": {name: round(tokens / spent, 1) for name, spent in seconds.items()},
        "packed_over_like_length": round(seconds["like length"] / seconds["packed"], 3),
        "largest_difference_of_losses": worst,
    }


def main() -> None:
    """Measure and print."""
    import torch

    from lawtags_stack.base_models import ensure_default_base_model
    from lawtags_stack.engines.training.model import TrainableModel, load_tokenizer

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--count", type=int, default=2000, help="number of rows")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = arguments.model or ensure_default_base_model()
    encoder = RowEncoder(load_tokenizer(model), prompt_template="{prompt} {completion}", max_seq_length=LIMIT)
    examples = examples_of(arguments.rows, encoder, arguments.count)
    job = TrainingJob(model=str(model), model_name="base", training=(), lora=LoraSettings(rank=16))
    trainable = TrainableModel(job, padding=encoder.padding)
    trainable.module.train()
    found = measure(trainable.module, encoder.padding, examples, arguments.batch_size, arguments.steps)
    print(json.dumps(found) if arguments.json else json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
