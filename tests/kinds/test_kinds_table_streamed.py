"""Parquet larger than memory: some rows stand for all, and nothing of all is lost."""

import numpy as np
import pandas as pd
import pytest

from unfog.errors import DataError
from unfog.kinds import kinds
from unfog.kinds.infer import infer
from unfog.kinds.table import parts, read, streamed, textparts
from unfog.kinds.table.streamed import Streamed

COUNT = 4000
TABLE = kinds["table"]


@pytest.fixture(autouse=True)
def little(monkeypatch):
    monkeypatch.setattr(read, "MANY", 1000)
    monkeypatch.setattr(read, "SAMPLE", 400)
    monkeypatch.setattr(streamed, "SAMPLE", 400)
    monkeypatch.setattr(parts, "PIECE", 700)


def frame(seed=0):
    """One row, far from the sample's rows, has a level, a hole, and ends that no other row has."""
    rng = np.random.default_rng(seed)
    made = pd.DataFrame(
        {
            "key": np.arange(10, COUNT + 10),
            "level": rng.choice(["a", "b"], COUNT),
            "flag": "always",
            "size": rng.normal(size=COUNT),
            "whole": rng.integers(0, 500, COUNT),
            "hole": rng.normal(size=COUNT),
        }
    )
    row = odd_row()
    made.loc[row, ["level", "flag"]] = ["rare", "once"]
    made.loc[row, ["size", "hole"]] = [1e6, np.nan]
    made.loc[row, "whole"] = -7000
    return made


def odd_row():
    taken = set(streamed.shuffled(np.arange(400), COUNT, 1).tolist())
    return max(set(range(COUNT)) - taken)


@pytest.fixture
def source(tmp_path):
    frame().to_parquet(tmp_path / "big.parquet", row_group_size=900)
    return tmp_path / "big.parquet"


def fitted(source):
    items = TABLE.read(source, sample=True)
    assert isinstance(items.rest, Streamed)
    return items, items.rest.widened(TABLE.codec.fit(items), items.data)


def test_the_sample_is_some_rows_in_their_order_and_the_rest_is_all(source):
    items = TABLE.read(source, sample=True)
    keys = items.data.columns["key"].values
    assert len(items) == 400
    assert (np.diff(keys) > 0).all()
    assert abs(keys.mean() - 10 - COUNT / 2) < 6 * COUNT / np.sqrt(12 * 400)
    assert len(items.rest) == COUNT
    whole = np.concatenate([t.columns["key"].values for _, t in items.rest.tables()])
    assert np.array_equal(whole, np.arange(10, COUNT + 10))
    some = [t.columns["key"].values for _, t in items.rest.tables(0.25)]
    assert abs(len(np.concatenate(some)) - COUNT / 4) < 6 * np.sqrt(COUNT * 3 / 16)
    assert len(TABLE.read(source)) == COUNT  # nobody gets a part unasked


def test_the_codec_has_a_place_for_what_only_one_row_has(source):
    items, codec = fitted(source)
    plain = TABLE.codec.fit(items)
    every = frame()
    odd = next(t for b, t in items.rest.tables() if b + len(t) > odd_row())
    with pytest.raises(DataError):
        plain.encode(odd)
    back = codec.decode(codec.encode(odd)).columns
    at = odd_row() - (odd.columns["key"].values[0] - 10)
    assert back["level"].values[at] == "rare"
    assert back["flag"].values[at] == "once"
    assert not back["hole"].present[at]
    assert back["whole"].values[at] == -7000
    assert back["size"].values[at] == pytest.approx(1e6, rel=1e-4)
    assert codec.columns["level"].levels.values == sorted(every["level"].unique())
    assert codec.columns["key"].identifiers.issue(0, 1)[0] == COUNT + 10  # none of any row


def test_given_knows_levels_that_the_sample_lacks(source):
    items = TABLE.read(source, sample=True)
    found = items.rest.columns(items.columns, ["level"])
    assert set(found["level"]) == {"a", "b", "rare"}
    assert len(found["level"]) == len(items) + 1


def test_running_numbers_are_a_key_whatever_they_are_called(tmp_path):
    frame().rename(columns={"key": "visit"}).to_parquet(tmp_path / "big.parquet")
    _, codec = fitted(tmp_path / "big.parquet")
    assert codec.roles["visit"].kind == "identifier"


