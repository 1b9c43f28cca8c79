"""Keep the schemas of CustomResourceDefinitions, without descriptions, for the tests of the manifests.

Example: python scripts/trim_crds.py tests/k8s/crds apps.nvidia.com_nimcaches.yaml daskcluster.yaml
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import yaml

from lawtags_client.json_value import JsonValue


def without_descriptions(node: JsonValue, *, names: bool = False) -> JsonValue:
    """A schema without its prose.

    Args:
        node: the schema, or a part of it.
        names: whether the keys of this mapping are names of properties, and no keywords.
    """
    if isinstance(node, list):
        return [without_descriptions(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    return {
        key: without_descriptions(value, names=key == "properties" and not names)
        for key, value in node.items()
        if names or key != "description" or not isinstance(value, str)
    }


def main(out: Path, paths: list[Path]) -> None:
    """Write one JSON file per kind, and print the SHA-256 of each original."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in paths:
        given = path.read_bytes()
        for crd in yaml.load_all(given, loader):
            kind = crd["spec"]["names"]["kind"]
            kept = {
                "apiVersions": [f"{crd['spec']['group']}/{each['name']}" for each in crd["spec"]["versions"]],
                "kind": kind,
                "schemas": {
                    each["name"]: without_descriptions(each["schema"]["openAPIV3Schema"])
                    for each in crd["spec"]["versions"]
                },
            }
            (out / f"{kind}.json").write_text(json.dumps(kept, separators=(",", ":")) + "\n")
            print(f"{kind}.json: {path.name}, sha256 {hashlib.sha256(given).hexdigest()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
