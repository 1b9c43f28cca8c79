"""Specs of models for targets and judges."""

from __future__ import annotations

from pydantic import model_validator

from lawtags_stack.services.evaluator.spec_base import SpecRecord


class EndpointSpec(SpecRecord):
    """The endpoint of a model."""

    url: str
    model_id: str
    api_key: str | None = None


class ModelFields(SpecRecord):
    """A model, by endpoint or by name."""

    api_endpoint: EndpointSpec | None = None
    name: str | None = None
    namespace: str | None = None
    url: str | None = None
    model_id: str | None = None
    api_key: str | None = None

    @model_validator(mode="after")
    def _names_a_model(self) -> ModelFields:
        if self.endpoint is None and not self.name:
            raise ValueError("needs api_endpoint with url and model_id, or the name of a model")
        return self

    @property
    def endpoint(self) -> EndpointSpec | None:
        """Its endpoint, if it has one."""
        if self.api_endpoint:
            return self.api_endpoint
        if self.url and self.model_id:
            return EndpointSpec(url=self.url, model_id=self.model_id, api_key=self.api_key)
        return None
