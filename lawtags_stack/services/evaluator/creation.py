"""Creates an evaluation job from a request: read, resolve, build; ``EvaluatorState`` stores it."""

from __future__ import annotations

from dataclasses import dataclass

from lawtags_client.json_value import JsonObject, JsonValue
from lawtags_stack.entities import EntityRecord, EntityTable
from lawtags_stack.http import sent_name, split_reference
from lawtags_stack.services.evaluator.addresses import AddressPolicy, addresses_in
from lawtags_stack.services.evaluator.evaluation import check_supported
from lawtags_stack.services.evaluator.expansion import identified
from lawtags_stack.services.evaluator.records import EvaluationRecord, EvaluationStatusRecord, PlatformJob
from lawtags_stack.services.evaluator.spec import read_spec

_CONTENT = ("tasks", "groups", "model", "cached_outputs", "retriever", "rag", "rows", "dataset")


@dataclass(frozen=True, slots=True)
class ValidatedEvaluation:
    """A validated request for an evaluation.

    Args:
        config: the config: ``namespace/name``, or inline.
        target: the target, in the same forms.
    """

    config: str | JsonObject
    target: str | JsonObject
    namespace: str
    description: str | None
    project: str | None
    output_files_url: str | None
    custom_fields: JsonObject
    ownership: JsonObject | None


@dataclass(frozen=True, slots=True)
class ResolvedEvaluation:
    """The full config and target of an evaluation."""

    config: JsonObject
    target: JsonObject


def validate_request(fields: JsonObject, spec: JsonObject | None = None) -> ValidatedEvaluation:
    """Read the request for an evaluation.

    Args:
        fields: the request body.
        spec: its part with config and target, if that is not the body itself.

    Raises:
        UnprocessableError: its namespace has an invalid name.
    """
    sides = fields if spec is None else spec
    return ValidatedEvaluation(
        config=_side(sides["config"]),
        target=_side(sides["target"]),
        namespace=sent_name(fields.get("namespace"), "default", what="namespace", versioned=False),
        description=_text(fields, "description"),
        project=_text(fields, "project"),
        output_files_url=_text(fields, "output_files_url"),
        custom_fields=_object(fields.get("custom_fields")) or {},
        ownership=_object(fields.get("ownership")),
    )


class EvaluationResolver:
    """Looks up config and target, and rejects unsupported evaluations.

    Args:
        configs: the stored configs.
        targets: the stored targets.
        addresses: the allowed addresses of models.
    """

    def __init__(
        self, configs: EntityTable[EntityRecord], targets: EntityTable[EntityRecord], addresses: AddressPolicy
    ) -> None:
        self._configs = configs
        self._targets = targets
        self._addresses = addresses

    def resolve(self, wish: ValidatedEvaluation) -> ResolvedEvaluation:
        """Return the full config and target; stores nothing.

        Raises:
            NotFoundError: one of them does not exist.
            BadRequestError: they are not supported.
            UnprocessableError: a parameter is missing or has the wrong type.
        """
        config = _found(self._configs, wish.config)
        target = _found(self._targets, wish.target)
        check_supported(config, target)
        for address in addresses_in(read_spec(config, target)):
            self._addresses.check(address)
        return ResolvedEvaluation(config, target)


def build_job(
    job_id: str,
    wish: ValidatedEvaluation,
    resolved: ResolvedEvaluation,
    now: str,
    platform: PlatformJob | None = None,
) -> EvaluationRecord:
    """Build the record to store."""
    return EvaluationRecord(
        created_at=now,
        updated_at=now,
        id=job_id,
        namespace=wish.namespace,
        description=wish.description,
        target=identified(resolved.target, now=now),
        config=identified(resolved.config, now=now),
        result=None,
        output_files_url=wish.output_files_url,
        status_details=EvaluationStatusRecord(),
        status="created",
        project=wish.project,
        custom_fields=wish.custom_fields,
        ownership=wish.ownership,
        platform=platform,
    )


def _found(entities: EntityTable[EntityRecord], given: str | JsonObject) -> JsonObject:
    if isinstance(given, str):
        return entities.document(*split_reference(given, what=entities.kind.label))
    # An object with only a name refers to the entity of this name.
    if given.get("name") and not any(given.get(field) for field in _CONTENT):
        return entities.document(_text(given, "namespace") or "default", str(given["name"]))
    return given


def _side(value: JsonValue) -> str | JsonObject:
    return value if isinstance(value, dict) else str(value)


def _object(value: JsonValue) -> JsonObject | None:
    return value if isinstance(value, dict) else None


def _text(fields: JsonObject, name: str) -> str | None:
    value = fields.get(name)
    return None if value is None else str(value)
