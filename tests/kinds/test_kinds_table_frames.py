"""Data frames, Arrow tables, dicts and records: read, and given back as they were."""

from __future__ import annotations

import datetime
import decimal
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from unfog.errors import DataError
from unfog.kinds.infer import infer
from unfog.kinds.table.back import give_back
from unfog.kinds.table.read import read

DAYS = pd.Series(pd.to_datetime(["2020-01-01", None, "2021-06-30", "1999-12-31"]))
COLUMNS: dict[str, Any] = {
    "int8": np.array([1, -2, 3, 4], np.int8),
    "uint64": np.array([1, 2**64 - 1, 3, 4], np.uint64),
    "Int64": pd.array([1, None, 3, 2**60 + 1], dtype="Int64"),
    "UInt8": pd.array([1, None, 3, 4], dtype="UInt8"),
    "float32": np.array([0.1, np.nan, 3, 4], np.float32),
    "float64": [0.1, np.nan, 1e300, -0.0],
    "Float32": pd.array([0.1, None, 3, 4], dtype="Float32"),
    "bool": [True, False, True, True],
    "boolean": pd.array([True, None, False, True], dtype="boolean"),
    "category": pd.Categorical(["b", None, "a", "b"], categories=["c", "b", "a"], ordered=True),
    "category of integers": pd.Categorical([3, 1, None, 3]),
    "category of dates": pd.Categorical(DAYS),
    "string": pd.array(["a", None, "", "NA"], dtype="string"),
    "text": ["a", None, "b", "c"],
    "object": pd.Series(["a", None, "b", "c"], dtype=object),
    "object of integers": pd.Series([1, None, 3, 2**60 + 1], dtype=object),
    "object of truths": pd.Series([True, None, False, True], dtype=object),
    "object of dates": pd.Series([datetime.date(2020, 1, i + 1) for i in range(4)], dtype=object),
    "ns": DAYS.astype("datetime64[ns]"),
    "zoned": DAYS.dt.tz_localize("Europe/Berlin"),
    "duration": pd.to_timedelta([1, None, 3, -5], unit="h"),
    "arrow": pd.array([1, None, 3, 4], dtype="int32[pyarrow]"),
    "nothing": [np.nan] * 4,
}


@pytest.mark.parametrize("name", COLUMNS)
def test_pandas_dtypes_come_back(name: str) -> None:
    frame = pd.DataFrame({name: COLUMNS[name], "k": [1, 2, 3, 4]})
    items = read(frame)
    json.dumps(items.origin)
    assert infer(frame) == "table"
    pd.testing.assert_frame_equal(give_back(items.data, items.origin), frame)
    some: Any = items.data
    pd.testing.assert_frame_equal(
        give_back(some[[2, 0, 0]], items.origin), frame.iloc[[2, 0, 0]].reset_index(drop=True)
    )


@pytest.mark.parametrize("name", COLUMNS)
def test_marks_agree_with_pandas(name: str) -> None:
    frame = pd.DataFrame({name: COLUMNS[name], "k": [1, 2, 3, 4]})
    data: Any = read(frame).data
    assert data.columns[name].present.tolist() == frame[name].notna().tolist()


def test_values_that_a_dtype_can_not_hold_get_a_wider_one() -> None:
    items = read(pd.DataFrame({"a": np.array([1, 2], np.int8), "b": [True, False]}))
    data: Any = items.data
    data.columns["a"].values[:] = [300, -300]
    assert give_back(data, items.origin)["a"].tolist() == [300, -300]
    data.columns["a"].present[0] = False
    data.columns["b"].present[1] = False
    frame = give_back(data, items.origin)
    assert frame["a"].tolist() == [pd.NA, -300]
    assert frame["b"].dtype == "boolean"


def test_categories_unheard_of_come_last() -> None:
    items = read(pd.DataFrame({"a": pd.Categorical(["y", "x"], ["y", "x"]), "b": [1, 2]}))
    data: Any = items.data
    data.columns["a"].values[1] = "aa"
    assert give_back(data, items.origin)["a"].cat.categories.tolist() == ["y", "x", "aa"]


def test_names_that_are_numbers_come_back() -> None:
    frame = pd.DataFrame(np.arange(6.0).reshape(3, 2))
    items = read(frame)
    pd.testing.assert_frame_equal(give_back(items.data, items.origin), frame)


def test_notes_of_frames() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [2**64 - 1, 1]}, index=pd.Index([5, 7], name="id"))
    notes = read(frame).notes
    assert "index (id) is not read" in notes[0]
    assert notes[1] == "integers beyond 64 bits are taken as text: b"


