"""The recording of a real NeMo Helix, held to the OpenAPI document of the same server."""

from __future__ import annotations

import openapi
import pytest
from transcripts import Exchange, exchanges, find, masked, shape


def test_every_recorded_success_matches_the_document() -> None:
    checked = 0
    for each in exchanges():
        if 200 <= each.status < 300 and _declared(each):
            checked += openapi.check_response(each.method, each.path, each.status, each.answer)
    assert checked == 290


def test_every_accepted_request_matches_the_document() -> None:
    checked = 0
    for each in exchanges():
        if each.status < 300 and isinstance(each.body, dict) and _declared(each):
            checked += openapi.check_request(each.method, each.path, each.body)
    assert checked >= 130


def test_a_wrong_body_is_reported_with_its_field() -> None:
    with pytest.raises(openapi.Mismatch, match=r"\$\.name"):
        openapi.check_request("POST", "/apis/entities/v2/workspaces", {"name": 3})
    with pytest.raises(openapi.Undeclared):
        openapi.check_request("POST", "/apis/nothing/v2/x", {})


def test_the_mask_hides_ids_and_times_alone() -> None:
    first = find("workspaces", "equal again")
    assert masked(first.answer) == first.answer
    text = "platform-job-step-DZnd3D4BFQJ42K1m2trZUK of 'law-tags' at 2026-11-26T13:06:30.702129 (automodel)"
    assert masked(text) == "platform-job-step-<id> of 'law-tags' at <time> (automodel)"
    assert masked({"path": "/data/helix/files/x"}) == masked({"path": "/srv/1/files/x"}, "/srv/1")


def test_shapes_tell_keys_and_types() -> None:
    assert shape({"a": 1, "b": [1, 2.5]}) == shape({"b": [3], "a": 2.0})
    assert shape({"a": 1}) != shape({"a": "1"})
    assert shape({"a": None}) != shape({})


def _declared(each: Exchange) -> bool:
    try:
        openapi.operation(each.method, each.path)
    except openapi.Undeclared:
        return False
    return True
