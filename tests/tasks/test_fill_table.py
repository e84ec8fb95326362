"""Filling tables: closed forms, known cells bit-equal, any pattern of holes, drift."""

import json
import os
import signal

import numpy as np
import pandas as pd
import pytest
import torch

import unfog
from unfog.errors import ArgumentError, DataError, Stopped
from unfog.tasks import course
from unfog.tasks.fit import fit

TINY = {"net.width": 32, "net.depth": 1}


def frame(count, seed=0):
    rng = np.random.default_rng(seed)
    group = rng.choice(["a", "b", "c"], count, p=[0.6, 0.3, 0.1])
    size = rng.normal(size=count)
    return pd.DataFrame(
        {
            "id": [f"K-{n:05d}" for n in rng.permutation(count)],
            "group": group,
            "size": size,
            "twice": np.where(rng.random(count) < 0.2, np.nan, 2 * size),
            "visits": rng.poisson(40, count),
            "level": pd.Series(rng.choice(["low", "high"], count)).mask(rng.random(count) < 0.3),
            "joined": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(rng.integers(0, 900, count), "D"),
            "country": "NL",
        }
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    return fit(frame(300), given="group", out=out, steps=4, settings=TINY, quiet=True)


def holed(count=30, seed=5, share=0.4):
    table = frame(count, seed)
    return table.mask(np.random.default_rng(seed).random(table.shape) < share)


def test_known_cells_are_bit_equal_and_holes_are_filled(small):
    table = holed()
    for one in small.fill(table, draws=3, steps=3):
        assert list(one.columns) == list(table.columns)
        for name in table.columns:
            known = table[name].notna()
            assert (one[name][known] == table[name][known]).all(), name
            assert name == "id" or one[name].notna().all(), name
        assert one["id"].isna().equals(table["id"].isna())
        assert set(one["level"]) <= {"low", "high"}
        assert (one["visits"] == one["visits"].round()).all()
        assert (one["joined"] == one["joined"].dt.normalize()).all()
        assert (one["country"] == "NL").all()
    notes = small.fill(table, steps=2).notes
    assert any("'id'" in note and "stay empty" in note for note in notes)


def test_draws_depend_on_seed_row_and_draw_only(small):
    table = holed()
    five = small.fill(table, draws=5, steps=3, seed=2)
    two = small.fill(table, draws=2, steps=3, seed=2, batch=7)
    pd.testing.assert_frame_equal(five.draw(1), two.draw(1), rtol=1e-4)
    other = small.fill(table, steps=3, seed=3).data
    assert not five.draw(0).equals(other)
    assert not five.draw(0).equals(five.draw(1))
    again = unfog.load(small.folder).fill(table, draws=2, steps=3, seed=2)
    pd.testing.assert_frame_equal(again.data, small.fill(table, draws=2, steps=3, seed=2).data)


def test_order_of_columns_index_and_a_single_row(small):
    table = holed()
    table.index = [f"r{n}" for n in range(len(table))]
    turned = small.fill(table[table.columns[::-1]], steps=3).data
    straight = small.fill(table, steps=3).data
    pd.testing.assert_frame_equal(turned[table.columns], straight)
    assert list(straight.index) == list(table.index)
    assert len(small.fill(table.head(1), draws=2, steps=2).data) == 2
    empty = frame(3).assign(size=np.nan, group=None)  # columns without any value
    done = small.fill(empty, steps=2).data
    assert done["size"].notna().all()
    assert done["group"].isin(list("abc")).all()


def test_rows_without_holes_come_back_unchanged(small):
    whole = frame(40).dropna().reset_index(drop=True)
    filled = small.fill(whole, draws=2)
    assert filled.count == 0
    pd.testing.assert_frame_equal(filled.draw(1), whole)


def test_files_long_form_and_intervals(small, tmp_path):
    table = holed()
    table.to_csv(tmp_path / "holes.csv", index=False)
    filled = small.fill(tmp_path / "holes.csv", draws=20, steps=2)
    written = pd.read_csv(filled.save(tmp_path / "full.csv"))
    assert list(written.columns) == ["draw", *table.columns]
    assert written["draw"].tolist() == np.repeat(np.arange(20), len(table)).tolist()
    for name in ("visits", "size"):
        known = table[name].notna().to_numpy()
        one = written[written.draw == 7][name].to_numpy()
        assert (one[known] == table[name][known]).all()
    assert pd.read_parquet(filled.save(tmp_path / "full.parquet")).shape == written.shape
    ends = filled.interval(0.9)
    rows, values = filled.values("size")
    mine = ends[ends.column == "size"]
    assert mine["row"].tolist() == rows.tolist()
    inside = (values >= mine["low"].to_numpy()) & (values <= mine["high"].to_numpy())
    inside = inside[:, np.ptp(values, axis=0) > 0]  # where `twice` is known, so is `size`
    assert inside.mean() == pytest.approx(0.9, abs=0.011)  # 18 of 20 between the outer two
    with pytest.raises(ArgumentError, match="needs 39 draws"):
        filled.interval(0.95)
    assert json.loads(json.dumps(filled.facts()))["draws"] == 20


def test_drift_and_bad_requests_are_named(small, tmp_path):
    table = holed()
    with pytest.raises(DataError, match="lacks the column 'size'"):
        small.fill(table.drop(columns="size"))
    with pytest.raises(DataError, match="has the column 'more'"):
        small.fill(table.assign(more=1))
    strange = table.assign(level="huge")
    with pytest.raises(DataError, match=r"'huge' in row 1.*as-missing"):
        small.fill(strange)
    assert set(small.fill(strange, unknown="as-missing", steps=2).data["level"]) <= {"low", "high"}
    with pytest.raises(ArgumentError, match="unknown must be one of"):
        small.fill(strange, unknown="ignore")
    with pytest.raises(ArgumentError, match="draws is a whole number"):
        small.fill(table, draws=0)
    renamed = frame(60).rename(columns={"size": "draw"})
    two = fit(renamed, steps=1, settings=TINY, quiet=True).fill(renamed, draws=2, steps=1)
    with pytest.raises(DataError, match="column 'draw' already"):
        _ = two.data
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(60, 3)))
    with pytest.raises(DataError, match="holds no numbers"):
        fit(tmp_path / "x.npy", steps=1, settings=TINY, quiet=True).fill(table)


