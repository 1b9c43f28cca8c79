"""Tagging questions per second: this engine beside transformers' batched generation.

    python benchmarks/serving.py --threads 1 --rows 200
    python benchmarks/serving.py --model FOLDER --questions questions.jsonl --out serving.json

Three kinds of work, each with a LoRA adapter of rank 16 on all linear layers: ``titles`` and ``bodies``
request one token with its 20 most likely alternatives, the latter with 300 tokens per prompt; ``answers``
requests up to 24 tokens constrained to one of the answers in the file. The rivals are transformers with peft
in float32, and their linear layers use the same oneDNN products as the engine:

- ``padded N``: ``generate`` on batches of N prompts of similar length, padded on the left;
- ``continuous``: continuous batching (``generate_batch``), with the adapter merged. It cannot be constrained
  to a list, so it generates as many tokens as the answers have on average, and it returns no alternatives.
  All three favor it. It runs one row in ``--share``; rates are per row.

The script prints how many greedy results of the engine and of ``padded`` agree. All sides take turns, and the
best round of each counts. Rates are per second of processor time, which equals wall time on one thread of an
idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lawtags_client.files import atomic_write_json
from lawtags_stack.base_models import ensure_default_base_model
from lawtags_stack.engines.generation.request import Constraint, Sampling
from lawtags_stack.processes.environment import worker_environment

BODY_TOKENS = 300
PAGE_TOKENS = 256  # of the cache of continuous batching, by default
STEP_TOKENS = 512
ANSWER_TOKENS = 24
SEED = 0


def read_questions(path: Path, rows: int) -> list[dict[str, Any]]:
    """The first questions of a JSON lines file, by the field names of both layouts."""
    found = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            title = row.get("question_title") or row.get("title")
            body = row.get("question_body") or row.get("body_html") or row.get("body") or ""
            found.append({"title": title, "body": re.sub(r"<[^>]*>", " ", body), "tags": row["tags"]})
            if len(found) == rows:
                break
    return found


def make_adapter(model_folder: Path, folder: Path) -> Path:
    """Create an adapter with small random factors, saved by peft."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(SEED)
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    adapted = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(0, 0.002)
    adapted.save_pretrained(folder)
    return folder


class Ours:
    """The engine of the embedded stack."""

    def __init__(self, model: Path, adapter: Path, precision: Any) -> None:
        from lawtags_stack.engines.device import Compute
        from lawtags_stack.engines.generation.engine import Engine

        self.engine = Engine.load(model, compute=Compute.choose("cpu", precision))
        self.engine.add_adapter("a", adapter / "adapter_config.json", adapter / "adapter_model.safetensors")

    def ask(self, prompts: Sequence[list[int]], asked: Sampling) -> list[str]:
        """Answer all prompts; for a score, return the most likely token."""
        answers = self.engine.generate(prompts, asked, adapters=["a"] * len(prompts))
        return [a.scores[0].top[0][0] if a.scores else a.text for a in answers]

    def scores(self, prompts: Sequence[list[int]]) -> list[str]:
        """The most likely first token of each prompt."""
        return self.ask(prompts, Sampling(1, temperature=0, logprobs=20))

    def answers(self, prompts: Sequence[list[int]], words: Sequence[str]) -> list[str]:
        """Greedy answers constrained to the words."""
        constraint = Constraint("choice", json.dumps(words))
        return self.ask(prompts, Sampling(ANSWER_TOKENS, temperature=0, constraint=constraint))


