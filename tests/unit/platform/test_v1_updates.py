"""Events of a v1 job in the terms of a run."""

from __future__ import annotations

import pytest

from lawtags_client.platform.v1_updates import UpdateReader
from lawtags_client.services.customizer.events import ProgressMade
from lawtags_client.types.customizer import CustomizationJob, CustomizationStatusDetails, Hyperparameters


def read(hyperparameters: dict[str, object], *, share: float) -> float | None:
    wanted = Hyperparameters.model_validate(hyperparameters)
    details = CustomizationStatusDetails.model_validate({"steps_completed": 3, "steps_per_epoch": 55})
    job = CustomizationJob(id="cust-1", hyperparameters=wanted)
    reader = UpdateReader(job, validation_share=share)
    return reader.read([ProgressMade.of(details, wanted)]).validation_cost


@pytest.mark.parametrize(("method", "row"), [("lora", 0.41), ("all_weights", 1 / 3)])
@pytest.mark.parametrize("batch", [4, 16])
def test_a_validation_is_worth_as_many_steps_as_its_rows(method: str, row: float, batch: int) -> None:
    asked = {"finetuning_type": method, "batch_size": batch}
    assert read(asked, share=0.2) == pytest.approx(row * 0.2 * 55)


def test_a_step_of_few_rows_takes_hardly_less_time_than_one_of_four() -> None:
    """As measured with SmolLM2: 67 rows took 13.5 s, steps of two rows 1.9 s each."""
    asked = {"finetuning_type": "lora", "batch_size": 2}
    assert read(asked, share=67 / 110) == pytest.approx(13.5 / 1.9, rel=0.1)


def test_without_a_batch_size_nothing_is_known_of_validations() -> None:
    assert read({"finetuning_type": "lora"}, share=0.2) is None


def test_before_any_progress_nothing_is_known_of_validations() -> None:
    assert UpdateReader(CustomizationJob(id="cust-1")).read([]).validation_cost is None
