"""Compares the estimates of `lawtags plan` with ten small trainings on the embedded stack.

It calibrates this machine, trains once to correct the estimates, and then trains ten times with other rows,
ranks, batches and methods. For each it prints time and peak memory, estimated and measured.

    python benchmarks/estimates.py [--runs N] [--json]

The machine should be quiet: times are by wall clock, which is what a plan estimates.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lawtags_client import NeMo
from lawtags_client.intents import SqliteIntents
from lawtags_client.platform import FineTuneIntent, TrainingLayout
from lawtags_client.platform.v1 import V1Platform
from lawtags_client.runs.hyperparameters import job_hyperparameters, plan_steps
from lawtags_client.runs.outputs import JobPlan, TokenCounts
from lawtags_client.runs.past_trainings import PastTraining, corrected_memory, corrected_time
from lawtags_client.runs.planning.memory import RowLengths, estimate_memory
from lawtags_client.runs.planning.shapes import read_shape
from lawtags_client.runs.planning.timing import TimeEstimate, local_seconds, workload
from lawtags_client.runs.recipe import TrainingSection
from lawtags_client.runs.training_monitor import TrainingMonitor
from lawtags_stack.engines.training.calibration import calibrate
from lawtags_stack.engines.training.job import LoraSettings, TrainingJob
from lawtags_stack.service import StackOptions
from lawtags_stack.stack import StackThread

BASE = "bench/small"
SHAPES = {  # rows, words per row, training options
    "calibrating": (96, 20, {"epochs": 2, "batch_size": 8}),
    "more epochs": (96, 20, {"epochs": 5, "batch_size": 8}),
    "more rows": (256, 20, {"epochs": 1, "batch_size": 8}),
    "short rows": (192, 6, {"epochs": 2, "batch_size": 8}),
    "long rows": (64, 70, {"epochs": 2, "batch_size": 8}),
    "large batch": (192, 20, {"epochs": 2, "batch_size": 16}),
    "small batch": (64, 20, {"epochs": 2, "batch_size": 2}),
    "rank 4": (96, 20, {"epochs": 3, "batch_size": 8, "adapter_dim": 4}),
    "rank 64": (96, 20, {"epochs": 3, "batch_size": 8, "adapter_dim": 64}),
    "validations": (128, 20, {"epochs": 2, "batch_size": 4, "val_check_interval": 0.25}),
    "few steps": (256, 20, {"epochs": 4, "batch_size": 8, "max_steps": 60}),
}
WORDS = [
    "can",
    "my",
    "landlord",
    "keep",
    "the",
    "deposit",
    "after",
    "a",
    "verbal",
    "lease",
    "ended",
    "without",
    "written",
    "notice",
]
TAGS = ["landlord", "contract-law", "copyright", "united-states", "trademark"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Estimate and fact of one training; seconds and bytes."""

    name: str
    estimated_seconds: float
    seconds: float
    estimated_memory: int
    memory: int

    @property
    def time_error(self) -> float:
        return self.seconds / self.estimated_seconds - 1

    @property
    def memory_error(self) -> float:
        return self.memory / self.estimated_memory - 1


