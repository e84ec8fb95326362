"""Tables on trial: distances in closed form, calibrated on real rows, alarmed by planted faults."""

import json

import numpy as np
import pytest

from unfog.errors import ArgumentError, DataError, ShapeError, UnknownName
from unfog.judge import Figure, TableJudge, column_distances, judge_table, table_metrics
from unfog.judge.table import roles_of
from unfog.judge.table.case import TableCase
from unfog.judge.table.efficacy import _areas
from unfog.judge.table.features import encode
from unfog.judge.table.pairs import compared, pair_distances
from unfog.judge.table.records import nearer
from unfog.judge.table.twosample import tree_auc
from unfog.kinds.table.cells import Cells, Table


def table(**columns):
    """A table of plain lists or arrays; None and NaN are missing."""
    out = {}
    for name, values in columns.items():
        values = np.asarray(values)
        if values.dtype.kind in "OU":
            held = [None if v is None else str(v) for v in values.tolist()]
            present = np.array([v is not None for v in held])
            values = np.array(["" if v is None else v for v in held], dtype=object)
        else:
            present = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(len(values), bool)
        out[name] = Cells(values, present)
    return Table(out)


def people(n, seed, missing=0.1):
    """Age, wage (grows with age and degree), degree, town; some wages are missing."""
    g = np.random.default_rng(seed)
    age = g.integers(18, 80, n)
    degree = g.random(n) < 0.3
    wage = np.exp(7 + 0.01 * age + 0.5 * degree + 0.3 * g.standard_normal(n))
    wage[g.random(n) < missing] = np.nan
    town = np.array(["Ayr", "Bath", "Cork"])[g.choice(3, n, p=[0.6, 0.3, 0.1])]
    rich = np.where(np.nan_to_num(wage) > 2000, "yes", "no")
    return table(age=age, wage=wage, degree=degree, town=town.astype(object), rich=rich)


def by_name(figures):
    return {figure.name: figure for figure in figures}


def coded(*tables):
    return encode(list(tables), roles_of(tables[0]))


def test_kolmogorov_smirnov_of_shifted_normals_and_total_variation_are_the_closed_forms():
    # KS of N(0, 1) and N(1, 1) is 2 Phi(1/2) - 1 = 0.3829; TV of (.5 .5) and (.7 .3) is 0.2
    g = np.random.default_rng(0)
    n = 20_000
    real = table(x=g.standard_normal(n), c=np.where(g.random(n) < 0.5, "a", "b"))
    other = table(x=g.standard_normal(n), c=np.where(g.random(n) < 0.5, "a", "b"))
    moved = table(x=1 + g.standard_normal(n), c=np.where(g.random(n) < 0.7, "a", "b"))
    found = {c.name: c for c in column_distances(moved, real, other)}
    assert found["x"].kind == "number"
    assert found["x"].value == pytest.approx(0.3829, abs=0.015)
    assert found["c"].kind == "category"
    assert found["c"].value == pytest.approx(0.2, abs=0.015)
    # E KS of two samples of n is 0.8687 sqrt(2 / n); a share's gap is N(0, 1/4 2/n): mean absolute
    # value sqrt(2 / pi) sqrt(0.5 / n)
    assert found["x"].floor == pytest.approx(0.8687 * np.sqrt(2 / n), rel=0.1)
    assert found["c"].floor == pytest.approx(np.sqrt(2 / np.pi) * np.sqrt(0.5 / n), rel=0.25)
    assert not found["x"].within_twice
    assert not found["c"].within_twice
    same = column_distances(other, real, other)
    assert all(column.within_twice for column in same)


def test_ks_agrees_with_scipy_with_ties():
    from scipy.stats import ks_2samp

    g = np.random.default_rng(1)
    a, b = g.poisson(3, 300), g.poisson(4, 300)
    found = column_distances(table(x=a), table(x=b), table(x=b))
    assert found[0].value == pytest.approx(ks_2samp(a, b).statistic, abs=1e-12)


