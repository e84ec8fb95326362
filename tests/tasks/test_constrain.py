"""Samples and filled rows that are as asked: from Python and from the command line."""

import json

import numpy as np
import pandas as pd
import pytest

import unfog
from unfog.cli import run as cli
from unfog.errors import ArgumentError, UnknownName
from unfog.kinds.asking import read
from unfog.kinds.table.allowed import allowed, askable, plain_cells
from unfog.kinds.table.cells import Cells
from unfog.tasks.fit import fit

TINY = {"net.width": 48, "net.depth": 2}


def frame(count=1500, seed=0):
    rng = np.random.default_rng(seed)
    group = rng.choice(["a", "b", "c"], count, p=[0.6, 0.3, 0.1])
    size = rng.normal(size=count) + 2 * (group == "b")
    return pd.DataFrame(
        {
            "group": group,
            "sex": rng.choice(["F", "M"], count),
            "size": size,
            "visits": rng.poisson(40, count),
            "twice": np.where(rng.random(count) < 0.2, np.nan, (2 * size).round(2)),
            "joined": pd.Timestamp("2020-01-01")
            + pd.to_timedelta(rng.integers(0, 900, count), "D"),
        }
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("asked")


@pytest.fixture(scope="module")
def model(home):
    frame().to_csv(home / "rows.csv", index=False)
    return fit(
        home / "rows.csv", given="group", out=home / "run", steps=250, batch=256, lr=2e-3,
        settings=TINY, reading={"functions": "learn"}, quiet=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def bare(home):
    """Without known cells, without a mark of its own: what can't be told is steered."""
    some = frame().drop(columns=["twice", "joined"])
    return fit(
        some, out=home / "bare", steps=250, batch=256, lr=2e-3,
        settings={**TINY, "train.known": 0.0}, quiet=True,
    )  # fmt: skip


def drawn(model, given, count=40, **more):
    return model.sample(count, given=given, steps=8, show=False, **more)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"sex": "F"}, lambda d: d.sex == "F"),
        ({"group": ["a", "c"], "sex": {"M"}}, lambda d: d.group.isin(["a", "c"]) & (d.sex == "M")),
        ({"visits": "30..35"}, lambda d: d.visits.between(30, 35)),
        ({"size": ">1.5"}, lambda d: d["size"] > 1.5),
        ({"visits": [38, 41]}, lambda d: d.visits.isin([38, 41])),
        ({"twice": (0.5, 1.0)}, lambda d: d.twice.between(0.5, 1.0)),
        ({"joined": "<2020-02-01"}, lambda d: d.joined < "2020-02-01"),
        ({"group": "b", "size": 1.234}, lambda d: (d.group == "b") & (d["size"] == 1.234)),
        (
            {"visits": "<=38", "size": (0, 1), "group": "b|c"},
            lambda d: (d.visits <= 38) & d["size"].between(0, 1) & d.group.isin(["b", "c"]),
        ),
    ],
)
def test_every_row_is_as_asked_and_it_is_measured(model, given, rule):
    samples = drawn(model, given)
    assert len(samples) == 40
    assert rule(samples.data).all()
    assert set(samples.satisfied.values()) == {1.0}
    assert len(samples.satisfied) == len(given)
    assert samples.ess is None or 1 <= samples.ess <= samples.met.candidates


def test_conditions_bear_on_the_other_columns(model):
    """b is two units larger. After 250 steps the net knows that roughly, so what is asked for must
    move the other column more than half-way to what real rows say.
    """
    real = frame(20_000, seed=9)
    made = drawn(model, {"size": ">2"}, 300).data
    kept = real[real["size"] > 2]
    apart = (kept.group == "b").mean() - (real.group == "b").mean()
    assert (made.group == "b").mean() - (real.group == "b").mean() > apart / 2 > 0.2
    made = drawn(model, {"group": ["b"]}, 300).data
    kept = real[real.group == "b"]
    apart = kept["size"].mean() - real["size"].mean()
    assert made["size"].mean() - real["size"].mean() > apart / 2 > 0.5


