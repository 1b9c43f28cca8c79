from __future__ import annotations

import pytest

from lawtags_client.curation import SplitOptions
from lawtags_client.errors import ConfigurationError


def test_few_questions_get_a_larger_testing_part_and_many_do_not() -> None:
    options = SplitOptions(few_rows=100)
    assert options.for_rows(100) == options
    few = options.for_rows(99)
    assert (few.training, few.validation, few.testing, few.seed) == (0.55, 0.15, 0.3, 42)
    assert SplitOptions().for_rows(1) == SplitOptions()
    with pytest.raises(ConfigurationError):
        SplitOptions(few_rows=-1)
