"""What holds for all tests."""

from __future__ import annotations

import functools
import inspect
import os
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx._transports import default as httpx_transports
from hypothesis import HealthCheck, settings
from shared_launcher import stop_shared_launcher

from lawtags_client.cache import CACHE_VARIABLE, cache_folder

# Files of tests run side by side, so threads of torch would only wait for each other, here and in the
# processes that tests start. What needs more threads asks for them.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A script that starts the tests in the background has them ignore Ctrl-C, and nohup a closed terminal. All
# processes that they start would ignore both, too, and some are to be stopped by them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

# How long an example takes says more about the machine than about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# So does how long an answer takes: httpx gives up after five seconds, in which a busy machine may not even
# have started a worker. These are the timeouts of requests that tests make themselves.
_patience = inspect.signature(httpx.request).parameters["timeout"].default
_patience.connect = _patience.read = _patience.write = _patience.pool = 120.0

# Each `httpx.get` reads all certificates of certifi: 40 ms of CPU time, which a test that polls takes from
# what it waits for. Here they are read once.
_read_certificates = httpx_transports.create_ssl_context


@functools.cache
def _trusted_certificates(trust_env: bool, file: str | None, folder: str | None) -> ssl.SSLContext:
    return _read_certificates(trust_env=trust_env)


def _certificates(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    if verify is True and cert is None:
        named = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
        return _trusted_certificates(trust_env, *named)
    return _read_certificates(verify=verify, cert=cert, trust_env=trust_env)


httpx_transports.create_ssl_context = _certificates

# The longest first, lest a worker begin one of them when the others are done.
_FIRST = (
    "e2e/test_run.py",
    "stack/test_failing_jobs.py",
    "stack/test_customizer.py",
    "docs/test_examples.py",
    "k8s/test_pods.py",
    "e2e/test_recipes.py",
    "unit/training/test_training.py",
    "stack/test_chaos.py",
    "stack/test_inference.py",
    "e2e/curation/test_curate.py",
    "stack/test_evaluation.py",
    "stack/test_stack_life.py",
    "stack/client/test_client_on_stack.py",
    "stack/test_hostile_requests.py",
    "e2e/curation/test_data_card.py",
    "unit/generation/test_engine.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the longest files first; the files of a worker are started in this order."""
    folder = Path(__file__).parent
    places = {folder / name: place for place, name in enumerate(_FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(_FIRST)))


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder for fixtures of the whole session, and for the processes that they start."""
    yield from _cache(tmp_path_factory, cache_folder() / "base-models")


@pytest.fixture(scope="module", autouse=True)
def _cache_of_the_module(
    tmp_path_factory: pytest.TempPathFactory, _cache_of_the_session: Path
) -> Iterator[Path]:
    """A cache folder for the tests of a file, so that none writes to the user's or reads what others left."""
    yield from _cache(tmp_path_factory, _cache_of_the_session / "base-models")


def _cache(factory: pytest.TempPathFactory, base_models: Path) -> Iterator[Path]:
    folder = factory.mktemp("cache")
    if base_models.is_dir():
        # Converting the default base model takes long, and its folder is only read.
        (folder / "base-models").symlink_to(base_models, target_is_directory=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def _workers_end() -> Iterator[None]:
    yield
    stop_shared_launcher()
