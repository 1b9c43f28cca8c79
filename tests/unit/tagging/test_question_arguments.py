"""A question is made with keywords, and mistyped arguments are named."""

from __future__ import annotations

from typing import Any

import pytest

from lawtags_client import Question
from lawtags_client.errors import ConfigurationError


@pytest.mark.parametrize(
    ("field", "value"),
    [("id", 1), ("title", None), ("body", 3), ("tags", "tax"), ("tags", None), ("tags", (1,))],
)
def test_a_mistyped_argument_is_named(field: str, value: object) -> None:
    given: dict[str, Any] = {"id": "1", "title": "Rent?", field: value}
    with pytest.raises(ConfigurationError, match=rf"^{field} of a Question"):
        Question(**given)


def test_body_and_tags_may_be_omitted_and_a_list_of_tags_becomes_a_tuple() -> None:
    assert Question(id="1", title="Rent?").body is None
    tags: Any = ["tax"]
    assert Question(id="1", title="Rent?", tags=tags) == Question(
        id="1", title="Rent?", body=None, tags=("tax",)
    )
