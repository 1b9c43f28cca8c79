from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from lawtags_client.errors import ConfigurationError
from lawtags_client.runs.spans import run_span


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return exporter


def test_a_stage_is_a_child_of_its_run(exporter: InMemorySpanExporter) -> None:
    with run_span("lawtags run", {"run": "demo"}), run_span("lawtags plan", {"stage": "plan", "number": 2}):
        pass
    stage, run = exporter.get_finished_spans()
    assert (stage.name, run.name) == ("lawtags plan", "lawtags run")
    assert stage.parent is not None and stage.parent.span_id == run.context.span_id
    assert dict(stage.attributes or {}) == {"lawtags.stage": "plan", "lawtags.number": 2}


def test_a_stage_that_fails_names_the_class_of_its_error_alone(exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ConfigurationError), run_span("lawtags plan", {}):
        raise ConfigurationError("canary-secret")
    (span,) = exporter.get_finished_spans()
    assert (span.attributes or {})["error.type"] == "ConfigurationError"
    assert not span.status.is_ok and "canary" not in span.to_json()


def test_a_program_without_opentelemetry_records_nothing(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(__import__("sys").modules, "opentelemetry.trace")
    with run_span("lawtags run", {}):
        pass
    assert exporter.get_finished_spans() == ()
