"""Large delimited text in pieces: cut strictly, kept as text on disk, typed piece by piece.

Types are decided by the rows that stand for all; a later cell that is of none of them is an error
that names it, as in a file that is read whole.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from unfog.errors import DataError
from unfog.kinds.table import csvfile, parts
from unfog.kinds.table.cells import Cells
from unfog.kinds.table.parts import Parts
from unfog.kinds.table.spelling import understand
from unfog.train.spill import place

BIG = 2**26
"""Bytes of a file of text from which it is read in pieces."""
BLOCK = 2**23
"""Bytes that are cut into rows at once."""


@dataclass(frozen=True)
class TextParts(Parts):
    """A file of delimited text as columns of text, in a Parquet file without a name.

    Attributes:
        said: column -> the word for its type, once that is decided.     missing: as of `read`.
    """

    file: IO[bytes] | None = None
    delimiter: str = ","
    notes: list[str] = field(default_factory=list)
    said: Mapping[str, str | None] = field(default_factory=dict)
    missing: Sequence[str] | None = None
    loose: ClassVar[bool] = True

    @classmethod
    def cut(
        cls,
        path: Path,
        *,
        delimiter: str | None,
        encoding: str | None,
        missing: Sequence[str] | None,
        limit: int | None,
    ) -> TextParts:
        """Cut the file into rows, strictly, a block at a time.

        Raises: DataError as `read_csv` does, with the line that lines are counted from; for text
            that is not in its encoding.
        """
        import pyarrow as pa
        from pyarrow import parquet

        kept = tempfile.TemporaryFile(dir=place(), prefix="unfog-")  # noqa: SIM115
        digest, count, writer, names, found = hashlib.sha256(), 0, None, [], None
        for line, head, body in _blocks(path, encoding or "utf-8"):
            digest.update(body.encode())
            if delimiter is None:
                tabs = path.suffix.lower() in (".tsv", ".tab")
                delimiter = csvfile.sniff((head + body)[: csvfile.SNIFFED], tabs)
            try:
                texts = csvfile.parse(head + body, delimiter, str(path), None)
            except DataError as error:
                raise DataError(f"{error} (lines are counted from line {line} on)") from error
            table = pa.table(texts.columns).cast(
                pa.schema([(name, pa.large_string()) for name in texts.columns])
            )
            if limit is not None:
                table = table.slice(0, limit - count)
            if writer is None:
                names, found = list(texts.columns), texts.notes
                writer = parquet.ParquetWriter(kept, table.schema)
            writer.write_table(table)
            count += table.num_rows
            if limit is not None and count >= limit:
                break
        if writer is None:
            raise DataError(f"{path}: is empty; a table needs a line of names and two rows")
        writer.close()
        return cls(
            [path], names, count, digest.hexdigest(), kept, delimiter or ",", found or [],
            missing=missing,
        )  # fmt: skip

    def pieces(self) -> Iterator[Any]:
        """All rows in order, as columns of text."""
        import pyarrow as pa
        from pyarrow import parquet

        assert self.file is not None
        self.file.seek(0)
        for batch in parquet.ParquetFile(self.file).iter_batches(parts.PIECE, use_threads=False):
            yield pa.Table.from_batches([batch])

    def cells(self, name: str, chunks: Any) -> Cells | None:
        """Text as cells of the type that was decided."""
        text = chunks.combine_chunks()
        spelt = understand(
            name, text, said=self.said.get(name), missing=self.missing, delimiter=self.delimiter
        )
        if spelt.cells.values.dtype != object or not spelt.cells.present.any():
            return spelt.cells
        words, places = np.unique(
            np.where(spelt.cells.present, spelt.cells.values, ""), False, True
        )
        return Cells(spelt.cells.values, spelt.cells.present, (words.astype(object), places))


def decided(spelling: Mapping[str, Any], cells: Cells, asked: Any) -> str | None:
    """The word for a column's type that holds for all its rows, by how some of them read."""
    if asked is not None:
        return str(asked)
    if not cells.present.any():
        return None
    if cells.values.dtype == object:
        return "text"
    if cells.values.dtype.kind in "if":
        return "continuous"
    order = {"dmY": "date:day-first", "mdY": "date:month-first"}
    return order.get(str(spelling.get("order", "")))


def _blocks(path: Path, encoding: str) -> Iterator[tuple[int, str, str]]:
    """(number of its first line, line of names, rows): whole rows, cut outside of quotes."""
    line, head, left = 1, "", b""
    with path.open("rb") as file:
        while True:
            more = file.read(BLOCK)
            block = left + more
            end = _end(block) if more else len(block)
            rows, left = block[:end], block[end:]
            if rows:
                try:
                    text = rows.decode(encoding)
                except UnicodeDecodeError as error:
                    at = line + rows[: error.start].count(b"\n")
                    raise DataError(
                        f"{path}: line {at} is not {encoding}; give the right one, for example "
                        "encoding='cp1252', or write the file as UTF-8"
                    ) from error
                if "\0" in text:
                    raise DataError(f"{path}: holds a NUL byte after line {line}; it is damaged")
                if not head:
                    text = text.removeprefix("\ufeff").lstrip("\r\n")
                    cut = _end(text.encode(encoding), first=True)
                    head = text.encode(encoding)[:cut].decode(encoding)
                    text = text[len(head) :]
                yield line, head, text
                line += rows.count(b"\n")
            if not more:
                return


def _end(block: bytes, *, first: bool = False) -> int:
    """Behind the last (or first) end of a line that is not inside quotes; 0 where there is none."""
    if first:
        at = block.find(b"\n")
        while at >= 0 and block.count(b'"', 0, at) % 2:
            at = block.find(b"\n", at + 1)
        return at + 1
    quotes, at = block.count(b'"'), block.rfind(b"\n")
    while at >= 0 and (quotes - block.count(b'"', at)) % 2:
        at = block.rfind(b"\n", 0, at)
    return at + 1
