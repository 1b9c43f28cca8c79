from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_models import ARCHITECTURES, write_pairs

from lawtags_client.errors import DataError
from lawtags_stack.engines.training.examples import RowEncoder
from lawtags_stack.engines.training.job import DATA_FOLDER, LoraSettings, PreferenceSettings, TrainingJob
from lawtags_stack.engines.training.model import TrainableModel, load_tokenizer
from lawtags_stack.engines.training.preference import Pair, PreferenceObjective, encode_pairs
from lawtags_stack.engines.training.rows import TrainingRow, read_rows
from lawtags_stack.engines.training.worker import run_job

MakeJob = Callable[..., Path]


@pytest.fixture
def make_pairs_job(make_job: MakeJob) -> MakeJob:
    """Makes a job folder with 24 pairs for training and 6 for validation; settings override."""

    def make(name: str = "job", architecture: str = "llama", **settings: Any) -> Path:
        folder = make_job(name, architecture, **({"preference": PreferenceSettings()} | settings))
        write_pairs(folder / DATA_FOLDER / "training" / "rows.jsonl", 24)
        write_pairs(folder / DATA_FOLDER / "validation" / "rows.jsonl", 6, start=24)
        return folder

    return make


def train(folder: Path) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    run_job(folder, events.append)
    return events


def encoder_of(job: TrainingJob, **settings: Any) -> RowEncoder:
    template = {"prompt_template": job.prompt_template, "max_seq_length": 64} | settings
    return RowEncoder(load_tokenizer(Path(job.model)), **template)


def log_probability(model: Any, tokens: list[int], learnt: list[bool]) -> Any:
    """Of one answer, by the plain forward pass of transformers; in float64."""
    import torch

    logits = model(input_ids=torch.tensor([tokens])).logits[0, :-1].double()
    found = logits.log_softmax(-1).gather(1, torch.tensor(tokens[1:]).unsqueeze(1))[:, 0]
    return found[torch.tensor(learnt[1:])].sum()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    "settings",
    [
        PreferenceSettings(),
        PreferenceSettings(penalty=0.5, weight=2.0, average=True),
        PreferenceSettings(penalty=0.3, sft_weight=0.2),
        PreferenceSettings(weight=0.0, sft_weight=1.5, sft_average=True),
    ],
)
def test_loss_is_that_of_the_paper(
    make_pairs_job: MakeJob, architecture: str, settings: PreferenceSettings
) -> None:
    import torch
    from torch.nn.functional import logsigmoid
    from transformers import AutoModelForCausalLM

    folder = make_pairs_job(architecture=architecture, preference=settings, method="all_weights")
    job = TrainingJob.read(folder)
    model, objective = TrainableModel(job, padding=0), PreferenceObjective(settings)
    pairs = encode_pairs(encoder_of(job), read_rows(folder / DATA_FOLDER, job.training)).examples[:5]
    pairs = [*objective.prepared(model, pairs)]
    with torch.no_grad():
        for weight in model.module.parameters():
            weight.add_(0.05)
    loss, right = objective.loss(model, pairs)
    untrained = AutoModelForCausalLM.from_pretrained(job.model, attn_implementation="eager").eval()
    expected, expected_right = 0.0, 0
    with torch.no_grad():
        for pair in pairs:
            sides = (pair.chosen, pair.rejected)
            now = [log_probability(model.module, each.tokens, each.learnt) for each in sides]
            before = [log_probability(untrained, each.tokens, each.learnt) for each in sides]
            lengths = [sum(each.learnt) for each in sides]
            divisors = lengths if settings.average else [1, 1]
            gains = [(now[side] - before[side]) / divisors[side] for side in (0, 1)]
            expected -= settings.weight * logsigmoid(settings.penalty * (gains[0] - gains[1])).item()
            expected -= settings.sft_weight * now[0].item() / (lengths[0] if settings.sft_average else 1)
            expected_right += int(gains[0] > gains[1])
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    assert right == expected_right


