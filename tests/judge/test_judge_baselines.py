"""Baselines keep what they promise and lose what they must; the verdict says who wins."""

import numpy as np
import pytest
import torch

from unfog.errors import ArgumentError, UnknownName
from unfog.judge import Figure, TableJudge, baselines, compare, verdict
from unfog.judge.baselines.columns import ladder
from unfog.judge.baselines.copula import Latent
from unfog.kinds.table.cells import Cells, Table

TABLES = ["bootstrap", "independent", "gaussian_copula", "neighbours", "smote"]
TENSORS = ["bootstrap", "independent", "gaussian", "neighbours"]


def cells(values, present=None):
    values = np.asarray(values)
    return Cells(values, np.ones(len(values), bool) if present is None else present)


def mixed(n, seed):
    """A heavy-tailed number, an integer on a lattice of 5, a flag, a word, a day, gaps in one."""
    g = np.random.default_rng(seed)
    z = (
        g.standard_normal((n, 3))
        @ np.linalg.cholesky([[1, 0.7, 0.4], [0.7, 1, 0.3], [0.4, 0.3, 1]]).T
    )
    words = np.array(["low", "mid", "top"], dtype=object)[np.digitize(z[:, 2], [-0.5, 1.0])]
    day = np.datetime64("2021-03-01", "us") + np.round(30 * z[:, 1]).astype("timedelta64[D]")
    return Table(
        {
            "pay": cells(np.exp(z[:, 0]), g.random(n) > 0.2),
            "five": cells((5 * np.round(2 * z[:, 1])).astype(np.int64)),
            "flag": cells(z[:, 0] > 0.3),
            "word": cells(words),
            "day": cells(day),
        }
    )


@pytest.mark.parametrize("name", TABLES)
def test_a_table_keeps_its_types_lattices_and_levels(name):
    train = mixed(800, 0)
    drawn = baselines[name].fit_draw(train, 300, seed=1)
    assert drawn.names == train.names
    assert len(drawn) == 300
    for column, held in drawn.columns.items():
        assert held.values.dtype == train.columns[column].values.dtype
    assert set(drawn.columns["five"].values % 5) == {0}
    assert set(drawn.columns["word"].known()) <= {"low", "mid", "top"}
    days = drawn.columns["day"].values
    assert (days == days.astype("datetime64[D]")).all()
    assert 0.1 < 1 - drawn.columns["pay"].present.mean() < 0.3
    assert np.isfinite(drawn.columns["pay"].known()).all()
    again = baselines[name].fit_draw(train, 300, seed=1)
    other = baselines[name].fit_draw(train, 300, seed=2)
    assert drawn.keys() == again.keys()
    assert drawn.keys() != other.keys()


def test_the_copula_keeps_columns_rates_and_rank_correlations():
    from scipy.stats import ks_2samp, spearmanr

    train = mixed(6000, 0)
    drawn = baselines["gaussian_copula"].fit_draw(train, 6000, seed=0)
    pay, made = train.columns["pay"], drawn.columns["pay"]
    # a difference of two samples of 6000 and 4800 exceeds 0.035 once in a thousand
    assert ks_2samp(pay.known(), made.known()).statistic < 0.035
    assert made.present.mean() == pytest.approx(0.8, abs=0.02)
    for name in ("five", "flag"):
        a, b = (t.columns[name].values.astype(float) for t in (train, drawn))
        assert a.mean() == pytest.approx(b.mean(), abs=4 * a.std() / np.sqrt(3000))
    for word in ("low", "mid", "top"):
        shares = [(t.columns["word"].values == word).mean() for t in (train, drawn)]
        assert shares[0] == pytest.approx(shares[1], abs=0.03)

    def rank(t, a, b, of=lambda v: v):
        both = t.columns[a].present
        return spearmanr(t.columns[a].values[both], of(t.columns[b].values[both])).statistic

    order = {"low": 0, "mid": 1, "top": 2}
    for b, of in (
        ("five", lambda v: v),
        ("flag", lambda v: v),
        ("day", lambda v: v.astype(np.int64)),
        ("word", lambda v: np.array([order[w] for w in v])),
    ):
        assert rank(drawn, "pay", b, of) == pytest.approx(rank(train, "pay", b, of), abs=0.05)


