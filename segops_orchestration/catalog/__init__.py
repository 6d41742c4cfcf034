"""The catalogue: tenants, segments and their versions, leases, and the ledger of computations.

``catalog.catalog.Catalog`` is the door; it hands out the frozen records of ``catalog.records``.
"""
