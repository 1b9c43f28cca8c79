"""The demo on NeMo Helix: the base model is put there, and a runner trains and serves in place of GPUs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lawtags_client.base_url import checked_url
from lawtags_client.errors import ConfigurationError, LawtagsError
from lawtags_client.json_value import JsonObject
from lawtags_client.setting_options import URLS
from lawtags_client.settings import RUNNER_FOLDER, STACK_FOLDER, Settings

if TYPE_CHECKING:
    from lawtags_client.cli.session import Session
    from lawtags_client.runs.recipe import Recipe

BASE_MODEL = "lawtags/smollm2-135m-instruct"
"""The demo's base model on Helix; adapters go to the workspace of their base."""
LOG_FILE = "runner.log"
TOKEN_VARIABLE = "LAWTAGS_TOKEN"
_EMBEDDED = "helix"
_READY = "takes jobs"
_ERROR = "Error: "
_START_SECONDS = 120.0
_STOP_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class HelixDemo:
    """Where the demo finds NeMo Helix.

    Args:
        url: a platform that is running; None for the embedded stack.
        job_storage: the folder that is ``/`` to a platform that downloads and uploads by itself.
    """

    url: str | None
    job_storage: Path | None = None

    @classmethod
    def parse(cls, platform: str, *, job_storage: Path | None = None) -> Self:
        """Read the option ``--platform``.

        Args:
            platform: the option.
            job_storage: as of the runner.

        Raises:
            ConfigurationError: it is neither ``helix`` nor a URL, or the embedded stack has no such storage.
        """
        if platform == _EMBEDDED:
            if job_storage is not None:
                raise ConfigurationError(
                    "--job-storage cannot be combined with --platform helix",
                    hint="The embedded stack has none. Pass the address of the platform that has.",
                )
            return cls(None)
        if "://" not in platform:
            raise ConfigurationError(
                f"--platform {platform!r} is neither 'helix' nor a URL",
                hint="Use --platform helix, or the address of a platform such as http://127.0.0.1:8080",
            )
        from lawtags_stack.runner.options import check_job_storage

        # Before gigabytes are uploaded.
        check_job_storage(job_storage)
        return cls(checked_url("--platform", platform), job_storage)

    def recipe(self, settings: JsonObject) -> Recipe:
        """The recipe of the demo as it is on Helix: what v1 sets by default is set here.

        Args:
            settings: changes of the recipe, as nested mappings.
        """
        from lawtags_client.runs.migration import migrate_recipe
        from lawtags_client.runs.recipe import merged
        from lawtags_client.runs.recipe_loading import load_recipe

        base: JsonObject = {"model": {"config": f"{BASE_MODEL}@helix"}}
        return migrate_recipe(load_recipe("smollm2-demo", merged(base, settings))).recipe

    @contextlib.contextmanager
    def prepared(self, session: Session) -> Iterator[None]:
        """Put the base model on the platform, and train and serve for it, for as long as the block takes.

        Raises:
            ConfigurationError: the platform is not NeMo Helix.
            LawtagsError: the platform does not answer, or the runner does not start.
        """
        if self.url is not None:
            # The only platform of this process: addresses of v1 services would not belong to it.
            for name in URLS:
                os.environ.pop(f"LAWTAGS_{name.upper()}", None)
            os.environ.pop("LAWTAGS_PROFILE", None)
            os.environ["LAWTAGS_PLATFORM_URL"] = self.url
            os.environ["LAWTAGS_DIALECT"] = "helix"
        settings = Settings.load(session.profile)
        session.messages.print(f"Uploading the base model {BASE_MODEL}, unless it is there", style="dim")
        asyncio.run(self._offer(settings))
        session.messages.print("Starting the runner", style="dim")
        with _runner(settings, serve=self.url is not None, job_storage=self.job_storage):
            yield

    async def _offer(self, settings: Settings) -> None:
        from lawtags_client.helix.client import Helix
        from lawtags_client.platform.choice import detect
        from lawtags_stack.runner.serving import deploy_base_model
        from lawtags_stack.runner.start import offer_base_model

        found = await detect(settings)
        if found.product != "helix":
            where = self.url or f"the stack in {STACK_FOLDER}"
            stop = "Stop it with `lawtags local down`, and repeat the command."
            raise ConfigurationError(
                f"{where} is {found}, not NeMo Helix",
                hint="Pass the address of NeMo Helix." if self.url is not None else stop,
            )
        async with Helix(settings) as helix:
            await offer_base_model(helix, BASE_MODEL)
            if self.url is None:
                # The embedded stack serves deployments itself.
                await deploy_base_model(helix, BASE_MODEL)


@contextlib.contextmanager
def _runner(settings: Settings, *, serve: bool, job_storage: Path | None = None) -> Iterator[None]:
    """A runner in a process that ends with this one, even if this one is killed."""
    folder = RUNNER_FOLDER.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    address = settings.address("platform")
    words = ["runner", "--platform", address.url, "--dir", str(folder), "--stop-with-input"]
    words += ["--serve", BASE_MODEL] if serve else []
    words += ["--job-storage", str(job_storage.absolute())] if job_storage is not None else []
    environment = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    if address.token:
        environment[TOKEN_VARIABLE] = address.token  # not on a command line that every user can list
    log = folder / LOG_FILE
    with log.open("wb") as messages:
        process = subprocess.Popen(
            [sys.executable, "-m", "lawtags_client.cli.local", *words],
            stdin=subprocess.PIPE,
            stdout=messages,
            stderr=messages,
            env=environment,
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, log)
        yield
    finally:
        _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        said = log.read_text("utf-8", "replace")
        if _READY in said:
            return
        if process.poll() is not None:
            raise _not_started(said, log)
        if time.monotonic() > deadline:
            raise LawtagsError(f"the runner is not ready after {_START_SECONDS:.0f} s", hint=f"See {log}.")
        time.sleep(0.1)


def _not_started(said: str, log: Path) -> LawtagsError:
    """What a runner that has ended said last: its error and hint, if it had one."""
    lines = said.strip().splitlines() or ["it printed nothing"]
    begin = max(
        (place for place, line in enumerate(lines) if line.startswith(_ERROR)), default=len(lines) - 1
    )
    hint = " ".join([*lines[begin + 1 :], f"See {log}."])
    return LawtagsError(f"the runner did not start: {lines[begin].removeprefix(_ERROR)}", hint=hint)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a runner, which keeps a checkpoint of a training that it leaves."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
