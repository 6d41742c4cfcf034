"""The embedded warehouse: chdb (ClickHouse as a library) behind ClickHouse's HTTP interface on 127.0.0.1.

chdb lets one process own a data directory, while Dagster runs many processes. So one local server owns it, and all
others talk to it through clickhouse_connect, exactly as they would to a ClickHouse server.
"""
