"""What a run leaves for others to read, in an object store or another folder."""

from __future__ import annotations

from pathlib import Path

from lawtags_client.object_store import StoreAddress, publish

PUBLISHED = ("report.html", "model-card.md", "metrics.json", "repeats.json", "plan.json")
"""The files of a run that are for others: the report shows a few test questions, the rest are figures."""


def publication_target(address: str) -> str:
    """An address to publish at, checked before hours of work.

    Raises:
        ConfigurationError: nothing can be written there.
    """
    StoreAddress.of(address).open_store()
    return address.rstrip("/")


def publish_run(folder: Path, target: str) -> str:
    """Copy the report and the figures of a run to a folder of its name, and return the address.

    Args:
        folder: of the run.
        target: as ``publication_target`` gave it.

    Raises:
        LawtagsError: the store cannot be reached, or refuses the keys.
    """
    address = f"{target}/{folder.name}"
    publish([path for name in PUBLISHED if (path := folder / name).is_file()], address)
    return address
