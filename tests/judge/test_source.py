"""Near copies, directions and columns are found where planted, and only there."""

import numpy as np

from unfog.judge.source import directions, near_copies, suspects


def test_near_copies_are_counted_and_exact_ones_are_not():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 20)).astype("float32")
    assert near_copies(x).count == 0
    planted = np.concatenate([x, x[:30] + 0.01 * rng.normal(size=(30, 20)), x[:10]])
    found = near_copies(planted.astype("float32"))
    assert found.looked == 530
    pairs = {frozenset(pair) for pair in found.pairs.tolist()}
    assert pairs == {frozenset((i, 500 + i)) for i in range(30)}
    assert near_copies(x[:, :3]) is None  # neighbours that near happen by chance


def test_near_copies_across_two_sets():
    rng = np.random.default_rng(1)
    train, test = rng.normal(size=(400, 12)), rng.normal(size=(50, 12))
    assert near_copies(test, train).count == 0
    test[:7] = train[:7] + 0.01
    found = near_copies(test, train)
    assert found.pairs.tolist() == [[i, i] for i in range(7)]


def test_directions_of_variation_are_counted():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 60))
    assert directions(flat.reshape(400, 6, 10)) <= 5
    assert directions(rng.normal(size=(400, 60)).reshape(400, 6, 10)) > 40


def test_columns_that_say_each_other():
    label = ["cat", "dog", "eel"] * 30
    columns = {
        "label": label,
        "animal": [word.upper() for word in label],
        "legs": [{"cat": 4, "dog": 4, "eel": 0}[word] for word in label],
        "free": list(np.random.default_rng(0).integers(0, 4, 90).tolist()),
        "file": [f"p{i}" for i in range(90)],
        "weight": np.linspace(0, 1, 90).tolist(),
        "camera": ["one"] * 90,
    }
    found = {(one.column, one.what, one.other) for one in suspects(columns)}
    assert found == {
        ("animal", "same", "label"),
        ("label", "determines", "legs"),
        ("animal", "determines", "legs"),
        ("file", "identifier", None),
        ("camera", "constant", None),
    }