def test_missing_cells_count_as_a_rate_for_numbers_and_as_a_level_for_categories():
    g = np.random.default_rng(2)
    x = g.standard_normal(1000)
    gap = np.where(np.arange(1000) < 300, np.nan, x)
    word = np.array(["a"] * 700 + ["b"] * 300, dtype=object)
    lost = np.array(["a"] * 700 + [None] * 300, dtype=object)
    found = {
        c.name: c.value
        for c in column_distances(
            table(x=gap, c=lost), table(x=x, c=word), table(x=x, c=word), roles={"x": "number"}
        )
    }
    assert found["x"] == pytest.approx(0.3, abs=1e-9)
    assert found["c"] == pytest.approx(0.3, abs=1e-9)


def test_the_figure_names_the_columns_that_are_off_and_lists_them_all():
    train, real = people(3000, 0), people(1000, 1)
    samples = people(1000, 2, missing=0.4)
    figure = judge_table(samples, real, train, only=["columns"])[0]
    # a wage that is missing counts as not rich, so that column is off too
    assert "2 of 5 columns are beyond twice" in figure.notes[0]
    assert "wage (0.299, floor 0.04" in figure.notes[0]
    listed = {part["name"]: part for part in figure.parts}
    assert list(listed) == ["age", "wage", "degree", "town", "rich"]
    assert [name for name, part in listed.items() if not part["within_twice"]] == ["wage", "rich"]
    assert Figure.from_json(json.loads(json.dumps(figure.to_json()))) == figure


def test_pairs_see_a_broken_association_that_no_column_shows():
    # rank correlation r against 0: the distance is r / 2; with r = 0.8, Spearman's is 6/pi asin(.4)
    g = np.random.default_rng(3)
    n = 20_000
    x, e = g.standard_normal((2, n))
    joined = coded(table(x=x, y=0.8 * x + 0.6 * e), table(x=x, y=e))
    found = pair_distances(joined[0], joined[1], compared(2, 0))
    assert found[0] == pytest.approx(6 / np.pi * np.arcsin(0.4) / 2, abs=0.01)
    # category against category: (a, a) and (b, b) always, against independent halves: TV = 1/2
    a, b = g.random((2, n)) < 0.5
    crossed = coded(table(a=a, b=a), table(a=a, b=b))
    assert pair_distances(crossed[0], crossed[1], compared(2, 0))[0] == pytest.approx(0.5, abs=0.01)


def test_rank_correlation_is_over_rows_where_both_are_known():
    from scipy.stats import spearmanr

    g = np.random.default_rng(4)
    x = g.standard_normal(400)
    y = x + g.standard_normal(400)
    y[:100] = np.nan
    rows = coded(table(x=x, y=y), table(x=x, y=np.where(np.isnan(y), np.nan, -x)))
    found = pair_distances(rows[0], rows[1], compared(2, 0))[0]
    # ranks are taken over all that is known of a column, so scipy's differ in the third place
    truth = (spearmanr(x[100:], y[100:]).statistic + 1) / 2
    assert found == pytest.approx(truth, abs=0.02)


@pytest.mark.slow
def test_tree_auc_is_calibrated_on_one_law():
    # without the widening 43 of these 50 intervals held 0.5; 45 of 50 are 90 %
    hits, values = 0, []
    for seed in range(50):
        a, b = coded(people(150, 2 * seed), people(150, 2 * seed + 1))
        found = tree_auc(a, b, seed=seed, rounds=20)
        hits += found.low <= 0.5 <= found.high
        values.append(found.value)
    assert hits >= 45
    assert abs(np.mean(values) - 0.5) < 0.02


def test_tree_auc_of_a_shift_is_near_the_best_there_is():
    # N(0, 1) against N(1, 1): no classifier is above Phi(1 / sqrt 2) = 0.760
    g = np.random.default_rng(5)
    a, b = coded(table(x=g.standard_normal(3000)), table(x=1 + g.standard_normal(3000)))
    found = tree_auc(a, b, seed=0)
    assert 0.72 < found.value < 0.775
    assert found.low > 0.7


def test_efficacy_area_is_the_one_of_sklearn_and_follows_counts():
    from sklearn.metrics import roc_auc_score

    g = np.random.default_rng(6)
    score, truth = g.random(200).round(1), g.random(200) < 0.4
    counts = np.stack([np.ones(200), g.integers(0, 4, 200)]).astype(float)
    found = _areas(score, truth, counts)
    assert found[0] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
    assert found[1] == pytest.approx(
        roc_auc_score(truth, score, sample_weight=counts[1]), abs=1e-12
    )


