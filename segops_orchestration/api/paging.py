"""Lists by page: ``page`` and ``page_size`` in, ``{count, next, previous, results}`` out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query, Request
from pydantic import BaseModel

LONGEST_PAGE = 200
_DEFAULT_PAGE = 50

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """A page of a list; ``next`` and ``previous`` are addresses, null at the ends."""

    count: int
    next: str | None
    previous: str | None
    results: list[T]


@dataclass(frozen=True)
class PageRequest:
    """Which page is asked for."""

    request: Request
    number: int
    size: int

    @property
    def offset(self) -> int:
        """Items before the page."""
        return (self.number - 1) * self.size

    def of(self, items: Sequence[T]) -> Page[T]:
        """The page of a list that is all there."""
        return self.answer(items[self.offset : self.offset + self.size], len(items))

    def answer(self, results: Sequence[T], count: int) -> Page[T]:
        """The page with these results, of ``count`` in all."""
        return Page(
            count=count,
            next=self._address(self.number + 1) if self.offset + self.size < count else None,
            previous=self._address(self.number - 1) if self.number > 1 else None,
            results=list(results),
        )

    def _address(self, number: int) -> str:
        return str(self.request.url.include_query_params(page=number))


def _page_request(
    request: Request,
    page: Annotated[int, Query(ge=1, le=1_000_000, description="Which page, from 1.")] = 1,
    page_size: Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="Items a page.")] = _DEFAULT_PAGE,
) -> PageRequest:
    return PageRequest(request, page, page_size)


Paging = Annotated[PageRequest, Depends(_page_request)]
