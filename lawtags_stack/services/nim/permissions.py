"""The ``permission`` field in lists of models, which clients of OpenAI's older API read."""

from __future__ import annotations

import uuid

from lawtags_client.json_value import JsonObject


def permission(model: str, created: int) -> JsonObject:
    """The permission of a served model, in NIM's format.

    Args:
        model: the model's id.
        created: Unix time in seconds.
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
