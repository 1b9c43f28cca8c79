"""Tagging questions per second: this engine beside transformers called one question after the other.

    python benchmarks/serving.py --threads 1 --rows 200
    python benchmarks/serving.py --model FOLDER --questions questions.jsonl --out serving.json

Three kinds of work, each with a LoRA adapter of rank 16 on all linear layers: ``titles`` and ``bodies`` ask
for one token with its 20 likeliest alternatives, the latter with 300 tokens a prompt; ``answers`` asks for up
to 24 tokens held to one of the answers in the file. The other side holds answers by a tree of token ids, and
its adapter is run by peft, in fp32 whatever ``--precision`` says. The greedy results are compared, and the
share that agrees is printed. Both sides take turns for some rounds, and the best round of each counts; rates
are by the processor's time, which on one thread of a quiet machine is that of the clock.
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
    """An adapter with small random factors, saved by peft."""
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
        from lawtags_stack.engines.generation.engine import Engine

        self.engine = Engine.load(model, precision=precision)
        self.engine.add_adapter("a", adapter / "adapter_config.json", adapter / "adapter_model.safetensors")

    def ask(self, prompts: Sequence[list[int]], asked: Sampling) -> list[str]:
        """Answers of all prompts; for a score, its likeliest token."""
        answers = self.engine.generate(prompts, asked, adapters=["a"] * len(prompts))
        return [a.scores[0].top[0][0] if a.scores else a.text for a in answers]

    def scores(self, prompts: Sequence[list[int]]) -> list[str]:
        """The likeliest first token of each prompt."""
        return self.ask(prompts, Sampling(1, temperature=0, logprobs=20))

    def answers(self, prompts: Sequence[list[int]], words: Sequence[str]) -> list[str]:
        """Greedy answers held to the words."""
        constraint = Constraint("choice", json.dumps(words))
        return self.ask(prompts, Sampling(ANSWER_TOKENS, temperature=0, constraint=constraint))


class Plain:
    """transformers with peft, one prompt after the other."""

    def __init__(self, model: Path, adapter: Path) -> None:
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer

        base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
        self.model = PeftModel.from_pretrained(base, adapter).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(model)

    def generate(self, tokens: list[int], **settings: Any) -> Any:
        """One call of ``generate``."""
        import torch

        ids = torch.tensor([tokens])
        with torch.inference_mode():
            return self.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                return_dict_in_generate=True,
                **settings,
            )

    def scores(self, prompts: Sequence[list[int]]) -> list[str]:
        """The likeliest first token of each prompt."""
        found = []
        for tokens in prompts:
            made = self.generate(tokens, max_new_tokens=1, output_logits=True)
            _, best = made.logits[0][0].log_softmax(-1).topk(20)
            found.append(self.tokenizer.decode([int(best[0])]))
        return found

    def answers(self, prompts: Sequence[list[int]], words: Sequence[str]) -> list[str]:
        """Greedy answers held to the words."""
        end = self.tokenizer.eos_token_id
        paths = [[*self.tokenizer(word)["input_ids"], end] for word in words]
        following: dict[tuple[int, ...], set[int]] = {}
        for path in paths:
            for length in range(len(path)):
                following.setdefault(tuple(path[:length]), set()).add(path[length])
        found = []
        for tokens in prompts:
            start = len(tokens)

            def allowed(_: int, ids: Any, start: int = start) -> list[int]:
                return sorted(following.get(tuple(ids[start:].tolist()), {end}))

            made = self.generate(tokens, max_new_tokens=ANSWER_TOKENS, prefix_allowed_tokens_fn=allowed)
            found.append(self.tokenizer.decode(made.sequences[0][start:], skip_special_tokens=True))
        return found


def timed(work: Callable[[], list[str]]) -> tuple[list[str], float]:
    """What the work gives, and the processor's seconds."""
    start = time.process_time()
    found = work()
    return found, time.process_time() - start


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run both sides on the same prompts, and print each kind of work once it is done."""
    import torch

    torch.set_num_threads(arguments.threads)
    model = arguments.model or ensure_default_base_model()
    questions = read_questions(arguments.questions, arguments.rows)
    with tempfile.TemporaryDirectory() as folder:
        adapter = make_adapter(model, Path(folder))
        ours, plain = Ours(model, adapter, arguments.precision), Plain(model, adapter)
    encode = ours.engine.encoder.texts
    titles = encode([f"Title: {question['title']}\nTags:" for question in questions])
    bodies = [
        encode([f"Title: {question['title']}\n{question['body'] or question['title']}"])[0]
        for question in questions
    ]
    # Short ones are repeated, so that every prompt has the stated length.
    bodies = [(tokens * (BODY_TOKENS // len(tokens) + 1))[:BODY_TOKENS] for tokens in bodies]
    words = sorted({" " + ", ".join(question["tags"][:2]) for question in questions})
    bodies = bodies[: max(1, len(bodies) // 8)]
    few = max(1, arguments.rows // 8)
    report: dict[str, Any] = {
        "threads": arguments.threads,
        "precision": arguments.precision,
        "mean_title_tokens": sum(map(len, titles)) / len(titles),
        "choices": len(words),
    }
    ours.scores(titles[:16])
    plain.scores(titles[:2])
    ours.answers(titles[:1], words)
    kinds: dict[str, tuple[list[list[int]], Callable[[Any, list[list[int]]], list[str]]]] = {
        "titles": (titles, lambda side, prompts: list(side.scores(prompts))),
        "bodies": (bodies, lambda side, prompts: list(side.scores(prompts))),
        "answers": (titles, lambda side, prompts: list(side.answers(prompts, words))),
    }
    tokens = f"{report['mean_title_tokens']:.1f} tokens a title"
    print(f"{report['threads']} threads, {report['precision']}, {tokens}")
    print(f"{'':10} {'rows/s':>8} {'one by one':>11} {'times':>6} {'agree':>6}", flush=True)
    for kind, (prompts, ask) in kinds.items():
        taken, plainly = [], []
        for _ in range(arguments.rounds):
            mine, seconds = timed(lambda ask=ask, prompts=prompts: ask(ours, prompts))  # type: ignore[misc]
            others, slow = timed(lambda ask=ask, prompts=prompts: ask(plain, prompts[:few]))  # type: ignore[misc]
            taken.append(seconds)
            plainly.append(slow)
        agree = sum(a == b for a, b in zip(mine, others, strict=False)) / len(others)
        rate, plain_rate = len(prompts) / min(taken), len(others) / min(plainly)
        report[kind] = {
            "rows": len(prompts),
            "rows_per_second": rate,
            "one_by_one_rows_per_second": plain_rate,
            "times": rate / plain_rate,
            "agreement": agree,
        }
        print(
            f"{kind:10} {rate:8.1f} {plain_rate:11.2f} {rate / plain_rate:6.1f} {agree:6.2f}",
            flush=True,
        )
    report["load_average"] = os.getloadavg()
    report["peak_megabytes_both_sides"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return report


def main() -> int:
    """Measure and print."""
    from lawtags_client import sample

    if any(os.environ.get(name) != value for name, value in worker_environment().items()):
        # Both sides get what the stack's worker is started with; it counts from a process's first moment.
        os.execve(sys.executable, [sys.executable, *sys.argv], worker_environment())
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--model", type=Path, help="a Hugging Face model folder; the default base model if not given"
    )
    parser.add_argument("--questions", type=Path, default=sample.path())
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    report = measure(arguments)
    print(f"load average after: {report['load_average'][0]:.1f}")
    if arguments.out:
        atomic_write_json(arguments.out, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
