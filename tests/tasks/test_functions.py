"""Runs whose tables have columns that are functions of others, and declared constraints."""

import numpy as np
import pandas as pd
import pytest

import unfog
from unfog.errors import ArgumentError, DataError, UnknownName
from unfog.tasks.shards import draw_shard

TINY = {"net.width": 32, "net.depth": 1}
RULES = ["lo <= hi", "start <= end", "0 <= price <= 400"]


def frame(count, seed=0):
    rng = np.random.default_rng(seed)
    lo = rng.gamma(2, 10, count).round(1)
    city = rng.choice([f"city {n}" for n in range(9)], count)
    start = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, count), "D")
    made = pd.DataFrame(
        {
            "id": [f"K-{n:05d}" for n in rng.permutation(count)],
            "price": np.round(np.exp(rng.normal(3, 0.8, count)), 2),
            "count": rng.integers(1, 40, count),
            "city": city,
            "region": [f"r{int(c[5:]) % 3}" for c in city],
            "lo": lo,
            "hi": (lo + rng.gamma(1, 3, count)).round(1),
            "start": start,
            "end": start + pd.to_timedelta(rng.integers(0, 60, count), "D"),
            "year": start.year,
        }
    )
    made.insert(3, "total", (made.price * made["count"]).round(2))
    made["total"] = made.total.mask(rng.random(count) < 0.1)
    return made


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    return unfog.fit(
        frame(700), out=out, steps=60, settings=TINY, constraints=RULES, quiet=True, show=False
    )


def obeys(d):
    known = d.total.notna()
    assert ((d.price * d["count"]).round(2) == d.total)[known].all()
    assert (d.region == "r" + (d.city.str[5:].astype(int) % 3).astype(str)).all()
    assert (d.start.dt.year == d.year).all()
    assert (d.lo <= d.hi).all()
    assert (d.start <= d.end).all()
    assert d.price.between(0, 400).all()


def draw(model, count=60, **more):
    return model.sample(count, steps=5, show=False, **more)


def test_every_row_obeys_and_the_cost_is_said(model):
    samples = draw(model, 300)
    obeys(samples.data)
    assert samples.data.total.isna().any()
    kept = samples.kept
    assert kept.rows == 300
    assert 0 < kept.again < 300  # a net of 60 updates does not know that lo <= hi
    assert kept.draws >= kept.again
    free = unfog.tasks.generate.generate(model, 300, steps=5, obeying=False, show=False)
    bad = ~(free.data.lo <= free.data.hi) | ~(free.data.start <= free.data.end)
    assert bad.sum() <= kept.again
    same = free.data[~bad].drop(columns="total")  # a row that obeyed is the row that was drawn
    pd.testing.assert_frame_equal(samples.data[~bad].drop(columns="total")[: len(same)], same)


def test_rows_that_are_drawn_again_depend_on_seed_and_number_only(model):
    whole = draw(model, 90, batch=90).data
    parts = draw(model, 90, batch=16).data
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-4, atol=0.11)
    pd.testing.assert_frame_equal(unfog.load(model.folder).sample(9, steps=5).data, whole[:9])


def test_shards_together_are_one_draw_with_keys_of_their_own(model, tmp_path):
    whole = draw(model, 40, batch=10)
    frames = [
        pd.read_csv(draw_shard(model, tmp_path, 40, part, 3, steps=5, batch=10).folder
                    / "samples.csv", parse_dates=["start", "end"])
        for part in range(3)
    ]  # fmt: skip
    together = pd.concat(frames, ignore_index=True)
    obeys(together)
    assert together["id"].is_unique
    assert not set(together["id"]) & set(frame(700)["id"])
    assert together["id"].tolist() == whole.data["id"].tolist()
    assert np.allclose(together.price, whole.data.price)


def test_a_second_call_starts_at_the_first_key_and_first_goes_on(model):
    one, same, on = draw(model, 20), draw(model, 20, seed=9), draw(model, 20, first=20)
    assert one.data["id"].tolist() == same.data["id"].tolist()
    assert not set(one.data["id"]) & set(on.data["id"])


@pytest.mark.parametrize(
    ("given", "holds"),
    [
        ({"region": "r1"}, lambda d: d.region == "r1"),
        ({"region": ["r1", "r2", "r1", "r2"]}, None),
        ({"year": 2021}, lambda d: d.year == 2021),
        ({"year": (2021, None)}, lambda d: d.year >= 2021),
        ({"total": (200, 900)}, lambda d: d.total.between(200, 900)),
        ({"total": ">=100", "region": "r0"}, lambda d: (d.total >= 100) & (d.region == "r0")),
        ({"lo": "5..30", "count": ">=10"}, lambda d: d.lo.between(5, 30) & (d["count"] >= 10)),
    ],
)
def test_computed_columns_can_be_asked_for(model, given, holds):
    samples = draw(model, 4 if holds is None else 30, given=given)
    obeys(samples.data)
    assert min(samples.satisfied.values()) >= 0.9
    if holds is None:
        assert samples.data.region.tolist() == given["region"]
    else:
        assert holds(samples.data).mean() >= 0.9


