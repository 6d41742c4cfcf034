"""The segment language: documents in, typed models out. No I/O here."""
