"""What of every question has to be in view at once: a few numbers each, and none of its text.

They are arrays, about 90 bytes a question. The signatures, which are 160 more, stay on disk and are read
band by band.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lawtags_client.curation.features.fingerprints import BANDS
from lawtags_client.curation.read.dates import read_moment
from lawtags_client.curation.staging import StagedQuestions, WorkFolder, owner_only

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_COLUMNS = ("rejected_by", "test", "digest", "bands", "score", "created", "split_key", "id")
# A moment of ISO 8601 with microseconds.
_CREATED = "S32"
_UNKNOWN = b"\xff"


@dataclass(frozen=True)
class QuestionKeys:
    """The questions of a curation, by their rows.

    Args:
        live: whether no step refused it.
        test: whether it comes from a file for testing.
        digest: of its words, as two numbers.
        score: net votes; 0 where they are unknown.
        created: when it was asked, in a form that sorts; unknown ones come last.
        dated: whether that is a moment.
        split_key: its place in the division by hash.
        id: a number made of its id.
        bands: files of its signature, one for each band.
    """

    live: NDArray[np.bool_]
    test: NDArray[np.bool_]
    digest: NDArray[np.uint64]
    score: NDArray[np.float64]
    created: NDArray[np.bytes_]
    dated: NDArray[np.bool_]
    split_key: NDArray[np.float64]
    id: NDArray[np.uint64]
    bands: tuple[Path, ...]

    def band(self, number: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """One band of these questions."""
        import numpy

        return numpy.fromfile(self.bands[number], dtype="<i8")[rows]

    def rank(self) -> NDArray[np.int64]:
        """The place of each question among all: best score, then oldest, then first in the input."""
        import numpy

        order = numpy.lexsort((self.created, -self.score))
        places = numpy.empty(len(order), dtype=numpy.int64)
        places[order] = numpy.arange(len(order))
        return places


def read_keys(work: WorkFolder, staged: StagedQuestions) -> QuestionKeys:
    """Gather the keys of all questions after the steps.

    Args:
        work: the partitions.
        staged: what reading found.
    """
    import numpy

    rows = staged.rows
    folder = work.subfolder("keys")
    keys = QuestionKeys(
        live=numpy.zeros(rows, dtype=bool),
        test=numpy.zeros(rows, dtype=bool),
        digest=numpy.zeros((rows, 2), dtype="<u8"),
        score=numpy.zeros(rows),
        created=numpy.full(rows, _UNKNOWN, dtype=_CREATED),
        dated=numpy.zeros(rows, dtype=bool),
        split_key=numpy.zeros(rows),
        id=numpy.zeros(rows, dtype="<u8"),
        bands=tuple(folder / f"band-{number:02}.bin" for number in range(BANDS)),
    )
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(open(path, "wb", opener=owner_only)) for path in keys.bands]
        for number in range(staged.partitions):
            frame = work.frame(number, _COLUMNS)
            place = slice(staged.starts[number], staged.starts[number + 1])
            for stream, band in zip(streams, _fill(keys, place, frame), strict=True):
                stream.write(band.tobytes())
    return keys


def _fill(keys: QuestionKeys, place: slice, frame: pd.DataFrame) -> NDArray[np.int64]:
    """Put a partition's questions into their places.

    Returns:
        Their signatures, one row for each band.
    """
    import numpy

    live = (frame["rejected_by"] == "").to_numpy()
    keys.live[place] = live
    keys.test[place] = frame["test"].to_numpy()
    keys.score[place] = numpy.nan_to_num(frame["score"].to_numpy(dtype=float))
    keys.split_key[place] = frame["split_key"].to_numpy()
    hashes = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in frame["id"])
    keys.id[place] = numpy.frombuffer(hashes, dtype="<u8")
    digests = bytes.fromhex("".join(frame["digest"][live]))
    keys.digest[place][live] = numpy.frombuffer(digests, dtype="<u8").reshape(-1, 2)
    moments = [_sortable(created) for created in frame["created"]]
    keys.created[place] = [key for key, _ in moments]
    keys.dated[place] = [dated for _, dated in moments]
    bands = numpy.zeros((len(frame), BANDS), dtype="<i8")
    bands[live] = numpy.array(" ".join(frame["bands"][live]).split(), dtype="<i8").reshape(-1, BANDS)
    return bands.T


def _sortable(created: object) -> tuple[bytes, bool]:
    """When a question was asked, and whether that is a moment."""
    if not isinstance(created, str) or not created:
        return _UNKNOWN, False
    moment = read_moment(created)
    return (moment.encode()[:32], True) if moment else (_UNKNOWN, False)
