from __future__ import annotations

import errno
import json
import os

import pytest

from lawtags_client.local.wire.answers import answer_for


@pytest.mark.parametrize("number", [errno.EISDIR, errno.ENOTDIR, errno.EACCES, errno.EIO, errno.ELOOP])
def test_a_file_that_cannot_be_used_is_named_in_one_line(
    number: int, caplog: pytest.LogCaptureFixture
) -> None:
    answer = answer_for(OSError(number, os.strerror(number), "/stack/blobs"))
    assert answer.status_code == 500
    told = json.loads(bytes(answer.body))["detail"]
    assert "/stack/blobs" in told and os.strerror(number) in told
    [record] = caplog.records
    assert record.getMessage() == told and record.exc_info is None
