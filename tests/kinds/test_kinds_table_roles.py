"""Roles: what a person would call each column, and what the user may say instead."""

import numpy as np
import pytest

from unfog.errors import ArgumentError, UnknownName
from unfog.kinds.items import Items
from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.codec import TableCodec
from unfog.kinds.table.roles import infer_roles

N = 1000


def role(values, present=None, name="x", said=None):
    values = np.asarray(values)
    values = values.astype(object) if values.dtype.kind == "U" else values
    there = np.ones(len(values), bool) if present is None else np.asarray(present, bool)
    table = Table({name: Cells(values, there)})
    return infer_roles(table, None if said is None else {name: said})[name]


def words(count, r):
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    return ["".join(r.choice(letters, 6)) for _ in range(count)]


def cases():
    r = np.random.default_rng(0)
    half = r.random(N) < 0.5
    day = np.datetime64("2021-05-01", "us") + r.integers(0, 900, N) * np.timedelta64(1, "D")
    hexes = [f"{a:08x}-{b:04x}" for a, b in zip(r.permutation(N) * 4099, r.integers(0, 65536, N))]
    prose = [" ".join(r.choice(words(50, r), 9)) for _ in range(N)]
    return {
        "distinct floats are a measure": (r.normal(size=N), None, "x", "continuous", "number"),
        "floats without fraction": (r.integers(0, 500, N) * 1.0, None, "x", "integer", "number"),
        "distinct integers far apart": (
            r.choice(10**6, N, replace=False),
            None,
            "x",
            "integer",
            "number",
        ),
        "ages": (r.integers(18, 91, N), None, "age", "integer", "number"),
        "few integers": (r.integers(0, 8, N), None, "region", "integer", "category"),
        "few floats": (r.choice([0.1, 0.2, 0.4], N), None, "x", "continuous", "category"),
        "one float or missing": (np.full(N, 2.5), half, "x", "continuous", "category"),
        "constant": (np.full(N, 2.5), None, "x", "constant", ""),
        "constant word": (np.full(N, "same"), None, "x", "constant", ""),
        "no value at all": (np.zeros(N), np.zeros(N), "x", "constant", ""),
        "true or false": (half, None, "x", "boolean", "category"),
        "true or missing": (np.ones(N, bool), half, "x", "boolean", "category"),
        "days": (day, None, "x", "date", "number"),
        "running numbers, some held out": (
            np.sort(r.choice(N * 10 // 9, N, replace=False)),
            None,
            "x",
            "identifier",
            "",
        ),
        "keys by name": (r.choice(10**9, N, replace=False), None, "user_id", "identifier", ""),
        "keys by length": (
            r.integers(2**60, 2**61, N) // 1024 * 1024 + np.arange(N),
            None,
            "x",
            "identifier",
            "",
        ),
        "an id that repeats is not a key": (
            r.integers(0, 300, N),
            None,
            "user_id",
            "integer",
            "number",
        ),
        "customerID": (hexes, None, "customerID", "identifier", ""),
        "uuid-like without a name": (hexes, None, "x", "identifier", ""),
        "prose": (prose, None, "x", "text", ""),
        "levels": (r.choice(["a", "b", "c d"], N), None, "x", "category", "category"),
        "many levels": (r.choice(words(300, r), N), None, "x", "category", "category"),
        "yes": (r.choice(["Yes", "No"], N), None, "x", "category", "category"),
        "a number's missing cells": (r.normal(size=N), half, "x", "continuous", "number"),
        "three rows of words": (["a", "b", "c"], None, "x", "category", "category"),
    }


@pytest.mark.parametrize("case", list(cases()))
def test_a_column_is_what_a_person_would_say(case):
    values, present, name, kind, coded = cases()[case]
    found = role(values, present, name)
    assert (found.kind, found.coded) == (kind, coded), found
    assert found.reason


def test_a_split_does_not_change_a_role():
    """Roles are inferred on the training part, where running numbers have gaps."""
    r = np.random.default_rng(1)
    for _, (values, present, name, kind, _) in cases().items():
        values = np.asarray(values)
        if len(values) == N:
            part = np.sort(r.choice(N, 8 * N // 10, replace=False))
            there = None if present is None else np.asarray(present, bool)[part]
            assert role(values[part], there, name).kind == kind


def test_properties_are_said():
    r = np.random.default_rng(0)
    gains = np.where(r.random(N) < 0.92, 0, r.pareto(1.0, N) * 1e4).round()
    assert "zero-inflated (92 % are 0)" in role(gains).reason
    assert "heavy-tailed" in role(gains).reason
    assert "heavy-tailed" in role(np.exp(2 * r.normal(size=N))).reason
    plain = role(r.normal(size=N)).reason
    assert "heavy" not in plain
    assert "zero" not in plain


def test_the_user_decides():
    r = np.random.default_rng(0)
    small = r.integers(0, 5, N)
    assert role(small, said="integer").coded == "number"
    assert role(small, said="continuous").kind == "continuous"
    assert role(r.integers(0, 300, N), said="category").coded == "category"
    assert role(np.arange(N), said="integer").coded == "number"
    assert role(small % 2, said="boolean").coded == "category"
    assert role(np.array(["u1", "u2"] * 50), name="user", said="identifier").coded == ""
    assert role(np.array(["u1", "u2"] * 50), said="text").coded == ""
    assert role(np.zeros(9), np.zeros(9), said="integer").kind == "constant"


def test_ordinals_keep_their_order():
    sizes = np.array(["low", "high", "middle"] * 40)
    for said in ("ordinal:low<middle<high", {"ordinal": ["low", "middle", "high"]}):
        found = role(sizes, said=said)
        assert (found.kind, found.coded) == ("ordinal", "category")
        table = Table({"x": Cells(sizes.astype(object), np.ones(120, bool))})
        codec = TableCodec.fit(Items("table", table), types={"x": said})
        assert codec.encode(table)["cat"][:3, 0].tolist() == [0, 2, 1]
    assert role(np.arange(60) % 4, said="ordinal:3<2<1<0").order == [3, 2, 1, 0]
    with pytest.raises(ArgumentError, match="lacks 'middle'"):
        role(sizes, said="ordinal:low<high")
    with pytest.raises(ArgumentError, match="repeats"):
        role(sizes, said="ordinal:low<middle<middle<high")


def test_what_can_not_be_is_refused():
    for values, said in (
        (np.array(["a", "b"] * 9), "continuous"),
        (np.array(["a", "b"] * 9), "date"),
        (np.linspace(0, 1, 9), "integer"),
        (np.linspace(0, 1, 9), "identifier"),
        (np.arange(9), "constant"),
        (np.arange(9), "boolean"),
        (np.arange(9), "text"),
    ):
        with pytest.raises(ArgumentError, match="can't be of type"):
            role(values, said=said)
    with pytest.raises(UnknownName, match="continuous"):
        role(np.arange(9), said="continous")
    table = Table({"age": Cells(np.arange(9), np.ones(9, bool))})
    with pytest.raises(UnknownName, match="age"):
        infer_roles(table, {"agee": "integer"})
