"""Names of the filesets that a run has on Helix."""

from __future__ import annotations

from lawtags_client.helix.names import LONGEST, make_name

TESTING = "testing"


def shortened(name: str) -> str:
    """A run appends a digest to the name in its recipe, which may be too long with it."""
    workspace, slash, dataset = name.rpartition("/")
    return f"{workspace}{slash}{make_name(dataset)}" if len(dataset) > LONGEST else name


def test_fileset(dataset: str) -> str:
    """The fileset of a dataset's test rows, which no training can see."""
    return make_name(f"{dataset}-{TESTING}")
