"""A model without weights is refused before it is deployed."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from client_kit import Script, client

from lawtags_client.errors import ConfigurationError


@pytest.mark.parametrize(
    ("artifact", "says"),
    [
        (None, "names no files"),
        ({"files_url": "", "status": "created"}, "names no files"),
        ({"files_url": "hf://law/tagger", "status": "upload_failed"}, "upload failed"),
    ],
)
async def test_a_model_without_weights_is_refused(
    artifact: dict[str, str] | None, says: str, tmp_path: Path
) -> None:
    script = Script([httpx.Response(200, json={"name": "tagger", "namespace": "law", "artifact": artifact})])
    with pytest.raises(ConfigurationError, match=says) as caught:
        await client(script, tmp_path).deployments.deploy("law/tagger", model="law/tagger")
    assert caught.value.hint and "image" not in str(caught.value)
    assert script.paths == ["GET /v1/models/law/tagger"]
