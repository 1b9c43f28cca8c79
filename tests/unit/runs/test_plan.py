from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.runs.recipe import TrainingSection
from lawtags_client.runs.stages.plan import job_hyperparameters, plan_steps


@given(
    epochs=st.integers(1, 20),
    batch=st.integers(1, 64),
    rows=st.integers(1, 100_000),
    mean=st.integers(1, 2000),
    budget=st.none() | st.integers(1000, 10_000_000),
    most=st.none() | st.integers(1, 5000),
)
def test_steps_keep_every_bound(
    epochs: int, batch: int, rows: int, mean: int, budget: int | None, most: int | None
) -> None:
    training = TrainingSection(epochs=epochs, batch_size=batch, token_budget=budget, max_steps=most)
    steps = plan_steps(training, rows, rows * mean)
    assert 1 <= steps <= epochs * -(-rows // batch)
    if most is not None:
        assert steps <= most
    if budget is not None:
        assert steps == 1 or steps * batch * mean <= budget


def test_warm_up_is_shorter_than_the_job() -> None:
    assert job_hyperparameters(TrainingSection(warmup_steps=200), 50)["warmup_steps"] == 49
    assert job_hyperparameters(TrainingSection(), 112)["warmup_steps"] == 11


def test_what_the_recipe_leaves_open_is_not_sent() -> None:
    sent = job_hyperparameters(TrainingSection(), 10)
    assert "weight_decay" not in sent
    assert "adapter_dropout" not in sent["lora"]
    assert "lora" not in job_hyperparameters(TrainingSection(method="all_weights"), 10)
