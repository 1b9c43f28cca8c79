"""A run on an MLflow tracking server, over its REST API.

The server's Python package is not needed. Source: MLflow's REST API 2.0, and its proxied artifacts.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from lawtags_client.credentials import Credential
from lawtags_client.errors import APIError, NotFoundError, ProtocolError
from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_client.settings import ServiceAddress, Settings
from lawtags_client.tracking.dataset import TrackedDataset
from lawtags_client.transport.call import Call
from lawtags_client.transport.http import ServiceTransport, Transport
from lawtags_client.transport.paths import join
from lawtags_client.version import __version__

TOKEN_VARIABLE = "MLFLOW_TRACKING_TOKEN"

_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_PROXIED = "mlflow-artifacts:/"
_RUN_TAG = "lawtags.run_id"
_SOURCE_TAGS = {"mlflow.source.name": f"lawtags {__version__}", "mlflow.source.type": "LOCAL"}
_NOTE_TAG = "mlflow.note.content"
# The most that one request may hold.
_METRICS, _PARAMETERS, _LONGEST, _LONGEST_TAG, _LONGEST_DIGEST = 1000, 100, 6000, 5000, 36
_UNKNOWN_CALL = (400, 404, 405, 501)
_SECONDS = 30.0


class MlflowRun:
    """A run of lawtags as a run of MLflow; the same run is found again after an interruption.

    Args:
        url: of the tracking server.
        experiment: made if it does not exist.
        run_id: identity of the run of lawtags.
        name: of the run, for people.
        settings: certificates and proxies.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        url: str,
        experiment: str,
        *,
        run_id: str,
        name: str,
        settings: Settings,
        now: Callable[[], float] = time.time,
    ) -> None:
        token = os.environ.get(TOKEN_VARIABLE)
        self._transport = Transport(settings.with_limits(timeout=_SECONDS, max_retries=2))
        address = ServiceAddress("mlflow", url.rstrip("/"), Credential(lambda again: token))
        self._http = ServiceTransport(self._transport, address)
        self._experiment, self._lawtags_id, self._name, self._now = experiment, run_id, name, now
        self._id: str | None = None
        self._known: set[tuple[str, int]] = set()

    def __repr__(self) -> str:
        return f"MlflowRun({self._http.address.url!r}, {self._experiment!r}, {self._name!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.close()

    async def started(
        self, parameters: Mapping[str, object], tags: Mapping[str, str], dataset: TrackedDataset | None = None
    ) -> None:
        """Log what the training is given.

        Args:
            parameters: by name; nested ones with dots.
            tags: by name.
            dataset: its rows.
        """
        run = await self._run()
        # It may have failed before, and been resumed.
        await self._post("runs/update", {"run_id": run, "status": "RUNNING"})
        values = [{"key": key, "value": str(value)[:_LONGEST]} for key, value in _flat(parameters)]
        await self._post("runs/log-batch", {"run_id": run, "tags": _pairs(tags)})
        if dataset is not None:
            await self._log_input(run, dataset)
        for first in range(0, len(values), _PARAMETERS):
            part: list[JsonValue] = [*values[first : first + _PARAMETERS]]
            try:
                await self._post("runs/log-batch", {"run_id": run, "params": part})
            except APIError as problem:
                # Parameters of MLflow never change; those of a second training stand in its tags.
                if problem.status != 400:
                    raise

    async def points(self, points: Iterable[tuple[str, int, float]]) -> None:
        """Log ``(metric, step, value)`` points, each once; what is not a number cannot be sent."""
        run, stamp = await self._run(), self._stamp()
        fresh = [point for point in points if point[:2] not in self._known and math.isfinite(point[2])]
        for first in range(0, len(fresh), _METRICS):
            part: list[JsonValue] = [
                {"key": metric, "value": value, "timestamp": stamp, "step": step}
                for metric, step, value in fresh[first : first + _METRICS]
            ]
            await self._post("runs/log-batch", {"run_id": run, "metrics": part})
        self._known.update(point[:2] for point in fresh)

    async def failed(self) -> None:
        """End the run as a failed one, if it was started; a run that is resumed is a running one again."""
        if self._id is not None:
            end: JsonObject = {"run_id": self._id, "status": "FAILED", "end_time": self._stamp()}
            await self._post("runs/update", end)

    async def finished(self, figures: Mapping[str, float], files: Sequence[Path], note: str = "") -> None:
        """Log the verdict, attach files, and end the run.

        Args:
            figures: by name; names with the same beginning up to a slash are shown together.
            files: attached if the server takes artifacts.
            note: Markdown that describes the run.
        """
        run = await self._run()
        if note:
            await self._post(
                "runs/log-batch", {"run_id": run, "tags": _pairs({_NOTE_TAG: note[:_LONGEST_TAG]})}
            )
        await self.points((name, 0, value) for name, value in figures.items())
        place = await self._artifacts(run)
        for path in files if place is not None else ():
            call = Call("PUT", f"{_ARTIFACTS}/{place}{join(path.name)}", content=path.read_bytes())
            await self._http.send(call)
        await self._post("runs/update", {"run_id": run, "status": "FINISHED", "end_time": self._stamp()})

    async def _log_input(self, run: str, dataset: TrackedDataset) -> None:
        try:
            await self._post("runs/log-inputs", {"run_id": run, "datasets": [_input(dataset)]})
        except APIError as problem:
            # Unknown to MLflow before 2.4, and to other servers of its API; all else can be logged there.
            if problem.status not in _UNKNOWN_CALL:
                raise

    async def _run(self) -> str:
        if self._id is None:
            self._id = await self._find_or_make()
            await self._read_known(self._id)
        return self._id

    async def _find_or_make(self) -> str:
        experiment = await self._experiment_id()
        found = await self._post(
            "runs/search",
            {
                "experiment_ids": [experiment],
                "filter": f"tags.`{_RUN_TAG}` = '{self._lawtags_id}'",
                "max_results": 1,
            },
            repeatable=True,
        )
        runs = found.get("runs")
        if isinstance(runs, list) and runs:
            return _text(runs[0], "info", "run_id")
        made = await self._post(
            "runs/create",
            {
                "experiment_id": experiment,
                "run_name": self._name,
                "start_time": self._stamp(),
                "tags": _pairs({_RUN_TAG: self._lawtags_id, **_SOURCE_TAGS}),
            },
        )
        return _text(made, "run", "info", "run_id")

    async def _experiment_id(self) -> str:
        try:
            return await self._named_experiment()
        except NotFoundError:
            pass
        try:
            made = await self._post("experiments/create", {"name": self._experiment})
            return _text(made, "experiment_id")
        except APIError:
            # Another run may have made it meanwhile.
            return await self._named_experiment()

    async def _named_experiment(self) -> str:
        query = (("experiment_name", self._experiment),)
        found = await self._http.json(Call("GET", f"{_API}/experiments/get-by-name", query=query))
        return _text(found, "experiment", "experiment_id")

    async def _read_known(self, run: str) -> None:
        """Which points an earlier attempt has logged."""
        call = Call("GET", f"{_API}/runs/get", query=(("run_id", run),))
        for metric in _metrics_of(await self._http.json(call)):
            query = (("run_id", run), ("metric_key", metric), ("max_results", "25000"))
            found = await self._http.json(Call("GET", f"{_API}/metrics/get-history", query=query))
            points = found.get("metrics") if isinstance(found, Mapping) else None
            for point in points if isinstance(points, list) else ():
                step = point.get("step") if isinstance(point, Mapping) else None
                self._known.add((metric, int(step) if isinstance(step, int | str) else 0))

    async def _artifacts(self, run: str) -> str | None:
        """The path below which the server takes artifacts; None if it does not store them itself."""
        call = Call("GET", f"{_API}/runs/get", query=(("run_id", run),))
        uri = _text(await self._http.json(call), "run", "info", "artifact_uri")
        return uri.removeprefix(_PROXIED).strip("/") if uri.startswith(_PROXIED) else None

    async def _post(self, name: str, body: JsonObject, *, repeatable: bool = False) -> JsonObject:
        call = Call("POST", f"{_API}/{name}", json=body, repeatable=repeatable)
        found = await self._http.json(call)
        return found if isinstance(found, Mapping) else {}

    def _stamp(self) -> int:
        return int(self._now() * 1000)


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterable[tuple[str, object]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value


def _input(dataset: TrackedDataset) -> JsonObject:
    return {
        "tags": _pairs({"mlflow.data.context": "training"}),
        "dataset": {
            "name": dataset.name,
            "digest": dataset.digest[:_LONGEST_DIGEST],
            "source_type": "lawtags",
            "source": json.dumps({"dataset": dataset.name, "digest": dataset.digest}),
            "profile": json.dumps({"num_rows": sum(dataset.rows.values()), **dataset.rows}),
        },
    }


def _pairs(values: Mapping[str, str]) -> list[JsonValue]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _text(value: object, *path: str) -> str:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if not isinstance(value, str):
        raise ProtocolError(f"MLflow's answer has no {'.'.join(path)}", service="mlflow")
    return value


def _metrics_of(found: JsonValue) -> list[str]:
    run = found.get("run") if isinstance(found, Mapping) else None
    data = run.get("data") if isinstance(run, Mapping) else None
    metrics = data.get("metrics") if isinstance(data, Mapping) else None
    entries = metrics if isinstance(metrics, list) else []
    names = [each.get("key") for each in entries if isinstance(each, Mapping)]
    return [name for name in names if isinstance(name, str)]
