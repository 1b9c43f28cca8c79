"""What the body of an error says, as a value and in words."""

from __future__ import annotations

import json

from lawtags_client.json_value import JsonValue
from lawtags_client.transport.redact import Redactor

_SHOWN = 200
LONGEST_SECRET = 16 << 10
"""Bytes beyond what is shown that are searched for secrets, since half of one would not be recognized."""


def read_detail(body: bytes, redactor: Redactor) -> JsonValue:
    """The detail of an error, without secrets: JSON, or the beginning of another body."""
    text = body.decode("utf-8", "replace")
    try:
        decoded: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return redactor.text(text[: _SHOWN + LONGEST_SECRET])[:_SHOWN] or None
    if isinstance(decoded, dict):
        # {"detail": …} is the platform's form, {"error": {"message": …}} that of OpenAI-like servers.
        decoded = decoded.get("detail") or decoded.get("error") or decoded.get("message") or decoded
    return redactor.value(decoded)


def detail_message(detail: object) -> str:
    """A detail in words."""
    if not detail:
        return ""
    if isinstance(detail, dict):
        detail = detail.get("message") or json.dumps(detail, ensure_ascii=False)
    if isinstance(detail, list):
        detail = "; ".join(_issue(entry) for entry in detail)
    return str(detail)[:1000] if detail else ""


def _issue(entry: object) -> str:
    if isinstance(entry, dict) and "msg" in entry:
        loc = entry.get("loc")
        place = ".".join(str(part) for part in loc) if isinstance(loc, list) else ""
        return f"{place}: {entry['msg']}" if place else str(entry["msg"])
    return str(entry)