@pytest.mark.parametrize("method", ["lora", "all_weights"])
def test_preferred_answers_become_the_likelier_ones(make_pairs_job: MakeJob, method: str) -> None:
    import torch

    events = train(make_pairs_job(method=method))
    validations = [event for event in events if event["event"] == "validation"]
    assert validations[-1]["accuracy"] == 1.0
    # Where nothing is told apart yet, the loss is the logarithm of two; a smaller one is a margin.
    assert validations[-1]["value"] < 0.5 * torch.tensor(2.0).log().item()
    first, last = (event for event in events if event["event"] == "train" and event["step"] in (1, 15))
    assert last["value"] < first["value"]
    assert last["accuracy"] == 1.0 >= first["accuracy"]


@pytest.mark.parametrize("method", ["lora", "all_weights"])
def test_resumed_preference_training_gives_the_weights_of_an_undisturbed_one(
    make_pairs_job: MakeJob, method: str
) -> None:
    lora = LoraSettings(rank=4, dropout=0.2)
    settings = {"method": method, "lora": lora, "checkpoint_every_n_steps": 3}
    undisturbed, resumed = make_pairs_job("undisturbed", **settings), make_pairs_job("resumed", **settings)
    expected = train(undisturbed)

    class Killed(BaseException): ...

    seen: list[dict[str, Any]] = []

    def until_step_eight(event: dict[str, Any]) -> None:
        seen.append(event)
        if event["event"] == "progress" and event["steps"] == 8:
            raise Killed

    with pytest.raises(Killed):
        run_job(resumed, until_step_eight)
    events = train(resumed)
    weights = [
        b"".join(path.read_bytes() for path in sorted((folder / "result").glob("*.safetensors")))
        for folder in (undisturbed, resumed)
    ]
    assert len(weights[0]) > 1000
    assert weights[0] == weights[1]
    points = [{e["step"]: e for e in run if e["event"] == "train"} for run in ((*seen, *events), expected)]
    assert points[0] == points[1]


def test_only_the_last_answer_of_a_conversation_is_compared(make_job: MakeJob) -> None:
    job = TrainingJob.read(make_job())
    prompt = [
        {"role": "user", "content": "a lease"},
        {"role": "assistant", "content": "landlord"},
        {"role": "user", "content": "a photo"},
    ]
    content = {"prompt": prompt, "chosen_response": "copyright", "rejected_response": "law"}
    encoder = encoder_of(job, prompt_template=None)
    pair = only(encode_pairs(encoder, [TrainingRow("f", 1, content)]).examples)
    tokenizer = load_tokenizer(Path(job.model))
    for example, answer in ((pair.chosen, "copyright<eos>"), (pair.rejected, "law<eos>")):
        learnt = [token for token, wanted in zip(example.tokens, example.learnt, strict=True) if wanted]
        assert tokenizer.decode(learnt) == answer
        assert "landlord<eos>" in tokenizer.decode(example.tokens)


def test_answer_takes_the_place_of_the_template_s_last_field(make_job: MakeJob) -> None:
    job = TrainingJob.read(make_job())
    encoder = encoder_of(job, prompt_template="Title: {title} Tags: {tags}")
    content = {"title": "lease", "tags": "none", "chosen_response": "law", "rejected_response": "court"}
    pair = only(encode_pairs(encoder, [TrainingRow("f", 1, content)]).examples)
    decode = load_tokenizer(Path(job.model)).decode
    assert decode(pair.chosen.tokens) == "Title: lease Tags: law<eos>"
    assert decode(pair.rejected.tokens) == "Title: lease Tags: court<eos>"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"chosen_response": None}, "chosen_response"),
        ({"rejected_response": " "}, "rejected_response"),
        ({"rejected_response": ["law"]}, "rejected_response"),
        ({"prompt": None}, "prompt"),
    ],
)
def test_pair_that_lacks_something_is_named(
    make_pairs_job: MakeJob, change: dict[str, Any], field: str
) -> None:
    folder = make_pairs_job()
    path = folder / DATA_FOLDER / "training" / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[3] |= change
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=rf"training/rows.jsonl:4: field '{field}'"):
        train(folder)


def only(pairs: list[Pair]) -> Pair:
    (pair,) = pairs
    return pair
