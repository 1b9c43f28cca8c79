"""Arguments of the wrong type are refused at once, without repeating what may be a secret."""

from __future__ import annotations

from typing import Any

import pytest

from lawtags_client import sync
from lawtags_client.client import NeMo
from lawtags_client.errors import ConfigurationError

URL = "http://nemo.test"
SECRET = "hush-4711-hush"

HEADERS = [{"headers": SECRET}, {"headers": [("x-key", SECRET)]}, {"headers": {"x-key": SECRET.encode()}}]
LIMITS = [
    {"timeout": "5"}, {"timeout": True}, {"timeout": float("nan")}, {"timeout": [5]},
    {"max_retries": 1.5}, {"max_retries": "2"}, {"max_retries": True},
]  # fmt: skip
HOOKS = [{"event_hooks": SECRET}, {"event_hooks": [print]}, {"event_hooks": {"request": print}}]


@pytest.mark.parametrize("options", [*HEADERS, *LIMITS, *HOOKS], ids=str)
@pytest.mark.parametrize("kind", [NeMo, sync.NeMo])
def test_client_refuses_arguments_of_the_wrong_type(kind: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind(base_url=URL, **options)
    assert caught.value.hint
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("options", [*HEADERS, *LIMITS], ids=str)
def test_copies_refuse_arguments_of_the_wrong_type(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        NeMo(base_url=URL).with_options(**options)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", [5, b"http://nemo.test", ["http://nemo.test"]], ids=str)
def test_address_that_is_no_text_is_refused(url: Any) -> None:
    with pytest.raises(ConfigurationError, match="base_url"):
        NeMo(base_url=url)


@pytest.mark.parametrize("call", [None, "models", 5])
def test_raw_response_of_what_is_no_method_is_refused(call: Any) -> None:
    with pytest.raises(ConfigurationError, match="with_raw_response"):
        NeMo(base_url=URL).with_raw_response(call)
