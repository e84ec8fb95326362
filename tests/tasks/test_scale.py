"""More than memory is to hold: rows from disk, items encoded late, rows drawn in pieces, a limit."""

import signal

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

import unfog
from unfog.errors import ArgumentError, ResourceError
from unfog.failpoints import arm
from unfog.kinds import kinds
from unfog.kinds.image import collect
from unfog.kinds.table import parts, read, streamed
from unfog.kinds.table.appended import Appended
from unfog.kinds.table.cells import Cells, Table
from unfog.tasks import pour, stored
from unfog.tasks.fit import again
from unfog.tasks.learn import batches_of
from unfog.tasks.within import Arrangement, arrange, orders, parsed
from unfog.train.plan import Need
from unfog.train.spill import Mapped

TINY = {"net.width": 32, "net.depth": 1}
COUNT = 4000


def frame(seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "key": np.arange(COUNT),
            "level": rng.choice(["a", "b", "c"], COUNT),
            "size": rng.integers(0, 40, COUNT),
            "share": rng.normal(size=COUNT),
        }
    )


@pytest.fixture
def big(tmp_path, monkeypatch):
    monkeypatch.setattr(read, "MANY", 1000)
    monkeypatch.setattr(read, "SAMPLE", 500)
    monkeypatch.setattr(streamed, "SAMPLE", 500)
    monkeypatch.setattr(parts, "PIECE", 700)
    made = frame()
    made = pd.concat([made, made])  # every row twice, so that held-out rows have a twin
    made.to_parquet(tmp_path / "big.parquet", index=False)
    return tmp_path / "big.parquet"


def test_all_rows_but_those_held_out_train_from_disk(big, tmp_path):
    out = tmp_path / "run"
    model = unfog.fit(big, out=out, given="level", steps=3, settings=TINY, quiet=True)
    assert model.config.data.count == 2 * COUNT
    prepared = again(out, None)
    batches, codec = batches_of(prepared), model.borders.codec
    parts_held = np.concatenate([model.splits.validation, model.splits.test])
    held = set(model.items.data.columns["key"].values[parts_held].tolist())
    states, cond = batches.fetch(np.arange(batches.count))
    drawn = codec.decode(states)
    wanted = frame()[lambda rows: ~rows["key"].isin(held)]
    wanted = pd.concat([wanted, wanted]).sort_values(["level", "size"])
    found = pd.DataFrame({n: drawn.columns[n].values for n in ("level", "size", "share")})
    assert batches.count == len(wanted) == 2 * (COUNT - len(held))
    assert held
    order = found.sort_values(["level", "size"])
    assert np.array_equal(order["level"], wanted["level"])
    assert np.array_equal(order["size"], wanted["size"])
    assert np.array_equal(model.borders.given.decode(cond)["level"], found["level"])
    near = np.abs(np.sort(found["share"]) - np.sort(wanted["share"]))
    assert np.median(near) < 1e-6
    assert (near > 1e-3).mean() < 0.02  # of 320 training rows, a few leave gaps


def test_rows_that_a_run_cannot_come_to_are_not_encoded(big, tmp_path, monkeypatch):
    monkeypatch.setattr("unfog.tasks.fit.LARGEST", 64)
    out = tmp_path / "run"
    unfog.fit(big, out=out, steps=20, batch=64, settings=TINY, quiet=True)
    shown = again(out, None)
    assert shown.config.data.shown == 20 * 64
    assert abs(shown.count - 0.16 * (2 * COUNT)) < 200
    assert np.array_equal(
        batches_of(shown).fetch(np.arange(50))[0]["cat"],
        batches_of(again(out, None)).fetch(np.arange(50))[0]["cat"],
    )


def images(folder, count):
    from PIL import Image

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, 8, 8), dtype=np.uint8)
    folder.mkdir()
    for i, one in enumerate(pixels):
        Image.fromarray(one).save(folder / f"{i:04d}.png")
    return pixels


