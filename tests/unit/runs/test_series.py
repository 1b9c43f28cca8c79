from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lawtags_client.runs.series import Series, TrainingRecord
from lawtags_client.runs.tensorboard_log import TensorBoardLog

POINTS = st.lists(
    st.tuples(st.sampled_from(["train_loss", "val_loss"]), st.integers(0, 50), st.floats(width=32)),
    max_size=30,
)


def written(series: Series) -> dict[str, Any]:
    """The series as customization.json holds it."""
    record = TrainingRecord(job="cust-1", output_model="ns/m", metrics=series.points())
    return dict(json.loads(json.dumps(asdict(record)))["metrics"])


@given(POINTS)
def test_series_are_always_valid_json(points: list[tuple[str, int, float]]) -> None:
    series = Series()
    series.add(points)
    json.dumps([asdict(point) for row in series.points().values() for point in row], allow_nan=False)
    json.dumps(series.last(), allow_nan=False)
    assert isinstance(series.headline(), str)


@given(POINTS)
def test_a_point_told_twice_counts_once_in_order_of_steps(points: list[tuple[str, int, float]]) -> None:
    once, twice = Series(), Series()
    once.add(points)
    twice.add(points)
    twice.add(once_more for once_more in points)
    assert json.dumps(written(once)) == json.dumps(written(twice))
    for row in written(once).values():
        steps = [point["step"] for point in row]
        assert steps == sorted(set(steps))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_diverged_loss_is_null_and_told_as_such(value: float) -> None:
    series = Series()
    series.add([("train_loss", 0, 1.5), ("train_loss", 1, value)])
    assert written(series) == {"train_loss": [{"step": 0, "value": 1.5}, {"step": 1, "value": None}]}
    assert series.last() == {"train_loss": None}
    assert series.headline() == ", train loss diverged"


def test_tensorboard_reads_the_same_series(tmp_path: Path) -> None:
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    points = [("train_loss", step, 2.0 / (step + 1)) for step in range(5)] + [("val_loss", 4, 0.75)]
    folder = tmp_path / "tensorboard"
    # A command that attaches again leaves one file, or the curves would be drawn twice.
    for _ in range(2):
        log = TensorBoardLog(folder, {"epochs": 2})
        log.add(points)
        # On disk at once, for those who look at it meanwhile.
        assert len(loading.EventAccumulator(str(folder)).Reload().Scalars("train_loss")) == 5
    written = log.close()
    assert list(folder.iterdir()) == written
    assert len(written) == 1
    events = loading.EventAccumulator(str(folder)).Reload()
    read = [(name, one.step, one.value) for name in events.Tags()["scalars"] for one in events.Scalars(name)]
    assert [(name, step, pytest.approx(value)) for name, step, value in sorted(points)] == sorted(read)
    (text,) = events.Tags()["tensors"]
    assert b"| epochs | 2 |" in events.Tensors(text)[0].tensor_proto.string_val[0]
