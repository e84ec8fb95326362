"""The weaker model that autoguidance turns away from: what it is, what is drawn, what survives."""

import signal

import numpy as np
import pytest
import torch

import unfog
from unfog.cli import run as cli
from unfog.errors import ArgumentError, RunError, Stopped
from unfog.model import files
from unfog.tasks import learn as learning
from unfog.tasks.fit import fit
from unfog.tasks.predictor import guided
from unfog.tasks.prepare import prepare
from unfog.tasks.teach import Guided
from unfog.tasks.weaker import FILE, STEP, Weaker, with_weaker

STEPS = 80


@pytest.fixture(scope="module")
def data():
    return np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)


def learnt(data, out, **settings):
    settings = {
        "net.width": 24, "train.looks": 0, "train.weaker": 0.25, "autoguidance": 1.5, **settings
    }  # fmt: skip
    return fit(data, out=out, steps=STEPS, batch=16, settings=settings, quiet=True)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return learnt(data, tmp_path_factory.mktemp("runs") / "run", **{"train.snapshots": 8})


def test_it_is_the_average_after_its_share_of_the_updates(run):
    stored = files.read_tensors(run.folder / "snapshots" / f"step-{STEPS // 4:08d}.safetensors")
    own = dict(run.weaker.named_parameters())
    assert own
    for name, value in own.items():
        assert torch.equal(value, stored["own." + name])
    assert int(files.read_tensors(run.folder / FILE)[STEP]) == STEPS // 4


def test_a_prediction_is_extrapolated_from_the_weaker_one(run):
    x_t, t = torch.randn(5, 3), torch.tensor(0.4)
    told = guided(run.net, None, 1.0, weaker=run.weaker, away=1.5)(x_t, t)
    strong, weak = (m.bind(None)(x_t, t) for m in (run.net, run.weaker))
    assert torch.allclose(told, weak + 1.5 * (strong - weak), atol=1e-5)
    assert not torch.allclose(told, strong, atol=1e-3)


def test_a_model_as_good_as_the_weaker_one_is_left_alone(run):
    x_t, t = torch.randn(5, 3), torch.tensor(0.4)
    told = guided(run.net, None, 1.0, weaker=run.net, away=3.0)(x_t, t)
    assert torch.allclose(told, run.net.bind(None)(x_t, t), atol=1e-6)


def test_samples_are_the_runs_own_choice_and_can_be_asked_without(run, data, tmp_path):
    bare = learnt(data, tmp_path / "bare", **{"train.weaker": 0.0, "autoguidance": 1.0})
    draws = [
        np.asarray(model.sample(6, seed=1, show=False, **how).raw)
        for model, how in (
            (run, {}), (run, {"autoguidance": 1.5}), (run, {"autoguidance": 1}), (bare, {}),
            (unfog.load(run.folder), {}), (run, {"batch": 4}), (run, {"scale": 1.0}),
            (run, {"scale": 1.0, "autoguidance": 1.5}),
        )
    ]  # fmt: skip
    assert np.array_equal(draws[0], draws[1])
    assert np.array_equal(draws[2], draws[3])  # storing it changed nothing in the training
    assert np.array_equal(draws[0], draws[4])
    assert np.allclose(draws[0], draws[5], atol=1e-5)
    assert not np.allclose(draws[0], draws[2], atol=1e-3)
    assert np.array_equal(draws[6], draws[2])  # a scale that is asked for takes its place
    assert np.array_equal(draws[7], draws[0])
    with pytest.raises(ArgumentError, match=r"train\.weaker"):
        bare.sample(2, autoguidance=1.5, show=False)
    for wrong in (0.5, float("nan"), float("inf")):
        with pytest.raises(ArgumentError, match=r"1 \(none\) or more"):
            run.sample(2, autoguidance=wrong, show=False)


def test_calls_are_counted(run):
    pick = run.sample(8, nfe=8, show=False).pick
    assert pick.steps <= 4
    assert pick.exact
    assert run.sample(8, nfe=8, autoguidance=1, show=False).pick.calls <= 8
    with pytest.raises(ArgumentError, match="twice a step"):
        run.sample(8, nfe=1, show=False)


def test_the_command_line_switches_it_off(run, tmp_path):
    out = tmp_path / "drawn.npy"
    assert cli(["sample", str(run.folder), "-o", str(out), "-n", "4", "--autoguidance", "1"]) == 0
    plain = np.asarray(run.sample(4, autoguidance=1, show=False).raw)
    assert np.array_equal(np.load(out), plain)


