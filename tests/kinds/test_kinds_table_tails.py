"""What comes back from any state: no heap at the ends, values beyond them, rare levels, new keys."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from unfog.kinds.table.codec import TableCodec
from unfog.kinds.table.read import read

DRAWS = 40_000


def prior(codec, count, seed=0):
    """Scores of a net that has learnt every column's own distribution, levels in equal shares."""
    rng = np.random.default_rng(seed)
    fields = codec.fields
    state = {}
    if "num" in fields:
        scores = rng.normal(size=(count, fields["num"]["size"]))
        state["num"] = torch.from_numpy(scores.astype(np.float32))
    if "cat" in fields:
        state["cat"] = torch.from_numpy(
            np.stack([rng.integers(0, k, count) for k in fields["cat"]["sizes"]], 1)
        )
    return state


def ends(values, drawn):
    """Shares of the draws below, at and above either end, and of the rows at either end."""
    low, high = values.min(), values.max()
    return {
        "beyond": ((drawn < low).mean(), (drawn > high).mean()),
        "at": ((drawn == low).mean(), (drawn == high).mean()),
        "real": ((values == low).mean(), (values == high).mean()),
    }


def five(share):
    """Five deviations of a share in the draws, one in a million tests beyond."""
    return 5 * np.sqrt(max(share, 1 / DRAWS) / DRAWS)


def no_heap(values, drawn, step):
    """No more draws at an end than rows are there, but for those that round to it; and one draw in
    n + 1 beyond an end that no two rows share.
    """
    found, n = ends(values, drawn), len(values)
    for at, beyond, real in zip(found["at"], found["beyond"], found["real"]):
        near = 3 / n if step else 1 / n  # neighbours are rounded to the end
        assert at <= real + near + five(real + near), found
        assert beyond <= 1 / (n + 1) + five(1 / n), found
        if real * n < 1.5 and 20 * n <= DRAWS:
            assert beyond + at > 0, found


def test_ends_are_open_and_carry_no_heap():
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "normal": rng.normal(size=500),
            "skewed": np.exp(rng.normal(3, 1, 500)).round(2),
            "whole": rng.integers(-400, 900, 500),
            "zeros": np.where(rng.random(500) < 0.6, 0, rng.gamma(2, 30, 500)).round(1),
        }
    )
    codec = TableCodec.fit(read(table))
    drawn = codec.decode(prior(codec, DRAWS)).columns
    for name in table:
        no_heap(table[name].to_numpy(), drawn[name].values, step=name != "normal")
    normal = drawn["normal"].values
    assert (normal < table.normal.min()).any()
    assert (normal > table.normal.max()).any()
    assert (drawn["skewed"].values > table.skewed.max()).any()
    assert (drawn["skewed"].values > 0).all()
    assert (drawn["zeros"].values >= 0).all()
    assert (drawn["zeros"].values == 0).mean() == pytest.approx((table.zeros == 0).mean(), abs=0.02)


@pytest.mark.parametrize("name", ["insurance", "california_housing", "abalone"])
def test_ends_of_real_columns(real_data, name):
    table = read(real_data / "tables" / f"{name}.csv").data
    codec = TableCodec.fit(read(real_data / "tables" / f"{name}.csv"))
    drawn = codec.decode(prior(codec, DRAWS)).columns
    for column, part in codec.columns_of("num"):
        if part == "value":
            cells = table.columns[column]
            no_heap(cells.known(), drawn[column].known(), step=True)


def test_every_level_has_a_code_and_comes_back(real_data):
    for name in ("insurance", "online_shoppers"):
        items = read(real_data / "tables" / f"{name}.csv")
        codec = TableCodec.fit(items)
        drawn = codec.decode(prior(codec, DRAWS)).columns
        for column, part in codec.columns_of("cat"):
            if part == "level":
                assert set(drawn[column].known()) == set(items.data.columns[column].known())


def test_a_million_levels_are_named_and_the_rare_ones_keep_their_rates():
    rng = np.random.default_rng(0)
    users = np.concatenate([np.repeat(["hub", "spoke"], 10_000), rng.permutation(20_000) // 2])
    codec = TableCodec.fit(read({"user": users.astype(str), "x": rng.normal(size=len(users))}))
    assert any("'user' has 10002 levels; the 9003 rarest" in note for note in codec.notes)
    state = prior(codec, DRAWS)
    state["cat"][:] = codec.columns["user"].levels.codes["7"]
    drawn = codec.decode(state).columns["user"].values
    levels, counts = np.unique(drawn, return_counts=True)
    assert not set(levels) & {"hub", "spoke"}
    assert len(levels) > 8_500  # of 9003, drawn 40 000 times: e^-4.4 of them are not there
    assert counts.max() < 25


def test_keys_are_new_unique_and_go_on():
    rng = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "number": rng.permutation(np.arange(900, 1200)),
            "code": [f"A{n:04d}-x" for n in rng.permutation(9000)[:300]],
            "hex": [f"{n:08x}" for n in rng.integers(0, 2**32, 300)],
            "x": rng.normal(size=300),
        }
    )
    codec = TableCodec.fit(read(table))
    assert {n for n, role in codec.roles.items() if role.kind == "identifier"} == {
        "number",
        "code",
        "hex",
    }
    whole = codec.decode(prior(codec, 5000)).columns
    parts = [codec.decode(prior(codec, 2500), start=at).columns for at in (0, 2500)]
    for name in ("number", "code", "hex"):
        issued = whole[name].values.tolist()
        assert len(set(issued)) == 5000
        assert not set(issued) & set(table[name].tolist())
        assert [v for part in parts for v in part[name].values.tolist()] == issued
    # four digits are too few for a million keys, so the pattern is widened
    assert all(re.fullmatch(r"A\d{4,}-x", one) for one in whole["code"].values)
