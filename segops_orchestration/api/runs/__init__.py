"""Computations that callers ask for: handed to Dagster, or to a worker process of the service."""
