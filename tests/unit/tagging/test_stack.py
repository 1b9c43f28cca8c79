"""The columns of the stack, against their definition."""

from __future__ import annotations

import numpy as np
import pytest

from lawtags_client.tagging.stack import EMBEDDED_STACK, STACK, stack_columns


def signals(*, embedded: bool, questions: int = 4, tags: int = 3) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    shape = (questions, tags)
    names = ["lr", "knn", "title", "body"]
    if embedded:
        names += ["meaning_knn", "meaning_log_knn", "meaning_ridge", "meaning_name"]
    found = {name: generator.random(shape, dtype=np.float32) for name in names}
    return found | {"prior": np.log(generator.random(tags, dtype=np.float32))}


@pytest.mark.parametrize(("embedded", "names"), [(False, STACK), (True, EMBEDDED_STACK)])
def test_each_column_stands_at_its_name(embedded: bool, names: tuple[str, ...]) -> None:
    features = signals(embedded=embedded)
    features["knn"][0, 0] = 0
    columns = stack_columns(features)
    assert columns.shape == (4, 3, len(names)) and len(set(names)) == len(names)
    features["log_knn"] = np.log(features["knn"] + 1e-3)
    features["one"] = np.ones((4, 3))
    for place, name in enumerate(names):
        if name.endswith("_below_best"):
            signal = features[name.removesuffix("_below_best")]
            expected = [[value - max(row) for value in row] for row in signal]
        elif name.endswith("_prior"):
            expected = features[name.removesuffix("_prior")] * features["prior"]
        else:
            expected = features[name]
        np.testing.assert_allclose(
            columns[..., place], np.broadcast_to(expected, (4, 3)), rtol=1e-5, atol=1e-6, err_msg=name
        )


def test_a_question_has_the_same_columns_in_any_company() -> None:
    features = signals(embedded=True, questions=9)
    alone = {name: values if name == "prior" else values[4:5] for name, values in features.items()}
    np.testing.assert_array_equal(stack_columns(alone)[0], stack_columns(features)[4])
