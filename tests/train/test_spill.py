"""Rows on disk: read back as written, in any order, gone with the process, refused where the disk
is full.
"""

import os

import numpy as np
import pytest

from unfog.errors import ResourceError
from unfog.train import spill
from unfog.train.batches import Batches
from unfog.train.spill import Spill


def test_rows_come_back_in_any_order_and_leave_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(spill, "HOLD", 1)  # lets go of its pages after every read
    values = np.random.default_rng(0).integers(0, 256, (500, 3, 2), dtype=np.uint8)
    file = Spill(np.uint8, (3, 2), 500)
    for start in range(0, 500, 170):
        file.append(values[start : start + 170])
    mapped = file.mapped()
    assert os.listdir(tmp_path) == []
    index = np.random.default_rng(1).permutation(500)
    assert np.array_equal(mapped[index], values[index])
    assert np.array_equal(mapped[7], values[7])
    assert np.array_equal(mapped.take(index)[10:20], values[index][10:20])
    assert np.array_equal(np.stack(list(mapped.take(index))), values[index])
    assert mapped.take(index).take(index).shape == (500, 3, 2)
    assert np.array_equal(np.asarray(mapped.take(index).take(index)), values[index][index])


def test_rows_of_several_fields_keep_their_types(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    dtype = np.dtype([("num", "<f4", (2,)), ("cat", "<u2", (3,))])
    rows = np.empty(10, dtype)
    rows["num"], rows["cat"] = np.arange(20).reshape(10, 2) / 7, np.arange(30).reshape(10, 3)
    file = Spill(dtype, (), 10)
    file.append(rows)
    found = file.mapped()[np.array([9, 0])]
    assert np.array_equal(found["num"], rows["num"][[9, 0]])
    assert np.array_equal(found["cat"], rows["cat"][[9, 0]])


def test_a_disk_without_room_is_named_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(ResourceError, match="free; free some, or name another place"):
        Spill(np.float32, (10**6,), 10**9)
    assert os.listdir(tmp_path) == []


def test_an_epoch_of_millions_has_every_item_once():
    count = 2**20 + 3
    batches = Batches(count, 2**17, 0, lambda index: (index, {}))
    seen = np.concatenate([batches.index(k) for k in range(count // 2**17 + 1)])[:count]
    assert np.array_equal(np.sort(seen), np.arange(count))
    assert not np.array_equal(seen[:1000], np.arange(1000))
