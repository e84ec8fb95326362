"""From a run to a run that jumps: the teacher's data, weights, conditions and guidance."""

import json

import numpy as np
import pytest
import torch

import unfog
from unfog.cli import run as command
from unfog.errors import ArgumentError, DataError
from unfog.maths.flowmaps import Progressive, flowmaps
from unfog.maths.randomness import BatchRng
from unfog.maths.states import each
from unfog.tasks.assemble import blank
from unfog.tasks.teach import Guided
from unfog.tasks.usual import usual_of
from unfog.train import checkpoint

TINY = {"net.width": 32, "net.depth": 1, "train.looks": 0}


def rings(count=400):
    """Points near two circles, whose class is given."""
    rng = np.random.default_rng(0)
    label = np.arange(count) % 2
    angle = rng.uniform(0, 2 * np.pi, count)
    x = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1) * (1 + label[:, None])
    return (x + 0.05 * rng.normal(size=x.shape)).astype(np.float32), label


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    x, label = rings()
    np.savez(folder / "x.npz", x=x, label=label)
    return unfog.fit(
        folder / "x.npz",
        out=folder / "run",
        given="label",
        steps=60,
        batch=64,
        settings=TINY,
        reading={"key": "x"},
        quiet=True,
    )


def quick(teacher, out, **more):
    return unfog.distill(
        teacher.folder, out=out, **{"steps": 12, "quiet": True, "show": False, **more}
    )


def noised(model, count=16):
    like = blank(model.config, count)
    return model.net.path.prior(like, rng=BatchRng(3)), torch.rand(count) * 0.8 + 0.1


def test_a_student_begins_as_its_teacher_wherever_it_jumps(teacher, tmp_path):
    student = quick(teacher, tmp_path / "run", steps=1, lr=1e-12)
    x_t, t = noised(teacher)
    cond = {"label": torch.arange(16) % 2}
    wanted = teacher.net.predict(x_t, t, cond)
    for s in (None, t, t * 0.3):
        assert torch.allclose(student.net.predict(x_t, t, cond, s), wanted, atol=1e-6)
    assert student.config.start["share"] > 0.9
    assert student.splits.to_json() == teacher.splits.to_json()


def test_a_flow_map_starts_from_an_ordinary_run_too(teacher, tmp_path):
    model = unfog.fit(
        teacher.config.data.source,
        out=tmp_path / "run",
        given="label",
        recipe="flowmap",
        start=teacher.folder,
        steps=1,
        lr=1e-12,
        reading={"key": "x"},
        settings={"train.looks": 0},
        quiet=True,
    )
    x_t, t = noised(teacher)
    wanted = teacher.net.predict(x_t, t)
    assert torch.allclose(model.net.predict(x_t, t, None, t * 0.5), wanted, atol=1e-6)


def test_it_samples_by_its_own_jumps_unless_a_solver_needs_the_flow(teacher, tmp_path):
    student = quick(teacher, tmp_path / "run")
    config = student.config
    assert (config.solver["name"], config.sampling_steps, config.scale) == ("euler", 4, 1.0)
    asked = []
    predict = student.net.predict

    def told(x_t, t, cond=None, s=None, keep=None):
        asked.append(s)
        return predict(x_t, t, cond, s, keep)

    student.net.predict = told
    student.sample(4)
    assert len(asked) == 4
    assert all(s is not None for s in asked)
    for how in ({"solver": "heun", "steps": 3}, {"solver": "multistep"}, {"eta": 1.0}):
        asked.clear()
        student.sample(4, **how)
        assert asked
        assert all(s is None for s in asked)


def test_guidance_is_learnt_with_it(teacher, tmp_path):
    """What the teacher is asked for is its guided prediction; where no class is given, its own."""
    x_t, t = noised(teacher)
    cond = {"label": torch.arange(16) % 2}
    guided = Guided(teacher.net, 2.5)
    one, other = teacher.net.predict(x_t, t, cond), teacher.net.predict(x_t, t)
    assert torch.allclose(guided(cond)(x_t, t), other + 2.5 * (one - other), atol=1e-6)
    assert torch.equal(guided(None)(x_t, t), other)
    with pytest.raises(ArgumentError, match="guidance is learnt from the teacher"):
        quick(teacher, tmp_path / "run", scale=2.5, settings={"flowmap.onward": True})
    student = quick(teacher, tmp_path / "run", scale=2.5, steps=2)
    assert student.config.teacher["scale"] == 2.5
    assert student.config.scale == 1.0
    assert any("guided at scale 2.5" in said for said in student.config.reasons)