def test_samples_with_a_shuffled_target_teach_nothing():
    train, real, samples = people(1500, 0), people(800, 1), people(1000, 2)
    good = by_name(judge_table(samples, real, train, only=["tstr"]))
    assert good["tstr"].value > 0.95
    assert good["tstr_ratio"].at_floor
    assert good["tstr_ratio"].floor == 1
    assert "'rich'" in good["tstr"].notes[0]
    shuffled = dict(samples.columns)
    shuffled["rich"] = shuffled["rich"].take(np.random.default_rng(0).permutation(1000))
    bad = by_name(judge_table(Table(shuffled), real, train, only=["tstr"]))
    assert bad["tstr"].value < 0.65
    assert not bad["tstr"].at_floor
    assert bad["tstr"].floor == good["tstr"].floor


@pytest.mark.slow
def test_a_number_is_predicted_by_r_squared_and_many_classes_by_their_mean_area():
    train, real, samples = people(800, 0), people(400, 1), people(400, 2)
    # wage = exp(7 + .01 age + .5 degree + .3 e): the share of variance that age and degree explain
    wage = by_name(judge_table(samples, real, train, only=["tstr"], target="wage"))["tstr"]
    assert wage.unit == "R squared"
    assert 0.3 < wage.value < 0.9
    town = by_name(judge_table(samples, real, train, only=["tstr"], target="town"))["tstr"]
    assert town.low <= 0.5 <= town.high + 0.02  # the town is independent of everything
    one = dict(samples.columns)
    one["rich"] = Cells(np.array(["no"] * 400, dtype=object), np.ones(400, bool))
    assert by_name(judge_table(Table(one), real, train, only=["tstr"]))["tstr"].value == 0.5


def test_closest_record_flags_planted_copies_and_nothing_else():
    train, real, fresh = people(900, 0), people(500, 1), people(600, 2)
    judged = TableJudge(real, train)
    clean = by_name(judged(fresh, only=["closest_record", "duplicates"]))
    assert clean["closest_record"].floor == 0.5
    assert clean["closest_record"].at_floor
    assert clean["duplicates"].at_floor
    half = Table(
        {
            name: Cells(
                np.concatenate([fresh[:300].columns[name].values, cells.values[:300]]),
                np.concatenate([fresh[:300].columns[name].present, cells.present[:300]]),
            )
            for name, cells in train.columns.items()
        }
    )
    found = by_name(judged(half, only=["closest_record", "duplicates"]))
    assert found["duplicates"].value == pytest.approx(0.5 + clean["duplicates"].value / 2, abs=0.03)
    assert not found["closest_record"].at_floor
    whole = by_name(judged(train[:600], only=["closest_record"]))["closest_record"]
    assert whole.value > 0.95


def test_closest_record_counts_as_if_sides_were_equal_and_shares_ties():
    rows = coded(people(900, 0), people(300, 1), people(400, 2))
    sides = nearer(rows[2], rows[0], rows[1])
    # three training rows to one held-out: three quarters of the nearest, which is half
    assert sides.near.mean() == pytest.approx(0.75, abs=0.06)
    assert sides.share(sides.near.mean()) == pytest.approx(0.5, abs=0.08)
    tied = coded(*(table(c=np.array(["a", "b"] * k, dtype=object)) for k in (20, 10, 15)))
    assert nearer(tied[2], tied[0], tied[1]).near.mean() == pytest.approx(2 / 3, abs=1e-9)


def test_closest_record_interval_of_fresh_rows_covers_one_half():
    hits = 0
    for seed in range(20):
        figure = judge_table(
            people(200, 3 * seed),
            people(200, 3 * seed + 1),
            people(300, 3 * seed + 2),
            only=["closest_record"],
            seed=seed,
        )[0]
        hits += figure.at_floor
    assert hits >= 17


@pytest.mark.slow
def test_real_rows_pass_every_metric_and_floors_are_measured_once():
    train, real = people(1200, 0), people(500, 1)
    judged, told = TableJudge(real, train), []
    figures = judged(people(500, 2), progress=lambda *a: told.append(a))
    assert {f.name for f in figures} == {*table_metrics.names(), "tstr_ratio"}
    assert all(f.at_floor for f in figures)
    assert all(f.low <= f.value <= f.high for f in figures)
    assert told[-1] == (6, 6, "done")
    kept = dict(judged._floors)
    again = judged(people(500, 3))
    assert judged._floors == kept or all(judged._floors[k] is kept[k] for k in kept)
    assert [f.floor for f in again] == [f.floor for f in figures]
    assert judge_table(people(500, 2), real, train) == figures


