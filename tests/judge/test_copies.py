"""Planted copies are found, fresh items are called copies at the stated rate."""

import numpy as np
import pytest
import torch

from unfog.errors import ArgumentError, DataError
from unfog.judge.copies import CopyDetector, control
from unfog.judge.finders import Images, Vectors
from unfog.judge.novelty import nearest
from unfog.judge.table.features import Rows
from unfog.judge.table.finders import Coincidences, Records, Spreads


def normal(n, d, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    x = load_digits().images[np.random.default_rng(0).permutation(1797)]
    x = torch.nn.functional.interpolate(torch.from_numpy(x).float()[:, None], 16, mode="bilinear")
    return x / 8 - 1


@pytest.fixture(scope="module")
def detector(digits):
    return CopyDetector.fit([Images(digits[:1000])], digits[1000:1400])


def test_fresh_digits_are_called_copies_at_the_stated_rate(digits, detector):
    # the rate is Beta(4, 397): above 2.6 % with a chance of 1 %; then 397 items, 19 and more by
    # chance again in less than 1 %
    found = detector(digits[1400:])
    assert found.level == pytest.approx(0.01)
    assert int(found.copied.sum()) < 19


@pytest.mark.parametrize("plant", ["exact", "shift", "flip", "noise"])
def test_planted_digits_are_found_by_number(digits, detector, plant):
    picked = torch.arange(0, 1000, 7)
    x = digits[picked]
    if plant == "shift":  # edges repeated
        wide = torch.nn.functional.pad(x, (2, 2, 2, 2), mode="replicate")
        x = wide[:, :, 1:17, 4:20]
    elif plant == "flip":
        x = x.flip(3)
    elif plant == "noise":
        x = x + 10 / 255 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    found = detector(x)
    assert float(found.copied.float().mean()) >= 0.95
    assert float((found.nearest == picked).float().mean()) >= 0.95


def test_left_out_items_control_as_unseen_ones_do():
    # the threshold from 200 left-out items, at which 400 fresh ones are counted: by law the share
    # is between that of Beta(10, 191), and over 20 worlds its mean within 1 % of 5 %
    shares = []
    for seed in range(20):
        finder = Vectors(normal(200, 6, seed))
        limit, k = control(finder, None).threshold(5)
        assert k == 10
        fresh = finder.near(normal(400, 6, 100 + seed))
        shares.append(float((fresh.value <= limit).float().mean()))
    assert np.mean(shares) == pytest.approx(0.05, abs=0.01)


def test_a_left_out_item_finds_all_but_itself():
    x = normal(50, 4, 0)
    near = Vectors(x).near(x, own=torch.arange(50))
    gaps, index = nearest(x, x, k=2)
    assert torch.equal(near.index, index[:, 1])
    assert torch.allclose(near.distance, gaps[:, 1])


def test_blur_is_no_copy():
    # halfway to the mean of all, items are nearer to everything, and to nothing in particular
    x = normal(1000, 12, 0)
    detector = CopyDetector.fit([Vectors(x[:600])], x[600:])
    assert float(detector(normal(400, 12, 1) / 2).copied.float().mean()) < 0.03


def test_few_items_say_what_they_can_tell():
    x = normal(30, 8, 0)
    found = CopyDetector.fit([Vectors(x[:24])], x[24:27])(x[:5])
    assert found.level == pytest.approx(1 / 28)
    assert found.copied.all()
    assert "resolve a false-alarm rate of 0.036" in found.note
    with pytest.raises(DataError, match="2 training items"):
        Vectors(x[:2])


def test_a_sources_own_repeats_do_not_hide_copies():
    x = normal(60, 16, 0)
    x[1] = x[0] + 0.01 * x[2]
    found = CopyDetector.fit([Vectors(x)], None)
    assert "2 training items repeat one another" in found.controls[0].note
    assert found(x[10:30] + 0.05 * normal(20, 16, 1)).copied.all()


def rows(n, seed):
    """Rows of three numbers, two of them related, one with holes, and three categories."""
    rng = np.random.default_rng(seed)
    a = rng.gamma(2, 10, n)
    b = np.where(rng.uniform(size=n) < 0.1, np.nan, a * 3 + rng.normal(0, 20, n))
    codes = np.stack([rng.integers(1, k, n) for k in (3, 5, 8)], 1)
    numbers = np.stack([a, b, rng.normal(size=n)], 1)
    return Rows(("a", "b", "c"), ("p", "q", "r"), numbers, codes, (3, 5, 8))


def test_copied_rows_are_found_with_one_category_changed():
    train = rows(1500, 0)
    detector = CopyDetector.fit(
        [Records(train), Coincidences(train)], rows(600, 1), shares=(0.2, 0.8), most=600
    )
    assert float(detector(rows(1000, 2)).copied.float().mean()) < 0.03
    picked = np.arange(0, 1500, 10)
    copies = train[picked]
    found = detector(copies)
    assert found.copied.all()
    assert found.nearest.tolist() == picked.tolist()
    copies.codes[:, 2] = copies.codes[:, 2] % 7 + 1
    assert float(detector(copies).copied.float().mean()) >= 0.95


def test_copied_rows_are_found_with_all_numbers_changed_by_a_hundredth():
    # nine of ten are 0 in two columns, as capital gains are: a rank tells 0 from 1 as half of all
    def gains(n, seed):
        rng = np.random.default_rng(seed)
        often = np.where(rng.uniform(size=(n, 2)) < 0.9, 0.0, rng.gamma(2, 10, (n, 2)))
        codes = np.stack([rng.integers(1, k, n) for k in (3, 5, 8)], 1)
        numbers = np.concatenate([rng.normal(size=(n, 3)), often], 1)
        return Rows(tuple("abcde"), ("p", "q", "r"), numbers, codes, (3, 5, 8))

    train, picked = gains(1500, 0), np.arange(0, 1500, 10)
    finders = [Spreads(train), Coincidences(train)]
    detector = CopyDetector.fit(finders, gains(600, 1), shares=(0.7, 0.3), most=600)
    assert float(detector(gains(1000, 2)).copied.float().mean()) < 0.03
    noisy = train[picked]
    spread = np.nanstd(train.numbers, axis=0)
    noisy.numbers[:] += 0.01 * spread * np.random.default_rng(3).normal(size=noisy.numbers.shape)
    found = detector(noisy)
    assert float(found.copied.float().mean()) >= 0.95
    assert float((found.nearest.numpy() == picked).mean()) >= 0.95
    ranked = CopyDetector.fit([Records(train)], gains(600, 1), most=600)(noisy)
    assert float(ranked.copied.float().mean()) < 0.9


def test_distances_in_spreads_are_those_written_down():
    train, x = rows(40, 0), rows(10, 1)
    spread, near = np.nanstd(train.numbers, axis=0), Spreads(train).near(x)
    for place in range(10):
        gone = np.isnan(x.numbers[place]) != np.isnan(train.numbers)
        gap = np.nan_to_num((x.numbers[place] - train.numbers) / spread)
        middle = np.nanmean(train.numbers, axis=0)
        lone = np.where(np.isnan(x.numbers[place]), train.numbers, x.numbers[place])
        gap = np.where(gone, (lone - middle) / spread, gap)
        square = (gap**2).sum(1) + gone.sum(1) + (x.codes[place] != train.codes).sum(1)
        assert near.distance[place] == pytest.approx(np.sqrt(square.min()), rel=1e-5)
        assert near.index[place] == square.argmin()


def test_held_out_items_are_helped_by_left_out_ones_where_they_are_not_enough():
    train, unseen = rows(1500, 0), rows(200, 1)
    finders = [Spreads(train), Coincidences(train)]
    found = CopyDetector.fit(finders, unseen, shares=(0.5, 0.5), most=2000, enough=1000)
    for one in found.controls:
        assert one.worth == 200 + 750
        assert len(one.value) == 1700
    assert CopyDetector.fit([Spreads(train)], unseen).controls[0].worth == 200


def test_finders_that_say_the_same_share_the_level_without_loss():
    train, unseen, x = rows(800, 0), rows(300, 1), rows(400, 2)
    one = CopyDetector.fit([Spreads(train)], unseen)
    two = CopyDetector.fit([Spreads(train)] * 2, unseen, shares=(0.3, 0.7), level=0.001)
    # its own twin in the control is never below it, so that it counts as one more
    torch.testing.assert_close(two(x).score, (one(x).score + 1 / 301).clamp(max=1))
    # the least that the finder of the lesser share can say: 1 / 0.3, as 2.3 ranks of the other
    assert two.resolved == pytest.approx(3 / 301)


def test_the_level_of_two_finders_is_kept_and_used():
    alarms = []
    for seed in range(10):
        train, unseen, fresh = (
            rows(600, 3 * seed),
            rows(400, 3 * seed + 1),
            rows(1000, 3 * seed + 2),
        )
        finders = [Spreads(train), Coincidences(train)]
        found = CopyDetector.fit(finders, unseen, shares=(0.5, 0.5), level=0.1)(fresh)
        alarms.append(float(found.copied.float().mean()))
    # a rate set by 400 items has a deviation of 0.015; 0.1 +- 3.5 of those of the mean of ten
    assert sum(alarms) / 10 == pytest.approx(0.1, abs=0.018)


def test_finders_that_leave_out_different_items_are_refused():
    x = normal(40, 16, 0)
    with pytest.raises(ArgumentError, match="leaves out twins"):
        CopyDetector.fit([Vectors(x), Vectors(x)], None, shares=(0.5, 0.5))


def test_rows_that_repeat_by_nature_are_no_copies():
    # two categories: every row has its twins, among training rows and beyond
    def few(n, seed):
        codes = np.random.default_rng(seed).integers(1, 4, (n, 2))
        return Rows((), ("p", "q"), np.zeros((n, 0)), codes, (4, 4))

    train = few(500, 0)
    detector = CopyDetector.fit(
        [Records(train), Coincidences(train)], few(200, 1), shares=(0.5, 0.5)
    )
    assert not detector(few(300, 2)).copied.any()
