"""References to entities, as a platform takes them."""

from __future__ import annotations

from lawtags_client.helix.names import make_name


def helix_reference(reference: str) -> str:
    """What Helix calls an entity of v1: ``workspace/name``, without a version.

    Args:
        reference: ``namespace/name``, possibly with ``@version``; what Helix takes stays as it is.
    """
    return "/".join(map(make_name, reference.partition("@")[0].split("/", 1)))
