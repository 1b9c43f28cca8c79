"""What one row or adapter does ends that row alone; the others of its batch never notice."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny_models import make_adapter

from lawtags_client.errors import ConfigurationError, LawtagsError
from lawtags_stack.engines.generation.adapter_config import AdapterConfig, read_adapter_config
from lawtags_stack.engines.generation.adapters import load_adapter
from lawtags_stack.engines.generation.engine import Engine
from lawtags_stack.engines.generation.request import Constraint, Sampling
from lawtags_stack.engines.generation.rows import GenerationRow

PROMPT = "Title: lease\nTags:"
GREEDY = Sampling(max_tokens=12, temperature=0, ignore_eos=True)


def run(engine: Engine) -> dict[Any, GenerationRow]:
    """Run all that is queued; the last state of each request's row."""
    found = {}
    while engine.busy:
        for row in engine.step():
            found[row.request] = row
    return found


def submit(engine: Engine, name: str, asked: Sampling, adapter: str | None = None) -> None:
    engine.submit(name, engine.encoder.texts([PROMPT]), asked, adapter=adapter)


@pytest.fixture
def spoilt(engine: Engine, tiny_adapters: list[Path], tmp_path: Path) -> Engine:
    """An engine with an adapter that is finite and gives NaN."""
    weights = load_file(tiny_adapters[0] / "adapter_model.safetensors")
    save_file({name: tensor * 1e25 for name, tensor in weights.items()}, tmp_path / "w.safetensors")
    engine.add_adapter("spoilt", tiny_adapters[0] / "adapter_config.json", tmp_path / "w.safetensors")
    return engine


@pytest.mark.parametrize("asked", [GREEDY, replace(GREEDY, max_tokens=1), replace(GREEDY, logprobs=3)])
def test_scores_that_are_no_numbers_end_their_row_alone(spoilt: Engine, asked: Sampling) -> None:
    alone = spoilt.generate([PROMPT], GREEDY)[0].text
    submit(spoilt, "bad", asked, "spoilt")
    submit(spoilt, "good", GREEDY)
    submit(spoilt, "bad again", asked, "spoilt")
    found = run(spoilt)
    assert found["good"].stream.text == alone
    for name in ("bad", "bad again"):
        fault = found[name].fault
        assert fault is not None and fault.status == 500 and "not numbers" in fault.message
    # The slots that they had are used by others now.
    assert [each.text for each in spoilt.generate([PROMPT] * 4, GREEDY)] == [alone] * 4


def test_what_a_cancelled_row_leaves_spoils_none_after_it(spoilt: Engine) -> None:
    alone = spoilt.generate([PROMPT], GREEDY)[0].text
    for length in (3, 40):
        submit(spoilt, "long", replace(GREEDY, max_tokens=60))
        spoilt.step()
        # Its beginning is computed in a step that chooses nothing for it yet.
        spoilt.limits = replace(spoilt.limits, step_tokens=5)
        spoilt.submit("bad", [[7] * length], GREEDY, adapter="spoilt")
        spoilt.step()
        spoilt.limits = replace(spoilt.limits, step_tokens=512)
        spoilt.cancel("bad")
        submit(spoilt, "good", GREEDY)
        assert run(spoilt)["good"].stream.text == alone


