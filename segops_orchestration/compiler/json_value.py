"""A value inside a JSON document, as SQL expressions.

Facts about ClickHouse's JSON functions that this relies on (observed on engine 26.9, held by tests):
``JSONType`` of an absent path, of null and of text that is not JSON is 'Null'. ``JSONExtractString`` gives
numbers and booleans as their JSON text and an absent value as ''. Converting a JSON number to a decimal directly
raises an error from 1e30 on, so numbers go through their text.

Where the engine and ``dsl.values`` part ways, beyond anything that is written in earnest: the engine takes a text
with an exponent above 29 (``0e30``) or with more than 38 digits before the point (and a negative exponent) for no
number; and it takes a date that its offset carries out of the years 1 to 9999 for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segops_orchestration.dsl.values import NUMBER_SCALE

# The grammars of dsl.values, for RE2. There is no year 0; parseDateTimeBestEffort would put the current year for it.
_NUMBER = r"^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?$"
_DATE = (
    r"^([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?"
    r"(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?)?$"
)
_TEXTUAL = "('String', 'Int64', 'UInt64', 'Double', 'Bool')"


@dataclass(frozen=True)
class JsonValue:
    """The value at ``keys`` (SQL expressions of text) in ``document`` (an SQL expression of JSON text)."""

    document: str
    keys: Sequence[str] = ()

    @property
    def _arguments(self) -> str:
        return ", ".join([self.document, *self.keys])

    @property
    def type(self) -> str:
        return f"JSONType({self._arguments})"

    @property
    def is_missing(self) -> str:
        return f"{self.type} = 'Null'"

    @property
    def is_textual(self) -> str:
        """Text, a number or a boolean: what the text operators look at."""
        return f"{self.type} IN {_TEXTUAL}"

    @property
    def text(self) -> str:
        return f"JSONExtractString({self._arguments})"

    @property
    def raw(self) -> str:
        """The JSON text itself: text is in quotes, so that it differs from numbers and booleans."""
        return f"JSONExtractRaw({self._arguments})"

    @property
    def elements(self) -> str:
        """An array's elements as JSON texts; empty when it is no array."""
        return f"JSONExtractArrayRaw({self._arguments})"

    @property
    def number(self) -> str:
        """Nullable(Decimal(38, 9)): a JSON number or numeric text, exact, digits beyond the ninth place cut off."""
        return f"toDecimal128OrNull(if(match({self.text}, '{_NUMBER}'), {self.text}, ''), {NUMBER_SCALE})"

    @property
    def date(self) -> str:
        """Nullable(DateTime64(3, 'UTC')): an ISO date or time; a day that does not exist is NULL."""
        return f"parseDateTime64BestEffortOrNull(if(match({self.text}, '{_DATE}'), {self.text}, ''), 3, 'UTC')"
