from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import lawtags_client


def test_public_names_are_these() -> None:
    assert lawtags_client.__all__ == [
        "AllWeights",
        "CustomizationJob",
        "CustomizationJobFilter",
        "Dataset",
        "Evaluation",
        "EventHooks",
        "Job",
        "JobChange",
        "JobEvent",
        "LawtagsError",
        "LoRA",
        "LoRAMerged",
        "LogWritten",
        "MetricConfig",
        "MetricRecorded",
        "NeMo",
        "Patience",
        "ProgressMade",
        "Question",
        "RawResponse",
        "RequestEvent",
        "ResponseEvent",
        "Settings",
        "StateChanged",
        "Tagged",
        "UploadedDataset",
        "Vocabulary",
        "WarningIssued",
        "errors",
        "scores",
        "sync",
        "tag",
        "tag_many",
    ]
    assert all(hasattr(lawtags_client, name) for name in lawtags_client.__all__)
    assert set(lawtags_client.__all__) <= set(dir(lawtags_client))


def test_import_loads_nothing_heavy() -> None:
    code = "import lawtags_client, sys; from lawtags_client.settings import Settings; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = {"httpx", "pydantic", "aiohttp", "numpy", "torch", "rich", "typer", "tomllib", "asyncio"}
    assert not heavy & set(out.split())


def test_client_is_ready_without_the_extras() -> None:
    code = "import sys; from lawtags_client import NeMo; NeMo; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"numpy", "torch", "starlette", "sklearn", "pandas"} & set(out.split())


def test_ready_client_has_loaded_only_what_it_needs() -> None:
    code = (
        "import sys\n"
        "from lawtags_client import NeMo\n"
        "nemo = NeMo.from_env(platform_url='http://127.0.0.1:1', environ={})\n"
        "nemo.customizer.jobs\n"
        "print(*sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(out.split())
    assert "httpx" in loaded
    # The command line of httpx, what only failures or uploads need, and the services that nobody asked for.
    spared = {
        "httpx._main",
        "rich",
        "click",
        "pygments",
        "aiohttp",
        "orjson",
        "lawtags_client.types.evaluator",
        "lawtags_client.services.data_store",
    }
    assert not spared & loaded


def test_httpx_is_whole_for_those_who_import_it_later() -> None:
    code = "import lawtags_client; lawtags_client.NeMo.from_env(platform_url='http://a', environ={})\n"
    code += "import httpx; print(callable(httpx.main), httpx.get.__name__); import httpx._main"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["True", "get"]


def test_modules_list_only_names_that_they_have() -> None:
    for part in ("asking", "services", "transport", "types"):
        package = importlib.import_module(f"lawtags_client.{part}")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(found.name)
            listed = getattr(module, "__all__", [])
            assert [name for name in listed if not hasattr(module, name) or name.startswith("_")] == []
