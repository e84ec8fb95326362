"""The whole judge: real data passes, damaged data does not, and every figure has its floor."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from unfog.errors import DataError, ShapeError, UnknownName
from unfog.judge import Panel, judge, metrics, train_judge

FASHION = Path(__file__).parents[3] / "shared" / "data" / "images_fashion_mnist"


def world(n, seed, d=6):
    g = torch.Generator().manual_seed(seed)
    label = torch.randint(2, (n,), generator=g)
    x = torch.randn(n, d, generator=g)
    x[:, 0] += 4 * label
    return x, label


@pytest.fixture(scope="module")
def parts():
    return {name: world(n, s) for s, (name, n) in enumerate([("s", 300), ("r", 250), ("t", 1200)])}


def judged(parts, samples=None, labels=None, **options):
    (s, ls), (r, lr), (t, lt) = (parts[name] for name in "srt")
    options = {"real_labels": lr, "train_labels": lt, "budget": 1, **options}
    labels = ls if labels is None else labels
    figures = judge(s if samples is None else samples, r, t, labels=labels, **options)
    return {figure.name: figure for figure in figures}


def test_real_data_passes_every_metric(parts):
    # eight figures with a false alarm of 1 in 40 each; the seed is fixed
    figures = judged(parts)
    assert set(figures) == set(metrics.names())
    assert all(figure.at_floor for figure in figures.values())
    assert figures["c2st"].n == 250
    assert "n = 250 (of 300 samples and 250 held-out items)" in figures["c2st"].notes[-1]
    assert figures["hit_rate"].n == 300
    for name in ("frechet", "c2st_features", "hit_rate", "novelty_features"):
        assert "right on 250 held-out items" in figures[name].notes[0]


def test_every_fault_is_seen_by_the_metric_that_is_made_for_it(parts):
    s, ls = parts["s"]
    moved = judged(parts, s + 0.7)
    assert not any(moved[n].at_floor for n in ("c2st", "sliced_wasserstein", "frechet"))
    swapped = judged(parts, labels=1 - ls, only=["hit_rate"])
    assert swapped["hit_rate"].value < 0.1
    assert not swapped["hit_rate"].at_floor
    copied = judged(parts, parts["t"][0][:300], only=["novelty", "novelty_features"])
    assert all(figure.value == 1 for figure in copied.values())


def test_same_seed_same_figures_and_progress_is_told(parts):
    told = []
    options = {"seed": 5, "only": ["frechet", "swd", "c2st"]}
    first = judged(parts, progress=lambda *a: told.append(a), **options)
    assert first == judged(parts, **options)
    assert told[0] == (0, 4, "judge net")
    assert told[-1] == (4, 4, "done")
    assert first != judged(parts, **{**options, "seed": 6})


def test_without_labels_there_is_no_hit_rate_and_clusters_are_owned_up(parts):
    (s, _), (r, _), (t, _) = (parts[name] for name in "srt")
    figures = {f.name: f for f in judge(s, r, t, budget=1)}
    assert "hit_rate" not in figures
    assert "k-means" in figures["frechet"].notes[0]
    assert figures["c2st"].at_floor


def test_few_items_are_judged_with_wide_intervals():
    train, real, samples = world(60, 0)[0], world(20, 1)[0], world(20, 2)[0]
    figures = {f.name: f for f in judge(samples, real, train, budget=1)}
    assert figures["c2st"].n == 20
    assert figures["c2st"].high - figures["c2st"].low > 0.2
    assert all(figure.at_floor for figure in figures.values())


def test_wrong_arguments_are_named(parts):
    (s, _), (r, _), (t, _) = (parts[name] for name in "srt")
    with pytest.raises(DataError, match="5 held-out"):
        judge(s, r[:5], t)
    with pytest.raises(ShapeError):
        judge(s[:, :3], r, t)
    with pytest.raises(UnknownName, match="did you mean 'frechet'"):
        judge(s, r, t, only=["frechett"])


@pytest.mark.slow
@pytest.mark.skipif(not FASHION.exists(), reason="Fashion-MNIST is not here")
def test_clothes_blurred_or_noised_are_scored_worse_in_order():
    import numpy as np

    def load(name, n):
        with np.load(FASHION / name) as held:
            x = torch.from_numpy(held["images"][:n]).float()[:, None] / 127.5 - 1
            return x, torch.from_numpy(held["labels"][:n]).long()

    (t, lt), (x, lx) = load("train.npz", 9000), load("test.npz", 2000)
    s, r, labels = x[:1000], x[1000:], lx[:1000]
    g = torch.Generator().manual_seed(0)
    noise = torch.randn(s.shape, generator=g)

    def blur(k):
        return F.avg_pool2d(F.pad(s, (k, k, k, k), mode="replicate"), 2 * k + 1, 1)

    net, t = train_judge(t[3000:], lt[3000:], budget=5), t[:3000]
    only = ["frechet", "hit_rate", "sliced_wasserstein", "c2st"]

    def scores(samples):
        return judge(
            samples, r, t, labels=labels, real_labels=lx[1000:], kind="image", only=only, net=net
        )

    clean = scores(s)
    for worse in ([blur(1), blur(2)], [s + 0.1 * noise, s + 0.4 * noise]):
        fd, hits, swd, area = zip(clean, *(scores(samples) for samples in worse))
        assert fd[0].value < fd[1].value < fd[2].value
        assert hits[0].value > hits[1].value > hits[2].value
        assert swd[0].value < swd[1].value < swd[2].value
        assert area[0].value < area[1].value <= area[2].value
        assert fd[0].at_floor
        assert area[0].at_floor
        assert not any(area[k].at_floor for k in (1, 2))
        assert not fd[2].at_floor


def test_a_panel_looks_at_the_real_items_once_and_says_the_same(parts, monkeypatch):
    (s, ls), (r, lr), (t, lt) = (parts[name] for name in "srt")
    panel = Panel(r, t, real_labels=lr, train_labels=lt, budget=1)
    panel(s, labels=ls, only=["frechet", "novelty_features"])
    seen, features = [], type(panel.net).features
    monkeypatch.setattr(
        type(panel.net), "features", lambda net, x: seen.append(len(x)) or features(net, x)
    )
    other = s.flip(0)
    again = panel(other, labels=ls.flip(0), only=["frechet", "novelty_features"])
    assert len(t) not in seen  # neither the training items nor their floor's part
    fresh = Panel(r, t, real_labels=lr, train_labels=lt, budget=1, net=panel.net)
    assert again == fresh(other, labels=ls.flip(0), only=["frechet", "novelty_features"])
    assert len(t) in seen