@pytest.mark.parametrize(
    ("key", "target"),
    [("mean(size)", 1.5), ("sum(visits)", 40 * 43), ("share(group=c)", 0.4), ("mean(twice)", 2.0)],
)
def test_aggregates_are_reached_within_their_tolerance(model, key, target):
    samples = drawn(model, {key: target})
    how, column = key[:-1].split("(")
    values = samples.data[column.split("=")[0]]
    got = {"mean": values.mean, "sum": values.sum, "share": lambda: (values == "c").mean()}[how]()
    (words,) = samples.met.reached
    assert samples.met.reached[words] == pytest.approx(got)
    assert abs(got - target) <= samples.met.tolerances[words]
    assert samples.satisfied == {words: 1.0}
    assert samples.ess > 4


def test_an_aggregate_out_of_reach_is_reported_not_hidden(model):
    samples = drawn(model, {"mean(visits)": 90})
    assert samples.satisfied == {"mean(visits) = 90": 0.0}
    assert samples.met.reached["mean(visits) = 90"] < 90
    assert any("candidates count" in note for note in samples.met.notes)


def test_a_sample_depends_on_seed_and_place_only(model):
    given = {"size": ">1", "group": ["a", "b"]}
    whole = drawn(model, given, 12, seed=5).data
    pd.testing.assert_frame_equal(drawn(model, given, 12, seed=5, batch=5).data, whole, rtol=1e-4)
    pd.testing.assert_frame_equal(drawn(model, given, 12, seed=5, rows=range(4, 9)).data,
                                  whole[4:9].reset_index(drop=True), rtol=1e-4)  # fmt: skip
    late = drawn(model, given, 3, seed=5, first=4).data
    pd.testing.assert_frame_equal(late, whole[4:7].reset_index(drop=True), rtol=1e-4)
    assert not drawn(model, given, 12, seed=6).data.equals(whole)


def test_values_per_row(model):
    asked = {"sex": ["F", "M", None, "F"], "visits": [30, None, 44, 51]}
    table = drawn(model, asked, 4).data
    assert [table.sex[i] for i in (0, 1, 3)] == ["F", "M", "F"]
    assert [table.visits[i] for i in (0, 2, 3)] == [30, 44, 51]
    with pytest.raises(ArgumentError, match="one or the other"):
        drawn(model, {**asked, "mean(size)": 1}, 4)


def test_a_model_that_can_not_be_told_is_steered(bare):
    assert not bare.net.told
    samples = drawn(bare, {"size": ">1.5", "group": "b|c"}, 60)
    assert (samples.data["size"] > 1.5).all()
    assert samples.data.group.isin(["b", "c"]).all()
    assert 1 <= samples.ess <= 32
    equal = drawn(bare, {"visits": 45}, 20)
    assert (equal.data.visits == 45).all()
    assert any("train.known" in note for note in equal.met.notes)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"visits": ">1e6"}, ArgumentError, "no value .*1e\\+06.*its values run from"),
        ({"seks": "F"}, UnknownName, "did you mean 'sex'"),
        ({"group": "d"}, UnknownName, "'d'; known: a, b, c"),
        ({"visits": 40.5}, ArgumentError, "whole numbers"),
    ],
)
def test_what_the_model_can_not_do_is_said(model, given, error, said):
    with pytest.raises(error, match=said):
        drawn(model, given, 3)


