"""The kustomizations of ``k8s/``: held to the schemas of Kubernetes and the operators, and to each other."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import typer
from manifest_references import OTHERS, check_names, check_policies, secrets_brought, unserved, values_under
from manifests import K8S, OVERLAYS, Manifest, PodSpec, built, custom_schema, load, one, pods

from lawtags_client.settings import Settings

VERSIONS = ["1.31", "1.34", "1.37"]

# Secrets of NVIDIA's repository, with scripts of its Git server.
DATA_STORE_SECRETS = {
    "nemo-ms-nemo-datastore",
    "nemo-ms-nemo-datastore-init",
    "nemo-ms-nemo-datastore-inline-config",
}

# The first process of a container, see Dockerfile.
INIT = ["tini", "-s", "--"]
every_overlay = pytest.mark.parametrize("folder", OVERLAYS)


def check(document: Manifest, version: str) -> None:
    group, _, api = document["apiVersion"].rpartition("/")
    is_custom = group in ("apps.nvidia.com", "kubernetes.dask.org")
    # Schemas of custom resources do not depend on the version of Kubernetes.
    _check(json.dumps(document), api if is_custom else version, is_custom)


# Overlays share most of their objects.
@functools.cache
def _check(text: str, version: str, is_custom: bool) -> None:
    document = json.loads(text)
    if not is_custom:
        kubernetes_validate.validate(document, version, strict=True)
        return
    error = jsonschema.exceptions.best_match(
        _custom_validator(document["kind"], version).iter_errors(document)
    )
    if error is not None:
        raise error


@functools.cache
def _custom_validator(kind: str, version: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(custom_schema(kind, version))


@every_overlay
@pytest.mark.parametrize("version", VERSIONS)
def test_all_objects_are_valid(folder: str, version: str) -> None:
    for document in built(folder):
        check(document, version)


@pytest.mark.parametrize("path", sorted(K8S.rglob("*.example.yaml")), ids=lambda path: path.parent.name)
def test_the_templates_of_secrets_are_valid(path: Any) -> None:
    for document in load(path):
        check(document, VERSIONS[0])


@pytest.mark.parametrize("kind", ["Job", "NIMService", "DaskCluster", "NetworkPolicy"])
def test_the_schemas_would_notice_an_unknown_field(kind: str) -> None:
    folder = {"DaskCluster": "overlays/dask", "NIMService": "overlays/operator"}.get(kind, "base")
    document = next(each for each in built(folder) if each["kind"] == kind)
    document["spec"]["bogus"] = 1
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError), match="bogus"):
        check(document, VERSIONS[0])


def test_rules_of_the_operator_that_its_schemas_state_in_cel() -> None:
    for folder in ("overlays/operator", "overlays/operator-nim-2"):
        for each in built(folder):
            spec = each.get("spec", {})
            if each["kind"] == "NIMCache":
                assert len(spec["source"]) == 1
                (source,) = spec["source"].values()
                assert ("modelName" in source) + ("datasetName" in source) == 1
            if each["kind"] in ("NIMService", "NemoCustomizer", "NemoDatastore", "NemoEntitystore"):
                assert not (spec.get("scale", {}).get("enabled") and "replicas" in spec)
                assert "ingress" not in spec["expose"]


# -- references


@every_overlay
def test_every_name_that_a_pod_uses_exists(folder: str) -> None:
    check_names(built(folder))


@every_overlay
def test_every_name_that_a_custom_resource_uses_exists(folder: str) -> None:
    objects, secrets = built(folder), secrets_brought()
    caches = {each["metadata"]["name"] for each in objects if each["kind"] == "NIMCache"}
    maps = {each["metadata"]["name"] for each in objects if each["kind"] == "ConfigMap"}
    claims = {each["metadata"]["name"] for each in objects if each["kind"] == "PersistentVolumeClaim"}
    for each in objects:
        if not each["apiVersion"].startswith("apps.nvidia.com/"):
            continue
        spec = each["spec"]
        for key in ("authSecret", "pullSecret"):
            assert set(values_under(spec, key)) <= set(secrets)
        for listed in values_under(spec, "pullSecrets"):
            assert set(listed) <= set(secrets)
        for named in (*values_under(spec, "credentials"), *values_under(spec, "wandb")):
            keys = {value for key, value in named.items() if key.endswith("Key")}
            assert keys <= secrets[named["secretName"]], each["metadata"]["name"]
        for named in (*values_under(spec, "ngcAPISecret"), *values_under(spec, "secretKeyRef")):
            assert named["key"] in secrets[named["name"]]
        assert set(spec.get("secrets", {}).values()) <= set(secrets) | DATA_STORE_SECRETS
        assert {named["name"] for named in values_under(spec, "nimCache")} <= caches
        assert {named["name"] for named in values_under(spec, "modelConfig")} <= maps
        made = {"create": True}
        for claim in values_under(spec, "pvc"):
            assert made.items() <= claim.items() or claim["name"] in claims


def test_no_key_of_a_template_is_unused() -> None:
    used: dict[str, set[str]] = {}
    for folder in OVERLAYS:
        for pod in pods(built(folder)):
            for reference in values_under(pod.spec, "secretKeyRef"):
                used.setdefault(reference["name"], set()).add(reference["key"])
    (template,) = load(K8S / "secret.example.yaml")
    assert used["lawtags-credentials"] == set(template["stringData"])


@every_overlay
def test_every_address_is_served(folder: str) -> None:
    assert unserved(built(folder)) <= OTHERS[folder]


@every_overlay
def test_policies_and_budgets_select_pods_and_let_them_reach_their_services(folder: str) -> None:
    check_policies(built(folder))


@every_overlay
def test_only_pods_of_lawtags_and_its_operator_reach_a_dask_scheduler(folder: str) -> None:
    objects = built(folder)
    policies = [each["spec"] for each in objects if each["kind"] == "NetworkPolicy"]
    for pod in pods(objects):
        if not any("dask" in each.get("command", []) for each in pod.containers):
            continue
        chosen = [
            each for each in policies if each["podSelector"]["matchLabels"].items() <= pod.labels.items()
        ]
        rules = [rule for policy in chosen for rule in policy["ingress"]]
        assert rules, f"anybody may reach {pod.owner}, and have it run code"
        for rule in rules:
            for source in rule["from"]:
                assert source["podSelector"]["matchLabels"]
                ours = "namespaceSelector" not in source
                assert ours or "operator" in str(source), pod.owner


@every_overlay
def test_services_select_pods_that_have_their_ports(folder: str) -> None:
    objects = built(folder)
    for each in objects:
        if each["kind"] != "Service":
            continue
        selector = each["spec"]["selector"]
        chosen = [pod for pod in pods(objects) if selector.items() <= pod.labels.items()]
        assert chosen, each["metadata"]["name"]
        for pod in chosen:
            ports = {port["name"] for one in pod.containers for port in one.get("ports", [])}
            assert {port["targetPort"] for port in each["spec"]["ports"]} <= ports
    for pod in pods(objects):
        for container in pod.containers:
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                for kind in ("httpGet", "tcpSocket"):
                    asked = container.get(probe, {}).get(kind)
                    assert asked is None or asked["port"] in ports, (pod.owner, probe)


@every_overlay
def test_settings_named_in_the_manifests_are_settings(folder: str) -> None:
    data = one(built(folder), "ConfigMap", "lawtags-services")["data"]
    assert data
    for name in data:
        assert name.removeprefix("LAWTAGS_").lower() in Settings.__dataclass_fields__, name


# -- pods


def restricted(pod: PodSpec) -> Iterator[str]:
    """What of a pod the Pod Security Standard `restricted` refuses, and what we ask for beyond it."""
    spec, context = pod.spec, pod.spec.get("securityContext", {})
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield key
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "seccompProfile"
    if not context.get("runAsNonRoot") or context.get("runAsUser") == 0:
        yield "runAsNonRoot"
    if context.get("sysctls") or spec.get("automountServiceAccountToken") is not False:
        yield "token or sysctls"
    kinds = {
        "configMap",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    for volume in spec.get("volumes", []):
        if not set(volume) - {"name"} <= kinds:
            yield f"volume {volume['name']}"
    for container in pod.containers:
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield f"{container['name']}: privileges"
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
            yield f"{container['name']}: capabilities"
        if own.get("runAsUser") == 0 or own.get("runAsNonRoot") is False:
            yield f"{container['name']}: root"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{container['name']}: writable root"
        resources = container.get("resources", {})
        if (
            not {"cpu", "memory"} <= resources.get("requests", {}).keys()
            or "memory" not in resources["limits"]
        ):
            yield f"{container['name']}: resources"
        if any(port.get("hostPort") for port in container.get("ports", [])):
            yield f"{container['name']}: hostPort"


@every_overlay
def test_pods_keep_to_the_standard_restricted(folder: str) -> None:
    found = {pod.owner: broken for pod in pods(built(folder)) if (broken := list(restricted(pod)))}
    assert found == {}


def test_the_check_would_notice_a_pod_that_does_not() -> None:
    pod = next(pods(built("base")))
    pod.spec["securityContext"]["runAsUser"] = 0
    pod.spec["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    pod.containers[0]["securityContext"]["readOnlyRootFilesystem"] = False
    assert set(restricted(pod)) == {"runAsNonRoot", "volume host", "lawtags: writable root"}


@every_overlay
def test_what_serves_is_probed(folder: str) -> None:
    for pod in pods(built(folder)):
        for container in pod.containers:
            if container.get("ports"):
                # A worker is found by its scheduler, which also judges it.
                needed = {"livenessProbe"} if "worker" in pod.owner else {"livenessProbe", "readinessProbe"}
                assert needed <= container.keys(), pod.owner


def refused(words: list[str]) -> str | None:
    """Parse a command line of the image, whose entrypoint is ``lawtags``, without carrying it out."""
    from lawtags_client.cli.app import app

    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    try:
        command.make_context(words[0], rest, resilient_parsing=False)
    except Exception as problem:
        return str(getattr(problem, "message", problem))
    return None


@every_overlay
def test_the_arguments_of_containers_are_commands_of_lawtags(folder: str) -> None:
    seen = 0
    for pod in pods(built(folder)):
        for container in pod.containers:
            if container["image"].startswith("lawtags:") and "command" not in container:
                assert refused(container["args"]) is None, (pod.owner, container["args"])
                seen += 1
    assert seen >= 8


@pytest.mark.parametrize("folder", ["overlays/dask", "overlays/dask-plain"])
def test_the_arguments_of_dask_are_options_of_dask(folder: str) -> None:
    from distributed.cli import dask_scheduler, dask_worker

    mains = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}
    seen = set()
    for pod in pods(built(folder)):
        for container in pod.containers:
            program = container.get("command", [])[len(INIT) :]
            if program[:1] == ["dask"]:
                mains[program[1]].make_context("dask", list(container["args"]))
                seen.add(program[1])
    assert seen == {"scheduler", "worker"}


@every_overlay
def test_the_first_process_of_each_container_passes_signals_on(folder: str) -> None:
    for pod in pods(built(folder)):
        for container in pod.containers:
            if container["image"].startswith("lawtags:") and "command" in container:
                assert container["command"][: len(INIT)] == INIT, pod.owner


def test_the_image_of_lawtags_has_one_version() -> None:
    for folder in OVERLAYS:
        images = {one["image"] for pod in pods(built(folder)) for one in pod.containers}
        assert {image for image in images if image.startswith("lawtags")} == {"lawtags:0.1.0"}, folder


# -- jobs


@every_overlay
def test_the_pod_to_look_around_in_sees_what_a_run_sees(folder: str) -> None:
    objects = built(folder)
    (run,) = one(objects, "Job", "lawtags-run")["spec"]["template"]["spec"]["containers"]
    (shell,) = one(objects, "Job", "lawtags-shell")["spec"]["template"]["spec"]["containers"]
    services = [each for each in run["envFrom"] if "lawtags-data" not in str(each)]
    assert shell["envFrom"] == services
    assert all(each in run["env"] for each in shell["env"])
    # The questions may be written there, and read where the run reads them.
    assert {"name": "questions", "mountPath": "/upload"} in shell["volumeMounts"]
    assert all(each in shell["volumeMounts"] for each in run["volumeMounts"])


@every_overlay
def test_a_failed_pod_is_retried_only_if_that_can_help(folder: str) -> None:
    objects = built(folder)
    for each in objects:
        spec = each["spec"]["jobTemplate"]["spec"] if each["kind"] == "CronJob" else each.get("spec", {})
        if each["kind"] not in ("Job", "CronJob"):
            continue
        assert spec["template"]["spec"]["restartPolicy"] == "Never"
        rules = spec["podFailurePolicy"]["rules"]
        actions = {
            code: next(
                (rule["action"] for rule in rules if code in rule.get("onExitCodes", {}).get("values", [])),
                None,
            )
            for code in (1, 2, 3, 75, 143)
        }
        assert actions == {1: None, 2: "FailJob", 3: "FailJob", 75: "Count", 143: None}
        # The first rule that matches decides, and an evicted pod ends with 143.
        assert rules[0]["action"] == "Ignore"
        assert rules[0]["onPodConditions"][0]["type"] == "DisruptionTarget"
        assert spec["backoffLimit"] >= 3


@every_overlay
def test_pods_that_share_a_volume_of_one_node_prefer_each_others_node(folder: str) -> None:
    objects = built(folder)
    single = {
        each["metadata"]["name"]
        for each in objects
        if each["kind"] == "PersistentVolumeClaim" and each["spec"]["accessModes"] == ["ReadWriteOnce"]
    }
    for pod in pods(objects):
        used = {
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod.spec.get("volumes", [])
            if "persistentVolumeClaim" in volume
        }
        if not used & single & {"lawtags-runs", "lawtags-questions"} or "lawtags-dask" in pod.owner:
            continue
        (term,) = pod.spec["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
        labels = term["podAffinityTerm"]["labelSelector"]["matchLabels"]
        assert labels.items() <= pod.labels.items(), pod.owner
        assert term["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"


@every_overlay
def test_the_retraining_has_the_pods_of_the_run(folder: str) -> None:
    objects = built(folder)
    job = one(objects, "Job", "lawtags-run")["spec"]
    cron = one(objects, "CronJob", "lawtags-retraining")["spec"]["jobTemplate"]["spec"]
    arguments = [each["template"]["spec"]["containers"][0].pop("args") for each in (job, cron)]
    # Each week, the questions are those of the week; a pod that starts again keeps those of its run.
    if any("$(JOB)" in word for word in arguments[1]):
        for container in pods_of_week(cron):
            assert container["env"].pop(0)["name"] == "JOB"
    told = json.dumps([arguments[1], cron]).replace("/questions/$(JOB).jsonl", "/questions/questions.jsonl")
    words, week = json.loads(told)
    assert [word for word in words if word != "--new"] == arguments[0]
    assert week == job


def pods_of_week(cron: Manifest) -> list[Manifest]:
    """The containers that know which Job of the CronJob they belong to."""
    spec = cron["template"]["spec"]
    containers = [*spec.get("initContainers", []), *spec["containers"]]
    return [each for each in containers if any(one["name"] == "JOB" for one in each["env"])]


@pytest.mark.parametrize("folder", ["overlays/platform-chart", "overlays/helix"])
def test_a_retraining_that_starts_again_keeps_its_questions(folder: str) -> None:
    cron = one(built(folder), "CronJob", "lawtags-retraining")["spec"]["jobTemplate"]["spec"]
    copied, run = pods_of_week(cron)
    assert copied["args"] == ["copy", "$(QUESTIONS)", "/questions/$(JOB).jsonl", "--on-existing", "keep"]
    assert run["args"][run["args"].index("--data") + 1] == copied["args"][2]
    for container in (copied, run):
        (job,) = [each for each in container["env"] if each["name"] == "JOB"]
        # Kubernetes labels the pods of each Job with its name.
        assert job["valueFrom"] == {
            "fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-name']"}
        }


def test_only_the_run_starts_by_itself() -> None:
    started = [
        each["metadata"]["name"]
        for each in built("base")
        if each["kind"] in ("Job", "CronJob") and not each["spec"].get("suspend")
    ]
    assert started == ["lawtags-run"]
    stages = {each["metadata"]["name"] for each in built("base") if each["kind"] == "Job"}
    assert stages == {
        f"lawtags-{name}"
        for name in ("run", "curate", "plan", "upload", "customize", "evaluate", "tag", "shell")
    }
