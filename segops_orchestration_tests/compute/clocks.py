"""The warehouse's clock, as a computation reads it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from segops_orchestration.compute import compute as engine
from segops_orchestration.compute.plan import Watermark
from segops_orchestration.warehouse.client import TenantWarehouse


def clock_ahead(patch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Computations find the clock ahead by so much."""
    look = engine._look

    def ahead(warehouse: TenantWarehouse) -> tuple[Watermark, bool]:
        watermark, has_identities = look(warehouse)
        return replace(watermark, at=watermark.at + by), has_identities

    patch.setattr(engine, "_look", ahead)