class Padded:
    """transformers with peft and the same products, on batches of prompts of similar length."""

    def __init__(self, model: Path, adapter: Path, size: int) -> None:
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer

        base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        self.model = with_onednn(PeftModel.from_pretrained(base, adapter).eval())
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.size = size

    def generate(self, batch: Sequence[list[int]], **settings: Any) -> Any:
        """Call ``generate`` once."""
        import torch

        width, padding = max(map(len, batch)), self.tokenizer.pad_token_id or 0
        ids = torch.tensor([[padding] * (width - len(tokens)) + tokens for tokens in batch])
        mask = torch.tensor([[0] * (width - len(tokens)) + [1] * len(tokens) for tokens in batch])
        with torch.inference_mode():
            return self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                do_sample=False,
                pad_token_id=padding,
                return_dict_in_generate=True,
                **settings,
            )

    def batches(self, prompts: Sequence[list[int]]) -> list[list[int]]:
        """Indices of prompts of similar length, by batch."""
        order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
        return [order[start : start + self.size] for start in range(0, len(order), self.size)]

    def scores(self, prompts: Sequence[list[int]]) -> list[str]:
        """The most likely first token of each prompt."""
        found = [""] * len(prompts)
        for places in self.batches(prompts):
            made = self.generate([prompts[p] for p in places], max_new_tokens=1, output_logits=True)
            _, best = made.logits[0].log_softmax(-1).topk(20)
            for place, tokens in zip(places, best, strict=True):
                found[place] = self.tokenizer.decode([int(tokens[0])])
        return found

    def answers(self, prompts: Sequence[list[int]], words: Sequence[str]) -> list[str]:
        """Greedy answers constrained to the words by a tree of token ids."""
        end = self.tokenizer.eos_token_id
        paths = [[*self.tokenizer(word)["input_ids"], end] for word in words]
        following: dict[tuple[int, ...], set[int]] = {}
        for path in paths:
            for length in range(len(path)):
                following.setdefault(tuple(path[:length]), set()).add(path[length])
        found = [""] * len(prompts)
        for places in self.batches(prompts):
            batch = [prompts[place] for place in places]
            start = max(map(len, batch))

            def allowed(_: int, ids: Any, start: int = start) -> list[int]:
                return sorted(following.get(tuple(ids[start:].tolist()), {end}))

            made = self.generate(batch, max_new_tokens=ANSWER_TOKENS, prefix_allowed_tokens_fn=allowed)
            for place, tokens in zip(places, made.sequences, strict=True):
                found[place] = self.tokenizer.decode(tokens[start:], skip_special_tokens=True)
        return found


class Continuous:
    """transformers' continuous batching with the same products; the adapter is merged, which favors it."""

    def __init__(self, model: Path, adapter: Path, share: int) -> None:
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer

        base = AutoModelForCausalLM.from_pretrained(
            model, dtype=torch.float32, attn_implementation="paged|sdpa"
        )
        self.model = with_onednn(PeftModel.from_pretrained(base, adapter).merge_and_unload().eval())
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.share = share

    def _write(self, prompts: Sequence[list[int]], tokens: int) -> list[str]:
        from transformers import ContinuousBatchingConfig, GenerationConfig

        asked = GenerationConfig(max_new_tokens=tokens, do_sample=False, eos_token_id=-1, pad_token_id=0)
        pages = max(map(len, prompts)) // PAGE_TOKENS + 2
        # By default the cache and its attention mask take 60 % of the memory, which is slow to set up.
        cache = ContinuousBatchingConfig(num_blocks=pages * (len(prompts) + 1), max_batch_tokens=STEP_TOKENS)
        made = self.model.generate_batch(
            list(prompts), generation_config=asked, continuous_batching_config=cache, warmup=False
        )
        if len(made) != len(prompts) or any(len(one.generated_tokens) != tokens for one in made.values()):
            raise RuntimeError("continuous batching did not finish; rates would mean nothing")
        return [str(one.generated_tokens) for one in made.values()]

    def scores(self, prompts: Sequence[list[int]]) -> list[str]:
        """Generate one token per prompt."""
        return self._write(prompts, 1)

    def answers(self, prompts: Sequence[list[int]], words: Sequence[str]) -> list[str]:
        """Generate as many tokens as the answers have on average, including the end token."""
        lengths = [len(self.tokenizer(word)["input_ids"]) + 1 for word in words]
        return self._write(prompts, round(sum(lengths) / len(lengths)))


def with_onednn(model: Any) -> Any:
    """Make every linear layer use the engine's products, with packed weights."""
    from torch import nn

    from lawtags_client.products import packed

    for module in model.modules():
        if type(module) is nn.Linear:
            module.forward = packed(module.weight.detach(), module.bias, "float32")
    return model


Ask = Callable[[Any, list[list[int]]], list[str]]


def turns(
    sides: dict[str, Any], prompts: list[list[int]], ask: Ask, rounds: int
) -> tuple[dict[str, float], dict[str, list[str]]]:
    """Rows per CPU second in the best round of each side, and its answers."""
    rates: dict[str, float] = {}
    found: dict[str, list[str]] = {}
    for _ in range(rounds):
        for name, side in sides.items():
            part = prompts[:: side.share] if isinstance(side, Continuous) else prompts
            start = time.process_time()
            found[name] = ask(side, part)
            rates[name] = max(len(part) / (time.process_time() - start), rates.get(name, 0.0))
    return rates, found