def test_a_latent_score_is_the_normal_mean_of_its_interval():
    from scipy.stats import norm

    latent = Latent.of(np.array([0.25, 0.5, 0.25]), np.arange(3))
    # E[Z | Z below its quartile] = -phi(q) / 0.25
    assert latent.score[0] == pytest.approx(-norm.pdf(norm.ppf(0.25)) / 0.25)
    assert latent.score[1] == pytest.approx(0, abs=1e-12)
    fine = Latent.of(np.full(2000, 1 / 2000), np.arange(2000))
    assert fine.variance == pytest.approx(1, abs=0.01)
    assert ladder(cells(np.array([10, 40, 25]))).step == 15


def test_independent_columns_lose_the_association_and_bootstrap_keeps_rows():
    train = mixed(3000, 0)
    loose = baselines["independent"].fit_draw(train, 3000, seed=0)
    a, b = loose.columns["five"].values, loose.columns["day"].values.astype(np.int64)
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.08
    kept = baselines["bootstrap"].fit_draw(train, 500, seed=0)
    assert set(kept.keys()) <= set(train.keys())
    for name in ("neighbours", "smote", "gaussian_copula"):
        drawn = baselines[name].fit_draw(train, 500, seed=0)
        whole = drawn[drawn.columns["pay"].present]  # without the pay, few cells make many equals
        assert len(set(whole.keys()) & set(train.keys())) < 0.02 * len(whole)


def test_smote_lies_between_neighbours_and_wants_a_number():
    g = np.random.default_rng(0)
    x = np.concatenate([g.random(200), 10 + g.random(200)])
    train = Table({"x": cells(x), "side": cells(np.array(["l", "r"], dtype=object).repeat(200))})
    drawn = baselines["smote"].fit_draw(train, 400, seed=0)
    made, side = drawn.columns["x"].values, drawn.columns["side"].values
    assert made.min() >= x.min()
    assert made.max() <= x.max()
    assert not ((made > 1.0) & (made < 10.0)).any()  # never across the gap
    assert ((made > 5) == (side == "r")).all()
    words = Table({"side": train.columns["side"]})
    assert not baselines["smote"].applies(words)
    with pytest.raises(ArgumentError, match="SMOTE is not made for this table"):
        baselines["smote"].fit_draw(words, 5)


@pytest.mark.parametrize("name", TABLES)
def test_odd_tables_pass(name):
    n = 40
    train = Table(
        {
            "x": cells(np.arange(n) * 1.5),
            "same": cells(np.ones(n)),
            "gone": Cells(np.zeros(n), np.zeros(n, bool)),
            "id": cells(np.array([f"row {i}" for i in range(n)], dtype=object)),
            "span": cells(np.arange(n).astype("timedelta64[us]")),
        }
    )
    drawn = baselines[name].fit_draw(train, 25, seed=0)
    assert not drawn.columns["gone"].present.any()
    assert set(drawn.columns["same"].values) == {1.0}