def test_a_distillation_resumes_exactly(teacher, tmp_path, monkeypatch):
    settings = {"train.checkpoint_seconds": 1e-6, "train.log_every": 1}
    whole = quick(teacher, tmp_path / "straight", settings=settings, scale=2.0)
    save, counted = checkpoint.save, []

    def killed(*args, **facts):
        if len(counted) == 5:
            raise KeyboardInterrupt
        counted.append(save(*args, **facts))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            quick(teacher, tmp_path / "killed", settings=settings, scale=2.0)
    with pytest.raises(ArgumentError, match=r"scale = 2.0, not 3.0"):
        quick(teacher, tmp_path / "killed", resume=True, steps=None, scale=3.0)
    with pytest.raises(ArgumentError, match="other values, not"):
        quick(teacher, tmp_path / "killed", resume=True, steps=None, batch=7)
    again = quick(teacher, tmp_path / "killed", resume=True, steps=None)
    assert torch.equal(again.sample(3).state, whole.sample(3).state)
    curves = [
        [json.loads(line)["loss"] for line in (tmp_path / name / "metrics.jsonl").open()]
        for name in ("straight", "killed")
    ]
    assert curves[0] == curves[1]


def test_data_in_memory_goes_with_the_model_and_not_with_the_folder(tmp_path):
    x, _ = rings(100)
    model = unfog.fit(x, out=tmp_path / "run", steps=3, settings=TINY, quiet=True)
    student = model.distill(steps=2, quiet=True)
    assert student.config.teacher["run"] == str(tmp_path / "run")
    with pytest.raises(ArgumentError, match=r"data in memory.*--source"):
        unfog.load(tmp_path / "run").distill(steps=2, quiet=True)
    assert len(unfog.load(tmp_path / "run").distill(source=x, steps=2, quiet=True).sample(3)) == 3
    with pytest.raises(DataError):
        unfog.distill(tmp_path / "run", source=x[:50], steps=2, quiet=True)


def test_a_mixed_table_jumps_in_its_numbers_and_reveals_its_categories(tmp_path):
    rng = np.random.default_rng(1)
    lines = [
        f"{rng.normal() + 3 * (i % 3):.4f},{rng.normal():.4f},{'xyz'[i % 3]}" for i in range(300)
    ]
    (tmp_path / "x.csv").write_text("a,b,c\n" + "\n".join(lines) + "\n")
    model = unfog.fit(tmp_path / "x.csv", out=tmp_path / "run", steps=3, settings=TINY, quiet=True)
    student = quick(model, tmp_path / "quick", steps=3)
    frame = student.sample(20, steps=2).data
    assert set(frame["c"]) <= set("xyz")
    assert frame["a"].notna().all()
    started = unfog.fit(
        tmp_path / "x.csv",
        out=tmp_path / "own",
        recipe="flowmap",
        steps=3,
        settings=TINY,
        quiet=True,
    )
    assert started.config.net["two_times"] is True
    x_t = started.net.path.prior(blank(started.config, 4), rng=BatchRng(5))
    x_hat = started.net.predict(x_t, torch.tensor(1.0), None, torch.tensor(0.5))
    assert all(v.isfinite().all() for v in each(lambda v: v, x_hat).values())


def agreeing(model):
    """Of rows drawn in one jump, the share whose letter says on which side its number lies."""
    frame = model.sample(600, steps=1, show=False).data
    return float(((frame["a"] > 0) == (frame["c"] == "x")).mean())


def test_categories_go_with_where_the_jump_lands(tmp_path):
    """At pure noise nothing is known of them; where the numbers land, everything is."""
    rng = np.random.default_rng(3)
    side = np.arange(1500) % 2
    a = 2 * (2 * side - 1) + 0.3 * rng.normal(size=1500)
    lines = [f"{x:.4f},{'yx'[one]}" for x, one in zip(a, side)]
    (tmp_path / "x.csv").write_text("a,c\n" + "\n".join(lines) + "\n")
    model = unfog.fit(
        tmp_path / "x.csv", out=tmp_path / "run", steps=250, batch=128, lr=3e-3,
        settings={**TINY, "net.width": 64, "net.depth": 2}, quiet=True,
    )  # fmt: skip
    landing = quick(model, tmp_path / "landing", steps=250)
    usual = {"name": "progressive", "middle": True, "ends": 0.5, "arrival": True}
    assert landing.config.flowmap == usual
    assert landing.config.train.calibrate > 0
    starting = quick(
        model, tmp_path / "starting", steps=250,
        settings={"flowmap.arrival": False, "train.calibrate": 0},
    )  # fmt: skip
    assert starting.marginals is None
    assert agreeing(landing) > 0.9
    assert agreeing(starting) < 0.65


