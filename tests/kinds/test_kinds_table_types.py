"""What a column of text is taken for: numbers, truth values, dates, missing cells, text."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unfog.errors import DataError
from unfog.kinds.items import Items
from unfog.kinds.table.cells import Cells
from unfog.kinds.table.read import read
from unfog.kinds.table.save import save


def column(folder: Path, cells: list[str], **options: Any) -> tuple[Cells, Items]:
    """One column among two, read from a file."""
    path = folder / "t.csv"
    rows = [f'"{cell}",{i}' if "," in cell else f"{cell},{i}" for i, cell in enumerate(cells)]
    path.write_text("\n".join(["a,b", *rows]) + "\n")
    items = read(path, **options)
    data: Any = items.data
    return data.columns["a"], items


@pytest.mark.parametrize(
    ("cells", "dtype", "values"),
    [
        (["1", "-2", "+3"], "int64", [1, -2, 3]),
        (["1", "", "3"], "int64", [1, None, 3]),
        ([" 1", "2 ", "3"], "int64", [1, 2, 3]),
        (["1", "2.5", "3e2"], "float64", [1.0, 2.5, 300.0]),
        ([".5", "5.", "-0"], "float64", [0.5, 5.0, 0.0]),
        (["9007199254740993", "1", "2"], "int64", [2**53 + 1, 1, 2]),
        (["9223372036854775807", "-9223372036854775808"], "int64", [2**63 - 1, -(2**63)]),
        (["9223372036854775808", "1"], "object", ["9223372036854775808", "1"]),
        (["00123", "04567", "12345"], "object", ["00123", "04567", "12345"]),
        (["True", "false", "TRUE"], "bool", [True, False, True]),
        (["true", "NA", "true"], "bool", [True, None, True]),
        (["yes", "no", "yes"], "object", ["yes", "no", "yes"]),
        (["1", "x", "3"], "object", ["1", "x", "3"]),
        (["0x10", "1_000", "3"], "object", ["0x10", "1_000", "3"]),
        (["2", "2", "2"], "int64", [2, 2, 2]),
        (["", "", ""], "object", [None, None, None]),
        (["NA", "?", ""], "object", [None, None, None]),
        (["1 days 02:00:00", "0 days 00:00:01.5"], "timedelta64[us]", None),
    ],
)
def test_types(tmp_path: Path, cells: list[str], dtype: str, values: list[Any] | None) -> None:
    read_as, items = column(tmp_path, cells)
    assert read_as.values.dtype.name == dtype
    if values is None:
        values = [datetime.timedelta(days=1, hours=2), datetime.timedelta(seconds=1.5)]
    assert read_as.to_list() == values
    again = read(save(items.data, tmp_path / "again.csv", origin=items.origin))
    data: Any = again.data
    assert data.columns["a"].to_list() == values
    json.dumps(items.origin)


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        (["2020-02-29", "2021-01-01"], (2020, 2, 29)),
        (["2020-02-29 10:11", "2021-01-01 00:00"], (2020, 2, 29, 10, 11)),
        (
            ["2020-02-29T10:11:12.250Z", "2021-01-01T00:00:00.000Z"],
            (2020, 2, 29, 10, 11, 12, 250000),
        ),
        (["2020-02-29 10:11:12+02:00", "2021-01-01 00:00:00+02:00"], (2020, 2, 29, 8, 11, 12)),
        (["29/02/2020", "01/01/2021"], (2020, 2, 29)),
        (["02/29/2020", "01/01/2021"], (2020, 2, 29)),
        (["2/29/2020", "1/1/2021"], (2020, 2, 29)),
        (["29.02.2020 10:11:12", "01.01.2021 00:00:00"], (2020, 2, 29, 10, 11, 12)),
        (["01.02.2020", "03.04.2021"], (2020, 2, 1)),
        (["2020/02/29", "2021/01/01"], (2020, 2, 29)),
    ],
)
def test_dates_are_read_and_written_alike(tmp_path: Path, cells: list[str], first: Any) -> None:
    read_as, items = column(tmp_path, cells)
    assert read_as.values.dtype == "datetime64[us]"
    assert read_as.to_list()[0] == datetime.datetime(*first)
    again = save(items.data, tmp_path / "again.csv", origin=items.origin)
    assert [line.split(",")[0] for line in again.read_text().splitlines()[1:]] == cells
    zoned = any("+" in cell for cell in cells)
    assert any("converted to UTC" in note for note in items.notes) == zoned


def test_dates_that_could_be_either_stay_text(tmp_path: Path) -> None:
    cells = ["01/02/2020", "03/04/2021"]
    read_as, items = column(tmp_path, cells)
    assert read_as.to_list() == cells
    assert "day-first" in items.notes[0]
    for said, month in (("date:day-first", 2), ("date:month-first", 1)):
        read_as, _ = column(tmp_path, cells, types={"a": said})
        assert read_as.to_list()[0].month == month
    with pytest.raises(DataError, match="declare the order: types="):
        column(tmp_path, cells, types={"a": "date"})
    with pytest.raises(DataError, match="row 2 of column 'a' is '13/04/2021' and no date"):
        column(tmp_path, ["01/02/2020", "13/04/2021"], types={"a": "date:month-first"})
    with pytest.raises(DataError, match="row 1 of column 'a' is 'x' and no date"):
        column(tmp_path, ["x", "y"], types={"a": "date"})
    mixed, _ = column(tmp_path, ["2020-01-01 10:00:00Z", "2020-01-01 10:00:00"])
    assert mixed.values.dtype == object


def test_missing_words(tmp_path: Path) -> None:
    read_as, items = column(tmp_path, ["Private", "?", "State-gov", " ?", "NA", "null"])
    assert read_as.to_list() == ["Private", None, "State-gov", None, None, None]
    assert items.notes == ["missing cells ('?', 'NA', 'null'): a 4"]
    prose = ["none of these is short", "a sentence of its own", "NA", "?", "and one more here"]
    read_as, _ = column(tmp_path, [*prose, "", "yet another line of text"])
    assert read_as.present.tolist() == [True] * 5 + [False, True]
    read_as, _ = column(tmp_path, ["1", "-999", "3", "NA", ""], missing=["-999", "NA"])
    assert read_as.to_list() == [1, None, 3, None, None]
    read_as, _ = column(tmp_path, ["x", "NA", "z"], missing=["-"])
    assert read_as.to_list() == ["x", "NA", "z"]


def test_spaces_stay_in_text_and_are_said(tmp_path: Path) -> None:
    read_as, items = column(tmp_path, [" x", "y ", "z"])
    assert read_as.to_list() == [" x", "y ", "z"]
    assert items.notes == ["spaces around values are kept: a"]


def test_declared_types(tmp_path: Path) -> None:
    nearly = [str(i) for i in range(200)] + ["85123A"]
    with pytest.raises(DataError, match="85123A"):
        column(tmp_path, nearly)
    read_as, _ = column(tmp_path, nearly, types={"a": "category"})
    assert read_as.values.dtype == object
    read_as, _ = column(tmp_path, nearly, types={"a": "ordinal:1<2<3"})
    assert read_as.values.dtype == object
    read_as, _ = column(tmp_path, nearly, types={"a": {"ordinal": ["1", "2"]}})
    assert read_as.values.dtype == object
    read_as, _ = column(tmp_path, ["1", "inf", "2"], types={"a": "category"})
    assert read_as.to_list() == ["1", "inf", "2"]
    read_as, _ = column(tmp_path, ["1", "2", "2"], types={"a": "text"})
    assert read_as.to_list() == ["1", "2", "2"]
    with pytest.raises(DataError, match="row 2 of column 'a' is 'x' and no number"):
        column(tmp_path, ["1", "x", "y"], types={"a": "continuous"})


def test_a_million_categories(tmp_path: Path) -> None:
    n = 10**6
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f"k{i:x},{i % 7}\n" for i in range(n)))
    data: Any = read(path).data
    assert data.columns["a"].values[123_456] == f"k{123_456:x}"
    assert len(set(data.columns["a"].values)) == n


@given(
    st.lists(
        st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
        min_size=2,
        max_size=30,
    ),
    st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=30, max_size=30),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_numbers_come_back_exactly(tmp_path: Path, floats: Any, integers: Any) -> None:
    source = {"f": [*floats, 0.5], "i": [*integers[: len(floats)], 1]}
    items = read(source)
    again = read(save(items.data, tmp_path / "p.csv", origin=items.origin, overwrite=True))
    data: Any = again.data
    assert data.columns["f"].to_list() == source["f"]
    assert data.columns["i"].to_list() == source["i"]
    thrice = save(again.data, tmp_path / "q.csv", origin=again.origin, overwrite=True)
    assert thrice.read_bytes() == (tmp_path / "p.csv").read_bytes()


def test_decimals_are_limited_to_those_of_the_column(tmp_path: Path) -> None:
    _, items = column(tmp_path, ["1.50", "2.25", "3.00"])
    drawn: Any = items.data[np.array([0, 1])]
    drawn.columns["a"].values[:] = [0.123456, 7.0]
    path = save(drawn, tmp_path / "drawn.csv", origin=items.origin)
    assert path.read_text() == "a,b\n0.12,0\n7.00,1\n"
