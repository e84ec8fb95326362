"""Columns that are functions of others: found exactly, never by chance, and kept in every row."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from unfog.kinds.table.affine import affine, simplest
from unfog.kinds.table.cells import Cells
from unfog.kinds.table.codec import TableCodec
from unfog.kinds.table.derived import broken, computing_order
from unfog.kinds.table.evidence import orders
from unfog.kinds.table.find import find
from unfog.kinds.table.functions import date_part
from unfog.kinds.table.read import read
from unfog.kinds.table.roles import infer_roles
from unfog.kinds.table.rounding import Rounding

N = 400


def rules(frame, **more):
    table = read(frame).data
    found, _ = find(table, infer_roles(table), **more)
    return {name: rule.words(name) for name, rule in found.items()}


@pytest.fixture
def parts():
    rng = np.random.default_rng(0)
    return {
        "price": np.round(np.exp(rng.normal(3, 1, N)), 2),
        "count": rng.integers(1, 30, N),
        "celsius": np.round(rng.normal(15, 9, N), 1),
        "a": np.round(rng.gamma(2, 10, N), 2),
        "b": np.round(rng.gamma(2, 10, N), 2),
        "c": np.round(rng.gamma(2, 10, N), 2),
        "start": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1500, N), "D"),
        "days": rng.integers(0, 300, N),
        "city": rng.choice([f"city {n}" for n in range(12)], N),
        "x": rng.normal(size=N),
    }


CASES = [
    (lambda p: {"a": p["a"], "again": p["a"]}, {"again": "again = a"}),
    (
        lambda p: {"c": p["celsius"], "f": np.round(1.8 * p["celsius"] + 32, 1)},
        {"f": "f = 1.8 × c + 32"},
    ),
    (
        lambda p: {"km": p["a"], "miles": np.round(p["a"] / 1.609344, 1), "m": 1000 * p["a"]},
        {"m": "m = 1000 × km", "miles": None},
    ),
    (lambda p: {"x": p["x"], "y": p["x"] * 2.54}, {"y": "y = 2.54 × x"}),
    (
        lambda p: (
            {k: p[k] for k in ("price", "count")} | {"total": np.round(p["price"] * p["count"], 2)}
        ),
        {"total": "total = price × count"},
    ),
    (
        lambda p: (
            {"total": np.round(p["price"] * p["count"], 2)} | {k: p[k] for k in ("price", "count")}
        ),
        {"total": "total = price × count"},
    ),
    (
        lambda p: {"rate": np.round(p["days"] / p["count"], 4), "d": p["days"], "n": p["count"]},
        {"rate": "rate = d / n"},
    ),
    (lambda p: {"a": p["a"], "b": p["b"], "s": np.round(p["a"] + p["b"], 2)}, {"s": "s = a + b"}),
    (
        lambda p: {"r": p["a"], "k": p["b"], "gain": np.round(p["a"] - p["b"], 2)},
        {"gain": "gain = r - k"},
    ),
    (
        lambda p: {k: p[k] for k in "abc"} | {"s": np.round(p["a"] + p["b"] + p["c"], 2)},
        {"s": "s = a + b + c"},
    ),
    (
        lambda p: (
            {k: p[k] for k in ("start", "days")}
            | {"end": p["start"] + pd.to_timedelta(p["days"], "D"), "year": p["start"].year}
        ),
        {"year": "year = year of start", "end": "end = start + days"},
    ),
    (
        lambda p: {"city": p["city"], "region": [f"r{int(c[5:]) % 3}" for c in p["city"]]},
        {"region": "region is determined by city (12 levels)"},
    ),
]


@pytest.mark.parametrize(("make", "expected"), CASES)
def test_functions_are_found(parts, make, expected):
    found = rules(pd.DataFrame(make(parts)))
    assert set(found) == set(expected)
    assert all(words is None or found[name] == words for name, words in expected.items())


def test_one_row_that_is_otherwise_ends_a_rule(parts):
    total = np.round(parts["price"] * parts["count"], 2)
    total[7] += 0.01
    frame = pd.DataFrame({"price": parts["price"], "count": parts["count"], "total": total})
    assert rules(frame) == {}
    table = read(frame.drop(index=7)).data  # it holds there, and not in the held-out row
    roles = infer_roles(table)
    assert "total" in find(table, roles)[0]
    assert find(table, roles, held=read(frame).data[7:9])[0] == {}


def test_kept_columns_are_parents_only():
    frame = pd.DataFrame({"x": np.arange(100.0) % 37, "y": 2 * (np.arange(100.0) % 37) + 1})
    assert rules(frame) == {"y": "y = 2 × x + 1"}
    assert rules(frame, kept=["y"]) == {"x": "x = y / 2 - 0.5"}
    assert rules(frame, kept=["x", "y"]) == {}


@pytest.mark.parametrize("rows", [12, 40, 60, 200])
def test_unrelated_columns_have_no_rules(rows):
    """Rare events, few levels, spikes: forty tables of each size, no find. By the rule of evidence
    one table in a million of each form would have one.
    """
    for seed in range(40):
        r = np.random.default_rng((rows, seed))
        spike = np.where(r.random((rows, 2)) < 0.97, 0, r.random((rows, 2)).round(1))
        frame = pd.DataFrame(
            {
                "rare": r.random(rows) < 0.02,
                "seldom": r.random(rows) < 0.03,
                "half": r.random(rows) < 0.5,
                "few": r.choice(list("abc"), rows, p=[0.96, 0.03, 0.01]),
                "many": r.choice([f"n{k}" for k in range(rows // 2)], rows),
                "small": r.poisson(0.1, rows),
                "tiny": r.poisson(0.1, rows),
                "whole": r.integers(0, 100, rows),
                "tenth": r.normal(size=rows).round(1),
                "real": r.normal(size=rows),
                "spike": spike[:, 0],
                "spike_too": spike[:, 1],
            }
        )
        assert rules(frame) == {}, (rows, seed)


def test_orders_of_a_column():
    assert np.exp(orders(np.array(list("aabb")))) == pytest.approx(6)
    assert orders(np.zeros(99)) == pytest.approx(0)


def test_lines_take_the_fewest_digits():
    assert simplest(0.31, 0.42) == 0.4
    assert simplest(-3.74, -3.66) == -3.7
    assert simplest(1199, 1301) == 1200
    assert simplest(-1, 5) == 0
    x = np.linspace(-40, 60, 500).round(1)
    assert affine(x, np.round(1.8 * x + 32), Rounding(np.dtype(float), 0)) == (1.8, 32.0)
    assert affine(x, np.round(1.8 * x + 32) + (x > 59), Rounding(np.dtype(float), 0)) is None


def test_parts_of_dates():
    days = pd.date_range("1960-02-27 13:45", "2031-01-01", freq="31D")
    cells = Cells(days.to_numpy().astype("M8[us]"), np.ones(len(days), bool))
    for part, own in (
        ("year", days.year), ("quarter", days.quarter), ("month", days.month), ("day", days.day),
        ("hour", days.hour), ("minute", days.minute), ("weekday", days.weekday),
        ("day of week", days.weekday + 1), ("day of year", days.day_of_year),
    ):  # fmt: skip
        assert (date_part(part, cells) == np.asarray(own)).all(), part


@pytest.fixture
def shop(parts):
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({k: parts[k] for k in ("price", "count", "city", "start", "celsius", "x")})
    frame["price"] = frame.price.mask(rng.random(N) < 0.1)
    frame["total"] = (frame.price * frame["count"]).round(2).mask(rng.random(N) < 0.2)
    frame["region"] = frame.city.map(lambda c: f"r{int(c[5:]) % 3}")
    frame["country"] = frame.region.map({"r0": "A", "r1": "A", "r2": "B"})
    frame["end"] = frame.start + pd.Timedelta(days=30)
    frame["f"] = (1.8 * frame.celsius + 32).round(1)
    frame["key"] = [f"K-{n:05d}" for n in rng.permutation(N)]
    frame["key_again"] = frame.key
    return frame


def prior(codec, count, seed=0):
    rng = np.random.default_rng(seed)
    sizes = codec.fields["cat"]["sizes"]
    return {
        "num": torch.from_numpy(
            rng.normal(size=(count, codec.fields["num"]["size"])) * 1.3
        ).float(),
        "cat": torch.from_numpy(np.stack([rng.integers(0, k, count) for k in sizes], 1)),
    }


def test_rows_from_any_state_keep_every_function(shop):
    codec = TableCodec.fit(read(shop))
    assert set(codec.functions) == {"total", "region", "country", "end", "f", "key_again"}
    learnt = {name for field in codec.fields for name, part in codec.columns_of(field)}
    assert learnt == {"price", "count", "city", "start", "celsius", "x", "total"}  # total: its mark
    assert codec.columns_of("cat").count(("total", "missing")) == 1
    table = codec.decode(prior(codec, 2000), start=7)
    assert not any(wrong.any() for wrong in broken(codec.functions, table).values())
    columns = table.columns
    there = columns["total"].present
    assert (columns["price"].present >= there).all()
    assert 0.2 < there.mean() < 0.3  # codes by chance: both marks are even
    exact = np.round(columns["price"].values * columns["count"].values, 2)
    assert (columns["total"].values == exact)[there].all()
    assert (columns["key"].values == columns["key_again"].values).all()
    assert (columns["end"].values - columns["start"].values == np.timedelta64(30, "D")).all()
    notes = " ".join(codec.notes)
    assert "total = price × count in all " in notes
    assert "computed, not learnt" in notes


def test_encoding_leaves_out_what_follows_and_survives_saving(shop):
    codec = TableCodec.fit(read(shop))
    table = codec.check(read(shop).data)
    back = codec.decode(codec.encode(table))
    for name in ("total", "region", "country", "end", "f"):
        here = table.columns[name].present
        assert (back.columns[name].present == here).all()
        assert (back.columns[name].values == table.columns[name].values)[here].all(), name
    again = TableCodec.from_json(json.loads(json.dumps(codec.to_json())), codec.tensors())
    assert again.functions == codec.functions
    assert again.decode(prior(codec, 50)).keys() == codec.decode(prior(codec, 50)).keys()


def test_codecs_of_before_there_were_functions_load(shop):
    items = read(shop, functions="learn")
    codec = TableCodec.fit(items)
    content = codec.to_json()
    assert codec.functions == {}
    assert "functions" not in content
    assert "constraints" not in content
    again = TableCodec.from_json(content, codec.tensors())
    assert (again.functions, again.constraints) == ({}, [])


def test_parents_come_before_what_is_computed_from_them(shop):
    order = computing_order(TableCodec.fit(read(shop)).functions)
    assert order.index("region") < order.index("country")


def test_real_tables_have_the_functions_that_they_have(real_data):
    """Adult's education in numbers, telco's phone line; nothing in the others, and not telco's
    TotalCharges, which is only near tenure times MonthlyCharges.
    """
    known = {
        "adult_train": {"education_num": "education_num is determined by education (16 levels)"},
        "telco_churn": {"PhoneService": "PhoneService is determined by MultipleLines (3 levels)"},
    }
    for name in ("adult_train", "telco_churn", "insurance", "online_shoppers", "abalone",
                 "california_housing", "penguins", "beijing_pm25"):  # fmt: skip
        table = read(real_data / "tables" / f"{name}.csv").data
        found, _ = find(table, infer_roles(table))
        assert {n: r.words(n) for n, r in found.items()} == known.get(name, {}), name
