"""Segments before they are saved: what files would change in a tenant, and the tests that files carry."""
