"""The engine: one causal language model that generates for many requests at once, step by step.

Each step takes one token of every running row and as many waiting prompts as its token budget allows, and
runs them through the model as one sequence without padding (see ``attention``). A row that needs a single
token (a score) stores nothing; the others store their keys and values in slots.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lawtags_client.errors import ConfigurationError
from lawtags_stack.chat.tokenizer import FastTokenizer
from lawtags_stack.engines.device import Compute
from lawtags_stack.engines.generation import attention, sampling
from lawtags_stack.engines.generation.adapters import (
    Routing,
    attach,
    check_shapes,
    detach,
    load_adapter,
    route_linears,
)
from lawtags_stack.engines.generation.answer_builder import AnswerBuilder, failure
from lawtags_stack.engines.generation.attention import Prefix, Slots
from lawtags_stack.engines.generation.constraints import Constraints
from lawtags_stack.engines.generation.encoding import PromptEncoder
from lawtags_stack.engines.generation.limits import Limits
from lawtags_stack.engines.generation.loading import end_tokens, load_model, slot_token_bytes
from lawtags_stack.engines.generation.planning import TokenBatch, lay_out, lay_out_prefix
from lawtags_stack.engines.generation.prefixes import PrefixStore
from lawtags_stack.engines.generation.request import Answer, Constraint, Sampling
from lawtags_stack.engines.generation.rows import GenerationRow, RequestQueue
from lawtags_stack.engines.generation.token_text import TextStream, TokenText

if TYPE_CHECKING:
    from torch import Tensor

_SLOT_BLOCK = 64


class Engine:
    """Generates with one model and any number of LoRA adapters.

    Args:
        model: a Hugging Face causal language model, loaded with the ``ATTENTION`` implementation; its layers
            are replaced.
        tokenizer: its fast tokenizer.
        limits: resource limits; None uses those that suit the device.
        compute: device and precision; None uses the CPU.
        entropy: source of seeds for requests without one.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: FastTokenizer,
        *,
        limits: Limits | None = None,
        compute: Compute | None = None,
        entropy: random.Random | None = None,
    ) -> None:
        compute = compute or Compute.choose("cpu")
        self.limits = limits or Limits.suited(on_cpu=compute.on_cpu)
        self.computing = compute.described
        self.encoder = PromptEncoder(tokenizer)
        self.text = TokenText(tokenizer)
        self._routing = Routing()
        # Layer by layer, so that the fp32 weights are never all in GPU memory; then the rest.
        self._layers = route_linears(model, self._routing, compute)
        self._device = compute.device
        self._model = model.to(self._device)
        self._adapters: set[str] = set()
        self._entropy = entropy or random.SystemRandom()
        config = model.config
        self.max_length = int(config.max_position_embeddings)
        self._ends = end_tokens(model, tokenizer)
        self._constraints = Constraints(tokenizer, int(config.vocab_size), sorted(self._ends), self.text)
        self._reading = AnswerBuilder(self.text, self._ends)
        self._waiting = RequestQueue()
        self._running: list[GenerationRow] = []
        self._instant: list[GenerationRow] = []
        self._slots = Slots()
        self._prefixes = PrefixStore(self.limits.prefix_bytes)
        self._slot_token_bytes = slot_token_bytes(config)

    @classmethod
    def load(cls, folder: Path, *, limits: Limits | None = None, compute: Compute | None = None) -> Engine:
        """Load a model folder: safetensors only; code in the folder is never executed.

        Args:
            folder: a Hugging Face model folder.
            limits: resource limits.
            compute: device and precision; None uses the CPU in float32.

        Raises:
            ConfigurationError: the folder contains no model that can be loaded.
        """
        model, tokenizer = load_model(folder)
        return cls(model, tokenizer, limits=limits, compute=compute)

    # Adapters

    @property
    def adapters(self) -> frozenset[str]:
        """Names of the loaded adapters."""
        return frozenset(self._adapters)

    def add_adapter(self, name: str, config: Path, weights: Path) -> None:
        """Load an adapter under a name, replacing any adapter of that name.

        Raises:
            ConfigurationError: it cannot be served on this base model.
        """
        adapter = load_adapter(config, weights, self._layers)
        check_shapes(adapter, self._layers)
        self.remove_adapter(name)
        attach(name, adapter, self._layers)
        self._adapters.add(name)

    def remove_adapter(self, name: str) -> None:
        """Unload an adapter; its rows would continue with the base model, so cancel them first."""
        detach(name, self._layers)
        self._prefixes.forget(name)
        self._adapters.discard(name)

    # Requests

    def check_constraint(self, constraint: Constraint) -> None:
        """Compile a constraint, and cache it for requests that use it.

        Raises:
            ConfigurationError: it cannot be used.
        """
        self._constraints.matcher(constraint)

    def submit(
        self,
        request: Hashable,
        prompts: Sequence[Sequence[int]],
        asked: Sampling,
        *,
        adapter: str | None = None,
    ) -> None:
        """Queue the rows of a request: ``n`` answers per prompt, numbered in that order.

        Raises:
            ConfigurationError: a prompt is empty or too long, or a constraint cannot be used.
        """
        if adapter is not None and adapter not in self._adapters:
            raise ConfigurationError(f"there is no adapter {adapter!r}", hint="Load it first.")
        for prompt in prompts:
            self._check_prompt(prompt, asked)
        rows = [
            self._row(request, index, prompts[index // asked.n], asked, adapter)
            for index in range(len(prompts) * asked.n)
        ]
        for row in rows:
            if row.finish is None and row.fault is None:
                self._waiting.add(row)
            else:
                self._instant.append(row)

    def _check_prompt(self, prompt: Sequence[int], asked: Sampling) -> None:
        if not prompt:
            raise ConfigurationError("a prompt is empty", hint="Send at least one token.")
        if len(prompt) + asked.max_tokens > self.max_length:
            raise ConfigurationError(
                f"prompt ({len(prompt)} tokens) and answer ({asked.max_tokens}) together exceed the model's "
                f"{self.max_length} tokens",
                hint="Shorten the prompt or lower max_tokens.",
            )
        size = int(self._model.config.vocab_size)
        if min(prompt) < 0 or max(prompt) >= size:
            raise ConfigurationError(f"token ids must be between 0 and {size - 1}")

    def _row(
        self, request: Hashable, index: int, prompt: Sequence[int], asked: Sampling, adapter: str | None
    ) -> GenerationRow:
        row = GenerationRow(
            request, index, adapter, list(prompt), len(prompt), asked, stream=TextStream(asked.stop)
        )
        if asked.temperature > 0:
            seed = self._entropy.getrandbits(62) if asked.seed is None else asked.seed + index
            row.generator = torch.Generator(self._device).manual_seed(seed % 2**63)
        if asked.constraint is not None:
            row.matcher = self._constraints.matcher(asked.constraint)
            self._reading.fast_forward(row)
        return row

    @torch.inference_mode()
    def cancel(self, request: Hashable) -> None:
        """Cancel all rows of a request."""
        self._waiting.drop(request)
        self._instant = [row for row in self._instant if row.request != request]
        for row in [row for row in self._running if row.request == request]:
            self._release(row)

    def reset(self) -> None:
        """Drop all rows, regardless of the state after a failed step."""
        self._waiting, self._running, self._instant = RequestQueue(), [], []
        self._slots.clear()
        self._prefixes = PrefixStore(self.limits.prefix_bytes)

    @property
    def busy(self) -> bool:
        """Whether there are rows to compute."""
        return bool(self._running or self._instant or len(self._waiting))

    # Steps

    @torch.inference_mode()
    def step(self) -> list[GenerationRow]:
        """Run one step.

        Returns:
            The rows that got new tokens; finished ones have ``finish`` set.
        """
        done, self._instant = self._instant, []
        taken = self._take()
        if not taken:
            return done
        for batch, logits in self._computed(taken):
            for row, count in batch.taken:
                row.computed += count
            if batch.ready:
                chosen = sampling.choose(batch.ready, logits, self._constraints)
                sampling.score(batch.ready, logits, chosen, self.text)
                for row, token in zip(batch.ready, chosen, strict=True):
                    if row.fault is None:
                        self._reading.take(row, token)
                done += batch.ready
        done += [row for row, _ in taken if row.fault is not None and row not in done]
        for row in done:
            if row.finish is not None or row.fault is not None:
                self._release(row)
        return done

    def _computed(self, taken: list[tuple[GenerationRow, int]]) -> list[tuple[TokenBatch, Tensor]]:
        """The logits of a step; if it fails, each row is computed alone, so that only the culprit fails.

        Repeating a step is safe: keys and values are written to the same positions.
        """
        try:
            batch = lay_out(taken, self._slots, self._device)
            return [(batch, self._forward(batch))]
        except Exception as error:
            if len(taken) == 1:
                taken[0][0].fault = failure(error)
                return []
            return [part for pair in taken for part in self._computed([pair])]

    def _forward(self, batch: TokenBatch) -> Tensor:
        self._routing.segments = batch.segments
        with attention.use_plan(batch.plan):
            result = self._model(
                input_ids=batch.tokens,
                position_ids=batch.positions,
                use_cache=False,
                logits_to_keep=batch.last,
            )
        logits: Tensor = result.logits[0].float()
        return logits

    def _take(self) -> list[tuple[GenerationRow, int]]:
        """Choose what the step computes: running rows first, then waiting ones up to the budget."""
        room = self.limits.step_tokens
        taken = []
        for row in self._running:
            count = max(1, min(row.pending, room))
            taken.append((row, count))
            room -= count
        begun: list[GenerationRow] = []
        while room > 0 and (first := self._waiting.peek()) is not None and self._fits(first):
            begun.append(self._waiting.pop())
            if not self._scored_at_once(first):
                self._running.append(first)
                first.slot = len(self._running) - 1
            room -= first.pending
        self._share_prefixes(begun)
        self._reserve_slots()
        for row in begun:
            if row.slot is not None and row.prefix is not None:
                self._slots.put_prefix(row.slot, row.prefix)
        return taken + [(row, min(row.pending, self._most(row))) for row in begun]

    def _most(self, row: GenerationRow) -> int:
        return row.pending if row.slot is None else max(1, self.limits.step_tokens)

    def _scored_at_once(self, row: GenerationRow) -> bool:
        return row.sampling.max_tokens - row.generated <= 1 and row.pending <= self.limits.step_tokens

    def _fits(self, row: GenerationRow) -> bool:
        if self._scored_at_once(row) or not self._running:
            return True
        longest = max(row.longest, max(other.longest for other in self._running))
        needed = (len(self._running) + 1) * longest * self._slot_token_bytes
        return len(self._running) < self.limits.rows and needed <= self.limits.slot_bytes

    def _reserve_slots(self) -> None:
        if self._running:
            longest = max(len(row.tokens) for row in self._running)
            self._slots.reserve(len(self._running), -(-longest // _SLOT_BLOCK) * _SLOT_BLOCK)

    def _share_prefixes(self, begun: Sequence[GenerationRow]) -> None:
        by_adapter = sorted(begun, key=lambda row: row.adapter or "")
        for adapter, group in groupby(by_adapter, key=lambda row: row.adapter):
            rows = list(group)
            tokens = self._prefixes.worth_computing(adapter, rows)
            if tokens is not None:
                self._compute_prefix(adapter, tokens)
            for row in rows:
                row.prefix = self._prefixes.find(adapter, row.tokens)
                row.computed = len(row.prefix.tokens) if row.prefix else 0

    def _compute_prefix(self, adapter: str | None, tokens: tuple[int, ...]) -> None:
        prefix = Prefix(tokens)
        try:
            self._forward(lay_out_prefix(adapter, prefix, self._device))
        except Exception:
            return  # the rows are computed without a prefix, which shows which one fails
        self._prefixes.add(adapter, prefix)

    def _release(self, row: GenerationRow) -> None:
        if row.slot is None:
            return
        if row.finish is None or row.fault is not None:  # cancelled or failed
            self._slots.wipe(row.slot)
        last = self._running.pop()
        if last is not row:
            assert last.slot is not None
            self._slots.move(last.slot, row.slot, last.computed)
            last.slot = row.slot
            self._running[row.slot] = last
        row.slot = None
        if not self._running:
            self._slots.clear()

    # A single call for tests, benchmarks and scripts

    def generate(
        self,
        prompts: Iterable[str | Sequence[int]],
        asked: Sampling,
        *,
        adapters: Sequence[str | None] | None = None,
    ) -> list[Answer]:
        """Answer prompts, and wait for the answers.

        Args:
            prompts: texts or token ids.
            asked: how to choose tokens.
            adapters: one per prompt; None uses the base model.

        Raises:
            ConfigurationError: a prompt, adapter or constraint cannot be used.
            LawtagsError: the model fails on one of them.
        """
        encoded = [self.encoder.texts([p])[0] if isinstance(p, str) else list(p) for p in prompts]
        for place, tokens in enumerate(encoded):
            self.submit(place, [tokens], asked, adapter=adapters[place] if adapters else None)
        found: dict[tuple[Hashable, int], Answer] = {}
        while self.busy:
            for row in self.step():
                if row.fault is not None:
                    raise row.fault
                row.scores += row.new_scores
                row.new_scores = []
                if row.finish is not None:
                    found[row.request, row.index] = answer(row)
        return [found[place, index] for place in range(len(encoded)) for index in range(asked.n)]


def answer(row: GenerationRow) -> Answer:
    """The answer of a finished row."""
    assert row.finish is not None
    return Answer(row.index, row.stream.text, row.finish, row.scores, row.generated)
