"""Delimited text, good and bad: rows 27 and 28 of the faults, one file each."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unfog.errors import ArgumentError, DataError, UnfogError, UnknownName
from unfog.kinds.infer import infer
from unfog.kinds.items import Items
from unfog.kinds.table.cells import Table
from unfog.kinds.table.read import read
from unfog.kinds.table.save import save

GOOD = "a,b\n1,x\n2,y\n3,z\n"


def of(folder: Path, text: str | bytes, name: str = "t.csv", **options: Any) -> Items:
    """What reading a file of this text gives."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(path, **options)


def lists(items: Items) -> dict[str, list[Any]]:
    table: Any = items.data
    return {name: cells.to_list() for name, cells in table.columns.items()}


def equal(a: Any, b: Any) -> bool:
    """Whether two tables have the same names, types and cells."""
    return a.names == b.names and all(
        x.values.dtype == y.values.dtype
        and np.array_equal(x.present, y.present)
        and np.array_equal(x.known(), y.known())
        for x, y in zip(a.columns.values(), b.columns.values())
    )


FAULTS = {
    "ragged short": ("a,b,c\n1,2,3\n4,5\n6,7,8\n", "line 3 has 2 cells and the first line has 3"),
    "ragged long": ("a,b\n1,2\n3,4\n\n5,6,7\n", "line 5 has 3 cells and the first line has 2"),
    "ragged after a quoted newline": ('a,b\n"x\ny",2\n3\n', "line 4 has 1 cells"),
    "names twice": ("a,b,a\n1,2,3\n4,5,6\n", r"'a' \(columns 1, 3\)"),
    "names twice but for spaces": ("a, a\n1,2\n3,4\n", "share a name"),
    "NUL": (b"a,b\n1,2\n3,\x004\n", "line 3 holds a NUL byte"),
    "open quote": ('a,b\n1,"x\n2,y\n3,z\n', "starts in line 2 has unbalanced quotes"),
    "text after a quote": ('a,b\n1,x\n2,"y"z\n', "starts in line 3 has unbalanced quotes"),
    "empty": ("", "is empty"),
    "blank": ("\n \n\n", "is empty"),
    "header only": ("a,b\n", "no rows"),
    "header only, quoted": ('"a","b"\n', "no rows"),
    "one row": ("a,b\n1,2\n", "has 1 rows; give at least two"),
    "no header": ("5.1,3.5,0.2\n4.9,3.0,0.2\n4.7,3.2,0.2\n", "names are missing"),
    "no header, words too": ("M,0.455,0.3\nM,0.35,0.2\nF,0.5,0.4\n", "names are missing"),
    "inf": ("a,b\n1.5,x\ninf,y\n2.5,z\n", "row 2 of column 'a' is 'inf' and not finite"),
    "minus infinity": ("a,b\n1,x\n2,y\n-Infinity,z\n", "row 3 of column 'a' is '-Infinity'"),
    "1e400": ("a,b\n1.5,x\n1e400,y\n2.5,z\n", "row 2 of column 'a' is '1e400' and not finite"),
    "a word among numbers": (
        "a\n" + "\n".join(map(str, range(150))) + "\nunknown\n7\n",
        "row 151 of column 'a' is 'unknown' and no number .*types={'a': 'category'}",
    ),
    "a word among dates": (
        "a,b\n" + "\n".join(f"2020-01-{1 + i % 28:02},{i}" for i in range(150)) + "\nsoon,7\n",
        "row 151 of column 'a' is 'soon' and no date",
    ),
    "a day that isn't": (
        "a,b\n"
        + "\n".join(f"2023-02-{1 + i % 28:02},{i}" for i in range(150))
        + "\n2023-02-29,7\n",
        "'2023-02-29' and no date",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_name_their_place(tmp_path: Path, fault: str) -> None:
    text, said = FAULTS[fault]
    with pytest.raises(DataError, match=said) as caught:
        of(tmp_path, text)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("name", "text", "noted"),
    [
        ("mark", b"\xef\xbb\xbf" + GOOD.encode(), ""),
        ("utf-16", GOOD.encode("utf-16"), "utf-16"),
        ("semicolons", GOOD.replace(",", ";"), "semicolons"),
        ("bars", GOOD.replace(",", "|"), "bars"),
        ("tabs", GOOD.replace(",", "\t"), "tabs"),
        ("windows", GOOD.replace("\n", "\r\n"), ""),
        ("old mac", GOOD.replace("\n", "\r"), ""),
        ("quoted", 'a,b\n"1","x"\n2,y\n3,z\n', ""),
        ("quoted after a space", 'a, b\n1, "x"\n2, "y"\n3, "z"\n', ""),
        ("no last newline", GOOD.rstrip(), ""),
        ("blank lines", "\n" + GOOD.replace("\n2", "\n\n2") + "\n\n", ""),
        ("blank lines of spaces", " \n" + GOOD + "  \n", ""),
    ],
)
def test_ways_of_writing_one_table(
    tmp_path: Path, name: str, text: str | bytes, noted: str
) -> None:
    items = of(tmp_path, text)
    assert lists(items) == {"a": [1, 2, 3], "b": ["x", "y", "z"]}
    assert noted in " ".join(items.notes)
    assert bool(items.notes) == bool(noted)


def test_quoted_cells_keep_what_they_hold(tmp_path: Path) -> None:
    text = 'a,b\n"x, y",1\n"line\none",2\n"a ""word""",3\n'
    items = of(tmp_path, text)
    assert lists(items)["a"] == ["x, y", "line\none", 'a "word"']
    again = read(save(items.data, tmp_path / "again.csv", origin=items.origin))
    assert equal(items.data, again.data)


def test_latin_1_is_read_and_said_or_refused(tmp_path: Path) -> None:
    text = "a,b\n1,Zürich\n2,Genève\n3,café\n".encode("cp1252")
    items = of(tmp_path, text)
    assert lists(items)["b"] == ["Zürich", "Genève", "café"]
    assert "line 2 is not UTF-8" in items.notes[0]
    assert lists(of(tmp_path, text, encoding="latin-1"))["b"][0] == "Zürich"
    with pytest.raises(DataError, match="line 2 is not utf-8"):
        of(tmp_path, text, strict=True)
    with pytest.raises(DataError, match=r"line 3 .*not cp1252"):
        of(tmp_path, b"a,b\n1,x\n2,\x81\n3,z\n")
    with pytest.raises(ArgumentError, match="unknown encoding"):
        of(tmp_path, text, encoding="utf8000")


def test_names_are_made_for_columns_without_one(tmp_path: Path) -> None:
    items = of(tmp_path, ",b\n0,x\n1,y\n")
    data: Any = items.data
    assert data.names == ["column_1", "b"]
    assert "column 1 has no name" in items.notes[0]
    assert "some names are numbers (39, 13)" in of(tmp_path, "39,x,13\n50,y,9\n38,z,7\n").notes[0]
    assert of(tmp_path, "2010,2011\n50,9\n38,7\n").notes == []


def test_one_column_keeps_its_empty_cells(tmp_path: Path) -> None:
    items = of(tmp_path, "a\n1\n\n3\n\n\n")
    assert lists(items) == {"a": [1, None, 3]}
    assert equal(items.data, read(save(items.data, tmp_path / "x.csv", origin=items.origin)).data)


def test_decimal_commas(tmp_path: Path) -> None:
    items = of(tmp_path, "a;b;c\n1,5;1.000,25;x\n-2,25;3;y\n10;12.345.678,5;z\n")
    assert lists(items)["a"] == [1.5, -2.25, 10.0]
    assert lists(items)["b"] == [1000.25, 3.0, 12345678.5]
    assert "decimals are set off by a comma: a, b" in items.notes
    again = save(items.data, tmp_path / "again.csv", origin=items.origin)
    assert again.read_text().splitlines()[1] == "1,5;1.000,25;x"
    assert equal(items.data, read(again).data)
    tabs = save(items.data, tmp_path / "again.tsv", origin=items.origin)
    assert tabs.read_text().splitlines()[1] == "1.5\t1000.25\tx"


def test_thousands(tmp_path: Path) -> None:
    items = of(tmp_path, 'a,b\n"1,234",x\n"12,345,678",y\n7,z\n')
    assert lists(items)["a"] == [1234, 12345678, 7]
    assert "thousands are set off by ','" in items.notes[0]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "tab", "csv.gz", "txt"])
