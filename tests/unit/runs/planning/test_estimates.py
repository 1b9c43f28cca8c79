"""Memory, work and price of a job, against what is known of real ones and of the embedded trainer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.errors import ConfigurationError
from lawtags_client.platform import TrainingLayout
from lawtags_client.platform.validations import steps_between_validations
from lawtags_client.runs.hyperparameters import job_hyperparameters, plan_steps, validation_interval
from lawtags_client.runs.planning.memory import RowLengths, estimate_memory, trained_parameters
from lawtags_client.runs.planning.rates import rate_of, read_rates
from lawtags_client.runs.planning.shapes import KNOWN, ModelShape, find_shape, read_shape
from lawtags_client.runs.planning.timing import TimeEstimate, gpu_estimate, priced, workload
from lawtags_client.runs.recipe import TrainingSection
from lawtags_client.runs.recipe_hardware import HardwareSection
from lawtags_client.runs.recipe_loading import load_recipe
from lawtags_stack.engines.training.batches import split_by_tokens
from lawtags_stack.engines.training.examples import Example
from lawtags_stack.engines.training.job import TrainingJob
from lawtags_stack.engines.training.loop import Schedule

GEMMA = KNOWN["gemma-2-2b"]
ONE_GPU = TrainingLayout()


def test_the_adapter_of_the_hackathon_has_the_weights_that_its_log_says() -> None:
    seed = load_recipe("seed-gemma-2-2b").training
    assert trained_parameters(seed, GEMMA, fused=True) == pytest.approx(5.3e6, rel=0.01)
    assert GEMMA.parameters == pytest.approx(2_614_341_888, rel=0.001)


def test_all_weights_of_gemma_need_more_than_an_adapter_and_fit_a_large_gpu() -> None:
    rows = RowLengths(1024, 20, 200.0)
    full = estimate_memory(TrainingSection(method="all_weights"), GEMMA, ONE_GPU, rows)
    adapter = estimate_memory(TrainingSection(), GEMMA, ONE_GPU, rows)
    assert full.parts["trained weights and optimizer"] == pytest.approx(47e9, rel=0.01)
    assert adapter.total < 20e9 < full.total < 80e9
    assert set(full.parts) == set(full.formula)
    halved = estimate_memory(
        TrainingSection(method="all_weights"), GEMMA, TrainingLayout(gpus=2, tensor_parallel=2), rows
    )
    assert halved.total < 0.6 * full.total


SMALL = ModelShape(4, 256, 4, 2, 64, 704, 8_000)


@pytest.mark.parametrize(
    ("shape", "batch", "rows", "seen"),
    [
        (KNOWN["smollm2-135m"], 4, RowLengths(117, 22, 103.4), 1_890_000_000),
        (SMALL, 8, RowLengths(42, 10, 32.6), 489_000_000),
        (SMALL, 8, RowLengths(96, 10, 73.5), 522_000_000),
        (SMALL, 16, RowLengths(42, 10, 32.8), 535_000_000),
    ],
    ids=["SmolLM2", "small", "long rows", "large batch"],
)
def test_trainings_on_the_cpu_needed_what_the_formula_says(
    shape: ModelShape, batch: int, rows: RowLengths, seen: int
) -> None:
    training = TrainingSection(batch_size=batch, adapter_dim=16)
    found = estimate_memory(training, shape, TrainingLayout(gpus=0), rows)
    assert found.total == pytest.approx(seen, rel=0.1)
    assert set(found.parts) == set(found.formula)


def test_the_step_of_the_hackathon_took_as_long_as_the_arithmetic_says() -> None:
    seed = load_recipe("seed-gemma-2-2b").training.model_copy(
        update={"epochs": 1, "val_check_interval": None}
    )
    work = workload(seed, 1, [2048] * 16, [2048], 2048)
    found = gpu_estimate(work, seed, GEMMA, ONE_GPU, rate_of(HardwareSection(gpu="A100-80GB")))
    # Its log says 3.42 s; the GPU is not recorded.
    assert found.seconds == pytest.approx(3.42, rel=0.2)


def test_a_shape_is_read_from_the_folder_of_the_model(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(
        '{"num_hidden_layers": 2, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16,'
        ' "vocab_size": 100, "tie_word_embeddings": false}'
    )
    found = read_shape(config)
    assert found is not None
    assert (found.kv_heads, found.head_dim, found.tied) == (2, 4, False)
    assert found.parameters == 2 * (4 * 64 + 3 * 128) + 2 * 800
    for text in ("[]", "{", '{"num_hidden_layers": -1}', '{"num_hidden_layers": "many"}'):
        config.write_text(text)
        assert read_shape(config) is None
    assert read_shape(tmp_path / "absent.json") is None
    assert find_shape("google/Gemma-2-2B", None) == GEMMA
    assert find_shape("nobody/knows", None) is None


@given(
    lengths=st.lists(st.integers(2, 700), min_size=1, max_size=60),
    held=st.lists(st.integers(2, 700), min_size=1, max_size=20),
    epochs=st.integers(1, 4),
    batch=st.integers(1, 16),
    interval=st.none() | st.integers(1, 30) | st.floats(0.1, 1.0),
    most=st.none() | st.integers(1, 50),
)
def test_the_work_is_that_of_the_embedded_trainer(
    lengths: list[int],
    held: list[int],
    epochs: int,
    batch: int,
    interval: float | int | None,
    most: int | None,
) -> None:
    training = TrainingSection(epochs=epochs, batch_size=batch, val_check_interval=interval, max_steps=most)
    steps = plan_steps(training, len(lengths), sum(lengths))
    work = workload(training, steps, lengths, held, None)
    job = TrainingJob(
        model="",
        model_name="",
        training=(),
        epochs=epochs,
        batch_size=batch,
        max_steps=steps,
        val_check_interval=validation_interval(training, steps, len(lengths)),
    )
    schedule = Schedule.of(job, len(lengths))
    assert schedule.steps == steps
    done = [
        step
        for step in range(1, steps + 1)
        if step % schedule.steps_per_epoch == 0
        or step == steps
        or (step % schedule.steps_per_epoch) % schedule.validate_every == 0
    ]
    assert work.validations == len(done)
    rows = [Example([0] * length, [True] * length) for length in held]
    assert work.validation_passes == len(split_by_tokens(range(len(rows)), rows, 1024))
    assert work.tokens <= epochs * sum(lengths)
    if steps == epochs * schedule.steps_per_epoch:
        assert work.tokens == epochs * sum(lengths)


@pytest.mark.parametrize("asked", [None, 1.0, 0.5, 20])
def test_a_job_that_ends_before_its_first_validation_validates_at_its_end(asked: float | int | None) -> None:
    training = TrainingSection(epochs=3, batch_size=4, max_steps=14, val_check_interval=asked)
    assert workload(training, 14, [100] * 218, [100] * 67, None).validations == 1
    assert job_hyperparameters(training, 14, 218)["val_check_interval"] == 14
    schedule = Schedule.of(
        TrainingJob(
            model="",
            model_name="",
            training=(),
            epochs=3,
            batch_size=4,
            max_steps=14,
            val_check_interval=validation_interval(training, 14, 218),
        ),
        218,
    )
    assert (schedule.steps, schedule.validate_every) == (14, 14)


@pytest.mark.parametrize("asked", [None, 1.0, 0.5, 20])
def test_a_job_that_reaches_its_first_validation_keeps_the_interval_of_the_recipe(
    asked: float | int | None,
) -> None:
    training = TrainingSection(epochs=3, batch_size=4, val_check_interval=asked)
    assert job_hyperparameters(training, 55, 218).get("val_check_interval") == asked


def test_a_job_of_others_validates_before_its_last_step() -> None:
    assert steps_between_validations(None, 55, 14) == 13
    assert steps_between_validations(0.5, 55, 165) == 27
    assert steps_between_validations(200, 55) == 55


def test_a_price_comes_from_the_users_table(tmp_path: Path) -> None:
    table = tmp_path / "rates.toml"
    table.write_text('schema_version = 1\ncurrency = "EUR"\n[gpus.A100-80GB]\nprice_per_hour = 1.8\n')
    rate = rate_of(read_rates(table, None))
    assert (rate.name, rate.price_per_hour, rate.currency, rate.tflops) == ("A100-80GB", 1.8, "EUR", 312)
    training = TrainingSection()
    work = workload(training, 1000, [200] * 16_000, [200] * 16, None)
    found = priced(gpu_estimate(work, training, GEMMA, TrainingLayout(gpus=2), rate), rate)
    assert found.gpu_hours == pytest.approx(2 * found.seconds / 3600)
    assert found.price == pytest.approx(1.8 * (found.gpu_hours or 0))
    assert rate_of(HardwareSection()).price_per_hour is None


def test_a_machine_without_a_gpu_has_a_price_of_its_own(tmp_path: Path) -> None:
    table = tmp_path / "rates.toml"
    table.write_text('schema_version = 1\ncurrency = "EUR"\n[machine]\nprice_per_hour = 0.36\n')
    rate = rate_of(read_rates(table, None))
    found = priced(TimeEstimate(seconds=100, uncorrected=100, basis="a calibration"), rate)
    assert (found.price, found.currency, found.gpu_hours) == (pytest.approx(0.01), "EUR", None)
    # The price of a machine says nothing about GPUs.
    assert rate.hourly(2) is None


def test_a_recipe_may_describe_a_gpu_that_is_not_known() -> None:
    rate = rate_of(HardwareSection(gpu="B200", memory_gb=180, tflops=2250, price_per_gpu_hour=4))
    hourly = rate.hourly(8)
    assert hourly is not None and (hourly.amount, hourly.of_seconds(1800)) == (32, 16)
    with pytest.raises(ConfigurationError, match="no GPU 'B200' in hardware"):
        rate_of(HardwareSection(gpu="B200"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("schema_version = 2", "schema_version"),
        ("schema_version = 1\n[gpus.A100-80GB]\nprice = 1", "gpus.A100-80GB.price"),
        ("schema_version = 1\n[gpus.A100-80GB]\nprice_per_hour = -1", "price_per_hour"),
        ("schema_version = 1\n[gpus.Mine]\nprice_per_hour = 1", "memory_gb and tflops"),
        ("schema_version = 1\ngpu = 'A100-80Gb'", "no GPU"),
        ("schema_version = 1\n[machine]", "machine.price_per_hour: is missing"),
        (
            "schema_version = 1\n[machine]\nprice = 1\nprice_per_hour = nan",
            "machine.price_per_hour: must be a finite number; machine.price: unknown option",
        ),
        ("schema_version = 1\n[machine]\nprice_per_hour = 1e308", "machine.price_per_hour"),
        ("schema_version = 1\n[gpus.A100-80GB]\ntflops = inf", "tflops"),
        (f"schema_version = 1\n[gpus.A100-80GB]\nmemory_gb = {10**400}", "memory_gb"),
        ("[", "not a TOML file"),
        ("\ud800", "not a TOML file"),
    ],
)
def test_a_wrong_table_is_refused_in_words(tmp_path: Path, text: str, said: str) -> None:
    table = tmp_path / "rates.toml"
    table.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigurationError, match=said) as caught:
        read_rates(table, None)
    assert caught.value.hint
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_rates(tmp_path / "absent.toml", None)
