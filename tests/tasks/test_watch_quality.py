"""Quality looks: a metric beside its floor, pictures, and TensorBoard events that can be read back."""

import json

import numpy as np
import pytest
import torch

from unfog.tasks.fit import fit
from unfog.tasks.looking import Looking
from unfog.tasks.looks import Sight, seen
from unfog.tasks.watch_quality import Quality


def rings(n=400):
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, n)
    radius = 2 + 0.1 * rng.normal(size=n)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype(np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "rings"
    settings = {"net.width": 48, "train.looks": 4, "train.log_every": 50}
    settings["train.stop_at"] = "never"
    settings["train.stable"] = False  # with it the first look is at the floor, and none is nearer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unfog.tasks.looking.LONG", 200)
        return fit(rings(), out=out, steps=400, batch=64, settings=settings, quiet=True)


def test_samples_come_nearer_to_held_out_items_and_a_picture_is_left(run):
    lines = seen(run.folder, "quality")
    assert [line["step"] for line in lines] == [200, 400]
    first, last = lines[0]["value"], lines[-1]["value"]
    assert last < first
    assert last < 5 * lines[-1]["floor"]
    assert lines[0]["floor"] == lines[-1]["floor"]  # the same real items at every look
    pictures = sorted(path.name for path in (run.folder / "samples").iterdir())
    assert pictures == ["step-200.png", "step-400.png"]
    assert all((run.folder / "samples" / name).stat().st_size > 1000 for name in pictures)


def test_tensorboard_holds_scalars_losses_per_level_histograms_and_pictures(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run.folder), size_guidance={"scalars": 0, "histograms": 0})
    events.Reload()
    tags = events.Tags()
    assert {"loss", "lr", "heldout/validation_mean", "quality/value"} <= set(tags["scalars"])
    levels = [tag for tag in tags["scalars"] if tag.startswith("heldout/validation/t=")]
    assert len(levels) == 8
    told = [round(event.value, 4) for event in events.Scalars("heldout/validation_mean")]
    logged = [round(line["validation_mean"], 4) for line in seen(run.folder, "heldout")]
    np.testing.assert_allclose(told, logged, atol=2e-4)
    assert tags["images"] == ["quality"]
    assert len(events.Images("quality")) == 2
    for what in ("weights/", "gradients/"):
        named = [tag for tag in tags["histograms"] if tag.startswith(what)]
        assert named
        looks = {line["step"] for line in map(json.loads, (run.folder / "looks.jsonl").open())}
        assert {event.step for event in events.Histograms(named[0])} == looks


def test_looking_again_gives_the_same_figure_and_leaves_the_model_alone(run, tmp_path):
    from unfog.tasks.fit import again

    prepared = again(run.folder, rings())
    how = Looking(count=4, items=16, samples=30, every=2, share=0.0)
    run.net.precision = "bfloat16"
    before = {n: v.clone() for n, v in run.net.state_dict().items()}
    sight = Sight(400, 1.0, 1.0, run.net, prepared, tmp_path)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, other = (Quality(prepared, how).look(sight) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert one.facts == other.facts
    assert json.dumps(one.facts, allow_nan=False)
    assert run.net.precision == "bfloat16"
    run.net.precision = "float32"
    assert all(torch.equal(v, before[n]) for n, v in run.net.state_dict().items())


def test_a_table_is_judged_column_by_column(tmp_path, monkeypatch):
    import pandas as pd

    monkeypatch.setattr("unfog.tasks.looking.LONG", 200)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=300), "b": rng.choice(list("xyz"), 300)})
    settings = {"train.looks": 1, "net.width": 32, "train.stop_at": "never"}
    model = fit(frame, out=tmp_path / "run", steps=200, batch=64, settings=settings, quiet=True)
    line = seen(model.folder, "quality")[-1]
    assert line["metric"] == "columns"
    assert 0 <= line["value"] <= 1
    assert line["samples"] == 30
    assert (model.folder / "samples" / "step-200.png").exists()
