"""Arrow columns seen as NumPy arrays, a whole block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Bytes2D = npt.NDArray[np.uint8]


def bools(array: Any) -> Bools:
    """A boolean Arrow array as a mask; null is False."""
    return np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), dtype=np.bool_)


def lengths(texts: Any) -> Ints:
    """Bytes of each text (0 for null)."""
    return np.asarray(pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False), dtype=np.int64)


def by_length(texts: Any, longest: int) -> Iterator[tuple[Ints, Bytes2D]]:
    """Group texts by size: (their positions, their bytes as one row each). Longer ones and nulls are left out."""
    sizes = lengths(texts)
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)[texts.offset : texts.offset + len(texts)]
    buffer = texts.buffers()[2]
    data = np.frombuffer(buffer, dtype=np.uint8) if buffer is not None else np.empty(0, np.uint8)
    valid = None if texts.null_count == 0 else bools(texts.is_valid())
    for size in np.unique(sizes).tolist():
        if size == 0 or size > longest:
            continue
        chosen = sizes == size if valid is None else (sizes == size) & valid
        where = np.flatnonzero(chosen)
        if not len(where):
            continue
        if len(where) == len(texts):
            start = int(offsets[0])
            yield where, data[start : start + size * len(texts)].reshape(len(texts), size)
        else:
            # Column by column: one index array for all would take eight times the text itself.
            starts = offsets[where]
            gathered = np.empty((size, len(where)), np.uint8)
            for place in range(size):
                np.take(data, starts + place, out=gathered[place])
            yield where, gathered.T


def fixed_bytes(rows: Bytes2D) -> Any:
    """An (n, 16) array as an Arrow array of 16-byte values."""
    contiguous = np.ascontiguousarray(rows)
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(rows.shape[1]), len(rows), [None, pa.py_buffer(contiguous)])


def texts(values: Any) -> Any:
    """Python texts as an Arrow string array."""
    return pa.array(values, pa.string())


def constant(text: str, count: int) -> Any:
    """One text, ``count`` times."""
    return pa.repeat(pa.scalar(text, pa.string()), count)
