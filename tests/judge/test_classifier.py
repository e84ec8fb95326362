"""The judge net learns classes, keeps to its budget, repeats itself, and survives a file."""

import json
import time

import pytest
import torch

from unfog.errors import ArgumentError, DataError, RunError, ShapeError
from unfog.judge import JudgeNet, hit_rate, train_judge


def blobs(n, seed, shape=(5,), classes=3, gap=3.0):
    """Gaussian classes whose centres are fixed unit vectors times `gap`."""
    g = torch.Generator().manual_seed(seed)
    label = torch.randint(classes, (n,), generator=g)
    centres = torch.randn(classes, *shape, generator=torch.Generator().manual_seed(99))
    centres = gap * centres / centres.flatten(1).norm(dim=1).view(-1, *[1] * len(shape))
    return centres[label] + torch.randn(n, *shape, generator=g), label * 10 + 5


@pytest.mark.parametrize("shape", [(5,), (2, 40), (1, 16, 16), (2, 3, 4, 5)])
def test_learns_classes_of_any_rank_with_their_own_numbers(shape):
    x, label = blobs(600, 0, shape, gap=8.0)
    net = train_judge(x, label, budget=3)
    held, truth = blobs(300, 1, shape, gap=8.0)
    assert net.classes == (5, 15, 25)
    assert net.accuracy(held, truth) > 0.95
    assert net.convolves == (shape in {(2, 40), (1, 16, 16)})


def test_flat_net_is_near_the_bayes_rate():
    # two unit Gaussians 3 apart: the best accuracy is Phi(1.5) = 0.933
    g = torch.Generator().manual_seed(0)
    label = torch.randint(2, (4000,), generator=g)
    x = torch.randn(4000, 3, generator=g)
    x[:, 0] += 3 * label
    net = train_judge(x[:2000], label[:2000], budget=4)
    assert net.accuracy(x[2000:], label[2000:]) == pytest.approx(0.933, abs=0.02)


def test_tiny_data_is_quick_and_the_budget_is_kept():
    x, label = blobs(60, 0)
    start = time.process_time()
    train_judge(x, label)
    assert time.process_time() - start < 3
    big, label = blobs(2000, 0, (1, 28, 28))
    start = time.process_time()
    train_judge(big, label, budget=1)
    assert time.process_time() - start < 4  # the clock's own cap; usually close to 1


def test_same_seed_same_net_and_no_global_randomness():
    x, label = blobs(100, 0)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    a = train_judge(x, label, seed=3, budget=1)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(2)
    b, c = train_judge(x, label, seed=3, budget=1), train_judge(x, label, seed=4, budget=1)
    assert torch.equal(a.features(x), b.features(x))
    assert not torch.equal(a.features(x), c.features(x))


def test_an_answer_does_not_depend_on_the_batch():
    x, label = blobs(600, 0)
    net = train_judge(x, label, budget=1)
    assert torch.allclose(net.features(x)[7:8], net.features(x[7:8]), atol=1e-5)


@pytest.mark.parametrize("labels", [None, "one"])
def test_without_labels_clusters_stand_in(labels):
    x, truth = blobs(600, 0, gap=12.0)
    net = train_judge(x, None if labels is None else torch.zeros(600, dtype=torch.long), budget=2)
    assert "k-means" in net.notes[0]
    held, _ = blobs(200, 1, gap=12.0)
    assert net.accuracy(held) > 0.75
    # a cluster never mixes two classes that lie 12 deviations apart
    found = net.pseudo.assign(x)
    assert all(len(truth[found == k].unique()) == 1 for k in found.unique())


@pytest.mark.parametrize("labels", [True, False])
def test_save_and_load_give_the_same_answers(tmp_path, labels):
    x, label = blobs(100, 0, (1, 12, 12))
    net = train_judge(x, label if labels else None, budget=1)
    net.save(tmp_path)
    again = JudgeNet.load(tmp_path)
    assert torch.equal(net.features(x), again.features(x))
    assert torch.equal(net.predict(x), again.predict(x))
    assert again.notes == net.notes
    assert sorted(p.name for p in tmp_path.iterdir()) == ["judge.json", "judge.safetensors"]


def test_damaged_or_newer_files_are_refused(tmp_path):
    x, label = blobs(50, 0)
    train_judge(x, label, budget=0.5).save(tmp_path)
    said = json.loads((tmp_path / "judge.json").read_text())
    (tmp_path / "judge.json").write_text(json.dumps({**said, "format": 99}))
    with pytest.raises(RunError, match="update unfog"):
        JudgeNet.load(tmp_path)
    (tmp_path / "judge.json").write_text(json.dumps({**said, "shape": [9]}))
    with pytest.raises(RunError):
        JudgeNet.load(tmp_path)
    (tmp_path / "judge.json").write_text(json.dumps(said))
    whole = (tmp_path / "judge.safetensors").read_bytes()
    (tmp_path / "judge.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError):
        JudgeNet.load(tmp_path)
    with pytest.raises(RunError):
        JudgeNet.load(tmp_path / "nowhere")


def test_wrong_arguments_are_named():
    x, label = blobs(100, 0)
    with pytest.raises(DataError, match="at least 8"):
        train_judge(x[:4], label[:4])
    with pytest.raises(ArgumentError, match="budget"):
        train_judge(x, label, budget=0)
    with pytest.raises(DataError, match="integer classes"):
        train_judge(x, label.float())
    with pytest.raises(ShapeError, match="100 items"):
        train_judge(x, label[:50])
    net = train_judge(x, label, budget=0.5)
    with pytest.raises(ShapeError):
        net.predict(torch.zeros(3, 6))
    with pytest.raises(ArgumentError, match="labels too"):
        net.accuracy(x)
    with pytest.raises(ArgumentError, match="asked class 7"):
        hit_rate(net, x, torch.full((100,), 7))


def test_hit_rate_counts_planted_errors():
    x, label = blobs(600, 0, gap=12.0)
    net = train_judge(x, label, budget=2)
    held, truth = blobs(200, 1, gap=12.0)
    assert hit_rate(net, held, truth)[0] >= 198
    wrong = truth.clone()
    wrong[:50] = (wrong[:50] + 10 - 5) % 30 + 5
    hits, n = hit_rate(net, held, wrong)
    assert n == 200
    assert abs(hits - 150) <= 2
