"""New rows for rare classes: as many as asked, of the class asked, told apart from real ones."""

import numpy as np
import pandas as pd
import pytest

import unfog
from unfog.cli import run as cli
from unfog.errors import ArgumentError, DataError, UnknownName
from unfog.kinds.table.balance import lacking
from unfog.tasks.augment import augment

TINY = {"net.width": 32, "net.depth": 1}


def frame(count=200, seed=0):
    """A rare class on the right, which rows of number 3 in `lot` hold more often."""
    rng = np.random.default_rng(seed)
    rare = rng.random(count) < 0.15
    return pd.DataFrame(
        {
            "key": rng.permutation(10 * count)[:count] + 1,
            "size": rng.normal(size=count) + 3 * rare,
            "lot": rng.choice(["u", "v"], count),
            "fault": np.where(rare, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def asked():
    return unfog.fit(frame(), given="fault", steps=4, settings=TINY, quiet=True)


@pytest.fixture(scope="module")
def joint():
    return unfog.fit(frame(), steps=4, settings=TINY, quiet=True)


def test_how_many_rows_each_class_lacks():
    counts = {"a": 100, "b": 30, "c": 50}
    assert lacking(counts, "x") == {"b": 70, "c": 50}
    assert lacking(counts, "x", 0.5) == {"b": 20}
    assert lacking(counts, "x", 1.0, ["c"]) == {"c": 50}
    assert lacking(counts, "x", 0.3) == {}
    with pytest.raises(UnknownName, match="class of 'x'"):
        lacking(counts, "x", 1.0, ["d"])
    with pytest.raises(ArgumentError, match="at most 1"):
        lacking(counts, "x", 1.5)


def test_the_rare_class_is_filled_up_and_keys_stay_unique(asked):
    table = frame()
    done = augment(asked, table, target="fault", seed=1)
    counts = table["fault"].value_counts()
    assert done.added == {"yes": counts["no"] - counts["yes"]}
    assert len(done.data) == done.added["yes"]
    assert (done.data["fault"] == "yes").all()
    both = done.marked("synthetic")
    assert len(set(both.columns["key"].values.tolist())) == len(both)  # held-out keys included
    half = augment(asked, table, target="fault", ratio=0.5, classes=["yes"])
    assert len(half) == int(np.ceil(0.5 * counts["no"])) - counts["yes"]
    again = augment(asked, table, target="fault", seed=1)
    pd.testing.assert_frame_equal(done.data, again.data)


def test_what_else_is_given_comes_from_rows_of_the_class():
    table = frame()
    table.loc[table["fault"] == "yes", "lot"] = "v"
    model = unfog.fit(table, given="fault,lot", steps=2, settings=TINY, quiet=True)
    assert (augment(model, table, target="fault").data["lot"] == "v").all()


def test_the_whole_table(asked, joint):
    table = frame()
    drawn = augment(asked, table, target="fault", whole=True, ratio=3.0).data
    assert len(drawn) == 600
    assert abs((drawn["fault"] == "yes").mean() - (table["fault"] == "yes").mean()) < 0.06
    assert len(augment(joint, table, target="size", whole=True)) == 200


def test_refusals_name_the_fix(asked, joint):
    table = frame()
    with pytest.raises(ArgumentError, match=r"rejection, not conditioning.*--given fault"):
        augment(joint, table, target="fault")
    with pytest.raises(UnknownName, match="did you mean 'fault'"):
        augment(asked, table, target="fualt")
    with pytest.raises(DataError, match="nothing to add"):
        augment(asked, table, target="fault", ratio=0.01)
    with pytest.raises(DataError, match="too many to be classes"):
        augment(asked, table, target="size")
    with pytest.raises(DataError, match="lacks the column 'lot'"):
        augment(asked, table.drop(columns="lot"), target="fault")
    with pytest.raises(UnknownName, match="class of 'fault'"):
        augment(asked, table, target="fault", classes=["maybe"])
    with pytest.raises(ArgumentError, match="leave whole or classes out"):
        augment(asked, table, target="fault", whole=True, classes=["yes"])
    with pytest.raises(ArgumentError, match="a column 'lot' already"):
        augment(asked, table, target="fault").marked("lot")


def test_from_the_shell(tmp_path, capsys):
    source, run = tmp_path / "t.csv", tmp_path / "run"
    frame().to_csv(source, index=False)
    model = unfog.fit(source, given="fault", steps=2, settings=TINY, quiet=True, out=run)
    verb = ["augment", str(model.folder), str(source), "--target", "fault"]
    assert cli([*verb, "-o", str(tmp_path / "new.csv")]) == 0
    new = pd.read_csv(tmp_path / "new.csv")
    assert list(new.columns) == list(frame().columns)
    assert (new["fault"] == "yes").all()
    assert cli([*verb, "-o", str(tmp_path / "all.csv"), "--mark", "synthetic"]) == 0
    both = pd.read_csv(tmp_path / "all.csv")
    assert both["synthetic"].sum() == len(new)
    real = both[~both["synthetic"]].drop(columns="synthetic")
    pd.testing.assert_frame_equal(real, pd.read_csv(source), check_dtype=False)
    capsys.readouterr()
    assert cli(verb) == 2
    assert "--out" in capsys.readouterr().err
    assert cli([*verb, "-o", str(tmp_path / "new.csv")]) == 2  # it is there


@pytest.mark.slow
def test_the_gain_is_judged_from_the_shell(asked, tmp_path, capsys):
    import json

    source = tmp_path / "t.csv"
    frame().to_csv(source, index=False)
    verb = ["augment", str(asked.folder), str(source), "--target", "fault", "--judge", "--json"]
    assert cli([*verb, "--steps", "2", "--seeds", "2", "--folds", "2"]) == 0
    out, err = capsys.readouterr()
    assert "8 times" in err  # said before it starts
    gain = json.loads(out)["gain"]
    assert gain["trials"] == 4
    assert {row["arm"] for row in gain["gains"]} == {
        "class weights", "our rows", "SMOTE", "jitter", "chosen inside",
    }  # fmt: skip
    assert all(row["low"] <= row["gain"] <= row["high"] for row in gain["gains"])
    assert "augment" in gain["verdict"].lower()
    assert cli([*verb[:-1], "--budget", "0"]) == 2
