"""What a list of models says that may be done with each of them; clients of OpenAI's older API read it."""

from __future__ import annotations

import uuid

from lawtags_client.json_value import JsonObject


def permission(model: str, created: int) -> JsonObject:
    """The one permission of a served model, in the form that a NIM gives.

    Args:
        model: the model's id.
        created: seconds since 1970.
    """
    return {
        "id": f"modelperm-{uuid.uuid5(uuid.NAMESPACE_URL, model).hex}",
        "object": "model_permission",
        "created": created,
        "allow_create_engine": False,
        "allow_sampling": True,
        "allow_logprobs": True,
        "allow_search_indices": False,
        "allow_view": True,
        "allow_fine_tuning": False,
        "organization": "*",
        "group": None,
        "is_blocking": False,
    }
