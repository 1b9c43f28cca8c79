"""The files that put lawtags onto a cluster or into containers are valid, and agree with each other."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
KUSTOMIZATIONS = ["k8s/base", "k8s/overlays/minikube"]


def rendered(folder: str) -> str:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed, so kustomizations cannot be built")
    built = subprocess.run(
        [kubectl, "kustomize", folder], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return built.stdout


def validate(text: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "built.yaml"
    path.write_text(text)
    tool = Path(sys.executable).with_name("kubernetes-validate")
    return subprocess.run([tool, "-k", "1.32", "--strict", path], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("folder", KUSTOMIZATIONS)
def test_kustomizations_build_into_valid_objects(folder: str, tmp_path: Path) -> None:
    checked = validate(rendered(folder), tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_validator_would_notice_an_unknown_field(tmp_path: Path) -> None:
    wrong = rendered("k8s/base").replace("backoffLimit: 3", "backoffLimit: 3\n  bogus: 1")
    assert validate(wrong, tmp_path).returncode != 0


@pytest.mark.parametrize("folder", KUSTOMIZATIONS)
def test_everything_the_job_names_exists(folder: str) -> None:
    documents = list(yaml.safe_load_all(rendered(folder)))
    names = {(document["kind"], document["metadata"]["name"]) for document in documents}
    pod = next(d for d in documents if d["kind"] == "Job")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    for source in container["envFrom"]:
        for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if key in source:
                assert (kind, source[key]["name"]) in names
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for mount in container["volumeMounts"]:
        claim = volumes[mount["name"]].get("persistentVolumeClaim")
        assert claim is None or ("PersistentVolumeClaim", claim["claimName"]) in names
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_settings_named_in_the_manifests_are_settings() -> None:
    from lawtags_client.settings import Settings

    documents = list(yaml.safe_load_all(rendered("k8s/base")))
    given: dict[str, Any] = {}
    for document in documents:
        given |= document.get("data", {}) | document.get("stringData", {})
    assert given
    fields = set(Settings.__dataclass_fields__)
    for name in given:
        assert name.removeprefix("LAWTAGS_").lower() in fields, name


def compose() -> dict[str, Any]:
    """The compose file as its own command line reads it: variables filled in, merges resolved."""
    text = (ROOT / "docker-compose.yaml").read_text()
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    text = re.sub(r"\$\{\w+:\?[^}]*\}", "given", text)
    return dict(yaml.safe_load(text))


def test_the_compose_file_keeps_the_specification() -> None:
    from compose_spec import PyCompose

    parsed = PyCompose.from_json(json.dumps(compose()))
    parsed.validate()
    assert set(parsed.service_names()) == {"stack", "run"}


def test_the_compose_check_would_notice_an_unknown_key() -> None:
    from compose_spec import PyCompose

    wrong = compose()
    wrong["services"]["run"]["bogus"] = 1
    with pytest.raises(ValueError, match="bogus"):
        PyCompose.from_json(json.dumps(wrong))


def test_compose_commands_are_commands_of_lawtags() -> None:
    from typer.testing import CliRunner

    from lawtags_client.cli.app import app

    for service in compose()["services"].values():
        words = [word for word in service["command"] if not word.startswith(("-", "/"))]
        shown = CliRunner().invoke(app, [*words[: 2 if words[0] == "local" else 1], "--help"])
        assert shown.exit_code == 0, shown.output
        for option in (word for word in service["command"] if word.startswith("--")):
            assert option in shown.output
