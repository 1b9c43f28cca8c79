"""The files that put lawtags into containers are valid, and agree with each other."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def compose() -> dict[str, Any]:
    """The compose file as its own command line reads it: variables filled in, merges resolved."""
    text = (ROOT / "docker-compose.yaml").read_text()
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    text = re.sub(r"\$\{\w+:\?[^}]*\}", "given", text)
    return dict(yaml.safe_load(text))


def repeated_keys(node: yaml.Node | None) -> list[str]:
    """Where a mapping beneath a node has a key twice, as ``LINE: KEY``."""
    found: list[str] = []
    if isinstance(node, yaml.SequenceNode):
        for value in node.value:
            found += repeated_keys(value)
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                found.append(f"{key.start_mark.line + 1}: {key.value}")
            seen.add(key.value)
            found += repeated_keys(value)
    return found


def test_no_file_of_a_deployment_has_a_key_twice() -> None:
    # PyYAML takes the last one; docker compose and kubectl refuse the file.
    assert repeated_keys(yaml.compose("a: {b: 1}\nc: [{d: 1, d: 2}]")) == ["2: d"]
    for path in (ROOT / "docker-compose.yaml", *(ROOT / "k8s").rglob("*.yaml")):
        for node in yaml.compose_all(path.read_text()):
            assert not repeated_keys(node), path


def test_the_compose_file_keeps_the_specification() -> None:
    from compose_spec import PyCompose

    parsed = PyCompose.from_json(json.dumps(compose()))
    parsed.validate()
    assert set(parsed.service_names()) == set(compose()["services"])


def test_the_compose_check_would_notice_an_unknown_key() -> None:
    from compose_spec import PyCompose

    wrong = compose()
    wrong["services"]["run"]["bogus"] = 1
    with pytest.raises(ValueError, match="bogus"):
        PyCompose.from_json(json.dumps(wrong))


def test_compose_commands_are_commands_of_lawtags_and_dask() -> None:
    from distributed.cli import dask_scheduler, dask_worker
    from typer.main import get_command

    from lawtags_client.cli.app import app

    seen = set()
    for name, service in compose()["services"].items():
        words = [str(word) for word in (*service.get("entrypoint", ["lawtags"]), *service["command"])]
        if words[0] == "lawtags":
            command: Any = get_command(app)
            rest = words[1:]
            while hasattr(command, "commands"):
                command = command.commands[rest.pop(0)]
            command.make_context(name, rest)
        elif words[0] == "dask":
            mains = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}
            mains[words[1]].make_context(name, words[2:])
        else:
            assert words[0] in ("tensorboard", "mlflow", "true")
        seen.add(words[0])
    assert {"lawtags", "dask"} <= seen


def test_no_service_of_compose_needs_a_tokenizer_that_is_in_the_volume_of_another() -> None:
    from lawtags_client.runs.recipe_loading import load_recipe

    services = compose()["services"]
    assert "model.tokenizer=null" in services["run"]["command"]
    words = services["curate"]["command"]
    assert load_recipe(words[words.index("--recipe") + 1]).model.tokenizer is None


def test_signals_reach_a_program_of_a_container_while_it_starts() -> None:
    text = (ROOT / "Dockerfile").read_text()
    (entrypoint,) = re.findall(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)
    assert json.loads(entrypoint) == ["tini", "-s", "--", "lawtags"]
    runtime = text[text.index("AS runtime") : text.index("ENTRYPOINT")]
    assert re.search(r"apt-get install .*\btini\b", runtime)
    assert all(service["init"] is True for service in compose()["services"].values())


def test_no_service_of_compose_runs_as_root_or_writes_outside_its_volumes() -> None:
    given = compose()
    for name, service in given["services"].items():
        assert service["user"] == "10001:10001", name
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        for volume in service.get("volumes", []):
            assert volume.startswith(("./", *given["volumes"]))
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
        if service.get("ports"):
            assert service["healthcheck"]["test"][0] == "CMD"
        for other, condition in service.get("depends_on", {}).items():
            needed = given["services"][other]
            assert condition["condition"] != "service_healthy" or "healthcheck" in needed
            # What a service waits for is started with it.
            assert set(service.get("profiles", [])) <= set(
                needed.get("profiles", service.get("profiles", []))
            )


def test_the_healthchecks_of_compose_ask_ports_that_are_served() -> None:
    for service in compose()["services"].values():
        if "healthcheck" in service:
            port = re.search(r"127\.0\.0\.1:(\d+)/", service["healthcheck"]["test"][-1])
            assert port is not None
            assert port[1] in {published.rpartition(":")[2] for published in service["ports"]}


def stages() -> dict[str, str]:
    """The stages of the Dockerfile: name to what it begins with."""
    return {
        name: base
        for base, name in re.findall(r"^FROM (\S+) AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.M)
    }


def test_the_dockerfile_copies_what_exists_and_ends_without_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for line in lines:
        words = [word for word in line.split() if not word.startswith("--chown")]
        if words[:1] == ["COPY"] and not words[1].startswith("--from"):
            for source in words[1:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in ignored, source
        if words[:1] == ["COPY"] and words[1].startswith("--from="):
            assert words[1].removeprefix("--from=") in stages()
    assert list(stages())[-1] == "full"
    assert stages()["client"] == stages()["full"] == "runtime"
    runtime = lines[lines.index("FROM python:3.11-slim-bookworm AS runtime") :]
    assert "USER 10001:10001" in runtime


def test_the_sources_of_the_images_are_enough_to_install_lawtags() -> None:
    text = (ROOT / "Dockerfile").read_text()
    sources = text[text.index("AS sources") : text.index("AS build-client")]
    copied = {word for line in re.findall(r"^COPY (.*)$", sources, re.M) for word in line.split()[:-1]}
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {"pyproject.toml", pyproject["project"]["readme"], *pyproject["project"]["license-files"]}
    needed |= set(pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    needed |= set(re.findall(r"--(?:constraint|requirement) (\S+)", text))
    assert needed == copied


def test_images_are_tagged_with_the_version_of_lawtags() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    files = [ROOT / "Dockerfile", ROOT / "docker-compose.yaml", *(ROOT / "k8s").rglob("*.yaml")]
    tags = {tag for path in files for tag in re.findall(r"\blawtags:(\d[\w.]*)", path.read_text())}
    assert tags == {version}


def test_the_full_image_takes_torch_from_the_index_that_the_builder_names() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^ARG TORCH_INDEX$", text, re.M)
    # No other index may serve it, and the versions are those that are tested.
    lines = text.replace("\\\n", " ").splitlines()
    torch = next(line for line in lines if "pip install" in line and line.endswith(" torch"))
    assert {"--no-deps", "${TORCH_INDEX:+--index-url", '"$TORCH_INDEX"}', "--constraint"} <= set(
        torch.split()
    )
    # It is there before something requires it.
    assert text.index("TORCH_INDEX:+") < text.index("'.[all]'")


def test_the_client_image_has_no_torch() -> None:
    text = (ROOT / "Dockerfile").read_text()
    extras = re.findall(r"'\.\[([a-z,]+)\]'", text)
    assert extras == ["tag,report", "all"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in extras[0].split(","):
        wanted += project["optional-dependencies"][extra]
    names = {re.split(r"[<>=\[;\s]", each)[0] for each in wanted}
    assert not names & {"torch", "transformers", "peft", "nemo-curator", "lawtags"}


def test_git_and_the_linter_ignore_the_environments_of_make() -> None:
    made = re.findall(r"^\w+ +:= (\.venv\S*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {".venv", ".venv-ray", ".venv-mlflow"} <= set(made)
    assert {f"{name}/" for name in made} <= set((ROOT / ".gitignore").read_text().splitlines())


def test_no_pinned_version_needs_a_newer_python_than_the_project() -> None:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert lowest.startswith(">=")
    python = f"{lowest.removeprefix('>=')}.0"
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        pinned = Requirement(line)
        found = metadata.metadata(pinned.name)
        needed = str(found.json.get("requires_python") or "")
        fits = python in SpecifierSet(needed) or found["Version"] not in pinned.specifier
        assert fits, f"{line} needs Python {needed}"
