"""Every recipe trains end to end and draws from the right distribution."""

import json

import numpy as np
import pytest
import torch

import unfog
from unfog.errors import ArgumentError
from unfog.judge.twosample import energy_test
from unfog.maths.randomness import BatchRng
from unfog.maths.truth import Mixture
from unfog.tasks.recipes import recipes
from unfog.train import checkpoint

MIXTURE = Mixture(
    torch.tensor([[-1.5, 0.5], [1.0, 1.0], [0.5, -1.5]]),
    torch.tensor([0.3, 0.5, 0.25]),
    torch.tensor([0.3, 0.5, 0.2]),
)
TINY = {"net": "mlp", "net.width": 16, "net.depth": 1}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", recipes.names())
def test_recipes_learn_an_exact_mixture(recipe, tmp_path):
    """The same two-sample test for all: 400 samples against 400 fresh draws, false alarm 1 in 500."""
    x = MIXTURE.draw(8000, rng=BatchRng(1)).numpy()
    settings = {"net.width": 128, "net.depth": 3}
    lr = 2e-3
    if recipe == "dit":  # takes sequences: two entries, one token each
        x, settings = x[:, None], {"net.width": 64, "net.depth": 3}
    np.save(tmp_path / "x.npy", x)
    model = unfog.fit(
        tmp_path / "x.npy",
        out=tmp_path / "run",
        recipe=recipe,
        steps=1500,
        batch=256,
        lr=lr,
        settings=settings,
        quiet=True,
    )
    got = torch.from_numpy(model.sample(400, seed=1).raw).reshape(400, 2)
    fresh = MIXTURE.draw(400, rng=BatchRng(2))
    p = energy_test(got, fresh, permutations=499, generator=torch.Generator().manual_seed(0))
    assert p > 0.002, p
    moved = got + torch.tensor([0.4, 0.0])
    assert (
        energy_test(moved, fresh, permutations=499, generator=torch.Generator().manual_seed(0))
        <= 0.002
    )


def energy(x, y):
    near = [torch.cdist(a, b).mean() for a, b in ((x, y), (x, x), (y, y))]
    return float(2 * near[0] - near[1] - near[2])


@pytest.mark.slow
def test_reflow_makes_paths_straighter_and_few_steps_better(tmp_path):
    """The first flow stays beside the second, which needs fewer steps; energy distance to fresh draws."""
    np.save(tmp_path / "x.npy", MIXTURE.draw(8000, rng=BatchRng(1)).numpy())
    model = unfog.fit(
        tmp_path / "x.npy",
        out=tmp_path / "run",
        recipe="rectified",
        steps=1500,
        batch=256,
        lr=2e-3,
        settings={"net.width": 128, "net.depth": 3},
        quiet=True,
    )
    plan = model.config.reflow
    assert plan.pairs > 1000
    assert plan.after < 0.3 * plan.before, plan
    assert any("straightness" in said for said in model.config.reasons)
    assert model.config.coupling == {"name": "paired"}
    assert not (tmp_path / "run" / "pairs").exists()
    first, fresh = unfog.load(tmp_path / "run" / "first"), MIXTURE.draw(1000, rng=BatchRng(2))
    assert first.config.reflow is None
    assert first.config.train.steps + model.config.train.steps == 1500
    away = {
        steps: [
            energy(torch.from_numpy(m.sample(1000, seed=1, steps=steps).raw), fresh)
            for m in (first, model)
        ]
        for steps in (1, 2, 4)
    }
    assert all(after < 0.5 * before for before, after in away.values()), away


