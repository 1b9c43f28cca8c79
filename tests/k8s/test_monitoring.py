"""The dashboard and the exporter speak of the same metrics."""

from __future__ import annotations

import json
import re

from manifests import K8S

from lawtags_client.runs.exposition import RunMetrics, job_gauges


def test_the_dashboard_shows_metrics_that_exist() -> None:
    text = (K8S / "components/monitoring/dashboard.json").read_text()
    shown = set(re.findall(r"lawtags_(\w+?)(?=[{)\" ,])", text))
    known = {gauge.name for gauge in (*RunMetrics(K8S).gauges(), *job_gauges({}))}
    assert shown <= known, shown - known
    panels = json.loads(text)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) == 9
