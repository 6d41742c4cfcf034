"""Reading an HTTP request the way ClickHouse does: where the SQL is, its parameters, settings and data.

Facts about the interface: https://clickhouse.com/docs/interfaces/http, and what clickhouse-connect sends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from email.policy import HTTP
from functools import cached_property
from urllib.parse import parse_qsl

from segops_orchestration.warehouse.embedded.body import Body
from segops_orchestration.warehouse.embedded.errors import BadRequest
from segops_orchestration.warehouse.sql import InsertHead, insert_head, is_read

# URL keys that steer the HTTP interface. Everything else is a ClickHouse setting.
_TRANSPORT = frozenset(
    {
        "add_http_cors_header",
        "buffer_size",
        "cancel_http_readonly_queries_on_client_close",
        "client_protocol_version",
        "close_session",
        "compress",
        "database",
        "decompress",
        "default_format",
        "enable_http_compression",
        "http_headers_progress_interval_ms",
        "password",
        "query",
        "query_id",
        "quota_key",
        "role",
        "send_progress_in_http_headers",
        "session_check",
        "session_id",
        "session_timeout",
        "stacktrace",
        "user",
        "wait_end_of_query",
    }
)
_PARAMETER = "param_"
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXTERNAL = re.compile(r"(.+)_(format|structure|types)")
# An INSERT's column list has to end within this many bytes for its data to be streamed.
_HEAD_BYTES = 1 << 20
_DEFAULT_SESSION_SECONDS = 60.0
_MAX_SESSION_SECONDS = 3600.0


@dataclass(frozen=True)
class ExternalTable:
    """Rows sent along with a query, readable in it as a temporary table."""

    name: str
    structure: str
    format: str
    data: bytes


@dataclass(frozen=True)
class Request:
    """One query as it came in.

    Attributes:
        sql: the statement; for an insert with data, up to the data.
        insert: where an INSERT's data begins, when data follows; ``body`` then holds it.
        parameters: values of ``{name:Type}``, in ClickHouse's text form.
        settings: ClickHouse settings of this query alone.
        wait: answer only when the query has ended, so that an error can still change the status.
        cancel_when_left: cancel a read when its client goes away.
    """

    sql: bytes
    insert: InsertHead | None
    body: Body
    database: str
    parameters: Mapping[str, str]
    settings: Mapping[str, str]
    default_format: str
    query_id: str
    session_id: str
    session_seconds: float
    wait: bool
    cancel_when_left: bool
    external: tuple[ExternalTable, ...] = ()

    @cached_property
    def is_read(self) -> bool:
        """Whether it is a SELECT."""
        return is_read(self.sql)

    @property
    def is_bulk(self) -> bool:
        """Whether it may move so much data that block sizes matter."""
        return not self.is_read or b"PARQUET" in self.sql.upper()


def read_request(query_string: str, headers: Mapping[str, str], body: Body) -> Request:
    """Take a request apart; of the body, only as much is read as belongs to the SQL.

    Args:
        query_string: what follows ``?`` in the URL.
        headers: names in lower case.

    Raises:
        BadRequest: it makes no sense. ClientGone: it was cut short.
    """
    url = dict(parse_qsl(query_string, keep_blank_values=True))
    files: dict[str, bytes] = {}
    content_type = headers.get("content-type", "")
    if content_type.lower().startswith("multipart/form-data"):
        fields, files = _read_form(body.read_all(), content_type)
        url.update(fields)
    sql, insert = _query_text(url.get("query", "").encode(), body)
    if not sql.strip():
        raise BadRequest("empty query")
    external = _external_tables(url, files)
    return Request(
        sql=sql,
        insert=insert,
        body=body,
        database=url.get("database") or headers.get("x-clickhouse-database", ""),
        parameters={key[len(_PARAMETER) :]: value for key, value in url.items() if key.startswith(_PARAMETER)},
        settings=_settings(url, {table.name for table in external}),
        default_format=url.get("default_format") or headers.get("x-clickhouse-format", "TabSeparated"),
        query_id=url.get("query_id", ""),
        session_id=url.get("session_id", ""),
        session_seconds=_session_seconds(url.get("session_timeout", "")),
        wait=url.get("wait_end_of_query") == "1",
        cancel_when_left=url.get("cancel_http_readonly_queries_on_client_close") == "1",
        external=external,
    )


def _query_text(sql: bytes, body: Body) -> tuple[bytes, InsertHead | None]:
    """The statement, taken from the URL, the body, or both; INSERT data stays in the body."""
    in_url = bool(sql.strip())
    if in_url and (head := insert_head(sql)) is not None:
        body.push_back(sql[head.data_start :])
        return sql[: head.data_start], head
    text = sql + b"\n" if in_url else b""
    chunks = body.chunks()
    for chunk in chunks:
        text += chunk
        if len(text) >= _HEAD_BYTES:
            break
    if (head := insert_head(text)) is not None:
        body.push_back(text[head.data_start :])
        return text[: head.data_start], head
    return text + b"".join(chunks), None


def _settings(url: Mapping[str, str], external_names: set[str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for key, value in url.items():
        if key in _TRANSPORT or key.startswith(_PARAMETER):
            continue
        described = _EXTERNAL.fullmatch(key)
        if described is not None and described.group(1) in external_names:
            continue
        if not _SETTING_NAME.fullmatch(key):
            raise BadRequest(f"{key!r} is not the name of a setting")
        settings[key] = value
    return settings


def _session_seconds(text: str) -> float:
    try:
        seconds = float(text) if text else _DEFAULT_SESSION_SECONDS
    except ValueError as error:
        raise BadRequest(f"session_timeout {text!r} is not a number of seconds") from error
    return min(max(seconds, 0.0), _MAX_SESSION_SECONDS)


def _external_tables(url: Mapping[str, str], files: Mapping[str, bytes]) -> tuple[ExternalTable, ...]:
    tables = []
    for name, data in files.items():
        if not _SETTING_NAME.fullmatch(name):
            raise BadRequest(f"{name!r} is not the name of an external table")
        structure = url.get(f"{name}_structure", "")
        if not structure and (types := url.get(f"{name}_types", "")):
            structure = ", ".join(f"_{index} {item}" for index, item in enumerate(_split_types(types), start=1))
        if not structure:
            raise BadRequest(f"external table {name!r} needs {name}_structure or {name}_types")
        tables.append(ExternalTable(name, structure, url.get(f"{name}_format", "TabSeparated"), data))
    return tuple(tables)


def _split_types(types: str) -> list[str]:
    """Split at commas outside brackets: ``UInt8,Array(Tuple(A, B))`` has two."""
    parts, depth, start = [], 0, 0
    for index, character in enumerate(types):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append(types[start:index].strip())
            start = index + 1
    return [*parts, types[start:].strip()]


def _read_form(content: bytes, content_type: str) -> tuple[dict[str, str], dict[str, bytes]]:
    """Fields and files of a multipart/form-data body (RFC 7578)."""
    parser = BytesHeaderParser(policy=HTTP)
    boundary = parser.parsebytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n").get_boundary()
    if not boundary:
        raise BadRequest("multipart/form-data without a boundary")
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for part in (b"\r\n" + content).split(b"\r\n--" + boundary.encode("latin-1"))[1:]:
        if part.startswith(b"--"):
            break
        head, found, data = part.partition(b"\r\n\r\n")
        disposition = parser.parsebytes(head.lstrip(b"\r\n") + b"\r\n\r\n")
        name = disposition.get_param("name", header="content-disposition")
        if not found or not isinstance(name, str):
            raise BadRequest("a part of the multipart body has no name")
        if disposition.get_filename() is not None:
            files[name] = data
        else:
            fields[name] = data.decode()
    return fields, files
