"""Overlays of k8s/ as a user changes them: renamed, with another image, and with more components."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import pytest
import yaml
from manifest_references import OTHERS, addresses, check_names, check_policies, services, unserved
from manifests import K8S, OVERLAYS, built, one, pods

COMPONENTS = ["dask-operator", "dask-plain", "mlflow", "monitoring", "object-store"]


# Names in addresses, and in resources of operators, are text that kustomize does not follow.
WITH_OWN_NAMESPACE = [each for each in OVERLAYS if not each.startswith("overlays/operator")]
WITH_PREFIX = ["base", "overlays/minikube", "overlays/platform-chart", "overlays/helix"]


@pytest.mark.parametrize(
    ("folder", "change"),
    [
        *((folder, {"namespace": "team-law"}) for folder in WITH_OWN_NAMESPACE),
        *((folder, {"namePrefix": "a-", "nameSuffix": "-b"}) for folder in WITH_PREFIX),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_an_overlay_of_yours_may_rename(folder: str, change: dict[str, str], tmp_path: Path) -> None:
    image = {"name": "lawtags", "newName": "registry.example.com/law/lawtags", "newTag": "9"}
    mine = {"resources": [os.path.relpath(K8S / folder, tmp_path.resolve())], "images": [image], **change}
    (tmp_path / "kustomization.yaml").write_text(json.dumps(mine))
    objects = built(str(tmp_path))
    assert len(objects) == len(built(folder))
    check_names(objects)
    if "namespace" in change:
        own = [each["metadata"]["name"] for each in objects if each["kind"] == "Namespace"]
        assert own in ([], ["team-law"])
        assert {each["metadata"].get("namespace", "team-law") for each in objects} == {"team-law"}
        asked = {address for each in objects for address in addresses(each.get("data", {}))}
        assert asked - {"huggingface.co:443"} <= set(services(objects)) | OTHERS[folder]
    images = {each["image"] for pod in pods(objects) for each in pod.containers}
    assert not [name for name in images if name.startswith("lawtags")]
    assert "registry.example.com/law/lawtags:9" in images


def parts(folder: Path) -> set[str]:
    """The components of a kustomization, and of those that it builds on."""
    given = yaml.safe_load((folder / "kustomization.yaml").read_text())
    found = {each.rpartition("/")[2] for each in given.get("components", [])}
    for each in (*given.get("resources", []), *given.get("components", [])):
        if (folder / each).is_dir():
            found |= parts(folder / each)
    return found


def lacks(folder: str, component: str) -> bool:
    there = parts(K8S / folder)
    return component not in there and not (component.startswith("dask-") and "dask-client" in there)


@pytest.mark.parametrize(
    ("folder", "component"), [pair for pair in itertools.product(OVERLAYS, COMPONENTS) if lacks(*pair)]
)
def test_what_an_overlay_lacks_can_be_added(folder: str, component: str, tmp_path: Path) -> None:
    def here(path: str) -> str:
        return os.path.relpath(K8S / path, tmp_path.resolve())

    mine = {
        "resources": [here(folder)],
        "components": [here(f"components/{component}")],
        "images": [{"name": "lawtags", "newName": "registry.example.com/law/lawtags", "newTag": "9"}],
    }
    (tmp_path / "kustomization.yaml").write_text(json.dumps(mine))
    objects = built(str(tmp_path))
    check_names(objects)
    check_policies(objects)
    if component == "object-store":
        # What is copied is what is read.
        copied, (run,) = (
            one(objects, "Job", "lawtags-run")["spec"]["template"]["spec"][kind]
            for kind in ("initContainers", "containers")
        )
        (questions,) = [each["args"][2] for each in copied if each["name"] == "questions"]
        assert run["args"][run["args"].index("--data") + 1] == questions
    assert unserved(objects) <= OTHERS[folder] | {"minio.minio.svc.cluster.local:9000"}
    images = {each["image"] for pod in pods(objects) for each in pod.containers}
    assert not [name for name in images if name.startswith("lawtags")]


@pytest.mark.parametrize(
    ("folder", "components"),
    [
        ("base", ["dask-plain", "dask-operator"]),
        ("overlays/platform-chart", ["dask-operator", "dask-plain"]),
        ("overlays/dask", ["dask-plain"]),
        ("overlays/dask-plain", ["dask-operator"]),
        ("overlays/operator", ["mlflow"]),
        ("overlays/helix", ["monitoring"]),
        ("overlays/platform-chart", ["object-store"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_a_component_that_is_there_already_is_refused(
    folder: str, components: list[str], tmp_path: Path
) -> None:
    def here(path: str) -> str:
        return os.path.relpath(K8S / path, tmp_path.resolve())

    mine = {
        "namespace": {"overlays/operator": "nemo"}.get(folder, "lawtags"),
        "resources": [here(folder)],
        "components": [here(f"components/{each}") for each in components],
    }
    (tmp_path / "kustomization.yaml").write_text(json.dumps(mine))
    with pytest.raises(AssertionError, match=r"already registered id|ID conflict|exists; behavior must be"):
        built(str(tmp_path))