@pytest.mark.parametrize("moment", ["first", "pairs", "second"])
def test_a_rectified_run_resumes_exactly(tmp_path, monkeypatch, moment):
    """Killed in the first training, while pairs are drawn, or in the second: the straight run's weights."""
    from unfog.tasks import reflow

    x = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x, label=np.arange(300) % 3)
    settings = {**TINY, "train.checkpoint_seconds": 1e-6, "train.log_every": 1}

    def run(name, **more):
        return unfog.fit(
            tmp_path / "x.npz",
            out=tmp_path / name,
            recipe="rectified",
            given="label",
            steps=30,
            batch=32,
            settings=settings,
            reading={"key": "x"},
            quiet=True,
            **more,
        )

    whole = run("straight")
    save, counted = checkpoint.save, []
    limit = {"first": 9, "pairs": 10**6, "second": 24}[moment]

    def killed(*args, **facts):
        if len(counted) == limit:
            raise KeyboardInterrupt
        counted.append(save(*args, **facts))

    def stopped(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", killed)
        if moment == "pairs":
            patch.setattr(reflow, "_draw", stopped)
        with pytest.raises(KeyboardInterrupt):
            run("killed")
    again = unfog.fit(out=tmp_path / "killed", resume=True, quiet=True)
    for place in ("", "first/"):
        sides = [
            (tmp_path / name / f"{place}model.safetensors").read_bytes()
            for name in ("straight", "killed")
        ]
        assert sides[0] == sides[1]
        curves = [
            [
                (line["step"], line["loss"])
                for line in map(
                    json.loads, (tmp_path / name / f"{place}metrics.jsonl").read_text().splitlines()
                )
            ]
            for name in ("straight", "killed")
        ]
        assert curves[0] == curves[1]
    assert again.config.reflow == whole.config.reflow
    done = unfog.fit(out=tmp_path / "killed", resume=True, quiet=True)  # nothing left to do
    assert torch.equal(done.sample(3).state, whole.sample(3).state)


def test_what_reflow_and_learned_variance_can_not_take_is_refused(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 3))
    with pytest.raises(ArgumentError, match="needs path linear; got 'vp'"):
        unfog.fit(x, recipe="rectified", steps=2, settings={"path": "vp"}, quiet=True)
    with pytest.raises(ArgumentError, match="optimal_transport or sinkhorn"):
        unfog.fit(x, recipe="rectified", steps=2, settings={"coupling": "paired"}, quiet=True)
    (tmp_path / "x.csv").write_text("a,b\n" + "".join(f"{i}.5,{'xyz'[i % 3]}\n" for i in range(60)))
    for recipe in ("iddpm", "rectified", "dit"):
        with pytest.raises(ArgumentError, match="take recipe flow, ddpm or edm"):
            unfog.fit(tmp_path / "x.csv", recipe=recipe, steps=2, quiet=True)
    with pytest.raises(ArgumentError, match="give 1 to 3"):
        unfog.fit(x, recipe="dit", steps=2, quiet=True)


def test_choices_go_kind_then_recipe_then_user(tmp_path):
    x = np.random.default_rng(0).integers(0, 255, (400, 32, 32), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)

    def config(**more):
        return unfog.fit(
            tmp_path / "x.npy", kind="image", steps=1, batch=4, quiet=True, **more
        ).config

    plain = config(settings=TINY)
    assert plain.space["name"] == "pca"
    dit = config(recipe="dit", settings={"net.width": 16, "net.depth": 1})
    assert dit.space["name"] == "identity"
    assert (dit.net["name"], dit.net["patch"], dit.net["width"]) == ("dit", 4, 16)
    assert dit.net["out_channels"] == 2
    assert dit.train.lr == 1e-3
    assert dit.train.weight_decay == 0
    wavelet = config(
        recipe="dit", lr=5e-4, settings={"net.width": 16, "net.depth": 1, "space": "wavelet"}
    )
    assert wavelet.space["name"] == "wavelet"
    assert wavelet.net["patch"] == 2
    assert wavelet.train.lr == 5e-4


@pytest.mark.parametrize("side", [8, 16, 28, 64])
def test_dit_takes_images_of_any_side(tmp_path, side):
    """One update and a sample back, with few tokens whatever the side."""
    x = np.random.default_rng(0).integers(0, 255, (20, side, side, 3), dtype=np.uint8)
    model = unfog.fit(
        x,
        kind="image",
        recipe="dit",
        steps=1,
        batch=4,
        settings={"net.width": 16, "net.depth": 1},
        quiet=True,
    )
    patch = model.config.net["patch"]
    assert (-(-side // patch)) ** 2 <= 64
    assert model.sample(2, steps=2).raw.shape == (2, side, side, 3)


@pytest.mark.parametrize("recipe", ["iddpm", "score_sde"])
def test_drawn_predictions_and_correctors_keep_samples_apart(recipe):
    """A sample depends on its seed and number, not on its batch; eta 0 draws nothing."""
    rng = np.random.default_rng(0)
    source = torch.from_numpy(rng.normal(size=(60, 3)).astype(np.float32))
    model = unfog.fit(source, recipe=recipe, steps=3, batch=8, settings=TINY, quiet=True)
    whole = model.sample(6, steps=5, seed=3, batch=6).state
    torch.testing.assert_close(
        model.sample(6, steps=5, seed=3, batch=1).state, whole, rtol=0, atol=1e-4
    )
    assert not torch.allclose(model.sample(6, steps=5, seed=4).state, whole, atol=0.1)
    plain = {"corrector": "none", "eta": 0.0, "steps": 5, "seed": 3}
    one, other = (model.sample(6, **plain, batch=b).state for b in (6, 2))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-4)
    assert not torch.allclose(one, whole, atol=0.1)
