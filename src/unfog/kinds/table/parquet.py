"""Parquet read with every check there is: sizes before, page checksums while reading."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from unfog.errors import DataError, UnfogError
from unfog.kinds.npy import check_memory

CELL = 17  # bytes that a cell takes at least: 8 as read, 9 as typed


def read_parquet(path: Path, limit: int | None = None) -> tuple[Any, list[str]]:
    """A pyarrow.Table and notes.

    Raises: DataError for what is no Parquet, truncated or altered (page checksums are verified
        where the file has them); ResourceError for more rows than memory holds.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            about = file.metadata
            groups = [about.row_group(i) for i in range(about.num_row_groups)]
            if sum(group.num_rows for group in groups) != about.num_rows or about.num_rows < 0:
                raise DataError(
                    f"{path}: its counts of rows disagree; it is damaged: write it again"
                )
            nbytes = sum(group.total_byte_size for group in groups)
            check_memory(max(nbytes, CELL * about.num_rows * about.num_columns), str(path))
            table = file.read()
            if table.num_rows != about.num_rows:
                raise DataError(f"{path}: holds fewer rows than it declares; write it again")
            table.validate(full=True)
    except UnfogError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{path}: not a readable Parquet file ({said}); it is damaged or of another type: "
            "write it again"
        ) from error
    notes = []
    index = [name for name in table.column_names if re.fullmatch(r"__index_level_\d+__", name)]
    if index and len(set(table.column_names)) == table.num_columns:
        table = table.drop_columns(index)
        notes.append("the index that pandas stored is not read")
    if limit is not None and table.num_rows > limit:
        table = table.slice(0, limit)
        notes.append(f"only the first {limit} rows are kept, as asked")
    return table, notes


def write_parquet(path: Path, table: Any) -> None:
    """Write a pyarrow.Table with a checksum on every page."""
    from pyarrow import parquet

    parquet.write_table(table, path, write_page_checksum=True)
