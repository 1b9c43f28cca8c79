"""One process at a time curates into a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lawtags_client.curation.staging import WORK_FOLDER
from lawtags_client.errors import BusyError, ConfigurationError
from lawtags_client.locks import FolderLock, Holder


@contextmanager
def curation_lock(out: Path) -> Iterator[Path]:
    """Hold an output folder.

    Args:
        out: the output folder.

    Yields:
        The work folder in it, which may be removed while it is held. It goes if it is empty at the end.

    Raises:
        BusyError: another process holds the folder; the message names pid, host and start.
        ConfigurationError: it cannot be locked, or its path is not UTF-8.
    """

    if any("\udc80" <= character <= "\udcff" for character in str(out.absolute())):
        # Parquet files are opened by address, which is Unicode.
        raise ConfigurationError(
            f"{out} cannot hold a curation: its path is not UTF-8", hint="Choose another folder."
        )

    def busy(holder: Holder) -> BusyError:
        return BusyError(
            f"{out} is being curated by {holder}", hint="Wait for it to finish, or choose another folder."
        )

    with FolderLock(out, busy, file=f"{WORK_FOLDER}/lock", mode=0o600, remove=True):
        yield out / WORK_FOLDER
