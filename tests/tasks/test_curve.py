"""Quality against calls: every way of sampling on one picture."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import unfog
from unfog.cli import run as cli
from unfog.errors import ArgumentError, UnknownName
from unfog.sample.tuning import distances
from unfog.tasks.fit import fit


def learnt(data, out, **choices):
    settings = {"train.looks": 0, "net.width": 32, **choices.pop("settings", {})}
    steps = choices.pop("steps", 200)
    return fit(data, out=out, steps=steps, batch=32, settings=settings, quiet=True, **choices)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the data, a tuned run of it, and a flow map of that."""
    folder = tmp_path_factory.mktemp("curve")
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 3)) * 2
    data = centres[rng.integers(4, size=800)] + 0.3 * rng.normal(size=(800, 3))
    np.save(folder / "data.npy", data.astype("f4"))
    model = learnt(folder / "data.npy", folder / "run")
    model.tune([4], trajectories=64, budget=60.0, show=False)
    model.distill(out=folder / "map", steps=100, quiet=True)
    return folder


def points(found, name):
    return {p.calls: p for line in found.lines if line.name == name for p in line.points}


def test_every_way_is_there_and_errors_are_distances_from_the_flow(place):
    model, jumps = unfog.load(place / "run"), unfog.load(place / "map")
    found = model.curve([jumps], counts=(1, 2, 4, 8), budget=4.0, show=False)
    names = {line.name: [p.calls for p in line.points] for line in found.lines}
    assert names == {
        "run: as it is": [1, 2, 4, 8],
        "run: euler, even times": [1, 2, 4, 8],
        "run: times fitted": [4, 8],
        "run: tuned solver": [4],
        "map: in jumps": [1, 2, 4, 8],
    }
    assert found.notes == ()
    assert found.floor == 0

    count = found.count
    exact = model.sample(count, steps=100, solver="threestep", grid="angle", show=False).state
    spread = exact.std(0).square().mean().sqrt()
    plain = model.sample(count, steps=4, solver="euler", grid="linear", show=False).state
    drawn = points(found, "run: euler, even times")[4]
    assert drawn.error == pytest.approx(float(distances(plain, exact).mean() / spread), rel=0.02)
    assert points(found, "run: tuned solver")[4].error < points(found, "run: as it is")[4].error
    assert points(found, "run: times fitted")[8].error < drawn.error
    assert points(found, "map: in jumps")[1].error < points(found, "run: as it is")[1].error

    judged = model.evaluate(
        count=count, steps=4, solver="tuned", seed=0, baselines=False, show=False
    )
    figure = next(f for f in judged.figures if f.name == "frechet")
    assert points(found, "run: tuned solver")[4].figure == figure


def test_calls_of_guidance_count(place, tmp_path):
    data = np.load(place / "data.npy")
    frame = pd.DataFrame({f"c{i}": data[:, i] for i in range(3)} | {"side": data[:, 0] > 0})
    frame["side"] = np.where(frame["side"], "right", "left")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    model = learnt(tmp_path / "rows.csv", tmp_path / "run", given=["side"], steps=40)
    model.config = model.config.model_copy(update={"scale": 2.0})
    found = model.curve(counts=(4,), count=32, metric="columns", budget=0.0, show=False)
    assert all(p.calls == 8 for line in found.lines for p in line.points)
    assert any("unfog tune" in note for note in found.notes)
    assert {line.name for line in found.lines} == {"as it is", "euler, even times"}
    assert all(p.figure.name == "columns" for line in found.lines for p in line.points)


def test_categories_are_compared_as_clouds(tmp_path):
    rng = np.random.default_rng(0)
    group = rng.integers(3, size=500)
    frame = pd.DataFrame(
        {"x": group + 0.2 * rng.normal(size=500), "g": np.array(list("abc"))[group]}
    )
    model = learnt(frame, tmp_path / "run", steps=60)
    found = model.curve(counts=(2, 8), budget=5.0, show=False)
    assert (found.metric, found.measure) == ("c2st_auc", "sliced")
    assert found.floor > 0
    assert any("no fitted times" in note for note in found.notes)
    few, many = points(found, "as it is")[2], points(found, "as it is")[8]
    assert few.error > many.error
    assert 0.3 < many.figure.value <= 1


def test_without_data_only_the_error_is_drawn(place, tmp_path):
    model = learnt(np.load(place / "data.npy"), tmp_path / "run", steps=20)
    again = unfog.load(model.folder)
    found = again.curve(counts=(2,), count=16, budget=0.0, show=False)
    assert all(p.figure is None and p.error > 0 for line in found.lines for p in line.points)
    assert found.heldout == ""
    assert any("nothing to judge by" in note for note in found.notes)
    found.look(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").size[0] < 1000  # one panel


def test_the_verb_writes_a_picture_and_says_a_table(place, tmp_path, capsys):
    out = tmp_path / "new" / "calls.png"
    asked = ["curve", str(place / "run"), str(place / "map"), "--calls", "1,4", "-o", str(out)]
    assert cli([*asked, "--budget", "2s"]) == 0
    said = capsys.readouterr().out
    assert "run: tuned solver" in said
    assert said.startswith("frechet, 80 samples against the 80 held-out items")
    assert np.asarray(Image.open(out).convert("L")).std() > 5  # not blank
    assert cli(asked) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert cli([*asked, "--overwrite", "--budget", "0", "-n", "20", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["count"] == 20
    assert [line["name"] for line in told["lines"]] == [
        "run: as it is", "run: euler, even times", "run: tuned solver", "map: in jumps",
    ]  # fmt: skip
    first = told["lines"][0]["points"][0]
    assert first["figure"]["low"] <= first["figure"]["value"] <= first["figure"]["high"]
    assert cli(["curve", str(place / "run"), "-o", "calls.txt"]) == 2
    assert ".png" in capsys.readouterr().err


def test_what_cannot_be_compared_is_refused(place, tmp_path):
    model = unfog.load(place / "run")
    other = learnt(np.zeros((200, 5), "f4") + np.eye(5)[[0, 1, 2, 3] * 50], tmp_path / "o", steps=4)
    with pytest.raises(ArgumentError, match=r"items of \[5\].*items of \[3\]"):
        model.curve([other])
    with pytest.raises(ArgumentError, match="1 or more"):
        model.curve(counts=(0, 4))
    with pytest.raises(UnknownName, match="frechet"):
        model.curve(metric="frechett")
    assert torch.is_grad_enabled()
