"""SegOps orchestration: audience segmentation over ClickHouse, run by Dagster.

Importing the package stays light on purpose: every Dagster run process pays for it.
"""
