"""Tables given back in the user's own type: a frame, a pyarrow.Table, a dict, a list of dicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from unfog.kinds.table.arrow import column_back
from unfog.kinds.table.cells import Cells, Table


def give_back(data: Table, origin: Mapping[str, Any]) -> Any:
    """The table as the user gave it; files come back as a pandas DataFrame.

    A column has the type it was read in (int32, Int64, category with its categories, zoned times
    …) unless a value does not fit it; then it has the next wider one.
    """
    kind, specs = origin.get("type", "pandas"), origin.get("columns", {})
    if kind == "pyarrow":
        return to_arrow(data, specs)
    if kind == "polars":
        return _polars(data, specs)
    if kind in ("dict", "records"):
        lists = {name: _listed(cells, specs.get(name, {})) for name, cells in data.columns.items()}
        if kind == "dict":
            return lists
        return [dict(zip(lists, row)) for row in zip(*(list(v) for v in lists.values()))]
    return to_pandas(data, specs)


def to_arrow(data: Table, specs: Mapping[str, Mapping[str, Any]]) -> Any:
    """A pyarrow.Table."""
    import pyarrow as pa

    return pa.table(
        {
            name: column_back(cells, dict(specs.get(name, {})))
            for name, cells in data.columns.items()
        }
    )


def _polars(data: Table, specs: Mapping[str, Mapping[str, Any]]) -> Any:
    import polars as pl

    frame = pl.from_arrow(to_arrow(data, specs))
    casts = []
    for name, spec in specs.items():
        if name in data.columns and spec.get("polars"):
            own = pl.Categorical() if spec["polars"] == "Categorical" else None
            words = [*spec["categories"]]
            words += sorted(set(data.columns[name].known()) - set(words))
            casts.append(pl.col(name).cast(pl.String).cast(own or pl.Enum(words)))
    return frame.with_columns(casts)


def to_pandas(data: Table, specs: Mapping[str, Mapping[str, Any]]) -> Any:
    """A pandas DataFrame."""
    import pandas as pd

    series = {name: _series(cells, specs.get(name, {})) for name, cells in data.columns.items()}
    frame = pd.DataFrame(series)
    names = [specs.get(name, {}).get("number", name) for name in data.columns]
    if all(isinstance(name, int) for name in names) and names == list(range(len(names))):
        frame.columns = pd.RangeIndex(len(names))
    else:
        frame.columns = pd.Index(names)
    return frame


def _series(cells: Cells, spec: Mapping[str, Any]) -> Any:
    """One column as a pandas Series."""
    import pandas as pd

    kind, gone = cells.values.dtype.kind, ~cells.present
    if "categories" in spec and kind == "O":
        return _category(cells, spec)
    if kind == "O":
        texts = [text if there else None for text, there in zip(cells.values, cells.present)]
        dtype = _wanted(spec, "")
        if dtype == "object" or all(text is None for text in texts):
            return pd.Series(texts, dtype=object)
        return _as(pd.Series(texts), dtype)
    if kind in "Mm":
        return _times(cells, spec)
    if kind == "f":
        return _as(pd.Series(np.where(gone, np.nan, cells.values)), _wanted(spec, "float64"))
    if not gone.any():
        return _as(pd.Series(cells.values), _wanted(spec, str(cells.values.dtype)))
    nullable = "boolean" if kind == "b" else "Int64"
    plain = pd.Series(pd.array(cells.values, dtype=nullable))
    plain[gone] = pd.NA
    wanted = _wanted(spec, nullable)
    if wanted == "object":
        return plain.astype(object).where(cells.present, None)
    if wanted.startswith("float"):
        return plain.astype(wanted)
    if wanted in np.sctypeDict:  # numpy has no missing cells; its nullable twins do
        wanted = np.dtype(wanted).name
        wanted = "boolean" if wanted == "bool" else wanted.title().replace("Ui", "UI")
    return _as(plain, wanted)


def _wanted(spec: Mapping[str, Any], natural: str) -> str:
    """The pandas dtype to give a column back in."""
    if "dtype" in spec:
        return str(spec["dtype"])
    narrow = {"float": "float32", "double": "float64", "halffloat": "float16"}
    said = str(spec.get("arrow", ""))
    said = narrow.get(said, said)
    return said if said.startswith(("int", "uint", "float")) else natural


def _as(series: Any, dtype: str) -> Any:
    """The series in a dtype, or as it is where a value doesn't fit or the dtype isn't known."""
    if dtype in ("", str(series.dtype)):
        return series
    try:
        done = series.astype(dtype)
    except (ValueError, TypeError, OverflowError, NotImplementedError):
        return series
    numeric = series.dtype.kind in "iu" and getattr(done.dtype, "kind", "O") in "iu"
    return series if numeric and not bool((done.astype(series.dtype) == series).all()) else done


def _times(cells: Cells, spec: Mapping[str, Any]) -> Any:
    import pandas as pd

    values = cells.values.copy()
    values[~cells.present] = np.timedelta64("NaT") if values.dtype.kind == "m" else "NaT"
    series = pd.Series(values)
    if spec.get("python") == "date":
        return series.dt.date.where(cells.present, None)
    dtype = str(spec.get("dtype", ""))
    if dtype.startswith(("datetime64[", "timedelta64[")):
        series = _as(series, dtype)
    if spec.get("zone"):
        zone = spec["zone"] if "as" not in spec else "UTC"
        series = series.dt.tz_localize("UTC").dt.tz_convert(zone)
    return series


def _category(cells: Cells, spec: Mapping[str, Any]) -> Any:
    """A categorical Series; categories that weren't there before come last."""
    import pandas as pd

    words = [*spec["categories"]]
    words += sorted(set(cells.known()) - set(words))
    codes = {word: i for i, word in enumerate(words)}
    places = [codes[v] if there else -1 for v, there in zip(cells.values, cells.present)]
    index = pd.Index(words)
    of = str(spec.get("of", "object"))
    if of not in ("object", "str", "string"):
        try:
            index = pd.Index(np.array(words).astype(_numpy(of)))
        except (ValueError, TypeError):
            index = pd.Index(words)  # such categories stay text
    return pd.Series(
        pd.Categorical.from_codes(places, categories=index, ordered=bool(spec.get("ordered")))
    )


def _numpy(of: str) -> str:
    return {"double": "float64", "float": "float32", "large_string": "str"}.get(of, of)


def _listed(cells: Cells, spec: Mapping[str, Any]) -> Any:
    """One column of a dict: an ndarray where it was one and no cell is missing, else a list."""
    if spec.get("ndarray") and cells.present.all():
        try:
            own = cells.values.astype(spec["dtype"])
        except (ValueError, TypeError, OverflowError):
            return cells.values
        return own if (own == cells.values).all() else cells.values
    values = cells.to_list()
    if spec.get("python") == "date":
        return [None if one is None else one.date() for one in values]
    return values
