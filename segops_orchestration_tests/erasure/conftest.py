"""Shops with a roster of whom people are erased; tenants whose computations are compared with the oracle."""

from segops_orchestration_tests.activation.conftest import empty_catalog, module_shop, new_shop, new_tenant, shop

__all__ = ["empty_catalog", "module_shop", "new_shop", "new_tenant", "shop"]
