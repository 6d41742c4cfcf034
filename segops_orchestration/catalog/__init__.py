"""The catalogue: tenants, segments and their versions, the ledger of computations, connectors and their syncs, leases.

``catalog.catalog.Catalog`` is the door; it hands out the frozen records of ``catalog.records``.
"""
