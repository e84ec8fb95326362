"""Tables of pyarrow (and through it of polars and Parquet) as typed cells, and back."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import numpy as np

from unfog.errors import DataError
from unfog.kinds.table.cells import Cells
from unfog.kinds.table.objects import Column, of_array

NUMBERS = re.compile(r"[Uu]?[Ii]nt\d+|[Ff]loat(16|32|64)")  # of numpy, and pandas' nullable twins


def column_of(name: str, chunks: Any) -> Column:
    """One column of a pyarrow table (a ChunkedArray) as cells.

    Raises: DataError naming the column for nested and binary values.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import types

    kind = chunks.type
    there = chunks.is_valid().to_numpy()
    if types.is_dictionary(kind):
        return _category(name, chunks, there)
    spec: dict[str, Any] = {"arrow": str(kind)}
    if types.is_nested(kind):
        raise DataError(
            f"column {name!r} is nested ({kind}); spread its values over plain columns first"
        )
    if types.is_null(kind):
        empty = np.full(len(chunks), None, dtype=object)
        return Column(Cells(empty, there), spec, ["no cell is known"])
    remarks: list[str] = []
    if types.is_decimal(kind):
        chunks, remarks = pc.cast(chunks, pa.float64()), ["decimals became floats"]
    elif types.is_time(kind):
        chunks, remarks = pc.cast(chunks, pa.string()), ["times of day are taken as text"]
        spec["arrow"] = "string"
    elif types.is_date(kind):
        chunks = pc.cast(chunks, pa.timestamp("s"))
    elif types.is_timestamp(kind) and kind.tz is not None:
        spec |= {"arrow": f"timestamp[{kind.unit}]", "zone": kind.tz}
        chunks = pc.cast(chunks, pa.timestamp(kind.unit))
    kind = chunks.type
    if str(kind) in ("string", "large_string", "string_view"):
        texts = chunks.to_numpy().astype(object)
        if not there.any():
            remarks.append("no cell is known")
        return Column(Cells(texts, there), spec, remarks)
    if not (types.is_primitive(kind) or types.is_boolean(kind)):
        raise DataError(
            f"column {name!r} holds {kind} values; give numbers, text, truth values or times"
        )
    read = of_array(name, _filled(chunks), there)
    return Column(read.cells, spec, remarks + read.remarks)


def _filled(chunks: Any) -> np.ndarray:
    """The values, with a zero of their type where they are null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if chunks.null_count:
        zero: Any = pa.scalar(False)
        if not pa.types.is_boolean(chunks.type):
            zero = pa.scalar(0, pa.int64()).cast(chunks.type)
        chunks = pc.fill_null(chunks, zero)
    return chunks.to_numpy()


def _category(name: str, chunks: Any, there: np.ndarray) -> Column:
    """A dictionary column: text, with the categories in their order."""
    import pyarrow as pa

    chunks = chunks.unify_dictionaries()
    joined = chunks.combine_chunks()
    if isinstance(joined, pa.ChunkedArray):  # of no chunks
        joined = pa.array([], chunks.type)
    words = joined.dictionary.to_pylist()
    if any(isinstance(word, dict | list | bytes) for word in words):
        raise DataError(
            f"column {name!r} has categories of type {joined.dictionary.type}; use text"
        )
    texts = np.array([None, *(None if word is None else str(word) for word in words)], object)
    codes = joined.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    values = texts[np.where(there, codes + 1, 0)]
    spec = {
        "arrow": "dictionary",
        "of": str(joined.dictionary.type),
        "categories": [word for word in texts[1:] if word is not None],
        "ordered": bool(chunks.type.ordered),
    }
    there = there & np.array([value is not None for value in values], dtype=bool)
    return Column(Cells(values, there), spec)


def column_back(cells: Cells, spec: dict[str, Any]) -> Any:
    """A pyarrow array of these cells, of the type it was read in where that holds them."""
    import pyarrow as pa

    gone = ~cells.present
    if cells.values.dtype == object:
        known = [v if there else None for v, there in zip(cells.values, cells.present)]
        if "categories" in spec:
            return _dictionary(known, spec)
        if spec.get("arrow") == "null" and gone.all():
            return pa.nulls(len(cells))
        return _as(pa.array(known, pa.string()), spec)
    array = pa.array(cells.values, mask=gone)
    if "zone" in spec and cells.values.dtype.kind == "M":
        unit = array.type.unit if "arrow" not in spec else pa.type_for_alias(spec["arrow"]).unit
        return array.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp(unit, spec["zone"]))
    return _as(array, spec)


def _as(array: Any, spec: dict[str, Any]) -> Any:
    """The array in the type that its column had, or as it is where a value doesn't fit."""
    import pyarrow as pa

    said = str(spec.get("arrow", ""))
    if not said and NUMBERS.fullmatch(str(spec.get("dtype", ""))):
        said = str(spec["dtype"]).lower()
    if spec.get("python") == "date":
        said = "date32[day]"
    if not said or said.startswith(("decimal", "time32", "time64", "dictionary")):
        return array
    try:
        return array.cast(pa.type_for_alias(said), safe=pa.types.is_integer(array.type))
    except (ValueError, pa.ArrowException):
        return array


def _dictionary(known: list[Any], spec: dict[str, Any]) -> Any:
    import pyarrow as pa

    words = [*spec["categories"]]
    words += sorted({one for one in known if one is not None} - set(words))
    places = {word: i for i, word in enumerate(words)}
    codes = pa.array([None if one is None else places[one] for one in known], pa.int32())
    texts = pa.array(words, pa.string())
    # Categories that aren't text and can't be read from it stay text.
    with contextlib.suppress(ValueError, pa.ArrowException):
        texts = texts.cast(pa.type_for_alias(str(spec.get("of", "string"))))
    return pa.DictionaryArray.from_arrays(codes, texts, ordered=bool(spec.get("ordered")))
