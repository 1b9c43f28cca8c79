"""Compares training speed with transformers' Trainer, which uses the same matrix products.

Both train the same LoRA of the same model on the same batches in the same order. The Trainer gets padded
batches with an attention mask, peft's LoRA, the same optimizer settings, and oneDNN for its linear layers, in
the same environment (memory kept for reuse, no busy-waiting threads). The script reports for each: tokens per
second (without padding) by wall clock and by CPU time, which is the one to compare on a busy machine; the
largest difference between their losses; and the peak memory of a process that runs only one of them.

    python benchmarks/training.py [--model FOLDER] [--rows FILE.jsonl] [--steps N] [--threads N] [--json]

``FILE.jsonl`` contains rows with ``title`` and ``tags``; the default is synthetic rows of similar length.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lawtags_stack.engines.training.batches import collate, epoch_batches, split_by_tokens
from lawtags_stack.engines.training.examples import Example, RowEncoder
from lawtags_stack.engines.training.job import LoraSettings, TrainingJob
from lawtags_stack.engines.training.rows import read_rows
from lawtags_stack.processes.environment import worker_environment

SHAPES = {"titles, 16 rows": (16, None), "4 rows of 256 tokens": (4, 256)}
WARM_UP = 2


def made_up_rows(count: int) -> list[dict[str, Any]]:
    """Synthetic titles and tags of realistic length."""
    words = ["can", "a", "court", "force", "my", "landlord", "to", "pay", "before", "contract", "signed"]
    tags = ["contract-law", "landlord", "united-states", "copyright", "criminal-law", "privacy", "employment"]
    source = random.Random(0)
    return [
        {"title": " ".join(source.choices(words, k=source.randint(7, 18))), "tags": source.sample(tags, 3)}
        for _ in range(count)
    ]


def write_rows(path: Path, source: Path | None, count: int, length: int | None) -> None:
    """Write completion rows; the prompt is repeated until it has at least ``length`` tokens."""
    rows = made_up_rows(count)
    if source is not None:
        rows = [json.loads(line) for line in source.read_text("utf-8").splitlines()[: count * 2]]
        rows = [row for row in rows if row["title"] and row["tags"]][:count]
    with path.open("w", encoding="utf-8") as stream:
        for row in rows:
            title = row["title"] if length is None else " ".join([row["title"]] * length)
            completion = ", ".join(row["tags"] * (1 if length is None else 4))
            content = {"prompt": f"Title: {title}\nTags:", "completion": completion}
            stream.write(json.dumps(content) + "\n")


Step = tuple[float, float, float]
"""Loss, wall-clock seconds, CPU seconds."""


def ours(job: TrainingJob, batches: Sequence[list[Example]], padding: int) -> list[Step]:
    """Run the steps of lawtags' trainer."""
    import torch

    from lawtags_stack.engines.training.model import TrainableModel
    from lawtags_stack.engines.training.objective import GRADIENT_NORM, completion_loss
    from lawtags_stack.engines.training.optimizer import make_optimizer

    model = TrainableModel(job, padding=padding)
    weights = model.trainable()
    optimizer = make_optimizer(weights.values(), job)

    def step(examples: list[Example]) -> float:
        targets = sum(sum(example.learnt[1:]) for example in examples)
        total = 0.0
        for part in split_by_tokens(range(len(examples)), examples, job.tokens_per_micro_batch):
            batch = collate([examples[index] for index in part], padding=padding)
            loss = completion_loss(model.module, batch) / targets
            torch.autograd.backward(loss)
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(weights.values(), GRADIENT_NORM)
        optimizer.step()
        optimizer.zero_grad()
        return total

    model.module.train()
    return timed(step, batches)


