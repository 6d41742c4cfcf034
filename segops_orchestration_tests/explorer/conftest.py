"""Tenants, as the tests of the engine make them."""

from __future__ import annotations

from segops_orchestration_tests.compute.conftest import (  # noqa: F401
    catalog,
    empty_catalog_file,
    module_catalog,
    new_tenant,
    tenant,
)
