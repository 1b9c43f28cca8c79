"""The engine's answers are those of transformers and peft, however requests are batched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import ARCHITECTURES

from lawtags_client.errors import ConfigurationError
from lawtags_stack.engines.generation.engine import Engine
from lawtags_stack.engines.generation.limits import Limits
from lawtags_stack.engines.generation.request import Constraint, Sampling

PROMPTS = [
    "Title: Can pricing be trademarked?\nTags:",
    "Title: lease\nTags:",
    "Title: Who owns a photo taken at work, and who may sell it to others later on?\nTags:",
    "law",
    "Title: Is a verbal lease binding?\nTags:",
]
GREEDY = Sampling(max_tokens=12, temperature=0)
SCORE = Sampling(max_tokens=1, temperature=0, logprobs=5)


def reference_logits(model: Any, tokenizer: Any, prompt: str) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model(torch.tensor([tokenizer(prompt)["input_ids"]])).logits[0, -1].float()
    return logits


def plain(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def continue_greedily(model: Any, tokenizer: Any, prompt: str, count: int) -> list[int]:
    tokens = list(tokenizer(prompt)["input_ids"])
    start = len(tokens)
    for _ in range(count):
        with torch.inference_mode():
            tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
        if tokens[-1] == tokenizer.eos_token_id:
            break
    return tokens[start:]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("step_tokens", [16, 512])
def test_a_batch_answers_as_the_plain_model_does_one_by_one(
    tiny_model: Callable[[str], Path], architecture: str, step_tokens: int
) -> None:
    folder = tiny_model(architecture)
    engine = Engine.load(folder, limits=Limits(step_tokens=step_tokens))
    model, tokenizer = plain(folder)
    # Longer than the sliding window of the Gemma, so that its masks are at work.
    answers = engine.generate(PROMPTS, Sampling(max_tokens=24, temperature=0, logprobs=1))
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        expected = continue_greedily(model, tokenizer, prompt, 24)
        assert [score.text for score in answer.scores] == [engine.text.name_of(t) for t in expected]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_are_the_log_probabilities_of_the_plain_model(
    tiny_model: Callable[[str], Path], architecture: str
) -> None:
    folder = tiny_model(architecture)
    model, tokenizer = plain(folder)
    answers = Engine.load(folder).generate(PROMPTS, SCORE)
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        expected, _ = reference_logits(model, tokenizer, prompt).log_softmax(-1).topk(5)
        assert [value for _, value in answer.scores[0].top] == pytest.approx(expected.tolist(), abs=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("tokens", [191, 192, 300, 400])
def test_long_prompts_are_attended_to_as_by_the_plain_model(
    tiny_model: Callable[[str], Path], architecture: str, tokens: int
) -> None:
    folder = tiny_model(architecture)
    model, _ = plain(folder)
    engine = Engine.load(folder, limits=Limits(step_tokens=1024))
    prompts = [[(seed + place * place) % 300 + 6 for place in range(tokens)] for seed in (1, 5)]
    for asked in (SCORE, Sampling(4, temperature=0, logprobs=5, ignore_eos=True)):
        for prompt, answer in zip(prompts, engine.generate(prompts, asked), strict=True):
            with torch.inference_mode():
                logits = model(torch.tensor([prompt])).logits[0, -1]
            top, _ = logits.log_softmax(-1).topk(5)
            assert [value for _, value in answer.scores[0].top] == pytest.approx(top.tolist(), abs=1e-4)


def test_adapters_in_one_batch_answer_as_peft_does(
    engine: Engine, tiny_model: Callable[[str], Path], tiny_adapters: list[Path]
) -> None:
    from peft import PeftModel

    model, tokenizer = plain(tiny_model("llama"))
    expected = {None: reference_logits(model, tokenizer, PROMPTS[0])}
    for name, folder in zip(("all", "some"), tiny_adapters, strict=True):
        model, tokenizer = plain(tiny_model("llama"))
        expected[name] = reference_logits(PeftModel.from_pretrained(model, folder), tokenizer, PROMPTS[0])
    order = ["some", None, "all", None, "some"]
    answers = engine.generate([PROMPTS[0]] * 5, SCORE, adapters=order)
    for name, answer in zip(order, answers, strict=True):
        top, _ = expected[name].log_softmax(-1).topk(5)
        assert [value for _, value in answer.scores[0].top] == pytest.approx(top.tolist(), abs=1e-4)
    assert answers[0].scores != answers[1].scores != answers[2].scores


def test_a_mixed_batch_equals_single_requests(engine: Engine) -> None:
    adapters = ["all", "some", None, "all", "some"]
    together = engine.generate(PROMPTS, GREEDY, adapters=adapters)
    alone = [
        engine.generate([prompt], GREEDY, adapters=[name])[0]
        for prompt, name in zip(PROMPTS, adapters, strict=True)
    ]
    assert [answer.text for answer in together] == [answer.text for answer in alone]


@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
def test_a_shared_beginning_changes_nothing(tiny_model: Callable[[str], Path], architecture: str) -> None:
    folder = tiny_model(architecture)
    model, tokenizer = plain(folder)
    instruction = "user system assistant question answer: " * 4
    prompts = [instruction + prompt for prompt in PROMPTS] * 2
    engine = Engine.load(folder)
    scores = engine.generate(prompts, SCORE)
    texts = engine.generate(prompts, Sampling(6, temperature=0, logprobs=0))
    assert engine._prefixes.find(None, engine.encoder.texts([prompts[0]])[0]) is not None
    for prompt, scored, answer in zip(prompts, scores, texts, strict=True):
        top, _ = reference_logits(model, tokenizer, prompt).log_softmax(-1).topk(5)
        assert [value for _, value in scored.scores[0].top] == pytest.approx(top.tolist(), abs=1e-4)
        expected = continue_greedily(model, tokenizer, prompt, 6)
        assert [score.text for score in answer.scores] == [engine.text.name_of(t) for t in expected]


@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
@pytest.mark.parametrize("tokens", [20, 230])
def test_a_short_shared_beginning_changes_nothing(
    tiny_model: Callable[[str], Path], architecture: str, tokens: int
) -> None:
    folder = tiny_model(architecture)
    prompts = [
        [9, 12, *((seed * (place + 1) + 7) % 300 + 6 for place in range(tokens))] for seed in range(40)
    ]
    for asked in (SCORE, Sampling(3, temperature=0, logprobs=5, ignore_eos=True)):
        shared, apart = Engine.load(folder), Engine.load(folder, limits=Limits(step_tokens=1))
        expected = [apart.generate([prompt], asked)[0] for prompt in prompts[::20]]
        shared.generate([prompt[:10] for prompt in prompts], asked)  # many together are worth a prefix
        found = shared.generate(prompts, asked)[::20]
        prefix = shared._prefixes.find(None, prompts[0])
        assert prefix is not None and prefix.tokens == (9, 12)
        for one, other in zip(found, expected, strict=True):
            for mine, alone in zip(one.scores, other.scores, strict=True):
                top = [value for _, value in alone.top]
                assert [value for _, value in mine.top] == pytest.approx(top, abs=1e-4)


def test_requests_that_come_later_join_the_running_ones(engine: Engine) -> None:
    tokens = engine.encoder.texts(PROMPTS)
    done: dict[Any, str] = {}
    late = list(enumerate(tokens))
    while late or engine.busy:
        if late:
            place, prompt = late.pop(0)
            engine.submit(place, [prompt], GREEDY, adapter="all" if place % 2 else None)
        for row in engine.step():
            if row.finish:
                done[row.request] = row.stream.text
    adapters = [None, "all", None, "all", None]
    assert [done[i] for i in range(5)] == [
        a.text for a in engine.generate(PROMPTS, GREEDY, adapters=adapters)
    ]


def test_cancelling_frees_the_rows(engine: Engine) -> None:
    engine.submit("a", engine.encoder.texts(PROMPTS), Sampling(100, temperature=0, ignore_eos=True))
    engine.submit("b", engine.encoder.texts(PROMPTS[:1]), GREEDY)
    engine.step()
    engine.cancel("a")
    rows = [row for _ in range(20) for row in engine.step()]
    assert {row.request for row in rows} == {"b"}
    assert not engine.busy


def test_a_seed_repeats_and_n_gives_several_answers(engine: Engine) -> None:
    asked = Sampling(8, temperature=1.5, top_p=0.95, seed=3, n=4, ignore_eos=True)
    first, second = engine.generate(PROMPTS[:1], asked), engine.generate(PROMPTS[:1], asked)
    assert [a.text for a in first] == [a.text for a in second]
    assert len({a.text for a in first}) > 1
    assert [a.index for a in first] == [0, 1, 2, 3]


def test_a_stop_string_ends_the_answer_and_is_not_part_of_it(engine: Engine) -> None:
    whole = engine.generate(PROMPTS[:1], Sampling(20, temperature=0, ignore_eos=True))[0].text
    stop = whole[5:8]
    cut = engine.generate(PROMPTS[:1], Sampling(20, temperature=0, ignore_eos=True, stop=(stop,)))[0]
    assert cut.text == whole[: whole.index(stop)]
    assert cut.finish_reason == "stop"


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize(
    "constraint, fits",
    [
        (Constraint("choice", '["copyright", "contract-law", "a \\"b\\" ü"]'), None),
        (Constraint("regex", r"(lease|photo)(, (lease|photo)){0,2}"), r"(lease|photo)(, (lease|photo)){0,2}"),
        (Constraint("grammar", 'start: "tag: " ("x" | "y")'), "tag: [xy]"),
        (
            Constraint(
                "json", '{"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}'
            ),
            r'\{"a": (true|false).*\}',
        ),
    ],
)
def test_constrained_answers_keep_to_their_language(
    engine: Engine, constraint: Constraint, fits: str | None, temperature: float
) -> None:
    asked = Sampling(120, temperature=temperature, seed=1, constraint=constraint)
    for answer in engine.generate(PROMPTS, asked, adapters=["all", None, "some", None, None]):
        if fits is None:
            assert answer.text in json.loads(constraint.source)
        elif answer.finish_reason == "stop":
            assert re.fullmatch(fits, answer.text, re.DOTALL)


def test_forced_tokens_do_not_change_a_greedy_constrained_answer(engine: Engine) -> None:
    constraint = Constraint("choice", '["united-states", "contract-law", "landlord"]')
    fast = engine.generate(PROMPTS, Sampling(20, temperature=0, constraint=constraint))
    slow = engine.generate(PROMPTS, Sampling(20, temperature=0, constraint=constraint, logprobs=0))
    assert [a.text for a in fast] == [a.text for a in slow]


@pytest.mark.parametrize("kind, source", [("regex", "("), ("json", "[1]"), ("grammar", "start: missing")])
def test_a_broken_constraint_is_refused(engine: Engine, kind: Any, source: str) -> None:
    with pytest.raises(ConfigurationError, match="constraint"):
        engine.generate(PROMPTS[:1], Sampling(5, constraint=Constraint(kind, source)))
    assert not engine.busy


@pytest.mark.parametrize("prompt", [[], [10_000], [1] * 510])
def test_prompts_that_cannot_be_run_are_refused(engine: Engine, prompt: list[int]) -> None:
    with pytest.raises(ConfigurationError):
        engine.generate([prompt], GREEDY)


def test_an_adapter_of_another_model_is_refused(
    tiny_model: Callable[[str], Path], tiny_adapters: list[Path], tmp_path: Path
) -> None:
    engine = Engine.load(tiny_model("qwen2"))
    weights = tiny_adapters[0] / "adapter_model.safetensors"
    config = json.loads((tiny_adapters[0] / "adapter_config.json").read_text())
    (tmp_path / "c.json").write_text(json.dumps(config | {"use_dora": True}))
    with pytest.raises(ConfigurationError, match="use_dora"):
        engine.add_adapter("x", tmp_path / "c.json", weights)
    (tmp_path / "d.json").write_text(json.dumps(config | {"peft_type": "IA3"}))
    with pytest.raises(ConfigurationError, match="IA3"):
        engine.add_adapter("x", tmp_path / "d.json", weights)
    assert engine.adapters == frozenset()


def test_a_large_request_does_not_block_a_small_one(engine: Engine) -> None:
    engine.limits = Limits(step_tokens=64)
    prompts = engine.encoder.texts([f"Title: lease number {i}\nTags:" for i in range(100)])
    engine.submit("large", prompts, SCORE)
    engine.submit("small", prompts[:1], SCORE)
    steps = 0
    while not any(row.request == "small" for row in engine.step()):
        steps += 1
    assert steps <= 2
    assert engine.busy


def test_choices_are_answered_in_the_tokenizer_s_own_tokens(engine: Engine) -> None:
    words = [" lease", " lease law", " trademark"]
    asked = Sampling(
        20, temperature=1.5, seed=1, n=8, logprobs=0, constraint=Constraint("choice", json.dumps(words))
    )
    names = [[engine.text.name_of(t) for t in tokens] for tokens in engine.encoder.texts(words)]
    for answer in engine.generate(PROMPTS[:1], asked):
        spelled = [score.text for score in answer.scores if score.text != "<eos>"]
        assert spelled in names
