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
def test_a_validation_is_worth_as_many_steps_as_its_rows(method: str, row: float) -> None:
    assert read({"finetuning_type": method}, share=0.2) == pytest.approx(row * 0.2 * 55)


def test_before_any_progress_nothing_is_known_of_validations() -> None:
    assert UpdateReader(CustomizationJob(id="cust-1")).read([]).validation_cost is None
