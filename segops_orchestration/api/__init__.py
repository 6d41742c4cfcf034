"""The REST API. Each request passes one gate (``gate.py``), and what is behind it belongs to one tenant."""
