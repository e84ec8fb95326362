"""The judge of tables: real rows pass, planted faults are found."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.judges.tables import Table, distance, judged, texts


def rows(count, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=count)
    kind = np.array(["a", "b", "c"])[rng.integers(3, size=count)]
    hole = np.where(rng.random(count) < 0.1, np.nan, rng.gamma(2.0, size=count))
    y = np.where(x + 0.3 * rng.normal(size=count) > 0, "yes", "no")
    return pd.DataFrame({"x": x, "hole": hole, "kind": kind, "y": y})


@pytest.fixture(scope="module")
def table():
    return Table(rows(900, 0), rows(600, 1), "y", ("kind", "y"))


def judge(table, drawn):
    return judged(table, drawn, most=600, seed=0)


def test_real_rows_are_not_told_from_real_rows(table):
    found = judge(table, rows(600, 2))
    assert abs(found["two_sample"] - 0.5) < 0.06
    assert found["columns"] < 0.07
    assert found["useful"] == pytest.approx(1.0, abs=0.04)
    assert abs(found["nearer"] - 0.5) < 0.06


def test_copies_of_training_rows_are_nearer_to_them(table):
    found = judge(table, table.train)
    assert found["nearer"] > 0.8  # most copies are of rows that are compared with


def test_a_shifted_column_is_told(table):
    drawn = rows(600, 2).assign(x=lambda r: r.x + 3)
    found = judge(table, drawn)
    assert found["two_sample"] > 0.9
    assert found["columns"] == pytest.approx(0.87 / 4, abs=0.05)  # KS of normals 3 apart: 0.866


def test_columns_that_are_drawn_apart_teach_nothing(table):
    drawn = rows(600, 2)
    drawn["y"] = np.random.default_rng(0).permutation(drawn["y"])
    found = judge(table, drawn)
    assert found["columns"] < 0.06
    assert found["useful"] < 0.7


def test_lost_holes_and_unknown_levels_count(table):
    filled = rows(600, 2).assign(hole=lambda r: r.hole.fillna(1.0))
    assert distance(table, filled["hole"], table.held["hole"]) >= table.held["hole"].isna().mean()
    other = rows(600, 2).assign(kind="d")
    assert judge(table, other)["columns"] > 0.25


def test_a_number_to_predict_is_scored_by_r2():
    def made(seed):
        return rows(500, seed).assign(y=lambda r: 3 * r.x + 0.1)

    table = Table(made(0), made(1), "y", ("kind",))
    assert judge(table, made(2))["useful"] == pytest.approx(1.0, abs=0.03)


def test_a_missing_column_is_an_error_that_names_it(table):
    with pytest.raises(ValueError, match="kind"):
        judge(table, rows(100, 2).drop(columns="kind"))


def test_spellings_of_a_level_are_one_level():
    assert list(texts(pd.Series([1.0, np.nan, 2.0]))) == ["1", "", "2"]
    assert list(texts(pd.Series(["1", None, "2"], dtype=object))) == ["1", "", "2"]
    assert list(texts(pd.Series([True, False]))) == ["True", "False"]