def test_known_cells_can_be_left_out_of_training():
    model = fit(frame(80), steps=1, settings={**TINY, "train.known": 0}, quiet=True)
    assert not model.net.told
    filled = model.fill(holed(), steps=2)
    assert any("train.known" in note for note in filled.notes)
    assert filled.data["size"].notna().all()
    other = fit(frame(80), steps=1, settings={"net": "sets", "net.width": 16}, quiet=True)
    assert other.config.train.known == 0
    with pytest.raises(ArgumentError, match="not for tables with the net 'sets'"):
        fit(frame(80), steps=1, settings={"net": "sets", "train.known": 0.5}, quiet=True)
    contrary = {"train.known": 0.5, "net.known": False}
    with pytest.raises(ArgumentError, match="contradict each other"):
        fit(frame(80), steps=1, settings=contrary, quiet=True)
    with pytest.raises(ArgumentError, match="not for arrays"):
        fit(
            np.random.default_rng(0).normal(size=(9, 3)),
            steps=1,
            settings={"train.known": 0.5},
            quiet=True,
        )


def test_a_net_told_of_nothing_is_the_net_without():
    learn = {"functions": "learn"}
    model = fit(frame(80), steps=1, settings=TINY, reading=learn, quiet=True).net
    x_t = {"num": torch.randn(4, 4), "cat": torch.zeros(4, 3).long()}
    nothing = {name: torch.zeros_like(value).bool() for name, value in x_t.items()}
    t = torch.tensor(0.7)
    for name, value in model.predict(x_t, t).items():
        assert torch.equal(value, model.predict(x_t, t, keep=nothing)[name])
    some = {**nothing, "num": torch.ones(4, 4).bool()}
    told = model.predict(x_t, t, keep=some)["num"]
    assert not torch.equal(model.predict(x_t, t)["num"], told)
    model.net.requires_grad_(True)
    model.answer(x_t, t, keep=some)["num"].square().sum().backward()
    assert float(model.net.known.weight.grad.abs().max()) > 0


