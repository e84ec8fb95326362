"""Tables larger than memory: some rows at random stand for all, and all are read in pieces.

Codec and conditions are fitted on the training part of those rows, and then widened by what one
pass over all rows saw: every level with its count, the ends of every number, whether cells miss.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from unfog.errors import DataError
from unfog.kinds.given import resolve
from unfog.kinds.table.arrow import column_of
from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.codec import TableCodec
from unfog.kinds.table.columns import Column
from unfog.kinds.table.draws import place_keys, uniforms
from unfog.kinds.table.gaussianise import Number
from unfog.kinds.table.identifiers import fit_identifiers
from unfog.kinds.table.levels import Levels, plain_levels
from unfog.kinds.table.parts import Parts
from unfog.kinds.table.roles import DENSE, Role
from unfog.maths.shuffle import shuffled

MANY = 250_000
"""Rows from which a file is not held."""
SAMPLE = 100_000
"""Rows that stand for all where the codec is fitted, parts are split, and samples are judged."""
WORDS = 100_000
"""Distinct texts of a column that are counted; beyond that, those of the sample are known."""
NUMBERS = 1000
"""Distinct numbers of a column that are counted."""


@dataclass
class Seen:
    """What one pass saw of a column.

    Attributes:
        gone: missing cells.     ends: the least and the largest value (2,); None = no value.
        counts: plain level -> how often; None = more than are counted.
    """

    gone: int = 0
    ends: np.ndarray | None = None
    counts: Counter[Any] | None = field(default_factory=Counter)

    def see(self, name: str, chunks: Any, cells: Cells) -> None:
        """Another piece of the column."""
        self.gone += int((~cells.present).sum())
        known = cells.known()
        if not len(known):
            return
        if known.dtype != object:
            both = known if self.ends is None else np.concatenate([self.ends, known])
            self.ends = np.array([both.min(), both.max()], dtype=both.dtype)
        if self.counts is None:
            return
        if cells.words is not None:
            words, places = cells.words
            found = np.bincount(places[cells.present], minlength=len(words))
            values = words
        else:
            values, found = np.unique(known, return_counts=True)
        most = WORDS if known.dtype == object else NUMBERS
        if len(values) <= most:
            for level, count in zip(plain_levels(values), found.tolist()):
                if count:
                    self.counts[level] += count
        if len(values) > most or len(self.counts) > most:
            self.counts = None


@dataclass(frozen=True)
class Streamed:
    """All rows of a table on disk, and what one pass over them saw.

    Attributes:
        dtypes: column -> type of its cells.     types: the user's own words for columns.
    """

    parts: Parts
    dtypes: Mapping[str, np.dtype]
    seen: Mapping[str, Seen]
    types: Mapping[str, Any]

    def __len__(self) -> int:
        return self.parts.count

    def fingerprint(self) -> str:
        """Of the files' row groups: counts, sizes, and the statistics of every column in each."""
        return self.parts.digest

    def tables(self, share: float = 1.0) -> Iterator[tuple[int, Table]]:
        """All rows in order, in pieces, each with the number of its first row; or a share of them,
        at random.
        """
        import pyarrow as pa

        begun = 0
        for piece in self.parts.pieces():
            end = begun + piece.num_rows
            if share < 1:
                drawn = uniforms(place_keys(begun, end - begun, 5), "share")
                piece = piece.take(pa.array(np.flatnonzero(drawn < share)))
            yield begun, typed(piece, begun, self.dtypes, self.parts)
            begun = end

    def widened(self, codec: TableCodec, training: Table) -> TableCodec:
        """The codec of some rows, so that it has a place for every value in all of them."""
        columns = {
            name: self._widened(name, column, training.columns[name], codec.seed)
            for name, column in codec.columns.items()
        }
        notes = [column.note(name, training.columns[name]) for name, column in columns.items()]
        return replace(codec, columns=columns, notes=[note for note in notes if note])

    def columns(self, columns: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
        """Columns of training with the levels that only other rows have, each once, for those that
        are to be given.
        """
        found = dict(columns)
        for asked in names:
            name = resolve(asked, found)
            if name not in self.seen:
                continue
            counts, values = self.seen[name].counts, found[name]
            if counts is None or values.dtype.kind not in "Oi" or self.dtypes[name].kind in "Mm":
                continue
            more = sorted(set(counts) - set(values.tolist()))
            found[name] = np.concatenate([values, np.array(more, dtype=values.dtype)])
        return found

    def _widened(self, name: str, column: Column, cells: Cells, seed: int) -> Column:
        seen, known = self.seen[name], cells.known()
        holes = seen.gone > 0
        counts = seen.counts
        if counts and column.dtype.kind == "f":
            counts = Counter({float(level): count for level, count in counts.items()})
        role = self._role(name, column.role, known)
        if role.kind == "identifier" and len(known):
            ends = known if seen.ends is None else np.concatenate([known, seen.ends])
            return replace(
                column,
                role=role,
                mark=holes,
                number=None,
                identifiers=fit_identifiers(ends, seed),
            )
        if role.coded == "number":
            assert seen.ends is not None
            number = Number.fit(np.concatenate([known, seen.ends]))
            return Column(column.dtype, role, holes, number=number)
        if (role.coded == "category" or role.kind == "constant") and counts:
            levels = Levels.of(counts, column.dtype, missing=holes, order=role.order)
            return Column(column.dtype, role, levels=levels)
        if column.levels is not None and holes:
            return replace(column, levels=replace(column.levels, missing=True))
        return column

    def _role(self, name: str, role: Role, known: np.ndarray) -> Role:
        """What the column is, where all rows say something else than some."""
        seen, kind = self.seen[name], known.dtype.kind
        if name in self.types:
            return role
        counts = seen.counts
        if role.kind == "constant" and counts and (len(counts) > 1 or seen.gone):
            return Role("category", f"{len(counts)} levels, one in nearly all rows", "category")
        if role.coded == "category" and counts is None and kind != "O":
            named = {"i": "integer", "M": "date", "m": "duration"}.get(kind, "continuous")
            return Role(named, f"more than {NUMBERS} distinct values in all rows", "number")
        if role.coded == "number" and kind == "i" and seen.ends is not None:
            low, high = int(seen.ends[0]), int(seen.ends[1])
            # repeats would show: of r equal cells each, some r·n²/2N pairs are among n rows
            running = (len(self) - seen.gone) / (high - low + 1) >= DENSE
            if running and len(np.unique(known)) == len(known):
                said = f"running numbers from {low} to {high}, each at most once"
                return Role("identifier", said, "")
        return role


def places(count: int) -> np.ndarray:
    """The rows that stand for all, in order."""
    return np.sort(shuffled(np.arange(min(SAMPLE, count)), count, 1))


def some_rows(parts: Parts) -> Any:
    """The rows that stand for all as they lie in the file, a pyarrow.Table."""
    import pyarrow as pa

    wanted, taken, begun = places(parts.count), [], 0
    for piece in parts.pieces():
        end = begun + piece.num_rows
        low, high = np.searchsorted(wanted, [begun, end])
        taken.append(piece.take(pa.array(wanted[low:high] - begun)))
        begun = end
    return pa.concat_tables(taken)


def sampled(parts: Parts, types: Mapping[str, Any], progress: Any = None) -> tuple[Any, Streamed]:
    """SAMPLE rows at random, a pyarrow.Table in their order; and all rows, seen once.

    Raises: DataError as reading the table whole does.
    """
    import pyarrow as pa

    wanted = places(parts.count)
    taken: list[Any] = []
    seen: dict[str, Seen] = {name: Seen() for name in parts.names}
    dtypes: dict[str, np.dtype] = {}
    begun = 0
    for piece in parts.pieces():
        table = typed(piece, begun, {}, parts)
        for place, (name, cells) in enumerate(table.columns.items()):
            if cells.present.any():
                now = cells.values.dtype
                if parts.loose and {now.kind, dtypes.get(name, now).kind} == {"i", "f"}:
                    dtypes[name] = np.dtype(np.float64)
                else:
                    _agree(name, now, dtypes, begun)
            seen[name].see(name, piece.column(place), cells)
        end = begun + piece.num_rows
        low, high = np.searchsorted(wanted, [begun, end])
        if high > low:
            taken.append(piece.take(pa.array(wanted[low:high] - begun)))
        begun = end
        if progress is not None:
            progress(begun, parts.count)
    some = pa.concat_tables(taken, promote_options="permissive")
    for name in parts.names:
        dtypes.setdefault(name, np.dtype(object))
    return some, Streamed(parts, dtypes, seen, dict(types))


def typed(piece: Any, begun: int, dtypes: Mapping[str, np.dtype], parts: Parts) -> Table:
    """A piece of a pyarrow table as cells; text comes with its distinct words.

    Args:
        begun: number of its first row.     dtypes: what cells must be; a column without any value
            has every type.
    Raises: DataError, with the piece that the row is counted in.
    """
    columns = {}
    for place, name in enumerate(piece.column_names):
        try:
            cells = parts.cells(name, piece.column(place))
            cells = _worded(piece.column(place)) if cells is None else cells
            columns[name] = column_of(name, piece.column(place)).cells if cells is None else cells
        except DataError as error:
            raise DataError(f"{error} (rows are counted from row {begun + 1} on)") from error
        want = dtypes.get(name)
        if want is not None and columns[name].values.dtype != want:
            cells = columns[name]
            if parts.loose and (cells.values.dtype.kind, want.kind) == ("i", "f"):
                columns[name] = Cells(cells.values.astype(want), cells.present)
                continue
            if columns[name].present.any():
                _agree(name, columns[name].values.dtype, {name: want}, begun)
            filler = np.full(piece.num_rows, "" if want.kind == "O" else 0).astype(want)
            columns[name] = Cells(filler, columns[name].present)
    return Table(columns)


def _agree(name: str, dtype: np.dtype, dtypes: dict[str, np.dtype], begun: int) -> None:
    """Raises DataError where a piece of a column has another type than those before."""
    if dtypes.setdefault(name, dtype) != dtype:
        raise DataError(
            f"column {name!r} is {dtypes[name]} in the first rows and {dtype} from row {begun + 1} "
            "on; write it with one type"
        )


def _worded(chunks: Any) -> Cells | None:
    """Text (or categories) by its distinct words; None for other columns."""
    import pyarrow as pa

    kind = chunks.type
    coded = pa.types.is_dictionary(kind)
    if not coded and str(kind) not in ("string", "large_string", "string_view"):
        return None
    chunks = chunks.unify_dictionaries() if coded else chunks.dictionary_encode()
    joined = chunks.combine_chunks()
    if isinstance(joined, pa.ChunkedArray):
        joined = joined.chunk(0) if joined.num_chunks else pa.array([], chunks.type)
    texts = joined.dictionary.to_pylist()
    if coded and any(isinstance(word, dict | list | bytes) for word in texts):
        return None
    words = np.empty(len(texts), dtype=object)
    words[:] = [None if word is None else str(word) for word in texts]
    there = joined.is_valid().to_numpy(zero_copy_only=False)
    if not len(words) or not there.any():
        return Cells(np.full(len(there), None, dtype=object), np.zeros(len(there), dtype=bool))
    places = joined.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = words[places]
    gone = np.array([word is None for word in words])
    return Cells(values, there & ~gone[places], (words, places))
