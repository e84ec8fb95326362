"""Bad input about tables, each from the command line: its exit code and one sentence that names it."""

import json

import numpy as np
import pandas as pd
import pytest

from unfog.cli import run

TINY = ["--set", "net.width=16", "--set", "net.depth=1", "--steps", "2", "--batch", "64"]
OF_RUN = {"sample", "fill", "score", "augment", "evaluate"}


def frame(count=160):
    rng = np.random.default_rng(0)
    age = rng.integers(18, 65, count)
    return pd.DataFrame(
        {
            "id": [f"P-{n:04d}" for n in range(count)],
            "age": age,
            "bmi": rng.normal(30, 6, count).round(2),
            "smoker": rng.choice(["yes", "no"], count),
            "region": rng.choice(["north", "south", "east"], count),
            "months": 12 * age,
        }
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A run, and tables that do not go with it."""
    folder = tmp_path_factory.mktemp("bad")
    good = frame()
    good.to_csv(folder / "good.csv", index=False)
    some = good.head(30).astype(object)
    made = {
        "level": some.assign(smoker=["sometimes"] + ["no"] * 29),
        "lacking": some.drop(columns="bmi"),
        "more": some.assign(extra=1),
        "renamed": some.rename(columns={"bmi": "BMI"}),
        "cell": some.assign(age=["old", *some["age"][1:]]),
        "half": some.assign(age=[20.5, *some["age"][1:]]),
        "infinite": some.assign(bmi=[np.inf, *some["bmi"][1:]]),
        "none": some.head(0),
        "train": good.astype(object).assign(age=["old", *good["age"][1:]]),
    }
    for name, table in made.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    out = ["-o", str(folder / "run"), "--given", "smoker"]
    assert run(["fit", str(folder / "good.csv"), *out, *TINY]) == 0
    return folder


@pytest.fixture
def say(home, capsys):
    def typed(*words):
        capsys.readouterr()
        words = [str(home / w[1:]) if w.startswith("@") else w for w in map(str, words)]
        if words[0] in OF_RUN:
            words.insert(1, str(home / "run"))
        code = run(words)
        told = capsys.readouterr()
        return code, told.out, told.err

    return typed


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        # a target or condition that is not a column
        (["fit", "@good.csv", "-o", "@x", "--given", "smokr", *TINY], 2, ["'smokr'", "'smoker'"]),
        (["augment", "@good.csv", "--target", "smokr", "-o", "@a.csv"], 2, ["'smokr'", "'smoker'"]),
        (["sample", "-o", "@s.csv", "--given", "smokr=yes"], 2, ["'smokr'", "did you mean"]),
        # conditions outside what the column can be
        (["sample", "-o", "@s.csv", "--given", "smoker=maybe"], 2, ["'maybe'", "known: no, yes"]),
        (["sample", "-o", "@s.csv", "--given", "age=-9..-1"], 2, ["no value from -9 to -1", "18"]),
        (["sample", "-o", "@s.csv", "--given", "age=40..30"], 2, ["40 to 30 is empty"]),
        (["sample", "-o", "@s.csv", "--given", "bmi=fat"], 2, ["'fat' is no finite number"]),
        (["sample", "-o", "@s.csv", "--given", "region>=east"], 2, ["its levels have no order"]),
        (["sample", "-o", "@s.csv", "--given", "months=7"], 2, ["months = 12 × age", "gives 7"]),
        (["sample", "-o", "@s.csv", "--given", "months=-9..-1"], 2, ["'age'", "no value from"]),
        (["sample", "-o", "@s.csv", "--given", "id=P-0001"], 2, ["unknown given 'id'", "age"]),
        # contradictory constraints, and what is none
        (
            ["sample", "-o", "@s.csv", "--constrain", "age < 3", "--constrain", "age > 5"],
            2,
            ["'age < 3' and 'age > 5' together", "contradict"],
        ),
        (
            ["fit", "@good.csv", "-o", "@x", "--constrain", "age<bmi", "--constrain", "bmi<age",
             *TINY],
            2,
            ["'age<bmi' and 'bmi<age' together"],
        ),
        (["sample", "-o", "@s.csv", "--constrain", "age < bmj"], 2, ["'bmj'", "did you mean 'bmi'"]),
        (["sample", "-o", "@s.csv", "--constrain", "smoker < 3"], 2, ["'smoker' is text"]),
        (["sample", "-o", "@s.csv", "--constrain", "id < 3"], 2, ["'id' is an identifier"]),
        (["sample", "-o", "@s.csv", "--constrain", "age <"], 2, ["can't be read", "a <= b"]),
        (["sample", "-n", "40", "-o", "@s.csv", "--constrain", "bmi > 1e9"], 2, ["hardly draws"]),
        (["fit", "@good.csv", "-o", "@x", "--constrain", "age > 99", *TINY], 3, ["is a mistake"]),
        (["fit", "@good.csv", "-o", "@x", "--functions", "drop", *TINY], 2, ["compute or learn"]),
        # new categories, and columns that are lacking, new or renamed
        (["fill", "@level.csv", "-o", "@f.csv"], 3, ["'sometimes' in row 1", "as-missing"]),
        (["fill", "@lacking.csv", "-o", "@f.csv"], 3, ["lacks the column 'bmi'"]),
        (["score", "@lacking.csv", "-o", "@f.csv"], 3, ["lacks the column 'bmi'"]),
        (["fill", "@more.csv", "-o", "@f.csv"], 3, ["column 'extra'", "not fitted on"]),
        (["score", "@more.csv", "-o", "@f.csv"], 3, ["column 'extra'", "not fitted on"]),
        (["score", "@renamed.csv", "-o", "@f.csv"], 3, ["is 'BMI' meant for 'bmi'?"]),
        # wrong types in one cell, and nothing at all
        (["fill", "@cell.csv", "-o", "@f.csv"], 3, ["'age' holds 'old' in row 1"]),
        (["score", "@cell.csv", "-o", "@f.csv"], 3, ["'age' holds 'old' in row 1"]),
        (["score", "@half.csv", "-o", "@f.csv"], 3, ["'age' holds 20.5 in row 1", "whole numbers"]),
        (["fill", "@infinite.csv", "-o", "@f.csv"], 3, ["row 1 of column 'bmi'", "not finite"]),
        (["score", "@none.csv", "-o", "@f.csv"], 3, ["no rows"]),
        (["fit", "@train.csv", "-o", "@x", *TINY], 3, ["row 1", "'age' is 'old' and no number"]),
    ],
)  # fmt: skip
def test_one_sentence_names_it(say, home, words, code, parts):
    got, out, err = say(*words)
    assert got == code, err
    assert out == ""
    said = [line for line in err.splitlines() if line.startswith("unfog: ")]
    assert len(said) == 1, err
    assert "Traceback" not in err
    for part in parts:
        assert part in said[0], err
    assert not (home / "f.csv").exists()
    assert not (home / "s.csv").exists()


def test_new_categories_are_handled_and_reported(say, home):
    code, out, err = say(
        "fill", "@level.csv", "-o", "@filled.csv", "--unknown", "as-missing", "--json"
    )
    assert code == 0, err
    said = "1 cells of column 'smoker' hold levels that training did not have: 'sometimes'"
    assert any(note.startswith(said) for note in json.loads(out)["notes"])
    assert set(pd.read_csv(home / "filled.csv").smoker) <= {"yes", "no"}
    code, out, err = say("score", "@level.csv", "-o", "@scored.csv", "--json")
    assert code == 0, err
    assert any(note.startswith(said) for note in json.loads(out)["notes"])
    scored = pd.read_csv(home / "scored.csv")
    assert scored.strangest[0] == "smoker"
    assert "unseen in training" in scored.reasons[0]


def test_many_levels_and_free_text_are_named(say, home):
    rng = np.random.default_rng(0)
    words = [
        "the",
        "cat",
        "runs",
        "over",
        "a",
        "quick",
        "brown",
        "fox",
        "near",
        "some",
        "lazy",
        "river",
    ]
    count = 2000
    pd.DataFrame(
        {
            "user": [f"u{n}" for n in np.r_[np.arange(1600), rng.integers(0, 1600, 400)]],
            "note": [" ".join(rng.choice(words, 9)) for _ in range(count)],
            "x": rng.normal(size=count),
        }
    ).to_csv(home / "wide.csv", index=False)
    code, _, err = say("fit", "@wide.csv", "-o", "@wide", *TINY, "--types", "user=category")
    assert code == 0, err
    assert "column 'user' has" in err
    assert "levels; the" in err
    assert "column 'note' is free text" in err
    assert "--types note=category" in err
    assert run(["sample", str(home / "wide"), "-n", "5", "-o", str(home / "w.csv")]) == 0
    assert pd.read_csv(home / "w.csv").note.isna().all()
    types = ["--types", "user=category,note=category"]
    assert run(["fit", str(home / "wide.csv"), "-o", str(home / "wide2"), *TINY, *types]) == 0
    assert run(["sample", str(home / "wide2"), "-n", "5", "-o", str(home / "w2.csv")]) == 0
    assert set(pd.read_csv(home / "w2.csv").note) <= set(pd.read_csv(home / "wide.csv").note)


def test_what_obeying_costs_is_printed(say, home):
    code, out, err = say("sample", "-n", "40", "-o", "@kept.csv", "--constrain", "20 <= age <= 60")
    assert code == 0, err
    assert "20 <= age and age <= 60: obeyed by all 40 rows" in err
    assert "were drawn again" in err
    drawn = pd.read_csv(home / "kept.csv")
    assert drawn.age.between(20, 60).all()
    assert (drawn.months == 12 * drawn.age).all()
    code, out, _ = say("inspect", "@run")
    assert "months = 12 × age in all" in out
