"""Items and splits: fingerprints, proportions, duplicates on one side."""

from __future__ import annotations

import json

import numpy as np
import pytest

from unfog.errors import ArgumentError, DataError, RunError, ShapeError
from unfog.kinds.items import Items
from unfog.kinds.splits import Splits, split


def items(n: int, *, seed: int = 0, **columns) -> Items:
    data = np.random.default_rng(seed).normal(size=(n, 3))
    return Items("array", data, columns=columns)


def parts(made: Splits) -> list[set[int]]:
    return [set(made.train), set(made.validation), set(made.test)]


def test_parts_are_disjoint_complete_and_of_the_asked_size() -> None:
    made = split(items(1000), seed=0, validation=0.1, test=0.2)
    assert [len(part) for part in parts(made)] == [700, 100, 200]
    assert set.union(*parts(made)) == set(range(1000))


def test_the_seed_decides_and_the_order_does_not() -> None:
    some = items(200)
    first, other = split(some, seed=1), split(some, seed=2)
    assert np.array_equal(first.test, split(some, seed=1).test)
    assert not np.array_equal(first.test, other.test)
    order = np.random.default_rng(5).permutation(200)
    moved = split(some.take(order), seed=1)
    assert set(order[moved.test]) == set(first.test)


def test_exact_duplicates_stay_on_one_side() -> None:
    data = np.random.default_rng(0).normal(size=(50, 3))[np.arange(200) % 50]
    made = split(Items("array", data), seed=3)
    assert made.duplicates == 150
    sides = [{position % 50 for position in part} for part in parts(made)]
    assert not (sides[0] & sides[1])
    assert not (sides[0] & sides[2])
    assert not (sides[1] & sides[2])
    assert all(sides)


def test_every_class_keeps_its_share() -> None:
    labels = np.array([0] * 800 + [1] * 150 + [2] * 50)
    made = split(items(1000, labels=labels), seed=0, validation=0.1, test=0.2)
    counts = np.bincount(labels[made.test], minlength=3)
    assert np.all(np.abs(counts - [160, 30, 10]) <= 1)


def test_a_single_item_of_a_class_trains() -> None:
    labels = ["common"] * 99 + ["rare"]
    for seed in range(20):
        assert 99 in split(items(100, label=labels), seed=seed).train


@pytest.mark.parametrize("n", [2, 9])
def test_few_items_all_train(n: int) -> None:
    made = split(items(n), seed=0)
    assert [len(part) for part in parts(made)] == [n, 0, 0]


def test_ten_items_give_each_part_one() -> None:
    assert [len(part) for part in parts(split(items(10), seed=0))] == [8, 1, 1]
    assert [len(part) for part in parts(split(items(10), seed=0, test=0))] == [9, 1, 0]


def test_nothing_to_split_is_refused() -> None:
    with pytest.raises(DataError, match="at least two"):
        split(items(1), seed=0)
    with pytest.raises(DataError, match="the same"):
        split(Items("array", np.ones((20, 2))), seed=0)
    with pytest.raises(ArgumentError, match="shares"):
        split(items(20), seed=0, test=0.6, validation=0.5)


def test_splits_survive_json_and_notice_changes() -> None:
    some = items(100, label=["a", "b"] * 50)
    made = split(some, seed=0)
    again = Splits.from_json(json.loads(json.dumps(made.to_json())))
    assert all(np.array_equal(getattr(made, p), getattr(again, p)) for p in ("train", "test"))
    again.check(some)
    changed = some.data.copy()
    changed[50, 1] += 1e-9
    with pytest.raises(DataError, match="changed"):
        again.check(Items("array", changed, columns=some.columns))
    with pytest.raises(DataError, match="changed"):
        again.check(Items("array", some.data, columns={"label": ["b", "a"] * 50}))
    broken = made.to_json()
    broken["test"] = broken["train"]
    with pytest.raises(RunError, match="overlap"):
        Splits.from_json(broken)
    with pytest.raises(RunError, match="damaged"):
        Splits.from_json({"seed": 0})


def test_taking_items_takes_all_their_parts() -> None:
    some = Items(
        "array",
        np.arange(8.0).reshape(4, 2),
        columns={"a": np.arange(4), "b": ["p", "q", "r", None]},
        names=list("wxyz"),
    )
    taken = some.take([3, 1])
    assert taken.data.tolist() == [[6, 7], [2, 3]]
    assert taken.columns["a"].tolist() == [3, 1]
    assert taken.columns["b"] == [None, "q"]
    assert taken.names == ["z", "x"]
    assert len(some.take([])) == 0
    assert some.take(np.array([True, False, False, True])).names == ["w", "z"]
    with pytest.raises(ShapeError, match="column 'c'"):
        Items("array", some.data, columns={"c": [1, 2]})
