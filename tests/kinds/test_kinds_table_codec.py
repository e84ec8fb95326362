"""The table codec as laws: what comes back, how it is distributed, and what is refused."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, ks_2samp, kstest

from unfog.errors import ArgumentError, DataError, RunError, ShapeError
from unfog.kinds.items import Items
from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.codec import TableCodec

N = 4000
DAY = np.datetime64("2020-01-01", "us")


def cells(values, present=None):
    values = np.asarray(values)
    values = values.astype(object) if values.dtype.kind == "U" else values
    there = np.ones(len(values), bool) if present is None else np.asarray(present, bool)
    return Cells(values, there)


def table(**columns):
    return Table({n: c if isinstance(c, Cells) else cells(c) for n, c in columns.items()})


def fitted(data, **options):
    return TableCodec.fit(Items("table", data), **options)


def draw(name):
    """A nasty column of N values."""
    r = np.random.default_rng(len(name))
    return {
        "normal": lambda: r.normal(size=N),
        "uniform": lambda: r.uniform(-1e-3, 5e-3, N),
        "lognormal": lambda: np.exp(2 * r.normal(size=N)),
        "pareto": lambda: r.pareto(1, N) + 1,
        "cauchy": lambda: r.standard_cauchy(N),
        "zeros": lambda: np.where(r.random(N) < 0.92, 0, np.exp(3 * r.normal(size=N))),
        "huge": lambda: r.normal(size=N) * 1e300,
        "largest": lambda: r.uniform(-1, 1, N) * 1.7e308,
        "subnormal": lambda: r.normal(size=N) * 1e-310,
        "decades": lambda: 10 ** r.uniform(-300, 300, N),
        "clusters": lambda: np.r_[r.normal(size=N // 2), 1e6 + r.normal(size=N // 2)],
        "signed zero": lambda: np.where(r.random(N) < 0.5, -0.0, r.normal(size=N)),
        "negative": lambda: -r.gamma(2, 3, N),
        "cents": lambda: np.round(np.exp(4 + r.normal(size=N)), 2),
        "few decimals": lambda: r.choice([0.1, 0.25, 7.5], N),
        "integers": lambda: r.integers(-400, 400, N),
        "wide integers": lambda: np.exp(12 + 0.5 * r.normal(size=N)).astype(np.int64),
        "gain": lambda: np.where(r.random(N) < 0.92, 0, r.choice([7298, 15024, 99999, 12], N)),
        "spikes beyond 2^53": lambda: np.repeat(r.integers(2**61, 2**62, N // 20), 20),
        "days": lambda: DAY + r.integers(0, 3000, N) * np.timedelta64(1, "D"),
        "quarter hours": lambda: DAY + r.integers(0, 50_000, N) * np.timedelta64(15, "m"),
        "durations": lambda: r.integers(0, 10_000, N).astype("m8[s]").astype("m8[us]"),
    }[name]()


FLOATS = ["normal", "uniform", "lognormal", "pareto", "cauchy", "zeros", "huge", "largest"]
FLOATS += ["subnormal", "decades", "clusters", "signed zero", "negative"]
EXACT = ["cents", "few decimals", "integers", "wide integers", "gain", "spikes beyond 2^53"]
EXACT += ["days", "quarter hours", "durations"]
NUMBERS = [name for name in [*FLOATS, *EXACT] if name != "few decimals"]


def errors(back, values):
    """Errors in what they are measured by: the deviation, or further out the distance to the
    median.
    """
    power = int(np.frexp(np.abs(values).max())[1])
    near, back = (np.ldexp(np.ldexp(v, -power // 2), -(power - power // 2)) for v in (values, back))
    return np.abs(back - near) / np.maximum(np.std(near), np.abs(near - np.median(near)))


@pytest.mark.parametrize("name", FLOATS)
def test_decimal_numbers_come_back_to_a_millionth_of_their_spread(name):
    values = draw(name)
    codec = fitted(table(x=values))
    back = codec.decode(codec.encode(table(x=values))).columns["x"]
    assert back.values.dtype == np.float64
    assert back.present.all()
    error = errors(back.values, values)
    assert np.quantile(error, 0.95) < 1e-6
    assert error.max() < 4e-6  # the last gap of a heavy tail: a float32 score of 4 is good to 2e-7


@pytest.mark.parametrize("name", EXACT)
def test_what_keeps_to_steps_comes_back_exactly(name):
    values = draw(name)
    codec = fitted(table(x=values))
    back = codec.decode(codec.encode(table(x=values))).columns["x"]
    assert back.values.dtype == values.dtype
    assert np.array_equal(back.values, values)


@pytest.mark.parametrize("name", NUMBERS)
def test_scores_are_standard_normal(name):
    """False alarm: 1e-4 a column, with fixed seeds."""
    codec = fitted(table(x=draw(name)), types={"x": _kind(name)})
    scores = codec.encode(table(x=draw(name)))["num"][:, 0].double().numpy()
    assert kstest(scores, "norm").pvalue > 1e-4


@pytest.mark.parametrize("name", NUMBERS)
def test_normal_scores_decode_to_the_columns_distribution(name):
    """False alarm: 1e-4 a column, with fixed seeds."""
    values = draw(name)
    codec = fitted(table(x=values), types={"x": _kind(name)})
    state = {"num": torch.randn(N, 1, generator=torch.Generator().manual_seed(0))}
    made = codec.decode(state).columns["x"].values
    if values.dtype.kind in "mM":
        made, values = made.astype(np.int64), values.astype(np.int64)
    assert ks_2samp(made, values).pvalue > 1e-4
    assert np.abs((made == 0).mean() - (values == 0).mean()) < 0.04


def _kind(name):
    return {"M": "date", "m": "duration", "f": "continuous", "i": "integer"}[draw(name).dtype.kind]


@pytest.mark.parametrize("name", ["normal", "lognormal", "cauchy", "huge", "wide integers"])
def test_ends_are_open_and_nothing_piles_up(name):
    """Beyond the largest value lies a share 1/(n+1) of all scores; on it lies none."""
    values = draw(name)
    codec = fitted(table(x=values))
    state = {"num": torch.randn(400_000, 1, generator=torch.Generator().manual_seed(1))}
    made = codec.decode(state).columns["x"].values
    for beyond in ((made > values.max()).sum(), (made < values.min()).sum()):
        assert binom.ppf(1e-5, 400_000, 1 / (N + 1)) <= beyond
        assert beyond <= binom.ppf(1 - 1e-5, 400_000, 1 / (N + 1))
    if name != "wide integers":
        assert not (made == values.max()).any()
        assert not (made == values.min()).any()
    furthest = codec.decode({"num": torch.tensor([[30.0], [-30.0]])}).columns["x"].values
    assert furthest[0] > values.max()
    assert furthest[1] < values.min()


def test_positive_stays_positive_and_nonnegative_nonnegative():
    state = {"num": torch.linspace(-60, 60, 5000)[:, None]}
    for name in ("lognormal", "pareto", "cents", "wide integers"):
        made = fitted(table(x=draw(name))).decode(state).columns["x"].values
        assert (made > 0).all()
        assert (np.diff(made) >= 0).all()
    assert (fitted(table(x=draw("zeros"))).decode(state).columns["x"].values >= 0).all()
    assert (fitted(table(x=draw("negative"))).decode(state).columns["x"].values < 0).all()
    once = np.r_[0.0, np.random.default_rng(0).gamma(2, 3, 500)]
    assert (fitted(table(x=once)).decode(state).columns["x"].values >= 0).all()


def test_new_values_keep_to_the_steps_of_the_old():
    state = {"num": torch.randn(N, 1, generator=torch.Generator().manual_seed(0)) * 1.5}
    cents = fitted(table(x=draw("cents"))).decode(state).columns["x"].values
    assert np.array_equal(np.round(cents, 2), cents)
    assert not np.isin(cents, draw("cents")).all()
    quarters = fitted(table(x=draw("quarter hours"))).decode(state).columns["x"].values
    assert not ((quarters - DAY).astype(np.int64) % 900_000_000).any()
    days = fitted(table(x=draw("days"))).decode(state).columns["x"].values
    assert np.array_equal(days.astype("M8[D]").astype("M8[us]"), days)
    fives = 5 * np.random.default_rng(0).integers(0, 400, N) + 3
    assert (fitted(table(x=fives)).decode(state).columns["x"].values % 5 == 3).all()


def test_an_end_that_repeats_is_closed_and_so_is_int64():
    hours = np.random.default_rng(0).integers(1, 100, N)
    made = fitted(table(x=hours)).decode({"num": torch.tensor([[9.0], [-9.0]])})
    assert made.columns["x"].values.tolist() == [99, 1]
    ends = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 100)
    codec = fitted(table(x=ends), types={"x": "integer"})
    far = codec.decode({"num": torch.tensor([[50.0], [-50.0]])}).columns["x"].values
    assert far[0] >= ends.max()
    assert far[1] <= ends.min()


finite = st.floats(allow_nan=False, allow_infinity=False)
grown = st.lists(finite | st.sampled_from([0.0, -0.0, 1.0, 5e-324, 1.7e308]), min_size=2)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(grown)
def test_any_floats_come_back_near_and_in_order(numbers):
    values = np.array(numbers)
    if len(np.unique(values)) == 1:
        return
    codec = fitted(table(x=values), types={"x": "continuous"})
    back = codec.decode(codec.encode(table(x=values))).columns["x"].values
    smallest = np.abs(values).max() < 1e-300  # where floats themselves are coarse
    assert smallest or errors(back, values).max() < 1e-5
    zs = torch.linspace(-8, 8, 400)[:, None]
    made = codec.decode({"num": zs}).columns["x"].values
    assert np.isfinite(made).all()
    assert (np.diff(made) >= 0).all()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-50, 50), min_size=2))
def test_any_integers_come_back_as_near_as_float32_allows(numbers):
    values = np.array(numbers, dtype=np.int64)
    if len(np.unique(values)) == 1:
        return
    codec = fitted(table(x=values), types={"x": "integer"})
    back = codec.decode(codec.encode(table(x=values))).columns["x"].values
    error = np.array([abs(int(a) - int(b)) for a, b in zip(back, values, strict=True)])
    width = int(values.max()) - int(values.min())
    assert (error.astype(float) <= 1e-5 * width).all()
    if width < 10_000:
        assert not error.any()


def mixed(n=N, seed=0):
    r = np.random.default_rng(seed)
    words = np.array(["red", "green", "blue"], dtype=object)
    return table(
        uid=np.array([f"{a:04d}-{b}" for a, b in zip(r.permutation(9999)[:n], _letters(r, n))]),
        row=np.arange(n) * 1 + 2**60,
        age=r.integers(18, 91, n),
        gain=cells(np.where(r.random(n) < 0.9, 0.0, r.gamma(2, 500, n)), r.random(n) < 0.85),
        colour=cells(words[r.integers(0, 3, n)], r.random(n) < 0.9),
        flag=cells(r.random(n) < 0.3, r.random(n) < 0.95),
        when=cells(DAY + r.integers(0, 900, n) * np.timedelta64(1, "h"), r.random(n) < 0.97),
        site=np.full(n, "north"),
        empty=cells(np.zeros(n), np.zeros(n, bool)),
        remark=np.array([f"the visit number {i} went on as we had planned it" for i in range(n)]),
    )


def _letters(r, n):
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    return ["".join(letters[row]) for row in r.integers(0, 26, (n, 5))]


LEARNT = ["age", "gain", "colour", "flag", "when", "site", "empty"]


def test_a_mixed_table_comes_back_with_its_holes_order_and_types():
    data = mixed()
    codec = fitted(data)
    state = codec.encode(data)
    back = codec.decode(state)
    assert back.names == data.names
    for name in data.names:
        assert back.columns[name].values.dtype == data.columns[name].values.dtype
    for name in LEARNT:
        assert np.array_equal(back.columns[name].present, data.columns[name].present), name
        known = data.columns[name].known()
        if name == "gain":
            assert errors(back.columns[name].known(), known).max() < 4e-6
        else:
            assert np.array_equal(back.columns[name].known(), known), name
    assert not back.columns["remark"].present.any()
    assert codec.fields["cat"]["sizes"] == [2, 4, 3, 2]
    assert codec.fields["num"] == {"type": "number", "size": 3}
    assert codec.columns_of("num") == [("age", "value"), ("gain", "value"), ("when", "value")]
    wanted = [("gain", "missing"), ("colour", "level"), ("flag", "level"), ("when", "missing")]
    assert codec.columns_of("cat") == wanted
    assert state["num"].dtype == torch.float32
    assert state["cat"].dtype == torch.int64
    for column, size in enumerate(codec.fields["cat"]["sizes"]):
        assert state["cat"][:, column].min() >= 0
        assert state["cat"][:, column].max() == size - 1
    for word in ("uid", "row", "site", "empty", "remark"):
        assert any(repr(word) in note for note in codec.notes)


def test_missing_is_by_the_mark_only_and_its_score_is_noise():
    data = mixed()
    codec = fitted(data)
    state = codec.encode(data)
    holes = ~data.columns["gain"].present
    scores = state["num"][:, 1].double().numpy()
    assert kstest(scores[holes], "norm").pvalue > 1e-4
    assert abs(np.corrcoef(scores[holes], state["num"][holes, 0].numpy())[0, 1]) < 0.15
    state["num"] = torch.randn(N, 3, generator=torch.Generator().manual_seed(0)) * 3
    assert np.array_equal(codec.decode(state).columns["gain"].present, ~holes)
    state["cat"][:, 0] = 0
    assert codec.decode(state).columns["gain"].present.all()


def test_encoding_depends_on_the_row_not_on_its_place():
    data = mixed()
    codec = fitted(data)
    whole = codec.encode(data)
    order = np.random.default_rng(5).permutation(N)
    shuffled = codec.encode(data[order])
    parts = [codec.encode(data[start : start + 777]) for start in range(0, N, 777)]
    for field in ("num", "cat"):
        assert torch.equal(whole[field][order], shuffled[field])
        assert torch.equal(whole[field], torch.cat([part[field] for part in parts]))
    other = fitted(data, seed=1).encode(data)
    assert not torch.equal(other["num"], whole["num"])
    assert torch.equal(other["cat"], whole["cat"])


def test_saved_and_loaded_it_decodes_bit_for_bit():
    data = mixed()
    codec = fitted(data)
    again = TableCodec.from_json(json.loads(json.dumps(codec.to_json())), codec.tensors())
    generator = torch.Generator().manual_seed(0)
    state = codec.encode(data)
    state["num"] = torch.randn(N, 3, generator=generator) * 2
    one, two = codec.decode(state, start=5), again.decode(state, start=5)
    for name in data.names:
        assert one.columns[name].to_list() == two.columns[name].to_list()
    for field, values in codec.encode(data).items():
        assert torch.equal(values, again.encode(data)[field])
    assert again.notes == codec.notes
    assert again.roles == codec.roles


def test_a_damaged_codec_is_refused():
    codec = fitted(mixed())
    config, tensors = codec.to_json(), codec.tensors()
    first = next(iter(tensors))

    def changed(path, value):
        copy = json.loads(json.dumps(config))
        place = copy
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        return copy

    for bad in (
        {},
        {"columns": []} | {"seed": 0, "notes": []},
        changed(["columns", 2, "dtype"], "|V8"),
        changed(["columns", 2, "number"], None),
        changed(["columns", 2, "number", "lattice"], [0, 0, 0]),
        changed(["columns", 2, "number", "slopes"], ["x", 1]),
        changed(["columns", 4, "levels", "values"], ["red", "red", "blue"]),
        changed(["columns", 4, "levels", "values"], [1, 2, 3]),
        changed(["columns", 4, "role"], {"kind": "category"}),
        changed(["columns", 4, "name"], "age"),
        changed(["columns", 0, "identifiers", "room"], "0"),
    ):
        with pytest.raises(RunError, match="fit again"):
            TableCodec.from_json(bad, tensors)
    for broken in (
        {},
        tensors | {first: tensors[first].flip(0)},
        tensors | {first: tensors[first][:-1]},
        tensors | {first: tensors[first] * torch.nan},
        tensors | {first: tensors[first].float()},
    ):
        with pytest.raises(RunError, match="fit again"):
            TableCodec.from_json(config, broken)


def test_identifiers_are_new_unique_and_numbered_by_the_sample():
    data = mixed()
    codec = fitted(data)
    state = {f: v[:1].expand(3000, -1) for f, v in codec.encode(data).items()}
    one, two = codec.decode(state), codec.decode(state, start=3000)
    text = [*one.columns["uid"].values, *two.columns["uid"].values]
    assert len(set(text)) == 6000
    assert not set(text) & set(data.columns["uid"].values)
    assert all(len(t) == 10 and t[:4].isdigit() and t[4] == "-" and t[5:].isupper() for t in text)
    numbers = np.r_[one.columns["row"].values, two.columns["row"].values]
    assert np.array_equal(numbers, data.columns["row"].values.max() + 1 + np.arange(6000))
    part = codec.decode({f: v[:10] for f, v in state.items()}, start=2995).columns["uid"].values
    assert part.tolist() == text[2995:3005]


@pytest.mark.parametrize(
    "known",
    [
        [f"A{i:02d}" for i in range(100)],  # every string of the pattern is taken
        [f"{i:032x}" for i in range(7, 300)],
        [f"x{i}" for i in range(120)],
        [f"{'q' * 200}{i:03d}" for i in range(60)],
    ],
)
def test_identifiers_outgrow_a_full_pattern(known):
    codec = fitted(table(id=np.array(known), x=np.random.default_rng(0).normal(size=len(known))))
    for start in (0, 2_000_000, 10**12):
        made = codec.decode({"num": torch.zeros(500, 1)}, start=start).columns["id"].values
        assert len(set(made)) == 500
        assert not set(made) & set(known)


def test_integer_identifiers_at_the_end_of_int64_go_down():
    known = 2**63 - 1 - np.arange(50) * 3
    codec = fitted(table(id=known, x=np.random.default_rng(0).normal(size=50)))
    made = codec.decode({"num": torch.zeros(9, 1)}).columns["id"].values
    assert np.array_equal(made, known.min() - 1 - np.arange(9))


def test_rare_levels_share_one_code_and_come_back_as_often_as_they_were():
    r = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in r.zipf(1.3, 20_000) % 40_000])
    codec = fitted(table(word=words, x=r.normal(size=len(words))))
    state = codec.encode(table(word=words, x=r.normal(size=len(words))))
    assert codec.fields["cat"]["sizes"] == [1000]
    rare = state["cat"][:, 0] == 999
    back = codec.decode(state).columns["word"].values
    assert np.array_equal(back[~rare.numpy()], words[~rare.numpy()])
    assert set(back[rare.numpy()]) <= set(words[rare.numpy()])
    again = codec.decode({k: v[100:200] for k, v in state.items()}, start=100)
    assert again.columns["word"].values.tolist() == back[100:200].tolist()
    assert "rarest" in " ".join(codec.notes)
    unseen = table(word=np.array(["never seen"]), x=np.zeros(1))
    assert int(codec.encode(unseen)["cat"][0, 0]) == 999


def test_drift_is_refused_by_name_and_reordering_is_not():
    data = mixed()
    codec = fitted(data)
    turned = Table({name: data.columns[name] for name in reversed(data.names)})
    for field, values in codec.encode(data).items():
        assert torch.equal(values, codec.encode(turned)[field])

    def replaced(**columns):
        return Table({**data.columns, **columns})

    few = {n: c for n, c in data.columns.items() if n != "age"}
    odd = cells(np.where(np.arange(N) == 7, "violet", "red").astype(object))
    holes = cells(data.columns["age"].values, np.arange(N) != 3)
    for wrong, words in (
        (Table(few), "lacks the column 'age'"),
        (replaced(more=cells(np.zeros(N))), "'more'"),
        (replaced(age=cells(np.full(N, "x"))), "'age' holds 'x' in row 1"),
        (replaced(age=cells(np.full(N, 0.5))), "'age' holds 0.5 in row 1"),
        (replaced(gain=cells(np.full(N, np.inf))), "'gain' holds inf in row 1"),
        (replaced(colour=odd), "'colour' holds 'violet' in row 8.*--unknown as-missing"),
        (replaced(age=holes), "'age' is missing in row 4"),
    ):
        with pytest.raises(DataError, match=words):
            codec.encode(wrong)
    assert int(codec.encode(replaced(colour=odd), unknown="as-missing")["cat"][7, 1]) == 3
    assert np.flatnonzero(~codec.known_rows(replaced(colour=odd, age=holes))).tolist() == [3, 7]
    same = replaced(age=cells(data.columns["age"].values.astype(float)))
    assert torch.equal(codec.encode(same)["num"], codec.encode(data)["num"])
    with pytest.raises(ArgumentError, match="as-missing"):
        codec.encode(data, unknown="drop")


def test_numbers_that_training_left_no_room_for_are_counted():
    hours = np.r_[np.random.default_rng(0).choice([10, 20, 40], N), np.arange(50, 75).repeat(30)]
    codec = fitted(table(x=np.r_[hours, [99, 99, 99]]))
    held = table(x=np.array([10, 40, 99, 100, 31, 60]))
    assert codec.moved(held) == {"x": 2}
    assert codec.decode(codec.encode(held)).columns["x"].values.tolist() == [10, 40, 99, 99, 40, 60]
    assert codec.moved(table(x=hours)) == {}


def test_gaps_are_filled_as_often_as_new_numbers_are_seen():
    """Numbers that all repeat leave gaps empty; where some occurred once, gaps get some room."""
    r = np.random.default_rng(0)
    state = {"num": torch.randn(200_000, 1, generator=torch.Generator().manual_seed(0))}
    prices = r.choice(np.arange(40) * 7 + 3, N)
    made = fitted(table(x=prices), types={"x": "integer"}).decode(state).columns["x"].values
    assert set(made) == set(prices)
    once = np.r_[prices, 1000 + 7 * np.arange(20)]
    codec = fitted(table(x=once))
    fresh = ~np.isin(codec.decode(state).columns["x"].values, once)
    assert 0 < fresh.mean() < 2 * 20 / N
    assert codec.moved(table(x=np.arange(5, 260))) == {}


def test_states_that_no_row_has_are_refused():
    data = mixed()
    codec = fitted(data)
    state = codec.encode(data)
    for field, change, error in (
        ("num", lambda v: v * torch.nan, DataError),
        ("num", lambda v: v[:, :1], ShapeError),
        ("cat", lambda v: v + 5, DataError),
        ("cat", lambda v: v[:9], ShapeError),
        ("cat", lambda v: v.double(), ShapeError),
    ):
        with pytest.raises(error):
            codec.decode(state | {field: change(state[field])})
    with pytest.raises(ShapeError, match="fields"):
        codec.decode({"num": state["num"]})


def test_a_table_with_nothing_to_learn_is_refused():
    same = table(a=np.full(5, 3), b=cells(np.zeros(5), np.zeros(5, bool)))
    with pytest.raises(DataError, match="'a' is constant"):
        fitted(same)
    with pytest.raises(DataError, match="'x' holds inf in row 2"):
        fitted(table(x=np.array([1.0, np.inf])))
    with pytest.raises(DataError, match="at least one row"):
        fitted(table(x=np.zeros(0)))


def test_one_value_with_holes_two_rows_and_duplicates():
    lone = table(x=cells(np.full(50, 2.5), np.arange(50) % 3 > 0))
    codec = fitted(lone)
    assert codec.decode(codec.encode(lone)).columns["x"].to_list() == lone.columns["x"].to_list()
    two = table(x=np.array([1.5, -2.25]), y=np.array(["a", "b"]))
    codec = fitted(two)
    assert codec.decode(codec.encode(two)).columns["x"].values.tolist() == [1.5, -2.25]
    ages = table(age=np.random.default_rng(0).integers(20, 50, N))  # rows repeat, scores must not
    scores = fitted(ages).encode(ages)["num"][:, 0].double().numpy()
    assert kstest(scores, "norm").pvalue > 1e-4


def test_types_come_from_the_items_too():
    data = table(x=np.arange(100) % 7, y=np.random.default_rng(0).normal(size=100))
    asked = TableCodec.fit(Items("table", data, origin={"types": {"x": "integer"}}))
    assert asked.fields == {"num": {"type": "number", "size": 2}}
    assert set(fitted(data).fields) == {"num", "cat"}
