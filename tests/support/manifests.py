"""Kustomizations, built by a real kustomize, and what their objects say."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
CRDS = ROOT / "tests" / "k8s" / "crds"
OVERLAYS = [
    "base",
    *sorted(f"overlays/{path.parent.name}" for path in K8S.glob("overlays/*/kustomization.yaml")),
]
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Manifest = dict[str, Any]


@functools.cache
def _built(folder: str) -> str:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip(
            "kubectl is not installed, so kustomizations cannot be built (apt-get install kubernetes-client)"
        )
    done = subprocess.run(
        [kubectl, "kustomize", K8S / folder], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return json.dumps(list(yaml.load_all(done.stdout, _LOADER)))


def built(folder: str) -> list[Manifest]:
    """The objects of a kustomization, below ``k8s/``."""
    objects: list[Manifest] = json.loads(_built(folder))
    return objects


def load(path: Path) -> list[Manifest]:
    """The objects of a file."""
    return list(yaml.load_all(path.read_text(), _LOADER))


def one(objects: list[Manifest], kind: str, name: str) -> Manifest:
    """The one object of a kind and a name."""
    (found,) = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


@dataclass(frozen=True)
class PodSpec:
    """A pod that some object makes.

    Attributes:
        owner: kind and name of that object.
        labels: of the pod.
        spec: of the pod.
        claims: names of volumes that the object makes claims for.
    """

    owner: str
    labels: dict[str, str]
    spec: Manifest
    claims: frozenset[str] = frozenset()

    @property
    def containers(self) -> list[Manifest]:
        """All containers, those of the start included."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]


def pods(objects: list[Manifest]) -> Iterator[PodSpec]:
    """The pods that objects make."""
    for each in objects:
        spec, owner = each.get("spec", {}), f"{each['kind']}/{each['metadata']['name']}"
        if each["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if each["kind"] in ("Job", "CronJob", "Deployment", "StatefulSet"):
            claims = frozenset(claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", []))
            yield PodSpec(
                owner, spec["template"]["metadata"].get("labels", {}), spec["template"]["spec"], claims
            )
        elif each["kind"] == "DaskCluster":
            for part in ("scheduler", "worker"):
                labels = {"dask.org/cluster-name": each["metadata"]["name"], "dask.org/component": part}
                yield PodSpec(f"{owner}/{part}", labels, spec[part]["spec"])


def closed(schema: Any) -> Any:
    """The schema of a custom resource as JSON Schema that refuses unknown fields."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    found = {key: closed(value) for key, value in schema.items() if not key.startswith("x-kubernetes")}
    if "properties" in schema:
        # A property may have the name of a keyword.
        found["properties"] = {name: closed(value) for name, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            found.setdefault("additionalProperties", False)
    if schema.get("nullable") and "type" in found:
        found["type"] = [found["type"], "null"]
    return found


@functools.cache
def custom_schema(kind: str, version: str) -> Any:
    """The JSON Schema of a custom resource."""
    schema = closed(json.loads((CRDS / f"{kind}.json").read_text())["schemas"][version])
    free = {"type": "object"}
    return {
        **schema,
        "properties": schema["properties"]
        | {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": free},
    }


def environment_of(container: Manifest, objects: list[Manifest]) -> dict[str, str | None]:
    """The environment of a container; None for values of Secrets."""
    found: dict[str, str | None] = {}
    for source in container.get("envFrom", []):
        found |= one(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    for each in container.get("env", []):
        found[each["name"]] = each.get("value")
    return found