def make_prompts(ours: Ours, questions: Sequence[dict[str, Any]]) -> tuple[list[list[int]], list[list[int]]]:
    """Tokens of the titles and, for one question in eight, of the bodies."""
    encode = ours.engine.encoder.texts
    titles = encode([f"Title: {question['title']}\nTags:" for question in questions])
    bodies = encode(
        [
            f"Title: {question['title']}\n{question['body'] or question['title']}"
            for question in questions[: max(1, len(questions) // 8)]
        ]
    )
    # Short prompts are repeated to the stated length.
    return titles, [(tokens * (BODY_TOKENS // len(tokens) + 1))[:BODY_TOKENS] for tokens in bodies]


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run all sides on the same prompts, and print each kind of work when done."""
    import peft
    import torch
    import transformers

    torch.set_num_threads(arguments.threads)
    model = arguments.model or ensure_default_base_model()
    questions = read_questions(arguments.questions, arguments.rows)
    with tempfile.TemporaryDirectory() as folder:
        adapter = make_adapter(model, Path(folder))
        ours = Ours(model, adapter, arguments.precision)
        padded = {f"padded {size}": Padded(model, adapter, size) for size in arguments.batches}
        sides: dict[str, Any] = {
            "ours": ours,
            **padded,
            "continuous": Continuous(model, adapter, arguments.share),
        }
    titles, bodies = make_prompts(ours, questions)
    words = sorted({" " + ", ".join(question["tags"][:2]) for question in questions})
    report: dict[str, Any] = {
        "threads": arguments.threads,
        "precision": arguments.precision,
        "mean_title_tokens": sum(map(len, titles)) / len(titles),
        "choices": len(words),
        "versions": {library.__name__: library.__version__ for library in (torch, transformers, peft)},
    }
    for side in sides.values():
        side.scores(titles[:16])
    ours.answers(titles[:1], words)
    kinds: dict[str, tuple[list[list[int]], Ask]] = {
        "titles": (titles, lambda side, prompts: list(side.scores(prompts))),
        "bodies": (bodies, lambda side, prompts: list(side.scores(prompts))),
        "answers": (titles, lambda side, prompts: list(side.answers(prompts, words))),
    }
    print(
        f"{report['threads']} threads, {report['precision']}, {len(words)} answers, "
        f"{report['mean_title_tokens']:.1f} tokens per title, {report['versions']}"
    )
    print(f"{'rows/s':8}" + "".join(f"{name:>12}" for name in [*sides, "times best", "agree"]), flush=True)
    for kind, (prompts, ask) in kinds.items():
        rates, found = turns(sides, prompts, ask, arguments.rounds)
        reference = found[next(iter(padded))]
        agree = sum(a == b for a, b in zip(found["ours"], reference, strict=True)) / len(prompts)
        times = rates["ours"] / max(rate for name, rate in rates.items() if name != "ours")
        report[kind] = {
            "rows": len(prompts),
            "rows_per_second": rates,
            "times_best_rival": times,
            "agreement": agree,
        }
        print(
            f"{kind:8}" + "".join(f"{value:12.2f}" for value in [*rates.values(), times, agree]), flush=True
        )
    report["load_average"] = os.getloadavg()
    report["peak_megabytes_all_sides"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return report


def main() -> int:
    """Measure and print."""
    from lawtags_client import sample

    if any(os.environ.get(name) != value for name, value in worker_environment().items()):
        # All sides get the environment of the stack's workers, which must be set before imports.
        os.execve(sys.executable, [sys.executable, *sys.argv], worker_environment())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--model", type=Path, help="a Hugging Face model folder; default: the stack's base model"
    )
    parser.add_argument("--questions", type=Path, default=sample.path())
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64], help="prompts per padded batch")
    parser.add_argument(
        "--share", type=int, default=8, help="continuous batching runs one row out of this many"
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    report = measure(arguments)
    print(f"load average after: {report['load_average'][0]:.1f}")
    if arguments.out:
        atomic_write_json(arguments.out, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
