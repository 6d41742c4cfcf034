"""How much memory the embedded engine may use, and the block sizes that fit into it."""

from __future__ import annotations

from collections.abc import Mapping

from segops_orchestration.settings import memory_amount

VARIABLE = "SEGOPS_WAREHOUSE_MEMORY"
# Below this a merge beside an insert of wide rows runs out of it.
_LEAST = 512 << 20
_MOST_BY_DEFAULT = 4 << 30


def memory_limit(environ: Mapping[str, str]) -> int:
    """The limit in bytes: SEGOPS_WAREHOUSE_MEMORY, or 60% of the machine's memory but at most 4 GiB.

    Raises:
        SegOpsError: the variable is not an amount of memory, or is too small to work with.
    """
    text = environ.get(VARIABLE, "").strip()
    if not text:
        import psutil

        return min(int(psutil.virtual_memory().total * 0.6), _MOST_BY_DEFAULT)
    return memory_amount(VARIABLE, text, _LEAST)


def bulk_settings(limit: int) -> dict[str, str]:
    """ClickHouse settings that keep one bulk read or write well within ``limit`` bytes.

    The defaults are made for servers: blocks of a million rows of any width, 256 MiB before a part is written, 4 GiB
    of read-ahead in a Parquet file.
    """
    block = str(min(limit // 16, 256 << 20))
    return {
        "max_insert_block_size_bytes": block,
        "min_insert_block_size_bytes": block,
        "input_format_parquet_memory_high_watermark": str(limit // 8),
        "input_format_parquet_enable_row_group_prefetch": "0",
        "output_format_parquet_row_group_size_bytes": block,
        "storage_file_read_method": "pread",
    }