def test_a_step_that_fails_is_done_row_by_row(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = engine.generate([PROMPT], GREEDY)[0].text
    forward, steps = engine._forward, 0

    def failing(batch: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps > 4 and any(row.request == "bad" for row, _ in batch.taken):
            raise RuntimeError("can't allocate memory: you tried to allocate 1 bytes")
        return forward(batch)

    for name in ("good", "bad", "other"):
        submit(engine, name, GREEDY)
    monkeypatch.setattr(engine, "_forward", failing)
    found = run(engine)
    assert found["good"].stream.text == found["other"].stream.text == alone
    assert "can't allocate memory" in str(found["bad"].fault)
    monkeypatch.undo()
    assert engine.generate([PROMPT], GREEDY)[0].text == alone


@pytest.mark.parametrize("method", ["consume_token", "compute_ff_tokens", "deep_copy"])
def test_a_matcher_that_panics_ends_its_row_alone(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    class Panic(BaseException):
        """What a library in Rust raises is no Exception."""

    from lawtags_stack.engines.generation.choices import ChoiceMatcher

    alone = engine.generate([PROMPT], GREEDY)[0].text
    submit(engine, "good", GREEDY)
    engine.step()
    held = replace(GREEDY, constraint=Constraint("choice", json.dumps(["landlord", "copyright"])), logprobs=1)

    def panic(*_: Any) -> Any:
        raise Panic("index out of bounds")

    if method == "compute_ff_tokens":
        held = replace(held, logprobs=None)
    monkeypatch.setattr(ChoiceMatcher, method, panic)
    try:
        submit(engine, "bad", held)
    except Panic:
        assert method != "consume_token"
    found = run(engine)
    assert found["good"].stream.text == alone
    if "bad" in found:
        assert "index out of bounds" in str(found["bad"].fault)


@given(
    temperature=st.floats(0, 2, exclude_min=True) | st.sampled_from([1e-39, 5e-324, 1e-5, 1e-6, 2.0]),
    top_p=st.floats(0, 1, exclude_min=True) | st.sampled_from([5e-324, 1e-40, 1.0]),
    penalties=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
    seed=st.none() | st.integers(-(2**80), 2**80),
    logprobs=st.none() | st.integers(0, 20),
    stop=st.lists(st.text(min_size=1), max_size=4),
)
@settings(max_examples=40, deadline=None)
def test_whatever_is_allowed_at_the_door_gives_an_answer(
    hostile_engine: Engine, temperature: float, top_p: float, penalties: tuple[float, float],
    seed: int | None, logprobs: int | None, stop: list[str],
) -> None:  # fmt: skip
    asked = Sampling(
        max_tokens=4, temperature=temperature, top_p=top_p, seed=seed, logprobs=logprobs, stop=tuple(stop),
        frequency_penalty=penalties[0], presence_penalty=penalties[1],
    )  # fmt: skip
    answer = hostile_engine.generate([PROMPT], asked)[0]
    assert answer.finish_reason in ("stop", "length")


@pytest.fixture(scope="module")
def hostile_engine(tiny_model: Callable[[str], Path]) -> Engine:
    return Engine.load(tiny_model("llama"))


def test_the_coldest_temperatures_take_the_likeliest_token(hostile_engine: Engine) -> None:
    greedy = hostile_engine.generate([PROMPT], GREEDY)[0].text
    for temperature in (5e-324, 1e-45, 1e-39, 1e-20, 1e-6):
        cold = replace(GREEDY, temperature=temperature, seed=1)
        assert hostile_engine.generate([PROMPT], cold)[0].text == greedy


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(value=_JSON, fields=st.dictionaries(
    st.sampled_from([
        "lora_alpha", "alpha_pattern", "use_rslora", "bias", "use_dora", "peft_type", "r", "rank_pattern",
        "target_modules", "exclude_modules", "layers_to_transform",
    ]),
    _JSON,
))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_any_adapter_config_is_read_or_refused(value: Any, fields: dict[str, Any]) -> None:
    for content in (value, {"peft_type": "LORA", **fields}):
        try:
            found = read_adapter_config(content)
            scale = found.scale("model.layers.0.self_attn.q_proj", rank=4)
            found.check_rank("model.layers.0.self_attn.q_proj", rank=4)
            found.check_targets(["model.layers.0.self_attn.q_proj"], ["model.layers.0.self_attn.q_proj"])
        except ConfigurationError:
            continue
        assert isinstance(found, AdapterConfig) and abs(scale) < 1e9


def test_a_pattern_without_end_is_refused() -> None:
    patterns = {r"(?:.|.)*(?:.|.)*(?:.|.)*[A-Z]": 1}
    config = read_adapter_config({"peft_type": "LORA", "alpha_pattern": patterns})
    with pytest.raises(ConfigurationError, match=r"alpha_pattern takes more than 2 s"):
        for layer in range(50):
            config.scale(f"model.layers.{layer}.self_attn.q_proj.and.some.more.letters.of.a.name", rank=4)


def change(key: str, with_: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[dict[str, Any]], None]:
    def changed(weights: dict[str, Any]) -> None:
        name = next(name for name in sorted(weights) if key in name)
        weights[name] = with_(weights[name]).contiguous()

    return changed


@pytest.mark.parametrize(
    "spoil",
    [
        change("lora_A", lambda t: t[:2]),
        change("lora_B", lambda t: t[:, :3]),
        change("lora_A", lambda t: t[:0]),
        change("lora_A", lambda t: t[:, :5]),
        change("lora_B", lambda t: t[:7]),
        change("lora_A", lambda t: t[0]),
        change("lora_B", lambda t: torch.tensor(1.0)),
        change("lora_A", lambda t: t[None]),
        change("lora_A", lambda t: t * torch.nan),
        change("lora_B", lambda t: t + torch.inf),
        change("lora_B", lambda t: t.to(torch.complex64)),
        change("lora_A", lambda t: t.to(torch.float64) * 1e300),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    engine: Engine, tiny_adapters: list[Path], tmp_path: Path, spoil: Callable[[dict[str, Any]], None]
) -> None:
    weights = load_file(tiny_adapters[0] / "adapter_model.safetensors")
    spoil(weights)
    save_file(weights, tmp_path / "w.safetensors")
    before = engine.generate([PROMPT], GREEDY, adapters=["all"])[0].text
    with pytest.raises(LawtagsError):
        engine.add_adapter("all", tiny_adapters[0] / "adapter_config.json", tmp_path / "w.safetensors")
    assert engine.generate([PROMPT], GREEDY, adapters=["all"])[0].text == before


@pytest.mark.parametrize(
    "content", ["[]", "[" * 20000, "{", "null", "\ud800", "1", '{"peft_type": "LORA", "bias": []}']
)
def test_a_config_that_is_none_is_refused(
    engine: Engine, tiny_adapters: list[Path], tmp_path: Path, content: str
) -> None:
    path = tmp_path / "adapter_config.json"
    path.write_text(content, "utf-8", "surrogatepass")
    with pytest.raises(ConfigurationError):
        load_adapter(path, tiny_adapters[0] / "adapter_model.safetensors", engine._layers)


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"r": 16}, "states rank 16"),
        ({"rank_pattern": {"layers.1.*q_proj": 2}}, "states rank 2"),
        ({"r": 0}, "r in the adapter's config"),
        ({"r": "4"}, "r in the adapter's config"),
        ({"target_modules": ["q_proj"]}, "does not state the target module"),
        ({"target_modules": r".*self_attn\..*"}, "does not state the target module"),
        ({"target_modules": ["nothing"]}, "does not have"),
        ({"target_modules": 5}, "target_modules"),
        ({"target_modules": "("}, "not a regular expression"),
        ({"target_modules": "all-linear", "exclude_modules": ["o_proj"]}, "does not state the target module"),
        ({"target_modules": "all-linear", "layers_to_transform": [0]}, "does not state the target module"),
    ],
)
def test_a_config_that_does_not_state_its_weights_is_refused(
    engine: Engine, tiny_adapters: list[Path], tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    config = json.loads((tiny_adapters[0] / "adapter_config.json").read_text("utf-8"))
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, **change}), "utf-8")
    with pytest.raises(ConfigurationError, match=reason):
        load_adapter(
            tmp_path / "adapter_config.json", tiny_adapters[0] / "adapter_model.safetensors", engine._layers
        )


