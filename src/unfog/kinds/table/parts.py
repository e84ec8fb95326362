"""Parquet in pieces: one file or a folder of them as one table that is never held whole."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from unfog.errors import DataError, UnfogError
from unfog.kinds.table.cells import Cells

PARQUET = re.compile(r"\.(parquet|pq)$", re.IGNORECASE)
PIECE = 2**16
"""Rows that are read at once."""


@dataclass(frozen=True)
class Parts:
    """Parquet files with the same columns, in the order of their names.

    Attributes:
        paths: of the files.     names: of the columns, without an index that pandas stored.
        count: rows, at most `limit` where that was asked for.     digest: of what they hold.
        loose: whether whole numbers may become decimal ones further down.
    """

    paths: list[Path]
    names: list[str]
    count: int
    digest: str
    loose: ClassVar[bool] = False

    @classmethod
    def open(cls, path: Path, limit: int | None = None) -> Parts:
        """Read the footers of a file, or of all .parquet and .pq files in a folder.

        Raises: DataError for damaged files, files of other columns or types than the first, a
            folder with none.
        """
        paths = parquet_files(path) if path.is_dir() else [path]
        if not paths:
            raise DataError(
                f"{path}: is a folder that holds no .parquet file; give a .csv, .tsv or .parquet "
                "file, or a folder of .parquet files"
            )
        count, digest, first = 0, hashlib.sha256(), None
        for one in paths:
            with _opened(one) as file:
                about, schema = file.metadata, file.schema_arrow.remove_metadata()
                groups = [about.row_group(i) for i in range(about.num_row_groups)]
                if sum(group.num_rows for group in groups) != about.num_rows or about.num_rows < 0:
                    raise DataError(
                        f"{one}: its counts of rows disagree; it is damaged: write it again"
                    )
                first = schema if first is None else first
                _same(one, schema, paths[0], first)
                count += about.num_rows
                for group in groups:
                    cut = [group.column(i) for i in range(group.num_columns)]
                    told = [
                        (one.total_uncompressed_size, one.statistics and one.statistics.to_dict())
                        for one in cut
                    ]
                    digest.update(repr((group.num_rows, told)).encode())
        assert first is not None
        names = [name for name in first.names if not re.fullmatch(r"__index_level_\d+__", name)]
        names = names if len(set(first.names)) == len(first.names) and names else first.names
        count = count if limit is None else min(count, limit)
        digest.update(str(count).encode())
        return cls(paths, names, count, digest.hexdigest())

    def pieces(self) -> Iterator[Any]:
        """All rows in order, as pyarrow tables of at most PIECE. Page checksums are verified."""
        import pyarrow as pa

        left = self.count
        for path in self.paths:
            if left <= 0:
                return
            with _opened(path) as file:
                for batch in file.iter_batches(PIECE, columns=self.names, use_threads=False):
                    table = pa.Table.from_batches([batch]).slice(0, left)
                    left -= table.num_rows
                    yield table
                    if left <= 0:
                        return
        if left > 0:
            raise DataError(f"{self.paths[-1]}: holds fewer rows than it declares; write it again")

    def cells(self, name: str, chunks: Any) -> Cells | None:
        """A column of a piece as cells; None where its own type says how."""
        return None


def parquet_files(folder: Path) -> list[Path]:
    """The .parquet and .pq files right inside a folder, by name; hidden ones left aside."""
    return sorted(
        path
        for path in folder.iterdir()
        if PARQUET.search(path.name) and not path.name.startswith((".", "_")) and path.is_file()
    )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A pyarrow ParquetFile; whatever its library raises becomes a DataError."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
            yield file
    except UnfogError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{path}: not a readable Parquet file ({said}); it is damaged or of another type: "
            "write it again"
        ) from error


def _same(path: Path, schema: Any, first: Path, wanted: Any) -> None:
    """Raises DataError naming the column where a file differs from the first."""
    if schema.equals(wanted):
        return
    there, names = list(schema.names), list(wanted.names)
    if there != names:
        odd: Sequence[str] = sorted(set(there) ^ set(names)) or there
        raise DataError(
            f"{path}: has other columns than {first.name} ({', '.join(odd[:4])}); a folder of "
            "Parquet files is one table: give them the same columns, in the same order"
        )
    name = next(name for name in names if schema.field(name).type != wanted.field(name).type)
    raise DataError(
        f"{path}: column {name!r} is {schema.field(name).type}, and {wanted.field(name).type} in "
        f"{first.name}; write all pieces with the same types"
    )