def test_a_folder_of_parquet_is_one_table(tmp_path):
    whole = frame()
    for start in range(0, COUNT, 1500):
        whole[start : start + 1500].to_parquet(tmp_path / f"part-{start:05d}.parquet", index=False)
    assert infer(tmp_path) == "table"
    items = TABLE.read(tmp_path, sample=True)
    alone = tmp_path / "one.pq"
    whole.to_parquet(alone)
    one = TABLE.read(alone, sample=True)
    assert items.data.keys() == one.data.keys()
    alone.unlink()
    assert TABLE.read(tmp_path).data.keys() == TABLE.read(tmp_path, limit=COUNT).data.keys()
    before = items.fingerprint()
    whole[:1500].assign(size=0.5).to_parquet(tmp_path / "part-00000.parquet", index=False)
    assert TABLE.read(tmp_path, sample=True).fingerprint() != before
    whole[:10].assign(whole="x").to_parquet(tmp_path / "part-09999.parquet", index=False)
    with pytest.raises(DataError, match=r"part-09999.*'whole' is .*string.* and int64 in"):
        TABLE.read(tmp_path, sample=True)
    whole[:10].assign(more=1).to_parquet(tmp_path / "part-09999.parquet", index=False)
    with pytest.raises(DataError, match=r"other columns than .*\(more\)"):
        TABLE.read(tmp_path, sample=True)


def test_an_infinite_number_far_down_is_named_with_its_place(tmp_path):
    bad = frame()
    bad.loc[3500, "size"] = np.inf
    bad.to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(DataError, match=r"row 1 of column 'size'.*counted from row 3501 on"):
        TABLE.read(tmp_path / "bad.parquet", sample=True)


def lines(count=3000):
    """CSV with what a cut may break: quotes, line ends inside them, commas, words for a hole."""
    rng = np.random.default_rng(1)
    yield "name,day,whole,part,truth,note"
    for row in range(count):
        part = "NA" if row % 11 == 0 else f"{rng.normal():.3f}"
        whole = row if row != odd_row_of(count) else row + 0.5
        note = ["plain", '"a, ""b"""', '"two\nlines"', ""][row % 4]
        yield f"{'xyz'[row % 3]},{row % 28 + 1}/3/2020,{whole},{part},{row % 2 == 0},{note}"


def odd_row_of(count):
    return max(set(range(count)) - set(streamed.places(count).tolist()))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_large_csv_in_pieces_is_the_csv_read_whole(tmp_path, monkeypatch, end):
    monkeypatch.setattr(textparts, "BIG", 1000)
    monkeypatch.setattr(textparts, "BLOCK", 1777)  # no piece ends where a row does
    file = tmp_path / "big.csv"
    file.write_bytes("".join(line + end for line in lines()).encode())
    whole, some = TABLE.read(file), TABLE.read(file, sample=True)
    assert len(some) == 400
    assert isinstance(some.rest, Streamed)
    assert some.origin["columns"] == whole.origin["columns"] | {
        "whole": some.origin["columns"]["whole"]
    }
    wanted = whole.data[streamed.places(3000)]
    assert some.data.keys() == wanted.keys()
    tables = [table for _, table in some.rest.tables()]
    for name, cells in whole.data.columns.items():
        found = [table.columns[name] for table in tables]
        assert {one.values.dtype for one in found} == {cells.values.dtype}, name
        assert np.array_equal(np.concatenate([one.present for one in found]), cells.present)
        values = np.concatenate([one.known() for one in found])
        assert np.array_equal(values, cells.known()), name
    codec = some.rest.widened(TABLE.codec.fit(some), some.data)
    assert len(codec.encode(tables[0])["num"]) == len(tables[0])


def test_a_word_among_numbers_far_down_a_large_csv_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(textparts, "BIG", 1000)
    monkeypatch.setattr(textparts, "BLOCK", 1777)
    rows = list(lines())
    spoilt = next(i for i in range(2990, 0, -1) if i - 1 not in set(streamed.places(3000).tolist()))
    rows[spoilt] = rows[spoilt].replace("/3/2020,", "/3/2020,many,", 1).replace("many,", "many", 1)
    file = tmp_path / "big.csv"
    file.write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError, match=r"column 'whole' is 'many.*counted from row"):
        TABLE.read(file, sample=True)
    rows[2000] += ",one more"
    file.write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError, match=r"has 7 cells .*lines are counted from line"):
        TABLE.read(file, sample=True)
