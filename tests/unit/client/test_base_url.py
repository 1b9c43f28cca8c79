"""Addresses that hold a secret, in forms that a parser of URLs takes apart at the wrong place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lawtags_client.base_url import checked_url
from lawtags_client.errors import ConfigurationError

SECRET = "canary-password"
FORMS = [
    "http://user:{}@host",
    "http://user:{}/x@host",
    "http://user:a/{}@host",
    "http://user:a?{}@host",
    "http://user:12#{}@host",
    "http://user:{}@host:99999",
    "http://user:{}@[::1",
    "user:{}@host",
    "//user:{}@host",
    "http:/user:{}@host",
    "ftp://user:{}@host",
    "http://host/?token={}",
    "http://host/#{}",
    "host?key={}",
]


def refusal(value: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        checked_url("platform_url", value)
    return str(caught.value)


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_in_an_address_is_not_repeated(form: str) -> None:
    assert SECRET not in refusal(form.format(SECRET))


@settings(max_examples=60)
@given(before=st.text("ab/:?#[]% ", max_size=4), after=st.text("ab/:?#[]% ", max_size=4))
def test_a_password_with_characters_of_urls_is_not_repeated(before: str, after: str) -> None:
    try:
        checked_url("platform_url", f"http://user:{before}{SECRET}{after}@host")
    except ConfigurationError as error:
        assert SECRET not in str(error)


def test_other_mistakes_are_shown() -> None:
    assert "'htp://host:80/x'" in refusal("htp://host:80/x")
    assert "'http://host' with a query" in refusal("http://host?a=b")
