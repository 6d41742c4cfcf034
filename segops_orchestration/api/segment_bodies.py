"""Segments in requests and responses."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from segops_orchestration.catalog.segment_edits import SegmentEdit, slug_from
from segops_orchestration.catalog.segment_views import SegmentState, SegmentView
from segops_orchestration.dsl.models import Definition
from segops_orchestration.dsl.parse import definition_problems
from segops_orchestration.dsl.segment_file import SegmentDocument, parse_segment_document
from segops_orchestration.errors import InvalidDocument, Problem

DEFINITION_EXAMPLE: dict[str, Any] = {
    "logic": "AND",
    "conditions": [
        {
            "type": "monetary",
            "event_type": "order_placed",
            "property": "order_total",
            "metric": "sum",
            "operator": "gte",
            "value": 150,
        }
    ],
}
DefinitionBody = Annotated[
    dict[str, Any],
    Field(description="Who is in: `logic` and `conditions`; docs/dsl.md.", examples=[DEFINITION_EXAMPLE]),
]


class Segment(BaseModel):
    """A segment. The members' number and time are those of the last computation, whatever version that was of."""

    id: int
    name: str = Field(examples=["Big spenders"])
    slug: str = Field(examples=["big-spenders"])
    description: str
    definition: DefinitionBody
    segment_type: str = Field(examples=["rule"])
    is_active: bool = Field(description="False: archived.")
    status: SegmentState = Field(
        description="draft: the current definition was never computed; failed: the last attempt to compute it failed."
    )
    member_count: int = Field(description="0 before the first computation.")
    last_computed_at: datetime | None
    version: int = Field(description="The current version of the definition.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, view: SegmentView) -> Segment:
        """What callers see."""
        segment = view.segment
        return cls(
            id=segment.id,
            name=segment.name,
            slug=segment.slug,
            description=segment.description,
            definition=segment.definition,
            segment_type=segment.segment_type,
            is_active=segment.status == "active",
            status=view.state,
            member_count=view.members,
            last_computed_at=view.computed_at,
            version=segment.version,
            created_at=segment.created_at,
            updated_at=segment.updated_at,
        )


class _Body(BaseModel):
    """Fields that only responses have are accepted, so that what was read can be sent back, and ignored."""

    model_config = ConfigDict(extra="forbid")

    segment_type: Literal["rule"] = "rule"
    id: Annotated[Any, Field(description="Ignored.")] = None
    status: Annotated[Any, Field(description="Ignored.")] = None
    member_count: Annotated[Any, Field(description="Ignored.")] = None
    last_computed_at: Annotated[Any, Field(description="Ignored.")] = None
    version: Annotated[Any, Field(description="Ignored.")] = None
    created_at: Annotated[Any, Field(description="Ignored.")] = None
    updated_at: Annotated[Any, Field(description="Ignored.")] = None


class NewSegment(_Body):
    """A segment to be made. Without a slug it gets one that resembles its name."""

    name: str = Field(min_length=1, examples=["Big spenders"])
    definition: DefinitionBody
    slug: str | None = Field(default=None, examples=["big-spenders"])
    description: str = ""
    is_active: bool = True

    def document(self) -> SegmentDocument:
        """The segment, checked. Raises InvalidDocument with every problem by field."""
        return _document(
            {
                "slug": self.slug if self.slug is not None else slug_from(self.name),
                "name": self.name,
                "description": self.description,
                "definition": self.definition,
            }
        )


class WholeSegment(NewSegment):
    """A segment as it is to be; its slug stays."""

    def edit(self) -> SegmentEdit:
        """What to change, checked. Raises InvalidDocument."""
        document = self.document()
        return SegmentEdit(self.slug, document.name, document.description, document.definition, self.is_active)


class SegmentChanges(_Body):
    """Fields of a segment to change; those left out stay."""

    name: str | None = Field(default=None, min_length=1)
    definition: dict[str, Any] | None = Field(default=None, examples=[DEFINITION_EXAMPLE])
    slug: str | None = None
    description: str | None = None
    is_active: bool | None = None

    def edit(self) -> SegmentEdit:
        """What to change, checked. Raises InvalidDocument."""
        given = self.model_dump(include={"name", "description", "definition"}, exclude_none=True)
        # The other fields only have to be right for the check.
        document = _document({"slug": "a", "name": "a", "definition": DEFINITION_EXAMPLE, **given})
        definition = document.definition if self.definition is not None else None
        return SegmentEdit(self.slug, self.name, self.description, definition, self.is_active)


def checked_definition(document: dict[str, Any]) -> Definition:
    """The definition in a request's field of that name. Raises InvalidDocument with paths that begin there."""
    problems = definition_problems(document, "definition")
    if problems:
        raise InvalidDocument(problems)
    return Definition.model_validate(document)


def _document(fields: dict[str, Any]) -> SegmentDocument:
    description = fields.get("description", "")
    if "\0" in description:
        raise InvalidDocument([Problem("description", "a NUL character is not allowed")])
    return parse_segment_document(fields)