def test_altered_or_lost_it_is_refused(run, tmp_path):
    copy = run.save(tmp_path / "copy")
    content = bytearray((copy / FILE).read_bytes())
    content[-1] ^= 1
    (copy / FILE).write_bytes(content)
    with pytest.raises(RunError, match="altered"):
        unfog.load(copy)
    (copy / FILE).unlink()
    with pytest.raises(RunError, match=FILE):
        unfog.load(copy)


@pytest.mark.parametrize("stop", [12, 50], ids=["before it is taken", "after"])
def test_a_resumed_run_has_the_same(run, data, tmp_path, monkeypatch, stop):
    plain = learning.train

    def interrupted(*args, **options):
        for done in plain(*args, **options):
            yield done
            if done.step == stop:
                signal.raise_signal(signal.SIGINT)

    source, out = tmp_path / "x.npy", tmp_path / "again"
    np.save(source, data)
    with monkeypatch.context() as patch:
        patch.setattr(learning, "train", interrupted)
        with pytest.raises(Stopped):
            learnt(source, out)
    again = fit(out=out, resume=True, quiet=True)
    for one, other in ((run.net, again.net), (run.weaker, again.weaker)):
        same = [torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters())]
        assert same
        assert all(same)


def test_weights_that_a_checkpoint_does_not_know_are_taken_again(run, tmp_path):
    weaker = Weaker(tmp_path, 0.5)
    assert [weaker.due(step, 10) for step in (1, 4, 5)] == [False, False, True]
    weaker.take(5, run.net)
    weaker.passed(5)
    assert not weaker.due(6, 10)
    later, earlier = Weaker(tmp_path, 0.5), Weaker(tmp_path, 0.5)
    later.restore(7)
    assert later.step == 5
    earlier.restore(3)
    assert earlier.step is None
    assert not (tmp_path / FILE).exists()


def test_a_run_that_ends_before_it_is_clearly_better_goes_without(run):
    weaker = Weaker(run.folder, 0.25, 20)
    assert with_weaker(run.config, weaker, 40) is run.config
    for early in (with_weaker(run.config, weaker, 39), with_weaker(run.config, Weaker(run.folder, 0.25), 80)):  # fmt: skip
        assert early.autoguidance == 1
        assert "no autoguidance" in early.reasons[-1]


def test_images_have_it_in_the_kinds_own_recipe_only():
    images = np.random.default_rng(0).integers(0, 255, (1300, 8, 8)).astype(np.uint8)
    found = {}
    for recipe in ("flow", "ddpm"):
        prepared = prepare(
            images, kind="image", given=[], recipe=recipe, batch=None, lr=None, settings={},
            reading={}, seed=0, device="cpu",
        )  # fmt: skip
        found[recipe] = (prepared.config.autoguidance, prepared.config.train.weaker)
    assert found == {"flow": (1.5, 0.07), "ddpm": (1.0, 0.0)}


def test_distilling_learns_the_runs_autoguidance_with_it(run, data, tmp_path):
    student = run.distill(source=data, out=tmp_path / "student", steps=2, quiet=True)
    assert student.config.teacher["autoguidance"] == 1.5
    assert student.config.autoguidance == 1.0
    assert student.weaker is None
    assert any("autoguided at 1.5" in said for said in student.config.reasons)
    plain = run.distill(source=data, out=tmp_path / "plain", autoguidance=1, steps=2, quiet=True)
    assert plain.config.teacher["autoguidance"] == 1.0
    pairs = zip(student.net.parameters(), plain.net.parameters())
    assert not all(torch.equal(a, b) for a, b in pairs)
    with pytest.raises(ArgumentError, match="stored none"):
        plain.distill(source=data, out=tmp_path / "twice", autoguidance=2, steps=2, quiet=True)


def test_a_teacher_is_guided_as_samples_are(run):
    x_t, t = torch.randn(5, 3), torch.full((5,), 0.4)
    told = Guided(run.net, 1.0, run.weaker, 1.5)(None)(x_t, t)
    wanted = guided(run.net, None, 1.0, weaker=run.weaker, away=1.5)(x_t, t[0])
    assert torch.allclose(told, wanted, atol=1e-5)


def test_it_is_turned_away_from_between_two_times_only(run):
    x_t, strong = torch.randn(5, 3), run.net.bind(None)
    predict = guided(run.net, None, 1.0, weaker=run.weaker, away=2.0, interval=(0.2, 0.6))
    for t, inside in ((0.1, False), (0.2, True), (0.4, True), (0.6, True), (0.7, False)):
        at = torch.tensor(t, dtype=torch.float64)
        assert torch.equal(predict(x_t, at), strong(x_t, at)) is not inside


