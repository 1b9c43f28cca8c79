"""What both environments run: the same steps over the same questions."""

from __future__ import annotations

import json
from typing import Any

from lawtags_client.curation.options import CurationOptions, PiiOptions

NAMES = PiiOptions()
MAILS = PiiOptions(("EMAIL_ADDRESS",), "mask")
OPTIONS = CurationOptions()
COLUMNS = (
    "question_id", "id", "title", "body", "tags", "rejected_by", "reason", "field", "detail", "digest",
    "bands", "split_key", "masked",
)  # fmt: skip


def modifiers(adapter: Any) -> list[tuple[str, Any]]:
    """Modifiers of an adapter with the fields that they change, in their order."""
    return [
        ("body", adapter.HtmlToTextModifier()),
        ("title", adapter.UnicodeModifier()),
        ("body", adapter.UnicodeModifier()),
        ("body", adapter.CleaningModifier()),
        # Two of one kind with other options.
        ("body", adapter.PiiModifier(MAILS)),
        ("title", adapter.PiiModifier(NAMES)),
        ("body", adapter.PiiModifier(NAMES)),
        ("body", adapter.SectionNumberModifier()),
    ]


def filters(adapter: Any) -> list[tuple[str, Any]]:
    """Filters of an adapter with the fields that they judge, in their order."""
    return [
        ("body", adapter.WordCountFilter(min_words=16)),
        ("score", adapter.NetVotesFilter(min_score=0)),
        ("body", adapter.RepeatedNgramsFilter(n=5, most=0.15)),
    ]


def plain(frame: Any) -> list[dict[str, Any]]:
    """The rows of a table in the order of their ids, as values of JSON."""
    rows = [{name: _plain(value) for name, value in row.items()} for row in frame.to_dict("records")]
    found: list[dict[str, Any]] = json.loads(json.dumps(rows))
    return sorted(found, key=lambda row: str(row["question_id"]))


def _plain(value: Any) -> Any:
    value = value.tolist() if hasattr(value, "tolist") else value
    # Tables say NaN where a value is missing.
    return None if isinstance(value, float) and value != value else value