def test_suffixes(tmp_path: Path, suffix: str) -> None:
    text = GOOD.replace(",", "\t") if suffix in ("tsv", "tab") else GOOD
    raw = gzip.compress(text.encode()) if suffix.endswith("gz") else text.encode()
    items = of(tmp_path, raw, f"t.{suffix}")
    assert lists(items)["b"] == ["x", "y", "z"]
    assert items.notes == []
    if suffix != "txt":
        assert infer(tmp_path / f"t.{suffix}") == "table"
    if suffix.endswith("gz"):
        with pytest.raises(DataError, match="damaged"):
            of(tmp_path, raw[:-12], f"t.{suffix}")


def test_arguments(tmp_path: Path) -> None:
    assert lists(of(tmp_path, GOOD, limit=2))["a"] == [1, 2]
    assert lists(of(tmp_path, "a:b\n1:2\n3:4\n", delimiter=":"))["b"] == [2, 4]
    assert of(tmp_path, GOOD, given=["a"]).columns["a"].tolist() == [1, 2, 3]
    for wrong in ({"delimiter": "ab"}, {"limit": 1}, {"given": ["age"]}, {"types": {"c": "text"}}):
        with pytest.raises(ArgumentError):
            of(tmp_path, GOOD, **wrong)
    with pytest.raises(UnknownName, match="did you mean 'colour'"):
        of(tmp_path, "colour,b\n1,2\n3,4\n", types={"color": "text"})
    with pytest.raises(ArgumentError, match="delimited text only"):
        read({"a": [1, 2]}, missing=["-"])
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(DataError, match=r"give a \.csv"):
            read(path)
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"not '\.xlsx'"):
        read(tmp_path / "a.xlsx")


