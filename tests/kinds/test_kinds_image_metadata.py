"""The table beside the images: CSV or JSON lines, in the source or named, any conditions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from kinds_corpus import photos, zip_of

from unfog.errors import ArgumentError, DataError
from unfog.kinds import kinds
from unfog.kinds.given import GivenCodec

read = kinds["image"].read
ROWS = [
    {"file_name": "0000.png", "kind": "cat", "age": 3, "size": 1.5, "caption": "a small cat"},
    {"file_name": "0001.png", "kind": "dog", "age": 4, "size": 2, "caption": "a dog, asleep"},
    {"file_name": "0002.png", "kind": None, "age": 5, "size": None, "caption": "nothing, much"},
    {"file_name": "0003.png", "kind": "cat", "age": 6, "size": 0.5, "caption": "a cat again"},
]


def lines(rows: list[dict], key: str = "file_name") -> str:
    renamed = [{key if name == "file_name" else name: v for name, v in row.items()} for row in rows]
    return "\n".join(json.dumps(row) for row in renamed)


def table(rows: list[dict], key: str = "file_name") -> str:
    head = [key if name == "file_name" else name for name in rows[0]]
    cells = [["" if v is None else f'"{v}"' for v in row.values()] for row in rows]
    return "\n".join([",".join(head), *(",".join(row) for row in cells)])


@pytest.mark.parametrize("key", ["file_name", "file"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_several_conditions_of_three_types(tmp_path: Path, form: str, key: str) -> None:
    photos(tmp_path, 4)
    content = table(ROWS, key) if form == "csv" else lines(ROWS, key)
    (tmp_path / f"metadata.{form}").write_text(content)
    items = read(tmp_path, given=["kind", "age", "caption"])
    assert items.columns["kind"] == ["cat", "dog", None, "cat"]
    assert list(items.columns["age"]) == [3, 4, 5, 6]
    assert np.array_equal(items.columns["size"], [1.5, 2, np.nan, 0.5], equal_nan=True)
    assert items.columns["caption"][1] == "a dog, asleep"
    assert items.notes == []
    specs = GivenCodec.fit(items.columns, ["kind", "size", "caption"]).specs
    assert [specs[name]["type"] for name in specs] == ["class", "number", "text"]


def test_json_lines_hold_numbers_lists_and_truth(tmp_path: Path) -> None:
    photos(tmp_path, 2)
    rows = [{"file": f"000{i}.png", "pose": [i, 0.5], "wild": bool(i)} for i in range(2)]
    (tmp_path / "metadata.jsonl").write_text(lines(rows))
    items = read(tmp_path)
    assert list(items.columns["wild"]) == [0, 1]
    assert items.columns["pose"] == [[0, 0.5], [1, 0.5]]
    codec = GivenCodec.fit(items.columns, ["pose"])
    assert codec.specs["pose"] == {"type": "tensor", "shape": [2]}


def test_a_named_table_beside_a_zip_or_inside_it(tmp_path: Path) -> None:
    photos(tmp_path / "p", 4)
    members = {f"images/{p.name}": p.read_bytes() for p in sorted((tmp_path / "p").iterdir())}
    beside = tmp_path / "captions.csv"
    beside.write_text(table([*ROWS, {**ROWS[0], "file_name": "gone.png"}], "file"))
    items = read(zip_of(tmp_path / "a.zip", members), metadata=beside, given=["caption"])
    assert items.columns["caption"] == [row["caption"] for row in ROWS]
    assert "1 rows name files that are not there" in items.notes[0]
    members["captions.csv"] = table(ROWS[:3], "file").encode()
    items = read(zip_of(tmp_path / "b.zip", members), metadata="captions.csv")
    assert items.columns["caption"] == [*(row["caption"] for row in ROWS[:3]), None]
    assert items.notes == [
        f"{tmp_path / 'b.zip'}/captions.csv: 1 images have no row there; their values are missing"
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("metadata.csv", "age\n3\n", "needs a column 'file_name'; it has: age"),
        ("metadata.csv", "file\n../0000.png\n", "outside the folder"),
        ("metadata.csv", "file\ngone.png\n", "line 2 names 'gone.png', which is not there"),
        ("metadata.csv", "file\n0000.png\n0000.png\n", "a second time"),
        ("metadata.csv", "file,a\n0000.png\n", "line 2 has 1 cells; the head has 2"),
        ("metadata.csv", "file,a,a\n", "two columns have the same name"),
        ("metadata.jsonl", '{"file": "0000.png"}\n{"fil', "line 2 is no JSON"),
        ("metadata.jsonl", "[1]", "line 1 is no JSON object"),
        ("metadata.jsonl", '{"age": 3}', "line 1 needs a key 'file_name'; it has: age"),
        ("metadata.jsonl", '{"file": 3}', "line 1 names no file"),
        ("metadata.jsonl", '{"file": "0000.png", "a": {}}', "line 1 has a = {}"),
        ("metadata.jsonl", '{"file": "0000.png", "a": NaN}', "line 1 has a = nan"),
    ],
)
def test_tables_that_do_not_fit_are_one_sentence(tmp_path, name, content, said) -> None:
    photos(tmp_path, 3)
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as error:
        read(tmp_path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_named_tables_that_do_not_fit(tmp_path: Path) -> None:
    photos(tmp_path / "p", 3)
    with pytest.raises(DataError, match="neither in the source nor a file"):
        read(tmp_path / "p", metadata="none.csv")
    (tmp_path / "other.csv").write_text("file,a\nx.png,1\n")
    with pytest.raises(DataError, match=r"none of its 1 rows names an image .* 'x\.png'"):
        read(tmp_path / "p", metadata=tmp_path / "other.csv")
    with pytest.raises(ArgumentError, match="needs a folder or zip"):
        read(np.zeros((4, 8, 8), np.uint8), metadata="m.csv")
    for name in ("metadata.csv", "metadata.jsonl"):
        (tmp_path / "p" / name).write_text("")
    with pytest.raises(DataError, match="are both there"):
        read(tmp_path / "p")


def test_emoji_have_captions(real_data: Path) -> None:
    folder = real_data / "images_emoji_captions"
    items = read(folder / "emoji128.zip", metadata=folder / "captions.csv", size=8)
    assert len(items) == 186
    assert None not in items.columns["caption"]
