"""Declared constraints: read without being executed, refused where they contradict, obeyed."""

import numpy as np
import pandas as pd
import pytest

from unfog.errors import ArgumentError, DataError, UnknownName
from unfog.kinds.table.cells import Table
from unfog.kinds.table.codec import TableCodec
from unfog.kinds.table.constraints import read_constraints
from unfog.kinds.table.feasible import feasible
from unfog.kinds.table.move import moved
from unfog.kinds.table.read import read

KINDS = {"a": "number", "b": "number", "c": "number", "net price": "number", "on": "date",
         "off": "date", "city": "text"}  # fmt: skip


def frame(count=300, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.gamma(2, 10, count).round(1)
    on = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 300, count), "D")
    return pd.DataFrame(
        {
            "a": a,
            "b": (a + rng.gamma(1, 5, count)).round(1),
            "c": rng.integers(0, 60, count),
            "d": rng.normal(size=count),
            "on": on,
            "off": on + pd.to_timedelta(rng.integers(0, 90, count), "D"),
            "city": rng.choice(["x", "y"], count),
        }
    )


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a <= b", [1, 1, 0, 1]),
        ("a < b", [1, 0, 0, 1]),
        ("0 <= a <= 2", [1, 1, 0, 1]),
        ("a + b == c", [1, 0, 0, 1]),
        ("a != b and a >= 1", [1, 0, 1, 1]),
        ("2 * a - b > -(c + 1) / 2", [1, 1, 1, 1]),
        ("on < off", [1, 0, 1, 1]),
        ("off - on <= 2", [1, 1, 0, 1]),
        ("off >= '2021-01-03'", [1, 0, 1, 1]),
        ("on + 1 <= off", [1, 0, 1, 1]),
    ],
)
def test_rows_that_obey(text, rows):
    """The fourth row has no cells: what is missing breaks nothing."""
    table = read(
        {
            "a": [1.0, 2.0, 3.0, None],
            "b": [2.0, 2.0, 1.0, None],
            "c": [3, 5, 5, None],
            "on": pd.to_datetime(["2021-01-02", "2021-01-02", "2021-01-02", None]).tolist(),
            "off": pd.to_datetime(["2021-01-03", "2021-01-02", "2021-01-09", None]).tolist(),
        }
    ).data
    found = np.ones(4, bool)
    for one in read_constraints([text], KINDS):
        found &= one.obeyed(table.columns)
    assert found.tolist() == [bool(one) for one in rows]


@pytest.mark.parametrize(
    ("texts", "error", "said"),
    [
        (["a < b", "b < a"], ArgumentError, "'a < b' and 'b < a' together: they contradict"),
        (["a > 5", "c < 9", "a < 3"], ArgumentError, "'a > 5' and 'a < 3'"),
        (["a + b == c", "a > c", "b > 0"], ArgumentError, "contradict"),
        (["on < off", "off < on - 3"], ArgumentError, "contradict"),
        (["a < aa"], UnknownName, "'aa'.*did you mean 'a'"),
        (["city < 3"], ArgumentError, "column 'city' is text"),
        (["on < 3"], ArgumentError, "compares a date with a number"),
        (["on + off < '2020-01-01'"], ArgumentError, "calculates with a date"),
        (["a"], ArgumentError, "compares nothing"),
        (["a <"], ArgumentError, "can't be read"),
        (["1 < 2"], ArgumentError, "no column"),
        (["a or b < 3"], ArgumentError, "compares nothing"),
        (["a in b"], ArgumentError, "compares in a way"),
        (["__import__('os').system('x') < 1"], ArgumentError, "is not read"),
        (["a ** b < 1"], ArgumentError, "is not read"),
        (["(lambda: 0)() < a"], ArgumentError, "is not read"),
        (["-" * 99 + "a < 1"], ArgumentError, "nested too deeply"),
        (["a < " + "9" * 9999], ArgumentError, "a very long text"),
        ([7], ArgumentError, "7 is no constraint"),
        ("a < b", ArgumentError, "list of texts"),
    ],
)
def test_what_can_not_be_read_or_obeyed_is_refused(texts, error, said):
    with pytest.raises(error, match=said):
        read_constraints(texts, KINDS)


def test_names_with_spaces_stand_in_backticks_or_quotes():
    for text in ("`net price` <= a", "'net price' <= a"):
        assert read_constraints([text], KINDS)[0].names == ("net price", "a")


def test_what_is_possible_is_not_refused():
    one = read_constraints(["a <= b", "b <= a", "0 <= a <= 10", "a + b == c", "c < 20.5"], KINDS)
    assert feasible([(c.text, c.sign, c.linear()) for c in one]) == []


def test_equations_are_computed_and_breaches_counted():
    table = frame().assign(s=lambda f: (f.a + f.b).round(1))
    table.loc[3, "s"] += 5
    items = read(table, constraints=["a + b == s", "a <= b", "c < 50"])
    codec = TableCodec.fit(items)
    assert codec.functions["s"].words("s") == "s = a + b"
    notes = " ".join(codec.notes)
    assert "1 of 300 training rows break 'a + b == s', for example a = " in notes
    assert f"{(table.c >= 50).sum()} of 300 training rows break 'c < 50'" in notes
    assert "s = a + b as declared: computed, not learnt" in notes
    product = read(table.assign(p=2 * table.a * table.c), constraints=["p == a * c * 2"])
    assert "p" in TableCodec.fit(product).functions
    with pytest.raises(DataError, match="most rows break is a mistake"):
        TableCodec.fit(read(table, constraints=["b < a"]))


@pytest.mark.parametrize(
    "texts",
    [
        ["a <= 12.3"], ["a < 12.3", "b > 30"], ["a + c <= 20", "c >= 3"], ["off < '2021-06-01'"],
        ["on <= off", "off <= '2021-03-01'"], ["d < 0.5", "d > -0.25"], ["a == b"],
        ["b == a + 2"], ["d + a < 3"], ["a > 7", "a <= b", "b < 8"],
    ],
)  # fmt: skip
def test_moved_rows_obey_on_the_columns_own_steps(texts):
    codec = TableCodec.fit(read(frame()))
    table = codec.check(read(frame(seed=1)).data)
    rules = codec.read_constraints(texts)
    wrong = np.any([~one.obeyed(table.columns) for one in rules], axis=0)
    assert wrong.any()
    done = moved(codec, rules, table, wrong)
    for one in rules:
        assert one.obeyed(done.columns).all(), one.text
    same = Table(dict(done.columns))[~wrong]
    assert same.keys() == table[~wrong].keys()  # rows that obeyed stay
    for name in ("a", "b"):
        values = done.columns[name].values
        assert (np.round(values, 1) == values).all()
    fixed = moved(codec, rules, table, wrong, fixed=list(table.columns))
    assert fixed.keys() == table.keys()