def test_images_on_disk_are_those_in_memory(tmp_path, monkeypatch):
    pixels = images(tmp_path / "all", 90)
    held = kinds["image"].read(tmp_path / "all")
    monkeypatch.setattr(collect, "HELD", 1000)
    mapped = kinds["image"].read(tmp_path / "all")
    assert isinstance(mapped.data, Mapped)
    assert np.array_equal(mapped.data[:][..., 0], pixels)
    assert mapped.fingerprint() == held.fingerprint()
    assert mapped.keys() == held.keys()
    assert np.array_equal(mapped.take([5, 3]).data[:], held.take([5, 3]).data)
    monkeypatch.setattr(stored, "ENCODED", 1000)
    run = {"steps": 3, "settings": {"net": "mlp", "net.width": 16, "net.depth": 1}, "quiet": True}
    late = unfog.fit(tmp_path / "all", out=tmp_path / "late", **run)
    monkeypatch.undo()
    early = unfog.fit(tmp_path / "all", out=tmp_path / "early", **run)
    for one, other in zip(late.net.parameters(), early.net.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_images_of_one_odd_size_among_equal_ones_are_all_read(tmp_path):
    from PIL import Image

    pixels = images(tmp_path / "all", 20)
    Image.new("L", (12, 10), 9).save(tmp_path / "all" / "0010b.png")
    found = kinds["image"].read(tmp_path / "all").data
    assert found.shape == (21, 8, 8, 1)
    assert np.array_equal(np.delete(found, 11, 0)[..., 0], pixels)
    assert (found[11] == 9).all()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    out = tmp_path_factory.mktemp("pour") / "run"
    return unfog.fit(frame()[:400], out=out, given="level", steps=3, settings=TINY, quiet=True)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_rows_in_pieces_are_the_rows_drawn_at_once(model, tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(pour, "PIECE", 64)
    given = {"level": ["a", "b"] * 100}
    whole = model.sample(200, steps=2, given=given, batch=32).save(tmp_path / f"whole{suffix}")
    made = tmp_path / f"made{suffix}"
    pour.pour(model, made, 200, steps=2, given=given, batch=32)
    if suffix == ".csv":
        assert made.read_text() == whole.read_text()
        return
    file = pq.ParquetFile(made)
    assert file.num_row_groups == 4
    assert file.read().equals(pq.read_table(whole))
    assert file.read()["key"].to_pylist() == list(range(400, 600))
    assert sorted(p.name for p in tmp_path.iterdir()) == [made.name, whole.name]


def test_interrupted_rows_are_kept_beside_as_a_whole_file(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pour, "PIECE", 64)
    made = tmp_path / "made.parquet"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a command that ended here
    try:  # may have left it ignored
        with arm("pour.piece@128=int"), pytest.raises(KeyboardInterrupt):
            pour.pour(model, made, 200, steps=2, batch=32)
    finally:
        signal.signal(signal.SIGINT, before)
    assert [p.name for p in tmp_path.iterdir()] == ["made.part.parquet"]
    pour.pour(model, made, 200, steps=2, batch=32)
    part, whole = pq.read_table(tmp_path / "made.part.parquet"), pq.read_table(made)
    assert part.equals(whole.slice(0, 128))
    assert "the first 128 of 200 rows are in" in capsys.readouterr().err


def test_a_full_disk_leaves_nothing_and_says_so(model, tmp_path, monkeypatch):
    monkeypatch.setattr(pour, "PIECE", 64)
    with arm("pour.piece@128=full"), pytest.raises(ResourceError, match="nothing was left behind"):
        pour.pour(model, tmp_path / "made.parquet", 200, steps=2, batch=32)
    assert list(tmp_path.iterdir()) == []
    small = type("Usage", (), {"free": 10})
    monkeypatch.setattr(pour.shutil, "disk_usage", lambda path: small)
    with pytest.raises(ResourceError, match=r"would take about .* more, and 0 MB are free"):
        pour.pour(model, tmp_path / "made.parquet", 200, steps=2, batch=32)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_of_samples_that_does_not_fit_is_split_by_itself(model):
    plain = model.sample(40, steps=2, batch=40)
    with arm("sample.step@1=oom"):
        split = model.sample(40, steps=2, batch=40)
    assert split.raw.keys() == plain.raw.keys()


def test_a_later_piece_may_widen_the_type_of_a_column(tmp_path):
    file = Appended(tmp_path / "a.parquet", {"columns": {"n": {"arrow": "int8"}}})
    there = np.ones(3, dtype=bool)
    for low in (1, 300, 5):
        file.append(Table({"n": Cells(np.arange(low, low + 3), there)}))
    file.close()
    found = pq.read_table(tmp_path / "a.parquet")["n"].to_pylist()
    assert found == [1, 2, 3, 300, 301, 302, 5, 6, 7]
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]


@pytest.mark.parametrize(
    ("text", "size"), [("8GB", 8e9), ("512MB", 512e6), ("1.5GiB", 1.5 * 2**30), (2e9, 2e9)]
)
def test_sizes_of_memory(text, size):
    assert parsed(text) == size


@pytest.mark.parametrize("text", ["lots", "8 XB", "-3GB", "12KB", float("nan")])
def test_no_sizes_of_memory(text):
    with pytest.raises(ArgumentError, match="memory is a size"):
        parsed(text)


def test_the_fastest_way_that_fits_is_taken():
    cpu, need = torch.device("cpu"), Need(weights=10**6, item=10**7, thin=10**6)
    ways = orders(64)
    assert ways[0] == Arrangement()
    assert Arrangement(8) in ways
    assert Arrangement(4) not in ways
    assert ways[-1] == Arrangement(1, True)
    taken = [arrange(need, 64, limit, 0, cpu) for limit in (2e9, 5e8, 1.2e8, 5e7, 1.6e7)]
    assert [ways.index(way) for way in taken] == sorted({ways.index(way) for way in taken})
    assert taken[0] == Arrangement()
    assert taken[1] == Arrangement(16)
    assert taken[2].recomputed
    assert taken[-1].recomputed
    with pytest.raises(ResourceError, match="give at least"):
        arrange(need, 64, 1e7, 0, cpu)


def test_pieces_and_recomputed_blocks_learn_the_same(tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 12)).astype(np.float32)
    run = {"steps": 4, "batch": 64, "quiet": True}
    small = {"net.width": 32, "net.depth": 2}
    plain = unfog.fit(x, out=tmp_path / "a", settings=small, **run)
    ways = {"train.micro": 16, "train.recompute": True}
    other = unfog.fit(x, out=tmp_path / "b", settings={**small, **ways}, **run)
    assert other.config.train.recompute
    for one, two in zip(plain.net.parameters(), other.net.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)
    with pytest.raises(ResourceError, match="memory=20 MB is too little"):
        unfog.fit(x, out=tmp_path / "c", settings=small, memory="20MB", **run)
    assert not (tmp_path / "c" / "config.json").exists()
