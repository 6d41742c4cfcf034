"""Bound parameters of one compiled query, named after the condition that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Context, Decimal

from segops_orchestration.dsl.values import NUMBER_SCALE

EXACT = Context(prec=60)  # 29 digits before the point and 9 after it must fit

# What a compiled query leaves for the caller to bind.
AT = "{at:DateTime64(3, 'UTC')}"
FROM_AT = "{from_at:DateTime64(3, 'UTC')}"

ParameterValue = str | int | list[str]


def instant_text(value: datetime) -> str:
    """An aware datetime as the text form of DateTime64(3, 'UTC'); what is finer than a millisecond is cut off."""
    utc = value.astimezone(UTC)
    # %Y does not pad a year before 1000.
    return f"{utc.year:04d}-{utc:%m-%d %H:%M:%S}.{utc.microsecond // 1000:03d}"


def decimal_text(value: Decimal) -> str:
    """A number as the text form of Decimal(38, 9); digits beyond the ninth place are cut off."""
    return f"{value.quantize(Decimal(1).scaleb(-NUMBER_SCALE), ROUND_DOWN, EXACT):f}"


class Parameters:
    """Collects values and hands out their placeholders.

    >>> parameters = Parameters()
    >>> parameters.of("c0").text("event_type", "order_placed")
    '{c0_event_type:String}'
    """

    def __init__(self) -> None:
        self.values: dict[str, ParameterValue] = {}

    def of(self, prefix: str) -> ScopedParameters:
        """The same collection, for values of one condition."""
        return ScopedParameters(self, prefix)


class ScopedParameters:
    """Placeholders whose names begin with one prefix."""

    def __init__(self, parameters: Parameters, prefix: str) -> None:
        self._parameters = parameters
        self._prefix = prefix

    def of(self, name: str) -> ScopedParameters:
        """The same collection, for values of one part of this."""
        return ScopedParameters(self._parameters, f"{self._prefix}_{name}")

    def variable(self, name: str) -> str:
        """A name for the variable of a lambda, which no other scope has."""
        return f"{self._prefix}_{name}"

    def text(self, name: str, value: str) -> str:
        return self._bind(name, value, "String")

    def texts(self, name: str, values: Sequence[str]) -> str:
        return self._bind(name, list(values), "Array(String)")

    def integer(self, name: str, value: int) -> str:
        return self._bind(name, value, "Int64")

    def unsigned(self, name: str, value: int) -> str:
        return self._bind(name, value, "UInt64")

    def number(self, name: str, value: Decimal) -> str:
        return self._bind(name, decimal_text(value), f"Decimal(38, {NUMBER_SCALE})")

    def numbers(self, name: str, values: Sequence[Decimal]) -> str:
        """An array of decimals; it travels as text because an array literal of decimals would be read as floats."""
        texts = self._bind(name, [decimal_text(value) for value in values], "Array(String)")
        return f"arrayMap(x -> toDecimal128(x, {NUMBER_SCALE}), {texts})"

    def instant(self, name: str, value: datetime) -> str:
        return self._bind(name, instant_text(value), "DateTime64(3, 'UTC')")

    def _bind(self, name: str, value: ParameterValue, clickhouse_type: str) -> str:
        key = f"{self._prefix}_{name}"
        if key in self._parameters.values:
            raise ValueError(f"parameter {key} is bound twice")
        self._parameters.values[key] = value
        return f"{{{key}:{clickhouse_type}}}"