def test_resume_is_exact_with_known_cells(tmp_path, monkeypatch):
    """A run that was told to stop and went on has the weights of the straight one."""
    frame(200).to_csv(tmp_path / "rows.csv", index=False)
    settings = {**TINY, "train.known": 0.5, "train.log_every": 1}

    def run(out, **more):
        model = fit(
            tmp_path / "rows.csv",
            out=out,
            steps=12,
            batch=64,
            settings=settings,
            quiet=True,
            **more,
        )
        return (model.folder / "model.safetensors").read_bytes()

    straight = run(tmp_path / "straight")
    write = course._write

    def interrupt(log, progress, *rest):
        write(log, progress, *rest)
        if progress.step == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(course, "_write", interrupt)
        with pytest.raises(Stopped, match=r"step [78] of 12"):
            run(tmp_path / "cut")
    assert run(tmp_path / "cut", resume=True) == straight


LAW = np.array([[1.0, 0.8, 0.5], [0.8, 1.0, 0.2], [0.5, 0.2, 1.0]])


@pytest.mark.slow
def test_filled_draws_have_the_conditional_law():
    """Jointly normal columns, and a category that another one and a sign decide."""
    rng = np.random.default_rng(0)

    def table(count):
        x = rng.multivariate_normal(np.zeros(3), LAW, count)
        letter = np.where(x[:, 0] > 0, "up", "down")
        return pd.DataFrame(x, columns=["x", "y", "w"]).assign(
            letter=letter, twin=np.char.upper(letter), coin=rng.choice(["h", "t"], count)
        )

    model = fit(
        table(6000),
        steps=1500,
        batch=256,
        lr=2e-3,
        settings={"net.width": 128, "net.depth": 2},
        quiet=True,
    )
    fresh = table(400)
    for hidden in (["x"], ["y", "w"], ["x", "w"]):
        asked = fresh.copy()
        asked[hidden] = np.nan
        asked[["letter", "twin"]] = None
        seen = [name for name in "xyw" if name not in hidden]
        h, k = ["xyw".index(n) for n in hidden], ["xyw".index(n) for n in seen]
        gain = LAW[np.ix_(h, k)] @ np.linalg.inv(LAW[np.ix_(k, k)])
        mean = fresh[seen].to_numpy() @ gain.T
        spread = LAW[np.ix_(h, h)] - gain @ LAW[np.ix_(k, h)]
        filled = model.fill(asked, draws=30)
        for place, name in enumerate(hidden):
            rows, drawn = filled.values(name)
            assert len(rows) == 400
            residual = drawn - mean[:, place]
            # a draw's mean over 30 strays by 0.18 deviations; the rest is what was not learnt
            assert np.sqrt((residual.mean(0) ** 2).mean()) < 0.25, (hidden, name)
            assert residual.var() == pytest.approx(spread[place, place], rel=0.12), (hidden, name)
        if len(hidden) == 2:
            a, b = (filled.values(name)[1] - mean[:, i] for i, name in enumerate(hidden))
            assert (a * b).mean() == pytest.approx(spread[0, 1], abs=0.06), hidden
    sure = fresh.assign(letter=None)
    same = model.fill(sure, draws=5).values("letter")[1] == fresh["letter"].to_numpy()
    assert same.mean() > 0.99
    heads = model.fill(fresh.assign(coin=None), draws=20).values("coin")[1] == "h"
    assert abs(heads.mean() - 0.5) < 0.05


def test_chances_are_what_holes_are_drawn_from(small):
    table = frame(6, 9)
    table.loc[:3, "level"] = None
    table.loc[2:, "group"] = None
    filled = small.fill(table, draws=600, steps=3, chances=True)
    for name in ("level", "group"):
        levels, chances = filled.chances(name)
        rows, drawn = filled.values(name)
        assert chances.shape == (len(rows), len(levels))
        np.testing.assert_allclose(chances.sum(1), 1, atol=1e-5)
        counts = np.stack([(drawn == level).mean(0) for level in levels], 1)
        wide = 4.5 * np.sqrt(chances * (1 - chances) / 600) + 1e-6
        assert (np.abs(counts - chances) < wide).all()
    # more draws change the chances by less than counting could tell
    few = small.fill(table, draws=20, steps=3, chances=True).chances("group")[1]
    assert np.abs(few - filled.chances("group")[1]).max() < 0.08
    with pytest.raises(ArgumentError, match="chances=True"):
        small.fill(table, draws=1, steps=3).chances("group")
    with pytest.raises(ArgumentError, match="leave out given"):
        small.fill(table, chances=True, given={"visits": (30, 40)})