def test_what_has_no_flow_is_refused_before_any_work(teacher, tmp_path):
    (tmp_path / "x.csv").write_text(
        "a,b\n" + "".join(f"{'xyz'[i % 3]},{'uv'[i % 2]}\n" for i in range(90))
    )
    only = unfog.fit(tmp_path / "x.csv", out=tmp_path / "run", steps=2, settings=TINY, quiet=True)
    with pytest.raises(ArgumentError, match="no field of numbers"):
        unfog.distill(only.folder, steps=2, quiet=True)
    with pytest.raises(ArgumentError, match="categories only"):
        unfog.fit(tmp_path / "x.csv", recipe="flowmap", steps=2, quiet=True)
    x, _ = rings(60)
    plain = unfog.fit(x, out=tmp_path / "plain", steps=2, settings=TINY, quiet=True)
    with pytest.raises(ArgumentError, match="fitted without"):
        plain.distill(scale=2.0, steps=2, quiet=True)
    with pytest.raises(ArgumentError, match="finite number"):
        quick(teacher, tmp_path / "q", scale=-1.0)
    with pytest.raises(ArgumentError, match="steps is a whole number"):
        quick(teacher, tmp_path / "q", steps=0)
    with pytest.raises(unfog.UnfogError, match="did you mean 'progressive'"):
        quick(teacher, tmp_path / "q", objective="progresive")
    with pytest.raises(ArgumentError, match="teacher's to say"):
        quick(teacher, tmp_path / "q", settings={"net.width": 64})
    with pytest.raises(ArgumentError, match="the teacher itself"):
        quick(teacher, teacher.folder)
    with pytest.raises(ArgumentError, match="--recipe flowmap"):
        unfog.fit(x, steps=2, settings={"flowmap": "mean_flow"}, quiet=True)
    with pytest.raises(ArgumentError, match="told two times"):
        unfog.fit(x, recipe="flowmap", steps=2, settings={"net.two_times": False}, quiet=True)


def test_a_target_that_says_nothing_at_pure_noise_is_exchanged(tmp_path):
    x, _ = rings(60)
    model = unfog.fit(x, out=tmp_path / "run", recipe="ddpm", steps=3, settings=TINY, quiet=True)
    student = model.distill(steps=2, quiet=True)
    assert student.config.target == {"name": "v"}
    assert np.isfinite(student.sample(5, steps=1).raw).all()


def test_a_teacher_that_changed_is_noticed(tmp_path, monkeypatch):
    x, _ = rings(60)
    np.save(tmp_path / "x.npy", x)

    def fit(seed, **more):
        return unfog.fit(
            tmp_path / "x.npy",
            out=tmp_path / "run",
            steps=2,
            settings=TINY,
            seed=seed,
            quiet=True,
            **more,
        )

    def stopped(*args, **facts):
        raise KeyboardInterrupt

    model = fit(0)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", stopped)
        with pytest.raises(KeyboardInterrupt):
            quick(model, tmp_path / "quick", settings={"train.checkpoint_seconds": 1e-6})
    fit(1, overwrite=True)
    with pytest.raises(ArgumentError, match="manifest differs"):
        unfog.distill(tmp_path / "run", out=tmp_path / "quick", resume=True, quiet=True)


def test_the_verb(teacher, tmp_path, capsys):
    run, quick = str(teacher.folder), str(tmp_path / "quick")
    assert (
        command(["distill", run, "-o", quick, "--steps", "4", "--objective", "lsd", "--json"]) == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert told["config"]["flowmap"] == {"name": "lsd"}
    out = str(tmp_path / "s.npz")
    assert command(["sample", quick, "-n", "3", "--steps", "1", "-o", out]) == 0
    assert command(["distill", run, "--dry-run", "--steps", "4"]) == 0
    assert command(["distill", run]) == 2
    assert command(["distill", run, "-o", quick, "--steps", "0"]) == 2


def test_by_default_it_has_a_share_of_its_teachers_compute(teacher):
    """An update of a student costs one and a half of its teacher's: 60 / 1.5 = 40."""
    facts = unfog.distill(teacher.folder, dry_run=True, quiet=True)
    assert facts["rows"]
    train = teacher.config.train
    for kind, updates, seconds in (
        ("array", 20, 300.0),
        ("table", 40, 600.0),
        ("image", 10, 150.0),
    ):
        usual = usual_of(kind)
        assert usual.length(train) == (0.0, updates)
        assert usual.length(train.model_copy(update={"budget": 600.0})) == (seconds, None)
        assert usual.length(train.model_copy(update={"budget": 4.0})) == (15.0, None)


def test_what_nobody_chose_is_written_down(teacher, tmp_path):
    """So that a run goes on as it began where defaults change: objective, its options, step size."""
    student = unfog.distill(teacher.folder, out=tmp_path / "run", quiet=True, show=False)
    usual = {"name": "progressive", "middle": True}
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert stored["flowmap"] == student.config.flowmap == usual
    assert (stored["train"]["steps"], stored["train"]["lr"]) == (20, teacher.config.train.lr)
    named = quick(teacher, tmp_path / "named", steps=1, objective="psd", lr=1e-4).config
    assert (named.flowmap, named.train.lr) == (usual, 1e-4)
    assert flowmaps.build({"name": "progressive"}) == Progressive(middle=False, ends=0.25)


def test_images_are_distilled_with_options_of_their_own(tmp_path):
    x = np.random.default_rng(2).integers(0, 255, (40, 8, 8, 1), np.uint8)
    model = unfog.fit(
        x,
        kind="image",
        out=tmp_path / "run",
        steps=3,
        settings={"net": "mlp", **TINY},
        quiet=True,
    )
    config = model.distill(steps=1, quiet=True).config
    assert config.flowmap == {"name": "progressive", "middle": True, "starts": 0.4, "ends": 0.0}
    assert config.train.lr == model.config.train.lr / 2
