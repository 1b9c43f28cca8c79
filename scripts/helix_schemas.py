"""Writes the schemas of request bodies of NeMo Helix, reduced to what validation needs, for the stack.

Usage: python scripts/helix_schemas.py
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "tests/helix/recorded/openapi-0.8.1.json.gz"
SCHEMAS = ROOT / "lawtags_stack/helix/schemas.json"
_SOURCE = (
    "Reduced from the OpenAPI document of NeMo Helix 0.8.1 by scripts/helix_schemas.py. "
    "Copyright (c) NVIDIA CORPORATION & AFFILIATES. Licensed under the Apache License, Version 2.0: "
    "https://www.apache.org/licenses/LICENSE-2.0. Changed: request bodies alone, without descriptions."
)
_SERVICES = ("entities", "files", "secrets", "models", "jobs", "customization", "evals", "inference-gateway")
_LEFT_OUT = {"description", "title", "examples", "example", "format"}
# Names of properties may look like keywords, so these are followed by names, not by keywords.
_NAMES = {"properties", "mapping", "$defs"}
_AGENTS = (
    "agent-",
    "retrieve-eval",
    "workspaces/{workspace}/tasks",
    "/prompts",
    "otlp",
    "iam",
    "members",
    "entity_type",
)


def reduced() -> dict[str, object]:
    """The schemas by name, with those that they refer to."""
    document = json.loads(gzip.decompress(DOCUMENT.read_bytes()))
    everything = document["components"]["schemas"]
    wanted: list[str] = []
    for path, operations in document["paths"].items():
        service = path.split("/")[2] if path.startswith("/apis/") else ""
        if service not in _SERVICES or any(each in path for each in _AGENTS):
            continue
        for operation in operations.values():
            content = operation.get("requestBody", {}).get("content", {})
            wanted += _references(content.get("application/json", {}))
    found: dict[str, object] = {}
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = _plain(everything[name])
            wanted += _references(everything[name])
    return {"_source": _SOURCE, **dict(sorted(found.items()))}


def _references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"].rpartition("/")[2]] if isinstance(value.get("$ref"), str) else []
        return own + [name for each in value.values() for name in _references(each)]
    if isinstance(value, list):
        return [name for each in value for name in _references(each)]
    return []


def _plain(value: object, names: bool = False) -> object:
    if isinstance(value, dict):
        kept = {key: each for key, each in value.items() if names or key not in _LEFT_OUT}
        return {key: _plain(each, not names and key in _NAMES) for key, each in kept.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


if __name__ == "__main__":
    SCHEMAS.write_text(json.dumps(reduced(), indent=1, ensure_ascii=False) + "\n", "utf-8")
