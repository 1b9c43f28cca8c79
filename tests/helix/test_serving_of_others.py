"""Models of a Helix platform, followed and registered by a server outside of it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from shared_launcher import shared_launcher

from lawtags_client.errors import ConflictError, NotFoundError, TransportError
from lawtags_client.helix.client import Helix
from lawtags_stack.runner.mirror import ModelMirror
from lawtags_stack.runner.serving import deploy_base_model, serving
from lawtags_stack.service import StackContext, StackOptions, Urls
from lawtags_stack.stack import StackThread
from lawtags_stack.store import Blobs, Database

ADAPTER = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"one"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackThread]:
    options = StackOptions(dialect="helix", refresh_interval=0.1)
    folder = tmp_path_factory.mktemp("helix") / "stack"
    with StackThread(folder, options=options, launcher=shared_launcher()) as thread:
        yield thread


@pytest_asyncio.fixture
async def helix(stack: StackThread) -> AsyncIterator[Helix]:
    """A platform with a workspace for each test, and a base model in it."""
    workspace = f"w-{secrets.token_hex(4)}"
    async with Helix(base_url=stack.platform_url, workspace=workspace, max_retries=0) as client:
        await client.workspaces.create(name=workspace)
        await put(client, "base", {"config.json": b"{}", "model.safetensors": b"weights", "README.md": b"#"})
        await client.models.create(name="base", fileset="base")
        yield client


async def put(helix: Helix, fileset: str, files: dict[str, bytes]) -> None:
    await helix.filesets.ensure(name=fileset)
    await helix.filesets.upload(fileset, dict(files))


async def put_adapter(helix: Helix, name: str, weights: bytes) -> None:
    await put(helix, name, ADAPTER | {"adapter_model.safetensors": weights})
    await helix.adapters.register("base", name=name, fileset=name)


def mirror_in(folder: Path, helix: Helix, said: list[str]) -> ModelMirror:
    folder.mkdir(exist_ok=True)
    url = "http://127.0.0.1:1"
    database, blobs = Database(folder / "x.sqlite"), Blobs(folder / "blobs")
    context = StackContext(folder, database, blobs, Urls(url, url, url))
    return ModelMirror(context, helix, [f"{helix.workspace}/base"], say=said.append)


def listed(mirror: ModelMirror) -> dict[str, str]:
    return {model.reference: model.base_name for model in mirror.model_list()}


def weights_of(mirror: ModelMirror, name: str, blobs: Blobs) -> bytes:
    model = next(each for each in mirror.model_list() if each.reference == name)
    _, files = mirror.resolve_url(str(model.uploaded_url))
    entry = next(each for each in files if each.path == "adapter_model.safetensors")
    return blobs.path(entry.sha256).read_bytes()


@pytest.mark.asyncio
async def test_base_and_adapters_appear_and_disappear(helix: Helix, tmp_path: Path) -> None:
    mirror, ws = mirror_in(tmp_path / "mirror", helix, []), helix.workspace
    await mirror.look()
    assert listed(mirror) == {f"{ws}/base": ""}
    await put_adapter(helix, "tagger", b"one")
    await put_adapter(helix, "other", b"two")
    await mirror.look()
    assert listed(mirror) == {f"{ws}/base": "", f"{ws}--tagger": f"{ws}/base", f"{ws}--other": f"{ws}/base"}
    assert [each.served for each in mirror.active()] == [(f"{ws}/base",)]
    await helix.adapters.update("tagger", enabled=False)
    await helix.adapters.delete("other")
    await mirror.look()
    assert listed(mirror) == {f"{ws}/base": ""}
    base = str(mirror.model_list()[0].uploaded_url)
    assert {entry.path for entry in mirror.resolve_url(base)[1]} == {"config.json", "model.safetensors"}


@pytest.mark.asyncio
async def test_new_weights_of_the_same_size_replace_the_old(helix: Helix, tmp_path: Path) -> None:
    said: list[str] = []
    mirror, name = mirror_in(tmp_path / "mirror", helix, said), f"{helix.workspace}--tagger"
    blobs = Blobs(tmp_path / "mirror" / "blobs")
    for weights in (b"one", b"two"):
        await put_adapter(helix, "tagger", weights)
        await mirror.look()
        assert weights_of(mirror, name, blobs) == weights
    downloads = len(said)
    await mirror.look()
    assert len(said) == downloads


@pytest.mark.asyncio
async def test_a_restart_downloads_nothing_but_what_is_damaged(helix: Helix, tmp_path: Path) -> None:
    await put_adapter(helix, "tagger", b"one")
    await mirror_in(tmp_path / "mirror", helix, []).look()
    said: list[str] = []
    again = mirror_in(tmp_path / "mirror", helix, said)
    await again.look()
    assert said == []
    assert len(listed(again)) == 2
    for blob in Blobs(tmp_path / "mirror" / "blobs"):
        path = tmp_path / "mirror" / "blobs" / blob.sha256[:2] / blob.sha256
        if path.read_bytes() == b"one":
            path.write_bytes(b"0ne")
    said.clear()
    await mirror_in(tmp_path / "mirror", helix, said).look()
    assert said == [f"downloading {helix.workspace}/tagger to serve it"]


@pytest.mark.asyncio
async def test_an_adapter_without_weights_hides_no_other(helix: Helix, tmp_path: Path) -> None:
    await put_adapter(helix, "tagger", b"one")
    await put(helix, "half", {"adapter_config.json": b"{}"})
    await helix.adapters.register("base", name="half", fileset="half")
    mirror = mirror_in(tmp_path / "mirror", helix, [])
    with pytest.raises(NotFoundError, match=r"half.* lacks adapter_model\.safetensors"):
        await mirror.look()
    assert f"{helix.workspace}--tagger" in listed(mirror)
    await put(helix, "half", ADAPTER)
    await mirror.look()
    assert f"{helix.workspace}--half" in listed(mirror)


@pytest.mark.asyncio
async def test_models_stay_while_the_platform_is_gone(helix: Helix, tmp_path: Path) -> None:
    folder = tmp_path / "short"
    options = StackOptions(dialect="helix")
    with StackThread(folder, options=options, launcher=shared_launcher()) as gone:
        async with Helix(base_url=gone.platform_url, workspace=helix.workspace, max_retries=0) as client:
            await client.workspaces.create(name=helix.workspace)
            await put(client, "base", {"config.json": b"{}"})
            await client.models.create(name="base", fileset="base")
            mirror = mirror_in(tmp_path / "mirror", client, [])
            await mirror.look()
            await asyncio.to_thread(gone.stop)
            with pytest.raises(TransportError):
                await mirror.look()
            assert listed(mirror) == {f"{helix.workspace}/base": ""}


@pytest.mark.asyncio
async def test_a_server_is_a_provider_of_a_deployment_and_leaves_no_trace(
    helix: Helix, tmp_path: Path
) -> None:
    await put_adapter(helix, "tagger", b"one")
    base = f"{helix.workspace}/base"
    said: list[str] = []
    for _ in range(2):
        async with serving(helix, [base], tmp_path / "serving", say=said.append, launcher=shared_launcher()):
            provider = await helix.providers.get("lawtags-base")
            assert provider.model_deployment_id == f"{helix.workspace}/lawtags-base"
        assert await helix.providers.find("lawtags-base") is None
    model = await helix.models.get("base")
    assert [adapter.name for adapter in model.adapters] == ["tagger"]


@pytest.mark.asyncio
async def test_a_second_server_leaves_the_models_of_the_first_to_it(helix: Helix, tmp_path: Path) -> None:
    base, launcher, said = f"{helix.workspace}/base", shared_launcher(), list[str]()
    async with serving(helix, [base], tmp_path / "one", say=lambda line: None, launcher=launcher):
        first = (await helix.providers.get("lawtags-base")).host_url
        async with serving(helix, [base], tmp_path / "two", say=said.append, launcher=launcher):
            pass
        assert (await helix.providers.get("lawtags-base")).host_url == first
    assert said == [f"{base} and its adapters are served at {first} already; this runner does not serve it"]
    # What a killed server has left is replaced.
    await helix.providers.create(
        name="lawtags-base", host_url=str(first), model_deployment_id=f"{helix.workspace}/lawtags-base"
    )
    async with serving(helix, [base], tmp_path / "two", say=said.append, launcher=launcher):
        assert (await helix.providers.get("lawtags-base")).host_url != first
    assert await helix.providers.find("lawtags-base") is None


@pytest.mark.asyncio
async def test_a_provider_of_someone_else_is_left_alone(helix: Helix, tmp_path: Path) -> None:
    await helix.providers.create(name="lawtags-base", host_url="http://127.0.0.1:1")
    with pytest.raises(ConflictError, match="does not belong to the deployment"):
        async with serving(
            helix,
            [f"{helix.workspace}/base"],
            tmp_path / "serving",
            say=lambda line: None,
            launcher=shared_launcher(),
        ):
            pass
    assert (await helix.providers.get("lawtags-base")).model_deployment_id is None


@pytest.mark.asyncio
async def test_a_deployment_is_found_again(helix: Helix) -> None:
    first = await deploy_base_model(helix, "base")
    assert await deploy_base_model(helix, f"{helix.workspace}/base") == first
    config = await helix.deployment_configs.get("lawtags-base")
    assert config.model_entity_id == f"{helix.workspace}/base"
