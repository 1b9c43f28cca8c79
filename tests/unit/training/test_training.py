from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shared_launcher import shared_launcher
from tiny_models import ARCHITECTURES

from lawtags_client.errors import ConfigurationError, DataError, LawtagsError
from lawtags_stack.engines.training.batches import collate
from lawtags_stack.engines.training.examples import RowEncoder
from lawtags_stack.engines.training.exhaustion import DISK, Exhaustion, exhaustion
from lawtags_stack.engines.training.job import DATA_FOLDER, LoraSettings, TrainingJob
from lawtags_stack.engines.training.model import TrainableModel, load_tokenizer
from lawtags_stack.engines.training.objective import completion_loss
from lawtags_stack.engines.training.optimizer import learning_rate
from lawtags_stack.engines.training.process import WORKER
from lawtags_stack.engines.training.rows import read_rows
from lawtags_stack.engines.training.worker import EXIT_DISK_FULL, EXIT_FAILED, EXIT_ORPHANED, run_job
from lawtags_stack.processes.environment import worker_environment
from lawtags_stack.processes.launching import Child

MakeJob = Callable[..., Path]

# Only a worker that hangs takes so long: on a loaded machine, importing torch can take a minute.
HANGS = 240.0


def train(folder: Path) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    run_job(folder, events.append)
    return events


def values(events: list[dict[str, Any]], kind: str) -> list[float]:
    return [event["value"] for event in events if event["event"] == kind]


