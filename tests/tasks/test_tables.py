"""Tables as a user has them: mixed, with holes, dates and identifiers; back in their own type."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import unfog
from unfog.errors import ArgumentError, DataError, UnknownName

TINY = {"net.width": 32, "net.depth": 1}


def frame(count, seed=0):
    """A law with known answers: the group sets the blob, its size, and whether a cell is missing."""
    rng = np.random.default_rng(seed)
    group = rng.choice(["a", "b", "c"], count, p=[0.6, 0.3, 0.1])
    centre = pd.Series(group).map({"a": 0.0, "b": 4.0, "c": -4.0}).to_numpy()
    size = centre + rng.normal(size=count)
    spent = np.where(rng.random(count) < 0.7, 0.0, np.round(np.exp(rng.normal(3, 1, count)), 2))
    known = np.where(rng.random(count) < np.where(group == "b", 0.5, 0.02), np.nan, size * 2)
    return pd.DataFrame(
        {
            "id": [f"K-{n:05d}" for n in rng.permutation(count)],
            "group": group,
            "size": size,
            "spent": spent,
            "visits": rng.poisson(40, count),
            "twice": known,
            "joined": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(rng.integers(0, 900, count), "D"),
            "active": group != "c",
            "country": "NL",
        }
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    return unfog.fit(frame(300), given="group", out=out, steps=4, settings=TINY, quiet=True)


def test_frame_comes_back_with_the_same_columns_order_and_types(small):
    real, drawn = frame(300), small.sample(50, steps=4).data
    assert list(drawn.columns) == list(real.columns)
    assert (drawn.dtypes == real.dtypes).all(), drawn.dtypes
    assert drawn["id"].is_unique
    assert not set(drawn["id"]) & set(real["id"])
    assert (drawn["country"] == "NL").all()
    assert (drawn["joined"] == drawn["joined"].dt.normalize()).all()
    assert drawn["visits"].dtype.kind == "i"


def test_rows_depend_on_seed_and_index_only(small):
    whole = small.sample(20, steps=5, seed=3, batch=20)
    parts = small.sample(20, steps=5, seed=3, batch=3)
    pd.testing.assert_frame_equal(whole.data, parts.data, rtol=1e-4)
    tail = small.sample(5, steps=5, seed=3, first=15)
    pd.testing.assert_frame_equal(
        whole.data[15:].reset_index(drop=True), tail.data, rtol=1e-4, check_exact=False
    )
    assert not whole.data.equals(small.sample(20, steps=5, seed=4).data)


def test_loading_needs_the_folder_only(small, tmp_path):
    again = unfog.load(small.folder)
    pd.testing.assert_frame_equal(again.sample(9, steps=3).data, small.sample(9, steps=3).data)
    path = small.sample(9, steps=3).save(tmp_path / "rows.csv")
    assert list(pd.read_csv(path).columns) == list(frame(2).columns)
    config = json.loads((small.folder / "config.json").read_text())
    assert set(config["fields"]) == {"num", "cat"}


def test_what_is_given_stands_in_the_rows(small):
    drawn = small.sample(12, given={"group": "c"}, steps=3).data
    assert (drawn["group"] == "c").all()
    mixed = small.sample(3, given={"group": ["a", None, "b"]}, steps=3).data
    assert mixed["group"][0] == "a"
    assert mixed["group"][2] == "b"
    with pytest.raises(UnknownName, match=r"'d'.*a, b, c"):
        small.sample(2, given={"group": "d"})


def test_bad_requests_are_refused_before_training(tmp_path):
    table = frame(60)
    with pytest.raises(UnknownName, match="did you mean 'size'"):
        unfog.fit(table, given="siez", steps=1, quiet=True)
    with pytest.raises(ArgumentError, match="leave the coupling independent"):
        unfog.fit(table, steps=1, settings={"coupling": "optimal_transport"}, quiet=True)
    with pytest.raises(ArgumentError, match=r"takes states of one tensor.*num, cat"):
        unfog.fit(table, steps=1, settings={"space": "pca"}, quiet=True)
    with pytest.raises(DataError, match=r"no column to learn"):
        unfog.fit(table[["id", "country"]], steps=1, quiet=True)
    with pytest.raises(DataError, match="row"):
        unfog.fit(table.assign(size=np.inf), steps=1, quiet=True)


@pytest.mark.slow
def test_the_joint_law_is_learnt():
    """Blobs by group, missing cells by group, zeros at their rate, no value piled at an end."""
    from scipy.stats import ks_2samp

    real = frame(4000)
    model = unfog.fit(
        real.drop(columns="id"),
        steps=900,
        batch=256,
        lr=2e-3,
        settings={"net.width": 128, "net.depth": 2},
        quiet=True,
    )
    count = 16_000  # of 4000 a tenth is group c, whose distance would be half chance
    drawn, fresh = model.sample(count, seed=1).data, frame(count, seed=9)
    for name in ("a", "b", "c"):
        mine, other = drawn[drawn.group == name], fresh[fresh.group == name]
        assert abs(len(mine) - len(other)) < 0.04 * count, name
        assert ks_2samp(mine["size"], other["size"]).statistic < 0.09 + 0.05 * (name == "c"), name
        assert abs(mine["twice"].isna().mean() - other["twice"].isna().mean()) < 0.06, name
    both = drawn.dropna()
    assert np.corrcoef(both["size"], both["twice"])[0, 1] > 0.98  # a function of another column
    assert abs((drawn.spent == 0).mean() - 0.7) < 0.04
    assert (drawn.spent >= 0).all()
    assert (drawn["active"] == (drawn["group"] != "c")).mean() > 0.99
    for name in ("size", "twice"):  # continuous: nothing piles up at the training extremes
        assert (drawn[name] == real[name].max()).sum() <= 1
        assert (drawn[name] == real[name].min()).sum() <= 1


@pytest.mark.slow
def test_judged_with_baselines_beside(tmp_path):
    model = unfog.fit(
        frame(1500), out=tmp_path / "run", steps=300, batch=256, lr=2e-3,
        settings={"net.width": 64, "net.depth": 2}, quiet=True,
    )  # fmt: skip
    judged = model.evaluate(show=False)
    names = {figure.name for figure in judged.figures}
    assert {"columns", "pairs", "c2st_auc", "tstr", "closest_record"} <= names
    assert {"gaussian_copula", "bootstrap", "independent"} <= set(judged.baselines)
    copying = {f.name: f for f in judged.baselines["bootstrap"]}["closest_record"]
    ours = {f.name: f for f in judged.figures}["closest_record"]
    assert copying.value > 0.95 > ours.value
    assert "Gaussian copula" in judged.verdict
    page = model.report(show=False).read_text()
    assert "Beside generators that cost nothing" in page
    assert "nearest" in page


def test_drift_of_held_out_tables_is_named(small):
    fresh = frame(60, seed=3)
    turned = small.evaluate(fresh[fresh.columns[::-1]], baselines=False, show=False)
    straight = small.evaluate(fresh, baselines=False, show=False)
    assert [f.value for f in turned.figures] == [f.value for f in straight.figures]
    with pytest.raises(DataError, match="lacks the column 'size'"):
        small.evaluate(fresh.drop(columns="size"), show=False)
    with pytest.raises(DataError, match="has the column 'more'"):
        small.evaluate(fresh.assign(more=1), show=False)
    with pytest.raises(DataError, match="column 'size' holds 'big' in row 1"):
        small.evaluate(fresh.assign(size="big"), show=False)


def test_a_row_of_numbers_only_and_of_categories_only():
    rng = np.random.default_rng(0)
    for table in (
        pd.DataFrame(rng.normal(size=(60, 2)), columns=["x", "y"]),
        pd.DataFrame({"x": rng.choice(["u", "v"], 60), "y": rng.choice(list("abc"), 60)}),
    ):
        model = unfog.fit(table, steps=3, settings=TINY, quiet=True)
        for solver in ("euler", "heun", "multistep"):
            drawn = model.sample(7, steps=3, solver=solver).data
            assert list(drawn.columns) == ["x", "y"]
            assert len(drawn) == 7
            assert not drawn.isna().any().any()


@pytest.mark.parametrize("recipe", ["ddpm", "edm"])
def test_other_recipes_take_tables(recipe):
    model = unfog.fit(frame(80), recipe=recipe, steps=3, settings=TINY, quiet=True)
    assert len(model.sample(4, steps=5).data) == 4
    assert isinstance(model.sample(4, steps=5).state["cat"], torch.Tensor)


def test_shards_of_rows_are_the_rows(small, tmp_path):
    from unfog.tasks.shards import draw_shard

    whole = small.sample(23, steps=3, seed=5, batch=4).save(tmp_path / "whole.csv")
    for part in range(3):
        draw_shard(small, tmp_path / "parts", 23, part, 3, steps=3, seed=5, batch=4)
    parts = [pd.read_csv(p) for p in sorted((tmp_path / "parts").glob("shard-*/*.csv"))]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), pd.read_csv(whole))