def trainer(job: TrainingJob, batches: Sequence[list[Example]], padding: int) -> list[Step]:
    """Run the steps of transformers' Trainer."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForCausalLM,
        PrinterCallback,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    from lawtags_client.products import use_onednn

    base = AutoModelForCausalLM.from_pretrained(job.model, dtype=torch.float32)
    torch.manual_seed(job.seed)
    lora = LoraConfig(
        r=job.lora.rank, lora_alpha=job.lora.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    model = get_peft_model(base, lora)
    use_onednn(model)
    found: list[Step] = []

    class Timing(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.started, self.used = time.perf_counter(), time.process_time()

        def on_log(self, *_: Any, logs: dict[str, float] | None = None, **__: Any) -> None:
            if logs and "loss" in logs:
                taken, used = time.perf_counter() - self.started, time.process_time() - self.used
                found.append((logs["loss"], taken, used))

    class OnBatches(Trainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> Any:
            return [padded(batch, padding) for batch in batches]

    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(
            output_dir=folder, max_steps=len(batches), learning_rate=job.learning_rate, adam_beta2=0.99,
            weight_decay=0.01, max_grad_norm=1.0, lr_scheduler_type="constant", logging_steps=1,
            save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True,
        )  # fmt: skip
        loop = OnBatches(model=model, args=settings, callbacks=[Timing()])
        loop.remove_callback(PrinterCallback)  # keeps standard output for the figures
        loop.train()
    return found


def padded(examples: list[Example], padding: int) -> dict[str, Any]:
    """A padded batch for the Trainer."""
    import torch

    width = max(len(example.tokens) for example in examples)
    ids = torch.full((len(examples), width), padding)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, example in enumerate(examples):
        size = len(example.tokens)
        ids[row, :size] = torch.tensor(example.tokens)
        mask[row, :size] = 1
        labels[row, :size] = torch.tensor(example.tokens).where(torch.tensor(example.learnt), -100)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def timed(step: Callable[[list[Example]], float], batches: Sequence[list[Example]]) -> list[Step]:
    """Run and time each step."""
    found = []
    for batch in batches:
        started, used = time.perf_counter(), time.process_time()
        loss = step(batch)
        found.append((loss, time.perf_counter() - started, time.process_time() - used))
    return found


def measure(kind: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure all shapes in this process with one of the two trainers."""
    import torch

    from lawtags_stack.engines.training.model import load_tokenizer

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    folder = Path(arguments.model)
    figures: dict[str, Any] = {}
    for shape, (batch_size, length) in SHAPES.items():
        if arguments.shape and arguments.shape != shape:
            continue
        job = TrainingJob(
            model=str(folder), model_name="base", training=("rows.jsonl",), batch_size=batch_size,
            learning_rate=1e-3, warmup_steps=0, lora=LoraSettings(rank=16, alpha=32),
            tokens_per_micro_batch=arguments.micro_batch,
        )  # fmt: skip
        encoder = RowEncoder(
            load_tokenizer(folder), prompt_template=job.prompt_template, max_seq_length=length or 2048
        )
        with tempfile.TemporaryDirectory() as made:
            # Enough rows for realistic batches of similar length.
            count = batch_size * max(arguments.steps + WARM_UP, 32)
            write_rows(Path(made) / "rows.jsonl", arguments.rows, count, length)
            examples = encoder.encode(read_rows(Path(made), job.training)).examples
        order = epoch_batches(examples, batch_size=batch_size, seed=0, epoch=0)[: arguments.steps + WARM_UP]
        batches = [[examples[index] for index in batch] for batch in order]
        loop = ours if kind == "ours" else trainer
        steps = loop(job, batches, encoder.padding)
        tokens = [sum(len(example.tokens) for example in batch) for batch in batches]
        figures[shape] = {
            "tokens_per_second": _rate(tokens, [seconds for _, seconds, _ in steps]),
            "tokens_per_cpu_second": _rate(tokens, [seconds for _, _, seconds in steps]),
            "tokens_per_step": statistics.mean(tokens[WARM_UP:]),
            "losses": [loss for loss, _, _ in steps],
        }
    figures["peak_memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return figures


def _rate(tokens: Sequence[int], seconds: Sequence[float]) -> float:
    rates = [count / taken for count, taken in zip(tokens, seconds, strict=True)]
    return round(statistics.median(rates[WARM_UP:]), 1)


def compared(shape: str, found: dict[str, Any]) -> dict[str, Any]:
    """Compare the two trainers for one shape."""
    mine, other = found["ours"][shape], found["trainer"][shape]
    row: dict[str, Any] = {"tokens_per_step": mine["tokens_per_step"]}
    for rate in ("tokens_per_second", "tokens_per_cpu_second"):
        times = round(mine[rate] / other[rate], 2)
        row[rate] = {"trainer": other[rate], "ours": mine[rate], "times": times}
    losses = zip(mine["losses"], other["losses"], strict=True)
    row["largest_loss_difference"] = max(abs(one - two) for one, two in losses)
    return row


def main() -> None:
    """Run each trainer in its own process, and print a comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", type=Path, help="Hugging Face folder; default: the stack's base model")
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=0, help="default: all cores")
    parser.add_argument("--micro-batch", type=int, default=512, help="padded tokens per forward pass")
    parser.add_argument("--shape", choices=SHAPES)
    parser.add_argument("--only", choices=("ours", "trainer"), help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.model is None:
        from lawtags_stack.base_models import ensure_default_base_model

        arguments.model = ensure_default_base_model()
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments)))
        return
    command = [sys.executable, __file__, *sys.argv[1:], "--model", str(arguments.model)]
    found = {
        kind: json.loads(
            subprocess.check_output(
                [*command, "--only", kind],
                env=worker_environment(),
            )
        )
        for kind in ("trainer", "ours")
    }
    table = {shape: compared(shape, found) for shape in SHAPES if shape in found["ours"]}
    memory = {kind: found[kind]["peak_memory_mb"] for kind in found}
    if arguments.json:
        print(json.dumps({"shapes": table, "peak_memory_mb": memory}, indent=2))
        return
    for shape, row in table.items():
        print(f"{shape}: losses differ by at most {row['largest_loss_difference']:.1e}")
        for rate in ("tokens_per_second", "tokens_per_cpu_second"):
            each = row[rate]
            name = rate.replace("_", " ")
            print(f"  {name}: Trainer {each['trainer']}, lawtags {each['ours']} ({each['times']} times)")
    print(f"peak memory: Trainer {memory['trainer']} MB, lawtags {memory['ours']} MB")
    print(f"load average after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
