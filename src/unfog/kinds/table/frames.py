"""Tables in memory as typed columns: pandas, polars, pyarrow, a dict of lists, a list of dicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from unfog.errors import DataError
from unfog.kinds.table.arrow import column_of
from unfog.kinds.table.cells import Cells
from unfog.kinds.table.objects import Column, of_array, of_objects

Columns = dict[str, Column]


def library(source: Any) -> str:
    """The package that a value's class comes from."""
    return type(source).__module__.split(".")[0]


def from_memory(source: Any, limit: int | None = None) -> tuple[str, Columns, list[str]]:
    """The type's name ("pandas", "polars", "pyarrow", "dict", "records"), columns, notes.

    Raises: DataError for names that occur twice, names in several levels, nested or mixed values.
    """
    package = library(source)
    if package == "pandas" and hasattr(type(source), "columns"):
        return "pandas", *_pandas(source if limit is None else source.head(limit))
    if package == "polars" and hasattr(type(source), "columns"):
        source = source.collect() if hasattr(source, "collect") else source
        return "polars", *_polars(source if limit is None else source.head(limit))
    if package == "pyarrow" and hasattr(source, "column_names"):
        if not hasattr(source, "slice"):
            raise DataError(
                f"a pyarrow {type(source).__name__} can't be read; give a pyarrow.Table"
            )
        return "pyarrow", *from_arrow(source if limit is None else source.slice(0, limit))
    if isinstance(source, Mapping):
        return "dict", *_dict(source, limit)
    if isinstance(source, Sequence) and source and all(isinstance(r, Mapping) for r in source):
        return "records", *_records(source[:limit])
    raise DataError(
        f"a {type(source).__name__} is no table; give a .csv, .tsv or .parquet file, a DataFrame "
        "of pandas or polars, a pyarrow.Table, a dict of lists or a list of dicts"
    )


def _text_names(names: Iterable[Any], what: str) -> list[str]:
    """Names as text, each once. Raises DataError."""
    texts = [str(name) for name in names]
    twice = sorted({text for text in texts if texts.count(text) > 1})
    if twice:
        raise DataError(
            f"{what} has several columns named {', '.join(map(repr, twice))}; rename them"
        )
    if not texts:
        raise DataError(f"{what} has no columns; there is nothing to learn from")
    return texts


def from_arrow(table: Any) -> tuple[Columns, list[str]]:
    """The columns of a pyarrow.Table."""
    names = _text_names(table.column_names, "the table")
    return {name: column_of(name, table.column(i)) for i, name in enumerate(names)}, []


def _polars(frame: Any) -> tuple[Columns, list[str]]:
    try:
        table = frame.to_arrow()
    except Exception as error:  # polars has its own exceptions for Python objects
        raise DataError(f"the polars frame can't be read ({error}); give plain columns") from error
    columns, notes = from_arrow(table)
    for column, dtype in zip(columns.values(), frame.dtypes):
        own = type(dtype).__name__
        if own in ("Enum", "Categorical"):
            column.spec["polars"] = own
    return columns, notes


def _pandas(frame: Any) -> tuple[Columns, list[str]]:
    if frame.columns.nlevels > 1:
        raise DataError(
            f"the frame's columns have {frame.columns.nlevels} levels; join them first: "
            "frame.columns = ['_'.join(map(str, names)) for names in frame.columns]"
        )
    names = _text_names(frame.columns, "the frame")
    notes = []
    if type(frame.index).__name__ != "RangeIndex":
        named = f" ({frame.index.name})" if frame.index.name is not None else ""
        notes.append(f"the frame's index{named} is not read; frame.reset_index() makes it a column")
    columns: Columns = {}
    for i, (name, own) in enumerate(zip(names, frame.columns)):
        columns[name] = _series(name, frame.iloc[:, i])
        if not isinstance(own, str) and isinstance(own, int | np.integer):
            columns[name].spec["number"] = int(own)  # the name is a number, not text
    return columns, notes


def _series(name: str, series: Any) -> Column:
    """One column of a pandas frame."""
    import pandas as pd

    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return of_array(name, series.to_numpy())
    there = ~series.isna().to_numpy(dtype=bool)
    spec: dict[str, Any] = {"dtype": str(dtype)}
    if isinstance(dtype, pd.CategoricalDtype):
        return _categorical(name, series, there, spec)
    if isinstance(dtype, pd.DatetimeTZDtype):
        spec = {"dtype": f"datetime64[{dtype.unit}]", "zone": str(dtype.tz)}
        plain = series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        read = of_array(name, plain, there)
        return Column(read.cells, spec, read.remarks)
    if isinstance(dtype, pd.ArrowDtype):
        import pyarrow as pa

        read = column_of(name, pa.chunked_array([pa.array(series)]))
        return Column(read.cells, {**read.spec, **spec}, read.remarks)
    if isinstance(dtype, pd.SparseDtype):
        return of_array(name, np.asarray(series.sparse.to_dense()))
    if isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype):
        texts = [str(one) if is_there else None for one, is_there in zip(series, there)]
        read = of_objects(name, texts)
        return Column(read.cells, {"dtype": "object"}, [*read.remarks, f"{dtype} is taken as text"])
    if isinstance(dtype, pd.StringDtype):
        return Column(of_objects(name, series.tolist()).cells, spec)
    plain_type = getattr(dtype, "numpy_dtype", None)  # Int64, boolean, Float32 …
    if plain_type is None:
        raise DataError(f"column {name!r} is {dtype}, which is not read; convert it with .astype()")
    values = series.to_numpy(dtype=plain_type, na_value=plain_type.type(0))
    read = of_array(name, values, there)
    return Column(read.cells, spec, read.remarks)


def _categorical(name: str, series: Any, there: np.ndarray, spec: dict[str, Any]) -> Column:
    """Text, with the categories in their order."""
    words = series.cat.categories
    plain = of_objects(name, words.tolist()) if words.dtype == object else None  # refuses mixtures
    texts = np.array([*(str(word) for word in words), None], dtype=object)
    spec = {
        "dtype": "category",
        "categories": texts[:-1].tolist(),
        "ordered": bool(series.cat.ordered),
        "of": "object" if plain is not None else str(words.dtype),
    }
    return Column(Cells(texts[series.cat.codes.to_numpy()], there), spec)


def _dict(source: Mapping[Any, Any], limit: int | None) -> tuple[Columns, list[str]]:
    names = _text_names(source, "the dict")
    lengths = {str(name): len(values) for name, values in source.items()}
    if len(set(lengths.values())) != 1:
        raise DataError(f"the dict's columns have different lengths ({lengths}); make them equal")
    columns: Columns = {}
    for name, values in zip(names, source.values()):
        if hasattr(values, "detach"):
            values = values.detach().cpu().numpy()
        if isinstance(values, np.ndarray):
            columns[name] = of_array(name, values[:limit])
            columns[name].spec["ndarray"] = True
        else:
            columns[name] = of_objects(name, list(values)[:limit])
    return columns, []


def _records(rows: Sequence[Mapping[Any, Any]]) -> tuple[Columns, list[str]]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    texts = _text_names(names, "the list of dicts")
    read = {
        text: of_objects(text, [row.get(name) for row in rows]) for name, text in zip(names, texts)
    }
    fewer = sum(len(row) < len(names) for row in rows)
    notes = [f"{fewer} dicts lack a key; the cell is missing"] if fewer else []
    return read, notes
