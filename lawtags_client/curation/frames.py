"""Converts any table of questions into the frame that the steps work on."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from lawtags_client.curation.read.columns import ColumnMap, RowError

if TYPE_CHECKING:
    import pandas as pd

_BY_NAME: Mapping[str, str] = MappingProxyType({})
# An unreadable row continues as one without content, rejected from the start.
_UNREADABLE: dict[str, object] = {
    "id": "", "title": "", "body": None, "html": False, "markdown": False, "tags": (), "complete": True,
    "score": None, "created": None, "link": None, "license": None, "answered": None,
}  # fmt: skip
_RECORD = {
    "rejected_by": "", "reason": "", "field": "", "detail": "", "digest": "", "bands": "",
    "split_key": 0.0, "masked": False, "test": False,
}  # fmt: skip


def question_frame(frame: pd.DataFrame, columns: Mapping[str, str] = _BY_NAME) -> pd.DataFrame:
    """Give a table of questions the columns that the steps read and write.

    A row that cannot be read stays, with ``rejected_by`` ``read`` and the reason. Columns of other names
    stay as they are; a table that has been through this is returned as it is.

    Args:
        frame: a table with titles and what else there is, under the names that sources have.
        columns: field to column, for what is not recognized by its name.

    Example::

        question_frame(pandas.DataFrame({"question_title": ["Is it legal?"], "tags": [["copyright"]]}))
    """
    if "rejected_by" in frame.columns:
        return frame
    import pandas

    reader = ColumnMap(columns)
    rows: list[dict[str, object]] = []
    for row in frame.to_dict("records"):
        try:
            read = reader.read({str(name): _plain(value) for name, value in row.items()})
            rows.append({name: getattr(read, name) for name in read.__slots__} | _RECORD)
        except RowError as error:
            refused = {"rejected_by": "read", "reason": error.reason, "field": error.field}
            rows.append(_UNREADABLE | _RECORD | refused)
    made = {
        name: pandas.Series([row[name] for row in rows], index=frame.index, dtype=kind)
        for name, kind in _KINDS.items()
    }
    return frame.assign(**made)


_KINDS = dict.fromkeys((*_UNREADABLE, *_RECORD), "object") | {
    "html": "bool", "markdown": "bool", "complete": "bool", "score": "float64", "split_key": "float64",
    "masked": "bool", "test": "bool",
}  # fmt: skip


def _plain(value: object) -> object:
    # Tables keep lists as arrays and numbers as those of numpy.
    return value.tolist() if hasattr(value, "tolist") else value
