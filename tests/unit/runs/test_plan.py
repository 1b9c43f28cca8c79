from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.errors import ConfigurationError
from lawtags_client.platform import TrainingConfig
from lawtags_client.runs.hyperparameters import job_hyperparameters, plan_steps
from lawtags_client.runs.recipe import TrainingSection, parse_recipe
from lawtags_client.runs.stages.plan import _check

ROWS = {"training": 100, "validation": 20, "testing": 20}


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
    assert job_hyperparameters(TrainingSection(warmup_steps=200), 50, 800)["warmup_steps"] == 49
    assert job_hyperparameters(TrainingSection(), 112, 800)["warmup_steps"] == 11
    assert job_hyperparameters(TrainingSection(), 1, 800)["warmup_steps"] == 0


def test_what_the_recipe_leaves_open_is_not_sent() -> None:
    sent = job_hyperparameters(TrainingSection(), 10, 80)
    assert "weight_decay" not in sent
    assert "adapter_dropout" not in sent["lora"]
    assert "lora" not in job_hyperparameters(TrainingSection(method="all_weights"), 10, 80)


def check(config: dict[str, Any], rows: dict[str, int] | None = None, **recipe: Any) -> None:
    offered = TrainingConfig("ns/model@v1", "ns/model", 512, (("sft", "lora"),), **config)
    content = {"schema_version": 1, "name": "small", "model": {"config": "ns/model@v1"}}
    _check(parse_recipe(content | recipe), offered, rows or ROWS)


def test_too_few_rows_are_refused_before_anything_is_fitted_or_paid_for() -> None:
    with pytest.raises(ConfigurationError, match="8 training rows are left after curation"):
        check({}, rows={"training": 8, "validation": 20, "testing": 20})
    with pytest.raises(ConfigurationError, match=r"no validation rows .*3 training, 0 validation, 0 testing"):
        check({}, rows={"training": 3, "validation": 0, "testing": 0})


def test_a_rank_that_v1_refuses_is_refused_before_anything_is_uploaded() -> None:
    with pytest.raises(ConfigurationError, match="adapter_dim 12 is no power of two") as caught:
        check({}, training={"adapter_dim": 12})
    assert "training.adapter_dim=8" in str(caught.value.hint)
    check({"dialect": "helix"}, training={"adapter_dim": 12})


def test_a_config_that_takes_chats_only_wants_rows_of_messages() -> None:
    chats: dict[str, Any] = {"chat": True, "prompt_template": None}
    check(chats, curation={"format": "messages"})
    check(chats | {"prompt_template": "{prompt} {completion}"})
    with pytest.raises(ConfigurationError, match="no prompt template") as caught:
        check(chats)
    assert "format: messages" in str(caught.value)


def test_what_the_platform_would_refuse_is_said_before_anything_is_uploaded() -> None:
    with pytest.raises(ConfigurationError, match="does not offer sft/all_weights"):
        check({}, training={"method": "all_weights"})
    with pytest.raises(
        ConfigurationError, match="batch_size 32 is larger than the 20 validation rows"
    ) as caught:
        check({}, training={"batch_size": 32})
    assert "--set training.batch_size=16" in str(caught.value.hint)
    with pytest.raises(ConfigurationError) as caught:
        check({}, ROWS | {"validation": 1})
    assert "--set training.batch_size=1," in str(caught.value.hint)
    for part in ROWS:
        with pytest.raises(ConfigurationError, match=f"no {part} rows"):
            check({}, ROWS | {part: 0})