def test_weights_that_lack_a_stated_module_are_refused(
    engine: Engine, tiny_adapters: list[Path], tmp_path: Path
) -> None:
    weights = load_file(tiny_adapters[0] / "adapter_model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "layers.0.self_attn.v_proj" not in name}
    assert len(kept) == len(weights) - 2
    save_file(kept, tmp_path / "w.safetensors")
    with pytest.raises(ConfigurationError, match=r"layers\.0\.self_attn\.v_proj, but there are no weights"):
        engine.add_adapter("x", tiny_adapters[0] / "adapter_config.json", tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": r".*\.self_attn\.[qv]_proj", "r": 3},
        {"target_modules": ["q_proj", "up_proj"], "rank_pattern": {"up_proj": 6}, "r": 2},
        {"target_modules": ["q_proj", "o_proj"], "layers_to_transform": [1]},
        {"target_modules": "all-linear", "exclude_modules": ["down_proj"]},
    ],
)
def test_what_peft_writes_is_served(
    engine: Engine, tiny_model: Callable[[str], Path], tmp_path: Path, settings: dict[str, Any]
) -> None:
    folder = make_adapter(tmp_path / "made", tiny_model("llama"), **settings)
    assert load_adapter(
        folder / "adapter_config.json", folder / "adapter_model.safetensors", engine._layers
    ).factors
