"""What to do about a deployment that failed depends on where it failed."""

from __future__ import annotations

import pytest

from lawtags_client.services.deployments import _advice
from lawtags_client.settings import Settings


@pytest.mark.parametrize(("profile", "in_a_cluster"), [("local", False), ("cluster", True), (None, True)])
def test_the_pods_of_a_cluster_are_not_named_for_the_embedded_stack(
    profile: str | None, in_a_cluster: bool
) -> None:
    hint = _advice(Settings(platform_url="http://127.0.0.1:8600", profile=profile), "law/tagger")
    assert "nemo.deployments.remove('law/tagger')" in hint
    assert ("pods" in hint) is in_a_cluster