BAD: dict[str, tuple[Any, str]] = {
    "mixed": (pd.DataFrame({"a": ["x", 1.5, "y"]}), r"row 1 is 'x' \(text\) and row 2 is 1.5"),
    "mixed truths": (pd.DataFrame({"a": pd.Series([1, True], dtype=object)}), "mixes types"),
    "mixed categories": (pd.DataFrame({"a": pd.Categorical([1, "x"])}), "mixes types"),
    "nested": (pd.DataFrame({"a": [[1], [2]]}), "row 1 of column 'a' holds a list"),
    "bytes": (pd.DataFrame({"a": [b"x", b"y"]}), "holds a bytes"),
    "complex": (pd.DataFrame({"a": [1j, 2j]}), "complex128"),
    "infinite": (pd.DataFrame({"a": [1.0, np.inf, 2]}), "row 2 of column 'a' is inf"),
    "infinite, nullable": (
        pd.DataFrame({"a": pd.array([1.0, None, np.inf], dtype="Float64")}),
        "row 3 of column 'a' is inf",
    ),
    "infinite, object": (pd.DataFrame({"a": pd.Series([1.0, -np.inf], dtype=object)}), "row 2"),
    "two names": (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), "several columns named 'a'"),
    "two names as text": (pd.DataFrame([[1, 2], [3, 4]], columns=[1, "1"]), "named '1'"),
    "levels": (
        pd.DataFrame([[1, 2], [3, 4]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])),
        "2 levels",
    ),
    "no columns": (pd.DataFrame(index=[1, 2]), "no columns"),
    "one row": (pd.DataFrame({"a": [1]}), "1 rows; give at least two"),
    "arrow list": (pa.table({"a": [[1], [2]]}), r"column 'a' is nested \(list"),
    "arrow struct": (pa.table({"a": [{"x": 1}, {"x": 2}]}), "nested"),
    "arrow binary": (pa.table({"a": [b"x", b"y"]}), "column 'a' holds binary"),
    "arrow names": (pa.table([[1, 2], [3, 4]], names=["a", "a"]), "several columns"),
    "lengths": ({"a": [1, 2], "b": [1]}, "different lengths"),
    "matrix": ({"a": np.zeros((2, 2)), "b": [1, 2]}, r"column 'a' has the shape \(2, 2\)"),
    "zones": (
        {"a": [datetime.datetime(2020, 1, 1), datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)]},
        "with and without a time zone",
    ),
    "far": ({"a": np.array([2**50, 1]).astype("M8[D]")}, "row 1 of column 'a'"),
    "a number": (5, "is no table"),
}


@pytest.mark.parametrize("fault", BAD)
def test_faults_of_frames(fault: str) -> None:
    source, said = BAD[fault]
    with pytest.raises(DataError, match=said):
        read(source)


def test_arrow_comes_back() -> None:
    table = pa.table(
        {
            "i": pa.array([1, None, 3], pa.int16()),
            "u": pa.array([1, 2**64 - 1, None], pa.uint64()),
            "f": pa.array([1.5, None, 2.5], pa.float32()),
            "b": pa.array([True, None, False]),
            "s": pa.array(["a", "b", None], pa.large_string()),
            "k": pa.array(["a", None, "b"]).dictionary_encode(),
            "t": pa.array([1, 2, None], pa.timestamp("ms", "Europe/Paris")),
            "d": pa.array([datetime.date(2020, 1, 1)] * 3),
            "m": pa.array([1, 2, None], pa.duration("s")),
            "n": pa.nulls(3),
        }
    )
    items = read(table)
    json.dumps(items.origin)
    assert infer(table) == "table"
    assert give_back(items.data, items.origin).equals(table)
    decimals = read(pa.table({"d": pa.array([decimal.Decimal("1.25")] * 2)}))
    assert decimals.notes == ["decimals became floats: d"]


def test_dicts_and_records_come_back() -> None:
    lists = {"a": [1, None, 3], "b": ["x", "y", None], "c": [0.5, None, 2.0]}
    items = read(lists)
    assert infer(lists) == "table"
    assert give_back(items.data, items.origin) == lists
    rows = [dict(zip(lists, row)) for row in zip(*lists.values())]
    items = read(rows)
    assert infer(rows) == "table"
    assert give_back(items.data, items.origin) == rows
    short = read([{"a": 1, "b": 2}, {"a": 3}])
    assert short.notes == ["1 dicts lack a key; the cell is missing"]
    arrays = {"a": np.array([1, 2], np.int16), "b": np.array([0.5, 1.5], np.float32)}
    back = give_back((items := read(arrays)).data, items.origin)
    assert {name: one.dtype for name, one in back.items()} == {"a": np.int16, "b": np.float32}


def test_polars_comes_back() -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(
        {
            "i": pl.Series([1, None, 3], dtype=pl.Int16),
            "f": pl.Series([1.5, None, 2.5], dtype=pl.Float32),
            "s": ["x", None, "z"],
            "c": pl.Series(["x", None, "z"], dtype=pl.Categorical),
            "e": pl.Series(["x", None, "z"], dtype=pl.Enum(["z", "y", "x"])),
            "d": [datetime.date(2020, 1, 1)] * 3,
            "b": [True, None, False],
        }
    )
    items = read(frame)
    assert infer(frame) == infer(frame.lazy()) == "table"
    back = give_back(items.data, items.origin)
    assert back.schema == frame.schema
    assert back.equals(frame)


def test_columns_to_be_given() -> None:
    items = read(
        pd.DataFrame({"n": [1, 2, 3], "f": [0.5, None, 1], "s": ["a", None, "b"], "t": DAYS[1:]}),
        given=["s"],
    )
    assert items.columns["n"].dtype == np.int64
    assert np.isnan(items.columns["f"][1])
    assert items.columns["s"].tolist() == ["a", None, "b"]
    assert items.columns["t"].tolist()[0] is None
    assert items.columns["t"].tolist()[1].startswith("2021-06-30")


def test_guessing_imports_no_pandas() -> None:
    code = (
        "import sys; from unfog.kinds.infer import infer; import unfog.kinds.table.read;"
        "assert infer({'a': [1]}) == 'table'; assert not {'pandas', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
