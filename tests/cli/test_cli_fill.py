"""`unfog fill`: a file with holes in, a file without out, and one sentence for what is wrong."""

import json

import numpy as np
import pandas as pd
import pytest

from unfog.cli import run as cli


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fill")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"age": rng.integers(18, 90, 200), "town": rng.choice(["Ede", "Urk"], 200), "pay": rng.normal(size=200).round(2)}
    )  # fmt: skip
    frame.to_csv(folder / "rows.csv", index=False)
    frame.head(20).mask(rng.random((20, 3)) < 0.4).to_csv(folder / "holes.csv", index=False)
    few = ["--steps", "2", "--set", "net.width=16", "--set", "net.depth=1", "--batch", "32"]
    assert cli(["fit", str(folder / "rows.csv"), "-o", str(folder / "run"), *few]) == 0
    return folder


def fill(folder, out, *more):
    return cli(
        ["fill", f"{folder}/run", f"{folder}/holes.csv", "-o", str(out), "--steps", "3", *more]
    )


def test_holes_are_filled_and_the_rest_is_as_read(table, tmp_path, capsys):
    capsys.readouterr()
    assert fill(table, tmp_path / "full.csv", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    asked = pd.read_csv(table / "holes.csv")
    assert facts["holes"] == {n: int(asked[n].isna().sum()) for n in asked if asked[n].isna().any()}
    words = [line.split(",") for line in (tmp_path / "full.csv").read_text().splitlines()]
    known = [line.split(",") for line in (table / "holes.csv").read_text().splitlines()]
    assert words[0] == known[0]
    for done, had in zip(words[1:], known[1:]):
        assert all(done)
        same = [
            float(d) == float(h) if c != 1 else d == h
            for c, (d, h) in enumerate(zip(done, had))
            if h
        ]
        assert all(same)
    assert fill(table, tmp_path / "many.csv", "--draws", "3") == 0
    many = pd.read_csv(tmp_path / "many.csv")
    assert many.columns[0] == "draw"
    assert len(many) == 60
    assert "drawn 3 times" in capsys.readouterr().err


def test_what_is_wrong_is_said_in_a_sentence(table, tmp_path, capsys):
    (tmp_path / "there.csv").write_text("x\n")
    assert fill(table, tmp_path / "there.csv") == 2
    assert "is there already" in capsys.readouterr().err
    (tmp_path / "other.csv").write_text("age,town,pay\n20,Oss,\n")
    command = ["fill", f"{table}/run", str(tmp_path / "other.csv"), "-o", str(tmp_path / "o.csv")]
    assert cli(command) == 3
    assert "'Oss' in row 1" in capsys.readouterr().err
    assert cli([*command, "--unknown", "as-missing", "--steps", "2"]) == 0
    assert pd.read_csv(tmp_path / "o.csv")["town"].isin(["Ede", "Urk"]).all()