def test_roles_are_inferred_and_may_be_said():
    n = 200
    g = np.random.default_rng(0)
    t = table(
        id=np.arange(n),
        x=g.standard_normal(n),
        flag=g.random(n) < 0.5,
        name=np.array([f"person {i}" for i in range(n)], dtype=object),
        town=np.array(["a", "b"] * (n // 2), dtype=object),
        same=np.ones(n),
        day=np.datetime64("2020-01-01", "us") + g.integers(0, 900, n).astype("timedelta64[D]"),
    )
    assert roles_of(t, {"x": "category"}) == {
        "id": "skip",
        "x": "category",
        "flag": "category",
        "name": "skip",
        "town": "category",
        "same": "skip",
        "day": "date",
    }
    assert {c.name for c in column_distances(t, t, t)} == {"x", "flag", "town", "day"}
    assert all(c.value == 0 for c in column_distances(t, t, t))


def test_wrong_arguments_are_named():
    train, real = people(100, 0), people(50, 1)
    with pytest.raises(DataError, match="19 samples"):
        judge_table(people(19, 2), real, train)
    with pytest.raises(ArgumentError, match="'agee'"):
        judge_table(real, real, train, roles={"agee": "number"})
    with pytest.raises(ArgumentError, match="allowed: number"):
        judge_table(real, real, train, roles={"age": "integer"})
    with pytest.raises(ArgumentError, match="target 'rank'"):
        judge_table(real, real, train, target="rank")
    with pytest.raises(UnknownName, match="did you mean 'columns'"):
        judge_table(real, real, train, only=["column"])
    with pytest.raises(DataError, match="can't be judged as a number"):
        judge_table(real, real, train, roles={"town": "number"})
    less = Table({n: c for n, c in real.columns.items() if n != "age"})
    with pytest.raises(ShapeError, match="age"):
        judge_table(less, real, train)
    with pytest.raises(DataError, match="every column is skipped"):
        judge_table(real, real, train, roles=dict.fromkeys(train.names, "skip"))


def test_records_are_compared_column_by_column():
    from unfog.judge.table.records import places

    many = np.array([f"w{k}" for k in range(150)] * 2, dtype=object)
    few = np.array(["a", "b"] * 150, dtype=object)
    number = np.arange(300) % 100 * 1.0
    number[7] = np.nan
    roles = {"x": "number", "few": "category", "many": "category"}
    rows = encode([table(x=number, few=few, many=many)], roles)[0]
    found = places(rows, rows)
    gaps = found.gaps(found).numpy()
    assert np.allclose(np.diag(gaps), 0, atol=1e-5)
    assert gaps[0, 1] == pytest.approx(0.01 + 1 + 1, abs=1e-3)  # one rank of 100, two words differ
    assert gaps[0, 150] == pytest.approx(0.5, abs=0.01)  # same words, half the ranks away
    assert gaps[7, 6] == pytest.approx(
        0.5 - 0.065 + 0.5 + 2, abs=0.02
    )  # missing: the median, marked


def test_many_levels_words_only_and_numbers_only_pass_every_metric():
    g = np.random.default_rng(0)

    def words(n):
        return table(
            code=np.array([f"c{k}" for k in g.integers(0, 400, n)], dtype=object),
            flag=g.random(n) < 0.5,
        )

    def numbers(n):
        return table(x=g.standard_normal(n), y=g.standard_normal(n))

    for draw in (words, numbers):
        figures = judge_table(draw(300), draw(300), draw(3000))
        assert {"columns", "pairs", "c2st_auc", "closest_record", "duplicates"} <= {
            f.name for f in figures
        }


def test_equal_sizes_depend_on_n_and_seed_only():
    rows = coded(people(300, 0), people(100, 1), people(150, 2))
    case = TableCase(rows[2], rows[1], rows[0], None, 0)
    parts = case.equal(80)
    assert [len(part) for part in parts[:3]] == [80, 80, 80]
    assert "n = 80 (of 150 samples and 100 held-out rows)" in parts[3][0]
    assert np.array_equal(case.equal(80)[2].codes, parts[2].codes)