def digest(folder: Path) -> str:
    files = sorted((folder / "result").glob("*.safetensors"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_completion_loss_equals_the_plain_loss_of_the_model(make_job: MakeJob, architecture: str) -> None:
    import torch

    folder = make_job(architecture=architecture)
    job = TrainingJob.read(folder)
    model = TrainableModel(job, padding=0)
    tokenizer = load_tokenizer(Path(job.model))
    encoder = RowEncoder(tokenizer, prompt_template=job.prompt_template, max_seq_length=64)
    examples = encoder.encode(read_rows(folder / DATA_FOLDER, job.training)).examples[:5]
    assert len({len(example.tokens) for example in examples}) > 1
    model.module.eval()
    width = max(len(example.tokens) for example in examples)
    ids = torch.zeros((5, width), dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, example in enumerate(examples):
        size = len(example.tokens)
        ids[row, :size] = torch.tensor(example.tokens)
        mask[row, :size] = 1
        labels[row, :size] = torch.tensor(example.tokens).where(torch.tensor(example.learnt), -100)
    plain = model.module(input_ids=ids, attention_mask=mask, labels=labels).loss
    batch = collate(examples, padding=model.padding)
    ours = completion_loss(model.module, batch) / len(batch.targets)
    assert ours.item() == pytest.approx(plain.item(), rel=1e-6)


@pytest.mark.parametrize("method", ["lora", "all_weights"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_learns_by_adapter_and_by_all_weights(
    make_job: MakeJob, architecture: str, method: str
) -> None:
    events = train(make_job(architecture=architecture, method=method))
    series = values(events, "train")
    assert series[-1] < series[0] * 0.9
    validation = values(events, "validation")
    assert len(validation) == 4
    assert validation[-1] < validation[0]
    assert [e["step"] for e in events if e["event"] == "train"] == [1, 3, 5, 7, 9, 11, 13, 15]
    assert [e["step"] for e in events if e["event"] == "validation"] == [3, 7, 11, 15]


def test_adapter_loads_with_peft_and_repeats_the_best_validation_loss(
    make_job: MakeJob, tiny_model: Callable[[str], Path]
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = make_job(lora=LoraSettings(rank=8, alpha=16))
    events = train(folder)
    config = json.loads((folder / "result" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "test/llama"
    assert config["r"] == 8
    assert config["peft_type"] == "LORA"
    base = AutoModelForCausalLM.from_pretrained(tiny_model("llama"), dtype=torch.float32)
    tuned = PeftModel.from_pretrained(base, folder / "result").eval()
    job = TrainingJob.read(folder)
    tokenizer = load_tokenizer(Path(job.model))
    encoder = RowEncoder(tokenizer, prompt_template=job.prompt_template, max_seq_length=64)
    examples = encoder.encode(read_rows(folder / DATA_FOLDER, job.validation)).examples
    batch = collate(examples, padding=0)
    loss = completion_loss(tuned, batch).item() / len(batch.targets)
    assert loss == pytest.approx(min(values(events, "validation")), rel=1e-5)


@pytest.mark.parametrize("method", ["lora_merged", "all_weights"])
def test_whole_models_load_as_they_are(make_job: MakeJob, method: str) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = make_job(method=method, epochs=1)
    train(folder)
    model = AutoModelForCausalLM.from_pretrained(folder / "result")
    tokenizer = AutoTokenizer.from_pretrained(folder / "result")
    assert model.config.model_type == "llama"
    assert tokenizer.eos_token == "<eos>"
    assert not list((folder / "result").glob("adapter*"))


@pytest.mark.parametrize("method", ["lora", "all_weights"])
def test_resumed_training_gives_the_weights_of_an_undisturbed_one(make_job: MakeJob, method: str) -> None:
    settings = {
        "method": method,
        "lora": LoraSettings(rank=4, dropout=0.2),
        "attention_dropout": 0.1,
        "checkpoint_every_n_steps": 3,
        "val_check_interval": 3,
    }
    undisturbed, resumed = make_job("undisturbed", **settings), make_job("resumed", **settings)
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
    assert digest(resumed) == digest(undisturbed)
    first = next(event for event in events if event["event"] == "progress")
    assert first["steps"] == 7
    series = {e["step"]: e["value"] for e in (*seen, *events) if e["event"] == "train"}
    assert series == {e["step"]: e["value"] for e in expected if e["event"] == "train"}


def test_same_seed_gives_same_weights_and_another_seed_different_ones(make_job: MakeJob) -> None:
    folders = [make_job(name, epochs=1, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    for folder in folders:
        train(folder)
    first, second, third = map(digest, folders)
    assert first == second != third


def test_micro_batches_change_nothing_but_memory(make_job: MakeJob) -> None:
    whole = train(make_job("whole", epochs=1))
    parts = train(make_job("parts", epochs=1, tokens_per_micro_batch=40))
    assert values(parts, "train") == pytest.approx(values(whole, "train"), rel=1e-4)


def test_loss_that_is_no_number_fails_with_its_step(make_job: MakeJob) -> None:
    folder = make_job(method="all_weights", learning_rate=1e30, optimizer="adam_with_flat_lr")
    with pytest.raises(LawtagsError, match=r"loss became (nan|inf) at step \d+"):
        train(folder)


def test_max_steps_ends_early_and_validates_one_step_before(make_job: MakeJob) -> None:
    events = train(make_job(max_steps=3))
    assert [e["step"] for e in events if e["event"] == "validation"] == [1, 2]
    assert events[-1]["steps"] == 3


def test_training_stops_after_ten_epochs_without_improvement(make_job: MakeJob) -> None:
    events = train(make_job(epochs=15, learning_rate=1e-12, optimizer="adamw_with_flat_lr"))
    assert [e for e in events if e["event"] == "early_stop"] == [
        {"event": "early_stop", "step": 43, "epochs": 11}
    ]


def test_without_validation_a_tenth_is_held_out(make_job: MakeJob) -> None:
    events = train(make_job(validation=(), batch_size=2, epochs=1))
    data = next(event for event in events if event["event"] == "data")
    assert (data["training_rows"], data["validation_rows"], data["steps"]) == (22, 2, 11)


def test_fewer_validation_rows_than_a_batch_are_warned_of(make_job: MakeJob) -> None:
    events = train(make_job(batch_size=7, epochs=1))
    assert "batch_size is 7, but there are only 6 validation rows" in [
        event["message"] for event in events if event["event"] == "warning"
    ]
    assert any(event["event"] == "validation" for event in events)


def test_too_few_rows_to_hold_some_out_are_an_error(make_job: MakeJob) -> None:
    folder = make_job(validation=())
    path = folder / DATA_FOLDER / "training" / "rows.jsonl"
    path.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[:5]), "utf-8")
    with pytest.raises(DataError, match="no validation rows"):
        train(folder)


def test_warm_up_longer_than_the_run_is_warned_of(make_job: MakeJob) -> None:
    events = train(make_job(epochs=1, warmup_steps=200))
    assert [e["message"] for e in events if e["event"] == "warning"] == [
        "warmup_steps is 200, but the run has only 4 steps"
    ]


@pytest.mark.filterwarnings("error::FutureWarning")  # it would end up in the job's log
def test_target_modules_take_the_names_of_nemo_and_wildcards(make_job: MakeJob) -> None:
    folder = make_job(
        epochs=1, lora=LoraSettings(rank=4, target_modules=("linear_qkv", "*.layers.0.*.o_proj"))
    )
    train(folder)
    config = json.loads((folder / "result" / "adapter_config.json").read_text())
    assert len(config["target_modules"]) == 7
    assert "model.layers.0.self_attn.o_proj" in config["target_modules"]
    with pytest.raises(ConfigurationError, match="linear_nothing"):
        train(make_job("none", lora=LoraSettings(target_modules=("linear_nothing",))))


def start_worker(folder: Path, events: str, alive: int) -> Child:
    """Start a worker that lives as long as the other end of a pipe is open; returns once it is there."""
    with (folder / "errors.txt").open("ab") as output:
        words = [str(folder), str(folder / events)]
        child = shared_launcher().start(WORKER, words, output=output, input=alive)
    # The first one is forked once what all of them need has been imported.
    deadline = time.monotonic() + HANGS
    while child.pid is None:
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return child


def read_events(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def wait_for(path: Path, kind: str, process: Child) -> None:
    deadline = time.monotonic() + HANGS
    while not any(event["event"] == kind for event in read_events(path)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_and_restarted_worker_ends_with_the_same_result(make_job: MakeJob) -> None:
    settings = {"epochs": 12, "checkpoint_every_n_steps": 5}
    undisturbed, killed = make_job("undisturbed", **settings), make_job("killed", **settings)
    train(undisturbed)
    alive, held = os.pipe()
    first = start_worker(killed, "events-1.jsonl", alive)
    wait_for(killed / "events-1.jsonl", "validation", first)
    first.kill()
    assert first.wait(timeout=HANGS) == -signal.SIGKILL
    second = start_worker(killed, "events-2.jsonl", alive)
    assert second.wait(timeout=HANGS) == 0, (killed / "errors.txt").read_text()
    os.close(alive)
    os.close(held)
    assert read_events(killed / "events-2.jsonl")[-1]["event"] == "done"
    assert digest(killed) == digest(undisturbed)


def test_worker_ends_when_its_parent_is_gone(make_job: MakeJob) -> None:
    folder = make_job(epochs=5000)
    alive, held = os.pipe()
    process = start_worker(folder, "events.jsonl", alive)
    os.close(alive)
    wait_for(folder / "events.jsonl", "progress", process)
    os.close(held)
    assert process.wait(timeout=10) == EXIT_ORPHANED


def test_worker_says_that_memory_ran_out(make_job: MakeJob) -> None:
    folder = make_job(memory_limit_mb=600, lora=LoraSettings(rank=65536 * 16))
    alive, held = os.pipe()
    code = start_worker(folder, "events.jsonl", alive).wait(timeout=HANGS)
    os.close(alive)
    os.close(held)
    last = read_events(folder / "events.jsonl")[-1]
    assert (code, last["event"], last["reason"]) == (EXIT_FAILED, "failed", "out of memory")


def test_worker_says_that_the_disk_is_full_even_if_the_report_has_no_room(make_job: MakeJob) -> None:
    folder = make_job()
    (folder / "events.jsonl").symlink_to("/dev/full")
    alive, held = os.pipe()
    assert start_worker(folder, "events.jsonl", alive).wait(timeout=HANGS) == EXIT_DISK_FULL
    os.close(alive)
    os.close(held)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), DISK),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), DISK),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), DISK),
        (OSError(errno.EACCES, "Permission denied"), None),
    ],
)
def test_what_ran_out_is_told_from_other_failures(error: Exception, found: Exhaustion | None) -> None:
    assert exhaustion(error) is found


@pytest.mark.parametrize("method", ["lora", "lora_merged", "all_weights"])
@pytest.mark.parametrize("template", [None, "{% for m in messages %}{{ m['content'] }}{% endfor %}Tags:"])
def test_a_result_carries_the_chat_template_that_it_was_trained_with(
    make_job: MakeJob, tmp_path: Path, method: str, template: str | None
) -> None:
    job = TrainingJob.read(make_job(method=method, chat_template=template))
    TrainableModel(job, padding=0).save(tmp_path / "result")
    written = tmp_path / "result" / "chat_template.jinja"
    if template is None and method == "lora":
        assert not written.exists()  # its base model's own
    else:
        assert written.read_text() == (template or (Path(job.model) / written.name).read_text())
    if method != "lora":
        assert load_tokenizer(written.parent).chat_template == written.read_text()


def test_training_within_another_process_leaves_its_environment_alone(make_job: MakeJob) -> None:
    def hub_settings() -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name.startswith("HF_")}

    before = hub_settings()
    train(make_job(epochs=1))
    assert hub_settings() == before


def test_workers_are_told_to_ask_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert worker_environment()["HF_HUB_OFFLINE"] == "1"


def test_a_stopped_training_leaves_a_checkpoint_and_goes_on_from_there(make_job: MakeJob) -> None:
    settings = {"checkpoint_every_n_steps": 100, "val_check_interval": 3}
    undisturbed, stopped = make_job("undisturbed", **settings), make_job("stopped", **settings)
    train(undisturbed)
    events: list[dict[str, Any]] = []
    assert not run_job(stopped, events.append, stopping=lambda: count(events, "progress") == 5)
    assert events[-1]["name"] == "Stopped"
    assert not (stopped / "result").exists()
    resumed = train(stopped)
    assert next(event for event in resumed if event["event"] == "progress")["steps"] == 6
    assert digest(stopped) == digest(undisturbed)


def count(events: list[dict[str, Any]], kind: str) -> int:
    return sum(event["event"] == kind for event in events)


@pytest.mark.parametrize("keep", ["last", "both"])
def test_the_weights_of_the_last_step_are_kept_on_request(make_job: MakeJob, keep: str) -> None:
    # A rate this high ends with worse weights than those of the first epoch.
    settings = {"learning_rate": 0.5, "optimizer": "adamw_with_flat_lr"}
    best, other = make_job("best", **settings), make_job("other", keep=keep, **settings)
    points = [event["value"] for event in train(best) if event["event"] == "validation"]
    train(other)
    assert min(points) < points[-1]
    assert (digest(other) == digest(best)) == (keep == "both")
    last = other / "result" / "alternates" / "last"
    assert last.is_dir() == (keep == "both")
    if keep == "both":
        assert {path.name for path in last.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
        whole = (last / "adapter_model.safetensors").read_bytes()
        assert whole != (other / "result" / "adapter_model.safetensors").read_bytes()


def test_excluded_modules_get_no_adapter(make_job: MakeJob) -> None:
    folder = make_job(epochs=1, excluded_modules=("*.o_proj", "down_proj"))
    train(folder)
    config = json.loads((folder / "result" / "adapter_config.json").read_text())
    assert config["target_modules"] == ["gate_proj", "k_proj", "q_proj", "up_proj", "v_proj"]
    with pytest.raises(ConfigurationError, match="excludes every module"):
        train(make_job("none", excluded_modules=("*",)))


@pytest.mark.parametrize(
    ("decay", "expected"),
    [("constant", [1.0] * 4), ("linear", [1.0, 0.8, 0.6, 0.4]), ("cosine", [1.0, 0.8828, 0.6, 0.3172])],
)
def test_the_learning_rate_falls_as_asked_for(make_job: MakeJob, decay: str, expected: list[float]) -> None:
    folder = make_job(
        epochs=1, warmup_steps=0, learning_rate=1.0, min_learning_rate=0.2, decay=decay, log_every_n_steps=1
    )
    job = TrainingJob.read(folder)
    assert [round(learning_rate(job, step, 4), 4) for step in range(4)] == expected


def test_points_carry_the_learning_rate_and_the_norm_of_the_gradient(make_job: MakeJob) -> None:
    points = [event for event in train(make_job(epochs=1)) if event["event"] == "train"]
    job = TrainingJob.read(make_job("again", epochs=1))
    assert [point["learning_rate"] for point in points] == [
        learning_rate(job, point["step"], 4) for point in points
    ]
    assert all(point["gradient_norm"] > 0 for point in points)


def test_workers_get_no_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = ("HF_TOKEN", "LAWTAGS_LOCAL_TOKEN", "NVIDIA_API_KEY", "WANDB_API_KEY", "LAWTAGS_PII_KEY")
    secret += ("AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_SAS_TOKEN", "REDIS_PASSWORD", "db_password")
    plain = (
        "CUDA_VISIBLE_DEVICES",
        "TOKENIZERS_PARALLELISM",
        "KEYBOARD",
        "LAWTAGS_CACHE_DIR",
        "OMP_NUM_THREADS",
    )
    for name in (*secret, *plain):
        monkeypatch.setenv(name, "1")
    found = worker_environment()
    assert not [name for name in secret if name in found]
    assert [name for name in plain if name in found] == list(plain)