@pytest.mark.parametrize("name", ["size", "visits", "twice", "joined"])
def test_spans_are_exactly_the_scores_whose_values_are_inside(model, name):
    codec = model.borders.codec
    column, names = codec.columns[name], askable(codec)
    scores = np.random.default_rng(1).normal(size=20_000).astype(np.float32) * 1.5
    values = column.number.decode(scores)
    plain = np.array(plain_cells(Cells(values, np.ones(len(values), bool))))
    low, high = np.quantile(frame()[name].dropna().astype(plain.dtype), [0.3, 0.8])
    if name == "joined":
        low, high = (int(v) // 1000 if v > 1e17 else int(v) for v in (low, high))
    if name in ("visits", "joined"):
        low, high = int(low), int(high)
    for words in ((low, high), (None, high), (low, None)):
        if name == "joined":
            words = tuple(None if v is None else np.datetime64(v, "us") for v in words)
        condition = read({name: words}, names, 1).conditions[name]
        spans = allowed(name, column, condition).spans
        inside = ((scores[:, None] >= spans[:, 0]) & (scores[:, None] <= spans[:, 1])).any(1)
        assert (inside == condition.met(plain.tolist())).all()
        assert inside.any()


def test_holes_are_filled_as_asked_and_known_cells_stay(model):
    table = frame(60, seed=3)
    holes = table.mask(np.random.default_rng(0).random(table.shape) < 0.4)
    given = {"size": (0.0, 1.0), "sex": "F", "group": ["a", "b"]}
    filled = model.fill(holes, given=given, draws=2, steps=6, show=False)
    for one in filled:
        for name in table.columns:
            known = holes[name].notna()
            assert (one[name][known] == holes[name][known]).all()
        assert one["size"][holes["size"].isna()].between(0, 1).all()
        assert (one["sex"][holes["sex"].isna()] == "F").all()
        assert one["group"][holes["group"].isna()].isin(["a", "b"]).all()
    long = filled.data
    assert filled.satisfied["sex=F"] == pytest.approx((long.sex == "F").mean())
    assert 0 < filled.satisfied["size=0..1"] < 1
    assert any("known cells are otherwise" in note for note in filled.met.notes)
    with pytest.raises(ArgumentError, match="aggregates are of rows"):
        model.fill(holes, given={"mean(size)": 1}, show=False)


def test_the_command_line_asks_and_reports(model, home, tmp_path, capsys):
    words = ["visits=35..45", "size>=0", "group=a|b", "mean(size)=1.2"]
    asked = [word for text in words for word in ("--given", text)]
    capsys.readouterr()
    run = ["sample", str(home / "run"), "-n", "50", "--steps", "6", "--candidates", "64"]
    assert cli([*run, "-o", str(tmp_path / "a.csv"), *asked, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    table = pd.read_csv(tmp_path / "a.csv")
    assert (
        table.visits.between(35, 45) & (table["size"] >= 0) & table.group.isin(["a", "b"])
    ).all()
    assert facts["satisfied"]["size>=0"] == 1
    assert facts["reached"]["mean(size) = 1.2"] == pytest.approx(table["size"].mean(), abs=1e-6)
    assert 1 <= facts["ess"] <= facts["candidates"]
    frame(30, seed=4).mask(np.random.default_rng(2).random((30, 6)) < 0.5).to_csv(
        tmp_path / "holes.csv", index=False
    )
    fill = ["fill", str(home / "run"), str(tmp_path / "holes.csv"), "--steps", "4"]
    assert cli([*fill, "-o", str(tmp_path / "b.csv"), "--given", "visits>=38"]) == 0
    assert "visits>=38: met by" in capsys.readouterr().err
    for wrong, said in (("visits>=x", "finite number"), ("sex=X", "known: F, M"), ("sex", "name=")):
        assert cli([*run, "-o", str(tmp_path / "c.csv"), "--given", wrong]) == 2
        assert said in capsys.readouterr().err
    assert cli([*fill, "-o", str(tmp_path / "c.csv"), "--given", "sex=*"]) == 2


def test_conditions_of_arrays_are_mixed_as_training_had_them(tmp_path):
    rng = np.random.default_rng(0)
    label = np.array(["cat"] * 60 + ["dog"] * 30 + ["eel"] * 10)
    age = rng.uniform(1, 9, 100)
    np.savez(tmp_path / "x.npz", x=rng.normal(size=(100, 2)), label=label, age=age)
    model = unfog.fit(
        tmp_path / "x.npz", out=tmp_path / "run", given="label,age", steps=3, batch=16,
        settings={"net": "mlp", "net.width": 8}, quiet=True,
    )  # fmt: skip
    model = unfog.load(model.folder)
    mixed = model.sample(600, given={"label": ["cat", "dog"], "age": (2, 4)}, steps=1, show=False)
    share = np.mean([one == "cat" for one in mixed.given["label"]])
    assert share == pytest.approx(2 / 3, abs=0.12)  # of a training part of 80 or so
    assert set(mixed.given["label"]) == {"cat", "dog"}
    assert all(2 <= one <= 4.00001 for one in mixed.given["age"])
    assert mixed.satisfied == {"label=cat|dog": 1.0, "age=2..4": 1.0}
    tilted = model.sample(200, given={"mean(age)": 6.0}, steps=1, show=False)
    assert np.mean(tilted.given["age"]) == pytest.approx(6.0, abs=0.05)
    with pytest.raises(ArgumentError, match="values run from"):
        model.sample(3, given={"age": ">50"}, steps=1)
    with pytest.raises(UnknownName, match="unknown given 'weight'"):
        model.sample(3, given={"weight": ">50"}, steps=1)
