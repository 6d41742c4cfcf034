"""Event schemas: what payloads of an event type hold. They are applied to events as they come in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from segops_orchestration.api.documented import errors
from segops_orchestration.api.errors import FieldErrors
from segops_orchestration.api.gate import Reader, Scope, Writer
from segops_orchestration.api.idempotent import Once
from segops_orchestration.api.ids import Id
from segops_orchestration.api.ingest.body import BATCH_EVENTS
from segops_orchestration.api.ingest.json_reader import NotJson
from segops_orchestration.api.ingest.schema_rules import Applied, SchemaRules
from segops_orchestration.api.paging import Page, Paging
from segops_orchestration.api.schema_inference import infer, type_of
from segops_orchestration.api.texts import Line, Prose
from segops_orchestration.catalog import event_schemas
from segops_orchestration.catalog.event_schemas import MOST_PROPERTIES, NAME_CHARACTERS, PropertySchema, PropertyType
from segops_orchestration.warehouse.ingest.limits import EVENT_TYPE_CHARACTERS

router = APIRouter(prefix="/schemas", tags=["schemas"])

EventType = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9_]*\z",
        max_length=EVENT_TYPE_CHARACTERS,
        description="In snake_case.",
        examples=["order_placed"],
        json_schema_extra={"pattern": "^[a-z][a-z0-9_]*$"},
    ),
]


class Property(BaseModel):
    """One property of a payload."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    name: Annotated[Line, Field(min_length=1, max_length=NAME_CHARACTERS, examples=["total"])]
    type: PropertyType = Field(description="Numbers and booleans that come as text become such.")
    required: bool = Field(False, description="An event without it, or with null, is refused.")


Properties = Annotated[list[Property], Field(max_length=MOST_PROPERTIES, description="Each name once.")]


class _HasProperties(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def _names_once(self) -> _HasProperties:
        names = [each.name for each in getattr(self, "properties", None) or ()]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"properties: {twice!r} is there twice")
        return self


class NewSchema(_HasProperties):
    """What payloads of an event type hold."""

    event_type: EventType
    properties: Properties
    description: Annotated[Prose, Field(max_length=2000)] = ""


class SchemaChanges(_HasProperties):
    """What is to change; the rest stays."""

    event_type: EventType | None = None
    properties: Properties | None = None
    description: Annotated[Prose, Field(max_length=2000)] | None = None


class Schema(BaseModel):
    """What payloads of an event type hold."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    event_type: str
    description: str
    properties: list[Property]
    created_at: datetime
    updated_at: datetime


class Example(BaseModel):
    """An event to learn from; only its type and its payload are looked at."""

    model_config = ConfigDict(extra="allow")

    event_type: EventType
    payload: dict[str, Any] | None = None


class Examples(BaseModel):
    """Events to learn from."""

    model_config = ConfigDict(extra="forbid")

    events: Annotated[list[Example], Field(min_length=1, max_length=BATCH_EVENTS)]


class Proposal(BaseModel):
    """A schema that the examples of one event type suggest; POST it to `schemas/` to have it applied."""

    event_type: str
    events: int = Field(description="From how many examples.")
    properties: list[Property]


class Proposals(BaseModel):
    """One proposal an event type."""

    schemas: list[Proposal]


class Trial(BaseModel):
    """A payload to try."""

    model_config = ConfigDict(extra="forbid")

    event_type: EventType
    payload: dict[str, Any]


class Finding(BaseModel):
    """What the schema says of one property."""

    property: str
    detail: str


class Verdict(BaseModel):
    """What its schema makes of an event with the payload."""

    valid: bool = Field(description="Whether its schema lets it be stored.")
    schema_id: int | None = Field(description="The schema of its type; null: there is none, and all is taken.")
    errors: list[Finding] = Field(description="Why it would not.")
    warnings: list[Finding] = Field(description="Values that are not what the schema says; stored as they are.")
    coerced: list[str] = Field(description="Properties whose text would become a number or boolean.")


@router.get("/")
def every(scope: Reader, paging: Paging) -> Page[Schema]:
    """The tenant's event schemas, by event type."""
    found, count = scope.catalog.event_schemas(paging.offset, paging.size)
    return paging.answer([_shown(schema) for schema in found], count)


