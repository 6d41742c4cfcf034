"""Logs as one JSON document a line, on stderr."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def log_as_json(level: str) -> None:
    """Let the service's and the server's loggers write lines of JSON from ``level`` on."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines())
    for name in ("segops", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level.upper())
        logger.propagate = False
    # The request log above says more.
    logging.getLogger("uvicorn.access").disabled = True