def make_base(folder: Path) -> Path:
    """A Llama with random weights, large enough that computing takes longer than Python."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        special_tokens=["<pad>", "<bos>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([" ".join([*WORDS, *TAGS])] * 50, trainer)
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<eos>", "pad_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"bos_token": "<bos>"}), "utf-8")
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "llama", vocab_size=8_000, hidden_size=256, intermediate_size=704, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, head_dim=64, max_position_embeddings=1024,
        bos_token_id=1, eos_token_id=2, pad_token_id=0, tie_word_embeddings=True,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def make_rows(count: int, words: int, seed: int) -> list[dict[str, str]]:
    source = random.Random(seed)
    return [
        {
            "prompt": f"Title: {' '.join(source.choices(WORDS, k=source.randint(words // 2, words)))}\nTags:",
            "completion": ", ".join(source.sample(TAGS, 2)),
        }
        for _ in range(count)
    ]


class Trainings:
    """Trainings on one stack, each estimated first.

    Args:
        base: the folder of the base model.
        folder: for data.
    """

    def __init__(self, base: Path, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._base, self._folder = base, folder
        self._tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
        shape = read_shape(base / "config.json")
        assert shape is not None
        self._shape = shape
        rows = make_rows(64, 20, 1)
        job = TrainingJob(
            model=str(base), model_name=BASE, training=(), lora=LoraSettings(rank=16), max_seq_length=1024
        )
        begin = time.perf_counter()
        self._speed = calibrate(job, rows)
        self.calibration_seconds = time.perf_counter() - begin
        self.past: list[PastTraining] = []

    def planned(self, training: TrainingSection, rows: Sequence[dict[str, str]]) -> JobPlan:
        """The plan of a training, with estimates that earlier ones have corrected."""
        lengths = [self._count(f"{row['prompt']} {row['completion']}") + 1 for row in rows]
        held = lengths[: len(lengths) // 4]
        steps = plan_steps(training, len(rows), sum(lengths))
        work = workload(training, steps, lengths, held, None)
        seconds = local_seconds(work, self._speed)
        answers = max(self._count(row["completion"]) for row in rows)
        memory = estimate_memory(
            training,
            self._shape,
            TrainingLayout(gpus=0),
            RowLengths(max(lengths), answers, sum(lengths) / len(lengths)),
            process=self._speed.process,
        )
        estimate = TimeEstimate(
            seconds=seconds, uncorrected=seconds, startup=self._speed.startup, basis="calibration"
        )
        return JobPlan(
            config=f"{BASE}@v1.0.0+cpu",
            tokens=TokenCounts(counter="tokenizer", training_total=sum(lengths), longest=max(lengths)),
            steps=steps,
            hyperparameters=job_hyperparameters(training, steps, len(rows)),
            output_model="bench/tagger",
            work=work,
            time=corrected_time(estimate, self.past),
            memory=corrected_memory(memory, self.past),
        )

    async def run(self, nemo: NeMo, name: str, count: int, words: int, training: TrainingSection) -> Outcome:
        """Train, and compare."""
        rows = make_rows(count, words, len(name))
        plan = self.planned(training, rows)
        folder = self._folder / name.replace(" ", "-")
        for part, chosen in (("training", rows), ("validation", rows[: count // 4])):
            (folder / part).mkdir(parents=True)
            text = "".join(json.dumps(row) + "\n" for row in chosen)
            (folder / part / f"{part}.jsonl").write_text(text, "utf-8")
        platform = V1Platform(nemo)
        data = await platform.upload(f"bench/{name.replace(' ', '-')}", folder)
        begin = time.perf_counter()
        job = await platform.submit(
            FineTuneIntent(name, plan.config, data.name, plan.hyperparameters, plan.output_model)
        )
        memory, monitor = 0, TrainingMonitor(job.id)
        async for sign in platform.follow(job.id, timeout=3600, stall=3600):
            memory = max(memory, sign.peak_memory or 0)
            monitor.update(sign)
        seconds = time.perf_counter() - begin
        assert plan.time is not None
        assert plan.memory is not None
        past = PastTraining(
            run=name,
            finished_at=name,
            seconds=seconds,
            memory=memory,
            planned=plan,
            steps_per_second=monitor.state().steps_per_second,
        )
        if not self.past:
            self.past.append(past)
        return Outcome(name, plan.time.seconds, seconds, plan.memory.total, memory)

    def _count(self, text: str) -> int:
        return len(self._tokenizer.encode(text).ids)


async def measured(
    trainings: Trainings, stack: StackThread, runs: int, intents: SqliteIntents
) -> list[Outcome]:
    """The outcomes: first that of the calibrating training, then those of the others."""
    found = []
    async with NeMo.from_env(
        platform_url=stack.platform_url,
        data_store_url=stack.data_store_url,
        inference_url=stack.inference_url,
        intents=intents,
    ) as nemo:
        for name, (count, words, options) in list(SHAPES.items())[: runs + 1]:
            found.append(
                await trainings.run(nemo, name, count, words, TrainingSection.model_validate(options))
            )
            outcome = found[-1]
            print(
                f"{name:12} {outcome.estimated_seconds:7.1f} s {outcome.seconds:7.1f} s "
                f"{outcome.time_error:+6.0%} {outcome.estimated_memory / 1e6:7.0f} MB "
                f"{outcome.memory / 1e6:7.0f} MB {outcome.memory_error:+6.0%} load {os.getloadavg()[0]:.1f}",
                file=sys.stderr,
                flush=True,
            )
    return found


def main() -> None:
    """Measure, and print how many estimates hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=len(SHAPES) - 1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = make_base(folder / "base")
        trainings = Trainings(base, folder / "data")
        with StackThread(folder / "stack", options=StackOptions(base_models={BASE: base})) as stack:
            found = asyncio.run(
                measured(trainings, stack, options.runs, SqliteIntents(folder / "intents.sqlite"))
            )
    judged = found[1:]
    in_time = sum(abs(each.time_error) <= 0.2 for each in judged)
    in_memory = sum(abs(each.memory_error) <= 0.15 for each in judged)
    if options.json:
        rows = [
            {**{field: getattr(each, field) for field in each.__dataclass_fields__}, "load": os.getloadavg()}
            for each in found
        ]
        print(json.dumps(rows))
    print(
        f"calibration {trainings.calibration_seconds:.1f} s; time within 20 % in {in_time} of {len(judged)}, "
        f"memory within 15 % in {in_memory} of {len(judged)}"
    )


if __name__ == "__main__":
    main()