@router.post("/", status_code=201, responses=errors(409))
def create(scope: Writer, body: NewSchema, once: Once) -> Schema:
    """Describe an event type. 409 if it is described already."""

    def work() -> Schema:
        properties = _kept(body.properties)
        made = scope.catalog.create_event_schema(body.event_type, body.description, properties, scope.caller.actor)
        return _shown(made)

    return once.answer(scope, body, lambda attempt: work(), status=201)


@router.post("/infer/")
def infer_from_examples(scope: Reader, body: Examples) -> Proposals:
    """Propose schemas from examples. Nothing is stored."""
    examples: dict[str, list[dict[str, Any]]] = {}
    for event in body.events:
        examples.setdefault(event.event_type, []).append(event.payload or {})
    proposals = []
    for event_type, payloads in sorted(examples.items()):
        properties = [Property.model_validate(each) for each in infer(payloads)]
        proposals.append(Proposal(event_type=event_type, events=len(payloads), properties=properties))
    return Proposals(schemas=proposals)


@router.post("/validate/")
def validate(scope: Reader, body: Trial) -> Verdict:
    """Say what would become of an event. Nothing is stored."""
    schema = scope.catalog.event_schema_of(body.event_type)
    if schema is None:
        return Verdict(valid=True, schema_id=None, errors=[], warnings=[], coerced=[])
    try:
        applied = SchemaRules([schema]).apply(body.event_type, json.dumps(body.payload))
    except (NotJson, RecursionError):
        raise FieldErrors({"payload": ["nested too deeply"]}) from None
    assert applied is not None
    return Verdict(
        valid=not applied.missing,
        schema_id=schema.id,
        errors=[Finding(property=each.name, detail=each.reason) for each in applied.missing],
        warnings=_unlike(schema.properties, applied),
        coerced=list(applied.coerced),
    )


@router.get("/{schema_id}/")
def one(scope: Reader, schema_id: Id) -> Schema:
    """One event schema."""
    return _shown(scope.catalog.event_schema(schema_id))


@router.patch("/{schema_id}/", responses=errors(409))
def change(scope: Writer, schema_id: Id, body: SchemaChanges) -> Schema:
    """Change what is sent. `properties` are replaced as a whole. Events that are stored stay as they are."""
    return _changed(scope, schema_id, body)


@router.put("/{schema_id}/", responses=errors(409))
def replace(scope: Writer, schema_id: Id, body: NewSchema) -> Schema:
    """Change all of it."""
    return _changed(scope, schema_id, body)


def _changed(scope: Scope, schema_id: int, body: SchemaChanges | NewSchema) -> Schema:
    changed = scope.catalog.change_event_schema(
        schema_id,
        scope.caller.actor,
        event_type=body.event_type,
        description=body.description,
        properties=None if body.properties is None else _kept(body.properties),
    )
    return _shown(changed)


@router.delete("/{schema_id}/", status_code=204)
def delete(scope: Writer, schema_id: Id) -> None:
    """From now on events of its type are taken as they are."""
    scope.catalog.delete_event_schema(schema_id, scope.caller.actor)


def _shown(schema: event_schemas.EventSchema) -> Schema:
    return Schema.model_validate(schema)


def _kept(properties: Sequence[Property]) -> list[PropertySchema]:
    return [PropertySchema(each.name, each.type, each.required) for each in properties]


def _unlike(properties: Sequence[PropertySchema], applied: Applied) -> list[Finding]:
    found = []
    payload = json.loads(applied.text)
    for each in properties:
        value = payload.get(each.name)
        kind = type_of(value)
        if value is None or kind == each.type or (each.type == "string" and kind == "datetime"):
            continue
        found.append(Finding(property=each.name, detail=f"not a {each.type} but {_named(kind)}; stored as it is"))
    return found


def _named(kind: PropertyType | None) -> str:
    return "an object" if kind is None else f"an {kind}" if kind == "array" else f"a {kind}"