def test_a_teacher_turns_away_row_by_row(run):
    x_t, t = torch.randn(4, 3), torch.tensor([0.1, 0.3, 0.6, 0.9])
    said = Guided(run.net, 1.0, run.weaker, 2.0, (0.2, 0.6))(None)(x_t, t)
    whole = Guided(run.net, 1.0, run.weaker, 2.0)(None)(x_t, t)
    plain = Guided(run.net)(None)(x_t, t)
    assert torch.equal(said[1:3], whole[1:3])
    assert torch.equal(said[[0, 3]], plain[[0, 3]])
    assert not torch.allclose(whole, plain, atol=1e-3)


def test_the_interval_is_the_runs_own_and_can_be_asked_for(run, data, tmp_path, capsys):
    inner = learnt(data, tmp_path / "inner", interval=[0.0, 0.5])
    assert unfog.load(inner.folder).config.interval == (0.0, 0.5)
    assert run.config.interval == (0.0, 1.0)
    draws = [
        np.asarray(model.sample(6, seed=1, show=False, **how).raw)
        for model, how in (
            (inner, {}),
            (run, {"interval": (0, 0.5)}),
            (run, {}),
            (inner, {"interval": (0.0, 1.0)}),
            (run, {"autoguidance": 1, "interval": (0, 0.5)}),
            (run, {"autoguidance": 1}),
        )
    ]
    assert np.array_equal(draws[0], draws[1])
    assert np.array_equal(draws[2], draws[3])
    assert not np.allclose(draws[0], draws[2], atol=1e-3)
    assert np.array_equal(draws[4], draws[5])
    assert run.config.interval == (0.0, 1.0)  # asking changes nothing
    for wrong in ((0.5, 0.5), (-0.1, 0.5), (0.2, 1.5)):
        with pytest.raises(ArgumentError, match="interval is two times"):
            run.sample(2, interval=wrong, show=False)
    out = tmp_path / "drawn.npy"
    asked = ["sample", str(run.folder), "-o", str(out), "-n", "6", "--seed", "1"]
    assert cli([*asked, "--interval", "0", "0.5"]) == 0
    assert np.array_equal(np.load(out), draws[0])
    assert not run.sample(4, nfe=8, interval=(0, 0.5), show=False).pick.exact  # measured otherwise
    with pytest.raises(ArgumentError, match="interval"):
        learnt(data, tmp_path / "wrong", interval=[0.6, 0.2])


def colour_images():
    rng = np.random.default_rng(0)
    return {
        "images": rng.integers(0, 255, (1300, 20, 20, 3), dtype=np.uint8),
        "label": np.arange(1300) % 3,
    }


def test_colour_images_turn_away_where_there_is_something_to_see(tmp_path):
    """By the kind's own choice: alone strongly, with labels beside guidance by these."""
    np.savez(tmp_path / "x.npz", **colour_images())
    how = {
        "steps": 30,
        "batch": 8,
        "quiet": True,
        "kind": "image",
        "settings": {"train.looks": 0, "net.width": 8},
    }
    plain = fit(tmp_path / "x.npz", **how).config
    assert plain.net["name"] == "unet"
    assert (plain.scale, plain.autoguidance, plain.interval) == (1.0, 2.0, (0.0, 0.65))
    told = fit(tmp_path / "x.npz", given=["label"], **how).config
    assert (told.scale, told.autoguidance, told.interval) == (2.0, 1.5, (0.0, 0.65))
    paper = fit(tmp_path / "x.npz", recipe="ddpm", **how).config
    assert (paper.autoguidance, paper.interval) == (1.0, (0.0, 1.0))


def test_a_map_learns_what_its_teacher_draws(tmp_path):
    np.savez(tmp_path / "x.npz", **colour_images())
    settings = {"train.looks": 0, "net.width": 8}
    how = {"steps": 30, "batch": 8, "quiet": True, "kind": "image", "settings": settings}
    teacher = fit(tmp_path / "x.npz", given=["label"], out=tmp_path / "run", **how)
    found = teacher.distill(steps=1, quiet=True).config.teacher
    assert (found["scale"], found["autoguidance"]) == (2.0, 1.5)
    asked = teacher.distill(steps=1, quiet=True, autoguidance=1.0).config.teacher
    assert (asked["scale"], asked["autoguidance"]) == (1.0, 1.0)
    asked = teacher.distill(steps=1, quiet=True, scale=1.5).config.teacher
    assert (asked["scale"], asked["autoguidance"]) == (1.5, 1.0)
