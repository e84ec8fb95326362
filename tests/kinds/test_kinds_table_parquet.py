"""Parquet: what it keeps, and row 30 of the faults."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from unfog.errors import DataError, ResourceError
from unfog.kinds import npy
from unfog.kinds.infer import infer
from unfog.kinds.table.back import give_back
from unfog.kinds.table.read import read
from unfog.kinds.table.save import save

N = 60


def source() -> dict[str, Any]:
    return {
        "number": np.linspace(0, 1, N),
        "word": [f"w{i % 7}" for i in range(N)],
        "truth": [None if i % 3 else bool(i % 2) for i in range(N)],
        "day": [datetime.datetime(2020, 1, 1) + datetime.timedelta(days=i) for i in range(N)],
    }


def test_types_and_categories_are_kept(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "i": pd.array([1, None, 3], dtype="Int16"),
            "f": np.array([0.1, 2, np.nan], np.float32),
            "c": pd.Categorical(["b", "a", None], ["c", "b", "a"], ordered=True),
            "t": pd.to_datetime(["2020-01-01", None, "2021-01-01"]).tz_localize("Europe/Berlin"),
            "s": ["x", None, ""],
        }
    )
    items = read(frame)
    path = save(items.data, tmp_path / "t.parquet", origin=items.origin)
    again = read(path)
    assert infer(path) == "table"
    assert again.origin["columns"]["c"]["categories"] == ["c", "b", "a"]
    assert again.origin["columns"]["c"]["ordered"]
    back = give_back(again.data, again.origin)
    pd.testing.assert_frame_equal(back, frame)
    thrice = read(save(again.data, tmp_path / "u.pq", origin=again.origin))
    assert thrice.data.keys() == again.data.keys()  # type: ignore[attr-defined]
    assert thrice.origin == again.origin


def test_files_of_others(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]}, index=["p", "q", "r"])
    frame.to_parquet(tmp_path / "t.parquet")
    items = read(tmp_path / "t.parquet", limit=2)
    data: Any = items.data
    assert data.shape == (2, 2)
    assert items.notes == [
        "the index that pandas stored is not read",
        "only the first 2 rows are kept, as asked",
    ]
    parquet.write_table(pa.table({"a": [[1], [2]]}), tmp_path / "n.parquet")
    with pytest.raises(DataError, match="column 'a' is nested"):
        read(tmp_path / "n.parquet")
    (tmp_path / "x.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="not a readable Parquet"):
        read(tmp_path / "x.parquet")
    (tmp_path / "e.parquet").touch()
    with pytest.raises(DataError, match="not a readable Parquet"):
        read(tmp_path / "e.parquet")


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    items = read(source())
    raw = save(items.data, tmp_path / "t.parquet", origin=items.origin).read_bytes()
    path = tmp_path / "cut.parquet"
    for size in range(0, len(raw), 23):
        path.write_bytes(raw[:size])
        with pytest.raises(DataError, match="not a readable Parquet"):
            read(path)


def test_flipped_bits_are_seen_or_do_no_harm(tmp_path: Path) -> None:
    """Every byte of the pages has a checksum; a flip elsewhere may only rename, and never crashes."""
    items = read(source())
    raw = save(items.data, tmp_path / "t.parquet", origin=items.origin).read_bytes()
    data: Any = items.data
    footer = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    path, rng, seen = tmp_path / "flipped.parquet", np.random.default_rng(0), 0
    for at in rng.permutation(len(raw))[:500]:
        flipped = bytearray(raw)
        flipped[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        try:
            again: Any = read(path).data
        except (DataError, ResourceError):
            seen += 1
            continue
        if at < footer:
            assert again.names == data.names
            assert again.keys() == data.keys(), f"byte {at} was altered and nothing noticed it"
    assert seen > 250


def test_more_than_memory_is_refused_before_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = 200_000
    parquet.write_table(pa.table({"a": np.zeros(n)}), tmp_path / "t.parquet")
    asked: list[int] = []

    def full(nbytes: int, name: str) -> None:
        asked.append(nbytes)
        raise ResourceError(f"{name}: {nbytes}")

    monkeypatch.setattr("unfog.kinds.table.parquet.check_memory", full)
    with pytest.raises(ResourceError):
        read(tmp_path / "t.parquet")
    assert asked[0] >= 8 * n > 10 * (tmp_path / "t.parquet").stat().st_size
    assert npy.check_memory is not full
