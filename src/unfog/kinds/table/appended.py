"""Tables written piece by piece to one Parquet or delimited file."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unfog.kinds.table.back import to_arrow
from unfog.kinds.table.cells import Table
from unfog.kinds.table.save import DELIMITED, PARQUET, spelt


class Appended:
    """A file that pieces of a table are appended to, as `save` writes a whole one. A Parquet file
    has a row group for each; it is no Parquet file before `close`.

    Args:
        path: by whose suffix the format is chosen.     origin: `Items.origin`.
    """

    def __init__(self, path: Path, origin: Mapping[str, Any]):
        self.path, self.origin, self.count = path, origin, 0
        self.parquet = path.suffix.lower() in PARQUET
        self._schema: Any = None
        self._writer: Any = None
        self._file: Any = None

    def append(self, table: Table) -> None:
        """More rows, of the same columns."""
        if self.parquet:
            self._group(to_arrow(table, self.origin.get("columns", {})))
        else:
            self._lines(table)
        self.count += len(table)

    def close(self) -> None:
        """Make the file whole."""
        if self._writer is not None:
            self._writer.close()
        if self._file is not None:
            self._file.close()

    def _group(self, piece: Any) -> None:
        import pyarrow as pa

        if self._schema is None:
            self._open(piece.schema)
        elif piece.schema != self._schema:
            # an integer that the column's own type can't hold makes it wider, in earlier rows too
            wide = pa.unify_schemas([self._schema, piece.schema], promote_options="permissive")
            if wide != self._schema:
                self._again(wide)
            piece = piece.cast(wide)
        self._writer.write_table(piece, row_group_size=max(1, piece.num_rows))

    def _open(self, schema: Any) -> None:
        from pyarrow import parquet

        self._schema = schema
        self._writer = parquet.ParquetWriter(self.path, schema, write_page_checksum=True)

    def _again(self, schema: Any) -> None:
        """Write what is there once more, in wider types."""
        from pyarrow import parquet

        self._writer.close()
        old = self.path.with_name(f"{self.path.name}.narrow")
        os.replace(self.path, old)
        self._open(schema)
        with parquet.ParquetFile(old) as file:
            for number in range(file.num_row_groups):
                group = file.read_row_group(number).cast(schema)
                self._writer.write_table(group, row_group_size=max(1, group.num_rows))
        old.unlink()

    def _lines(self, table: Table) -> None:
        delimiter, columns = spelt(table, self.path.suffix.lower(), self.origin)
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8", newline="")
            csv.writer(self._file, delimiter=delimiter, lineterminator="\n").writerow(table.names)
        csv.writer(self._file, delimiter=delimiter, lineterminator="\n").writerows(zip(*columns))
        self._file.flush()


def appends(out: Path) -> bool:
    """Whether this is a file that can be written in pieces."""
    return out.suffix.lower() in (*DELIMITED, *PARQUET) and not out.is_dir()
