"""The history of the catalogue's schema, run by ``catalog.migrate``.

A change: edit ``catalog/tables.py``, add ``versions/rNNNN_what.py``, add its revision to
``migrate.REVISIONS``. A released revision is never edited.
"""
