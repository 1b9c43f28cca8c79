"""What the objects of a kustomization name, and whether it is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from manifests import K8S, Manifest, environment_of, load, one, pods

# What the manifests ask and others install: the platform's chart, and what NVIDIA's operator needs beside it.
CHART = {
    "nemo-entity-store:8000",
    "nemo-customizer:8000",
    "nemo-evaluator:7331",
    "nemo-deployment-management:8000",
    "nemo-data-store:3000",
    "nemo-nim-proxy:8000",
}
OTHERS: dict[str, set[str]] = {
    "base": CHART,
    "overlays/minikube": CHART,
    "overlays/mlflow": CHART,
    "overlays/dask": CHART,
    "overlays/dask-plain": CHART,
    "overlays/platform-chart": {
        f"{name.replace(':', '.nemo-microservices.svc.cluster.local:')}" for name in CHART
    }
    | {"minio.minio.svc.cluster.local:9000"},
    "overlays/helix": {
        "nemo-platform-api.nemo-platform.svc.cluster.local:8080",
        "minio.minio.svc.cluster.local:9000",
    },
    "overlays/operator": {"argo-workflows-server:2746", "milvus:19530"},
    "overlays/operator-nim-2": {"argo-workflows-server:2746", "milvus:19530"},
    "overlays/embedded": set(),
}


def values_under(node: Any, key: str) -> Iterator[Any]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from values_under(value, key)
    elif isinstance(node, list):
        for each in node:
            yield from values_under(each, key)


def secrets_brought() -> dict[str, set[str]]:
    documents = [each for path in K8S.rglob("secret*.example.yaml") for each in load(path)]
    return {each["metadata"]["name"]: set(each["stringData"]) for each in documents}


def check_names(objects: list[Manifest]) -> None:
    """See that each object that a pod names is there, and each key of it."""
    secrets = secrets_brought()
    names = {(each["kind"], each["metadata"]["name"]) for each in objects}
    maps = {each["metadata"]["name"]: each["data"] for each in objects if each["kind"] == "ConfigMap"}
    for pod in pods(objects):
        if "serviceAccountName" in pod.spec:
            assert ("ServiceAccount", pod.spec["serviceAccountName"]) in names, pod.owner
        for reference in values_under(pod.spec, "secretKeyRef"):
            assert reference["key"] in secrets[reference["name"]], (pod.owner, reference)
        for reference in values_under(pod.spec, "configMapKeyRef"):
            assert reference["key"] in maps[reference["name"]], (pod.owner, reference)
        for reference in values_under(pod.spec, "configMapRef"):
            assert reference["name"] in maps, (pod.owner, reference)
        for volume in pod.spec.get("volumes", []):
            if "configMap" in volume:
                assert volume["configMap"]["name"] in maps, (pod.owner, volume)
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                assert ("PersistentVolumeClaim", claim) in names, (pod.owner, volume)
        volumes = {volume["name"] for volume in pod.spec.get("volumes", [])} | pod.claims
        for container in pod.containers:
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            assert mounted <= volumes, (pod.owner, mounted - volumes)
            known = environment_of(container, objects)
            for word in [*container.get("args", []), *container.get("command", [])]:
                for variable in re.findall(r"\$\((\w+)\)", word):
                    # The operator of Dask names each worker.
                    assert variable in known or variable == "DASK_WORKER_NAME", (pod.owner, word)
        assert volumes == {mount["name"] for each in pod.containers for mount in each["volumeMounts"]}, (
            pod.owner
        )


def services(objects: list[Manifest]) -> Iterator[str]:
    """``NAME:PORT`` of what the objects serve, also of Services that operators make."""
    for each in objects:
        name, spec = each["metadata"]["name"], each.get("spec", {})
        if each["kind"] == "Service":
            yield from (f"{name}:{port['port']}" for port in spec["ports"])
        elif each["kind"] == "DaskCluster":
            yield from (f"{name}-scheduler:{port['port']}" for port in spec["scheduler"]["service"]["ports"])
        elif "expose" in spec:
            yield f"{name}:{spec['expose']['service']['port']}"


def addresses(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        for host, port in re.findall(r"(?:https?|tcp)://([a-z0-9.-]+)(:\d+)?", node):
            yield f"{host}{port or ':443'}"
        if re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.svc\.cluster\.local", node):
            yield f"{node}:5432"
    elif isinstance(node, dict):
        for value in node.values():
            yield from addresses(value)
    elif isinstance(node, list):
        for each in node:
            yield from addresses(each)


def unserved(objects: list[Manifest]) -> set[str]:
    """Addresses that no object serves."""
    asked = {
        address.replace(".nemo.svc.cluster.local", "")
        for each in objects
        if each["metadata"]["name"] != "lawtags-dashboard"
        for address in addresses({key: value for key, value in each.items() if key != "apiVersion"})
    } - {"huggingface.co:443"}
    assert asked, "no address was found"
    return asked - set(services(objects))


def check_policies(objects: list[Manifest]) -> None:
    """See that policies and budgets select pods, and that those of lawtags reach what they ask."""
    for each in objects:
        if each["kind"] not in ("NetworkPolicy", "PodDisruptionBudget"):
            continue
        key = "podSelector" if each["kind"] == "NetworkPolicy" else "selector"
        labels = each["spec"][key]["matchLabels"]
        assert any(labels.items() <= pod.labels.items() for pod in pods(objects)), each["metadata"]["name"]
    policy = one(objects, "NetworkPolicy", "lawtags")["spec"]
    allowed = {str(port["port"]) for rule in policy["egress"] for port in rule["ports"]}
    for pod in pods(objects):
        if pod.labels.get("app.kubernetes.io/name") != "lawtags":
            continue
        for container in pod.containers:
            words = [*environment_of(container, objects).values(), *container["args"]]
            ports = {address.rpartition(":")[2] for word in words for address in addresses(word)}
            assert ports <= allowed, (pod.owner, ports - allowed)