def test_damage_never_escapes_as_another_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    good = ('id,when,"na,me",value\n1,2020-01-02,"x ""y""",1.5\n2,2020-02-03,z,\n' * 2).encode()
    for _ in range(300):
        raw = bytearray(good)
        for at in rng.integers(0, len(raw), rng.integers(1, 4)):
            raw[at] = rng.integers(0, 256)
        try:
            items = of(tmp_path, bytes(raw[: rng.integers(1, len(raw) + 1)]))
        except UnfogError:
            continue
        assert isinstance(items.data, Table)


def test_every_real_table_comes_back_as_it_was(tmp_path: Path, real_data: Path) -> None:
    files = sorted((real_data / "tables").glob("*.csv"))
    assert files
    for path in files:
        items = read(path)
        again = save(items.data, tmp_path / path.name, origin=items.origin)
        assert again.read_bytes() == path.read_bytes().replace(b"\r\n", b"\n"), path.name
        parquet = save(items.data, tmp_path / f"{path.stem}.parquet", origin=items.origin)
        assert equal(items.data, read(parquet).data)


def test_real_types(real_data: Path) -> None:
    items = read(real_data / "tables" / "adult_train.csv")
    adult: Any = items.data
    types = {name: cells.values.dtype.name for name, cells in adult.columns.items()}
    assert [name for name, kind in types.items() if kind == "int64"] == [
        *("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week"),
    ]
    assert set(types.values()) == {"int64", "object"}
    assert {
        n: int((~c.present).sum()) for n, c in adult.columns.items() if not c.present.all()
    } == {
        "workclass": 1836,
        "occupation": 1843,
        "native_country": 583,
    }
    shoppers: Any = read(real_data / "tables" / "online_shoppers.csv").data
    assert shoppers.columns["Revenue"].values.dtype == bool
