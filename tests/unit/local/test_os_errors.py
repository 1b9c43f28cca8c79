from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from lawtags_client.errors import ConfigurationError, DataError
from lawtags_client.weights import tensors
from lawtags_stack.http.responses import response_for_error
from lawtags_stack.store import Database


@pytest.mark.parametrize("number", [errno.EISDIR, errno.ENOTDIR, errno.EACCES, errno.EIO, errno.ELOOP])
def test_a_file_that_cannot_be_used_is_named_in_one_line(
    number: int, caplog: pytest.LogCaptureFixture
) -> None:
    answer = response_for_error(OSError(number, os.strerror(number), "/stack/blobs"))
    assert answer.status_code == 500
    told = json.loads(bytes(answer.body))["detail"]
    assert "/stack/blobs" in told and os.strerror(number) in told
    [record] = caplog.records
    assert record.getMessage() == told and record.exc_info is None


def test_folders_in_the_place_of_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Is a directory"):
        tensors(tmp_path)
    with pytest.raises(ConfigurationError, match="the database belongs there"):
        Database(tmp_path)
