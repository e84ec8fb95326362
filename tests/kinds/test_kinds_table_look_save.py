"""Writing tables whole or not at all, and looking at them."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from unfog.errors import ArgumentError
from unfog.kinds.table.look import look
from unfog.kinds.table.read import read
from unfog.kinds.table.save import save

rng = np.random.default_rng(0)


def small() -> Any:
    return read({"a": [1, 2, None], "b": ["x", "y,z", 'q"']})


def test_suffixes_and_folders(tmp_path: Path) -> None:
    items = small()
    text = 'a,b\n1,x\n2,"y,z"\n,"q"""\n'
    assert save(items.data, tmp_path / "t.csv").read_text() == text
    assert save(items.data, tmp_path / "t.tsv").read_text().splitlines()[2] == "2\ty,z"
    assert save(items.data, tmp_path / "f") == tmp_path / "f" / "samples.csv"
    assert (tmp_path / "f" / "samples.csv").read_text() == text
    for kind in ("tsv", "parquet"):
        path = save(items.data, tmp_path / kind, origin={"type": kind})
        assert path.name == f"samples.{kind}"
        assert read(path).data.keys() == items.data.keys()  # type: ignore[attr-defined]
        assert save(items.data, tmp_path / kind, origin={"type": kind}, overwrite=True) == path
    with pytest.raises(ArgumentError, match="not '\\.xlsx'"):
        save(items.data, tmp_path / "t.xlsx")
    with pytest.raises(ArgumentError, match="exists already"):
        save(items.data, tmp_path / "t.csv")


def test_conditions_become_columns_unless_they_are(tmp_path: Path) -> None:
    items = small()
    path = save(items.data, tmp_path / "t.csv", columns={"b": ["no"] * 3, "c": [1, None, 2]})
    assert path.read_text().splitlines()[:2] == ["a,b,c", "1,x,1"]
    with pytest.raises(ArgumentError, match="'c' has 1 values for 3 rows"):
        save(items.data, tmp_path / "u.csv", columns={"c": [1]})


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("unfog.kinds.table.save.texts", broken)
    with pytest.raises(Exception, match="disk is full"):
        save(small().data, tmp_path / "t.csv")
    assert list(tmp_path.iterdir()) == []


def mixed(n: int, shift: float = 0.0) -> Any:
    return read(
        {
            "number": (rng.normal(shift, 1, n)).tolist(),
            "integer": rng.integers(0, 5, n).tolist(),
            "tail": np.exp(rng.normal(0, 4, n)).tolist(),
            "outlier": [*rng.normal(0, 1, n - 1).tolist(), 1e4],
            "word": rng.choice([f"w{i}" for i in range(20)], n).tolist(),
            "truth": (rng.random(n) < 0.3).tolist(),
            "day": [
                datetime.datetime(2020, 1, 1) + datetime.timedelta(days=int(i)) for i in range(n)
            ],
            "span": [datetime.timedelta(hours=float(h)) for h in rng.random(n) * 9],
            "holes": [None if i % 4 else 1.5 for i in range(n)],
            "empty": [None] * n,
            "id": [f"id{i}" for i in range(n)],
            "cost in $ or $$": [7] * n,
        }
    ).data


@pytest.mark.parametrize("beside", [False, True])
def test_pictures(tmp_path: Path, beside: bool) -> None:
    table = mixed(400)
    figure = look(table, path=tmp_path / "t.png", beside=mixed(500, 1.0) if beside else None)
    titles = {axes.get_title().split("\n")[0]: axes for axes in figure.axes}
    assert [*titles] == [name for name in table.names if "$" not in name] + [r"cost in \$ or \$\$"]
    assert "75 % missing" in titles["holes"].get_title()
    assert titles["tail"].get_xscale() == "log"
    assert "% beyond the axis" in titles["outlier"].get_title()
    assert bool(figure.legends) == beside
    words = [label.get_text() for label in titles["word"].get_yticklabels()]
    assert len(words) == 13
    assert words[-1] == "8 others"
    assert "400 different" in titles["id"].texts[0].get_text()
    # Every histogram's bars add up to all cells that are there.
    bars = titles["number"].patches[-1].get_data().values
    assert bars.sum() == pytest.approx(1, abs=0.003)
    assert Image.open(tmp_path / "t.png").width > 800


def test_many_columns_and_none() -> None:
    figure = look(read({f"c{i}": [1, 2, 3] for i in range(30)}).data)  # type: ignore[arg-type]
    assert len([axes for axes in figure.axes if axes.get_title()]) == 24
    assert "6 more are not shown" in figure.get_suptitle()
    with pytest.raises(ArgumentError, match="no rows"):
        look(mixed(10)[:0])