def test_one_gaussian_has_the_data_s_moments_and_no_more():
    g = torch.Generator().manual_seed(0)
    mix = torch.randn(6, 6, generator=g)
    train = (torch.randn(4000, 6, generator=g) @ mix + 3).view(4000, 2, 3)
    drawn = baselines["gaussian"].fit_draw(train, 8000, seed=0)
    a, b = train.flatten(1), drawn.flatten(1)
    assert drawn.shape == (8000, 2, 3)
    assert torch.allclose(a.mean(0), b.mean(0), atol=0.2)
    assert torch.allclose(a.T.cov(), b.T.cov(), atol=0.06 * float(a.T.cov().abs().max()))
    # more entries than components: the rest comes back as noise of the same variance
    wide = torch.randn(600, 400, generator=g)
    made = baselines["gaussian"].fit_draw(wide, 3000, seed=0)
    assert float(made.var(0).mean() / wide.var(0).mean()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", TENSORS)
def test_arrays_keep_their_shape_and_seed(name):
    train = torch.randn(120, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    drawn = baselines[name].fit_draw(train, 50, seed=3)
    assert drawn.shape == (50, 2, 4, 4)
    assert torch.equal(drawn, baselines[name].fit_draw(train, 50, seed=3))
    assert not torch.equal(drawn, baselines[name].fit_draw(train, 50, seed=4))
    assert torch.isfinite(drawn).all()


def test_names_and_counts_are_checked():
    with pytest.raises(UnknownName, match="did you mean 'bootstrap'"):
        baselines["bootstrapp"]
    with pytest.raises(ArgumentError, match="count=0"):
        baselines["bootstrap"].fit_draw(mixed(50, 0), 0)
    with pytest.raises(ArgumentError, match="a Gaussian copula is not made for arrays"):
        baselines["gaussian_copula"].fit_draw(torch.randn(20, 3), 5)
    assert baselines["copula"] is baselines["gaussian_copula"]


def test_compare_runs_the_same_figures_for_all_and_shares_the_floor():
    train, real, ours = mixed(900, 0), mixed(400, 1), mixed(400, 2)
    judged = TableJudge(real, train)
    only = ["columns", "pairs", "duplicates", "closest_record"]
    rows = compare(lambda s: judged(s, only=only), ours, train)
    assert list(rows) == ["ours", *(row.name for row in baselines if row.name in TABLES)]
    for figures in rows.values():
        assert [f.name for f in figures] == [f.name for f in rows["ours"]]
        assert [f.floor for f in figures][:2] == [f.floor for f in rows["ours"]][:2]
    by = {name: {f.name: f for f in figures} for name, figures in rows.items()}
    assert by["bootstrap"]["duplicates"].value == 1
    assert by["bootstrap"]["closest_record"].value > 0.95
    assert by["independent"]["columns"].at_floor
    assert not by["independent"]["pairs"].at_floor
    said = verdict(rows)
    assert "Against drawing each column by itself: better on pairs" in said
    assert "Against drawing training items again: better on" in said


def figure(value, better="lower", half=0.05, floor=0.1, name="d"):
    ends = value - half, value + half
    return Figure(name, value, *ends, floor, floor - half, floor + half, better, 100)


def test_the_verdict_needs_intervals_that_part_and_recommends_a_free_winner():
    level = {"ours": [figure(0.30)], "gaussian_copula": [figure(0.38)]}
    assert verdict(level) == (
        "Against a Gaussian copula: level on d. A Gaussian copula is as good here and costs nothing."
    )
    ahead = {"ours": [figure(0.30)], "gaussian_copula": [figure(0.45)]}
    assert verdict(ahead).startswith("Against a Gaussian copula: better on d.")
    assert "No baseline" in verdict(ahead)
    behind = {"ours": [figure(0.45)], "gaussian_copula": [figure(0.30)]}
    assert verdict(behind).endswith("Use a Gaussian copula: it is better here, and costs nothing.")
    higher = {"ours": [figure(0.9, "higher")], "smote": [figure(0.7, "higher")]}
    assert "better on d" in verdict(higher)


def test_a_figure_that_is_best_at_its_floor_counts_by_its_distance_from_it():
    below = {"ours": [figure(0.5, "floor", floor=0.5)], "smote": [figure(0.2, "floor", floor=0.5)]}
    assert "better on d" in verdict(below)
    both = {"ours": [figure(0.8, "floor", floor=0.5)], "smote": [figure(0.2, "floor", floor=0.5)]}
    assert "level on d" in verdict(both)
    with pytest.raises(ArgumentError, match="'ours'"):
        verdict({"smote": []})


def test_arrays_are_compared_with_one_judge_net_for_all():
    from functools import partial

    from unfog.judge import judge, train_judge

    g = torch.Generator().manual_seed(0)
    side = torch.randint(2, (1200, 1), generator=g) * 6.0
    x = torch.randn(1200, 4, generator=g) + side  # two blobs, which one Gaussian can't draw
    train, real, ours = x[:700], x[700:950], x[950:]
    judged = partial(
        judge,
        real=real,
        train=train,
        net=train_judge(train, budget=0.5),
        only=["sliced_wasserstein", "mmd", "novelty"],
    )
    rows = compare(judged, ours, train)
    assert list(rows) == ["ours", *(row.name for row in baselines if row.name in TENSORS)]
    said = verdict(rows)
    gaussian = said.split("Against one Gaussian: ")[1].split(".")[0]
    assert gaussian.startswith("better on")
    assert "mmd" in gaussian.split("level on")[0]
    assert "Against drawing training items again: better on novelty" in said
    assert {f.name: f.value for f in rows["bootstrap"]}["novelty"] == 1