def test_what_can_not_be_asked_is_said(model):
    with pytest.raises(ArgumentError, match="total = price × count, so it can't be asked to be"):
        draw(model, 3, given={"total": 100.0})
    with pytest.raises(UnknownName, match="class of 'region' 'r7'"):
        draw(model, 3, given={"region": "r7"})
    with pytest.raises(ArgumentError, match="'lo <= hi' and 'lo > hi \\+ 1' together"):
        draw(model, 3, constraints=["lo > hi + 1"])
    with pytest.raises(ArgumentError, match="the model hardly draws such rows"):
        draw(model, 40, constraints=["lo > 1e6"])


def test_constraints_when_sampling(model):
    samples = draw(model, 60, constraints=["total < 800", "hi == lo + 2", "count >= 3"])
    obeys(samples.data)
    d = samples.data
    assert (d.total.fillna(0) < 800).all()
    assert (d.hi == (d.lo + 2).round(1)).all()
    assert (d["count"] >= 3).all()
    assert samples.kept.moved >= 50  # no draw meets an equation


def test_holes_that_follow_are_computed_and_the_others_agree(model):
    real = frame(60, seed=3).drop(columns="id").assign(id="K-x")
    holes = real.copy()
    holes.loc[0:9, "total"] = np.nan
    holes.loc[10:19, "price"] = np.nan
    holes.loc[20:29, "city"] = None
    holes.loc[30:34, ["city", "region"]] = None
    holes.loc[35:39, "year"] = np.nan
    holes.loc[40:44, ["hi", "end"]] = [np.nan, pd.NaT]
    filled = model.fill(holes, draws=3, steps=5, show=False)
    for done in filled:
        assert (done.total[:10] == (real.price * real["count"]).round(2)[:10]).all()
        there = real.total[10:20].notna()
        assert (done.price[10:20] == real.price[10:20])[there].all()
        obeys(done.iloc[10:60])
        assert (done.year == real.year).all()
    assert len({tuple(done.city[20:30]) for done in filled}) > 1  # drawn, within the region
    assert filled.holes["total"][:10].all()


def test_filled_rows_obey_where_the_known_cells_let_them(model):
    holes = frame(200, seed=4).drop(columns="id").assign(id="K-x")
    holes.loc[:99, "hi"] = np.nan
    holes.loc[100:199, ["price", "lo"]] = np.nan
    holes.loc[150:199, "hi"] = -5.0  # so that nothing obeys
    filled = model.fill(holes, steps=4, show=False)
    done = filled.data
    assert (done.lo <= done.hi)[:150].all()
    assert (done.hi[150:] == -5).all()
    known = done.total.notna()
    assert ((done.price * done["count"]).round(2) == done.total)[known].all()
    assert any("'lo <= hi'; their drawn cells were moved" in note for note in filled.notes)


def test_rows_that_break_a_rule_are_strange_and_the_column_is_named(model):
    fresh = frame(60, seed=5)
    fresh.loc[3, "total"] = fresh.price[3] * fresh["count"][3] + 1
    fresh.loc[5, "region"] = "r9"
    fresh.loc[7, "year"] = 1999
    told = model.score(fresh)
    for row, name in ((3, "total"), (5, "region"), (7, "year")):
        assert told.strangest[row] == name
        assert told.p_value[row] <= 0.02
    assert "year = 1999, but year = year of start in all training rows, which gives" in " ".join(
        told.reasons[7]
    )
    assert any(note.startswith("1 rows break a rule: total = price × count") for note in told.notes)


def test_conditions_of_the_net_are_not_computed():
    made = unfog.fit(
        frame(300).drop(columns="id"), given="region", steps=3, settings=TINY, quiet=True,
        show=False,
    )  # fmt: skip
    assert "region" not in made.borders.codec.functions
    drawn = made.sample(12, given={"region": "r2"}, steps=3, show=False).data
    assert (drawn.region == "r2").all()


def test_functions_can_be_learnt_instead():
    made = unfog.fit(
        frame(300), steps=3, settings=TINY, reading={"functions": "learn"}, quiet=True, show=False
    )
    assert made.borders.codec.functions == {}
    assert "total" in {name for name, _ in made.borders.codec.columns_of("num")}
    with pytest.raises(ArgumentError, match="functions is compute or learn"):
        unfog.fit(frame(60), steps=1, reading={"functions": "drop"}, quiet=True)


def test_training_rows_that_break_constraints(tmp_path):
    with pytest.raises(DataError, match=r"rows break 'hi < lo'.*is a mistake"):
        unfog.fit(frame(60), steps=1, constraints="hi < lo", quiet=True)
    with pytest.raises(ArgumentError, match="is no option of reading arrays"):
        unfog.fit(np.zeros((40, 3), np.float32), steps=1, constraints="a < b", quiet=True)
    few = frame(300)
    few.loc[:4, "hi"] = few.lo[:5] - 1
    made = unfog.fit(few, steps=3, settings=TINY, constraints="lo <= hi", quiet=True, show=False)
    assert any("training rows break 'lo <= hi'" in text for text in made.config.reasons)
    drawn = made.sample(50, steps=3, show=False).data
    assert (drawn.lo <= drawn.hi).all()


def test_inspecting_says_what_is_computed(model, tmp_path):
    facts = unfog.inspect(frame(700))
    assert "total = price × count in all " in " ".join(facts["functions"])
    told = unfog.inspect(model.folder)
    assert len(told["functions"]) == 3
    assert told["constraints"] == RULES
