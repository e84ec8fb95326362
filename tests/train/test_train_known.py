"""Which cells are known in training: whole columns, every choice of them, the same in shares."""

import torch

from unfog.maths.randomness import BatchRng
from unfog.train.known import Known
from unfog.train.share import Share

LAW = Known(
    0.5,
    {"num": [0, 1], "cat": [2, 1, 3]},
    {"num": [False, False], "cat": [False, True, False]},
)


def state(count):
    gone = (torch.arange(count) % 4 == 0).long()
    cat = torch.stack([torch.zeros(count).long(), gone, torch.ones(count).long()], 1)
    return {"num": torch.zeros(count, 2), "cat": cat}


def test_columns_are_known_at_their_rate_and_never_all():
    x = state(40_000)
    keep = LAW(x, BatchRng(1))
    there = x["cat"][:, 1] == 0
    told = keep["cat"][:, 1]  # the mark is known in every row that is told anything
    assert abs(told.float().mean() - 0.5) < 0.01
    cells = torch.cat([keep["num"], keep["cat"][:, [0, 2]]], 1)[there & told]
    # of C = 4 columns, k known with chance 1/5 each, and 4 becomes 3: k is 0, 1, 2, 3 at 1, 1, 1, 2
    shares = cells.sum(1).bincount(minlength=5) / len(cells)
    torch.testing.assert_close(shares, torch.tensor([0.2, 0.2, 0.2, 0.4, 0.0]), atol=0.015, rtol=0)
    assert not cells.all(1).any()
    assert (cells.float().mean(0) - 0.45).abs().max() < 0.015  # (1 + 2 + 2 * 3) / 5 / 4
    untold = ~told
    assert not keep["num"][untold].any()
    assert not keep["cat"][untold].any()
    assert keep["num"][~there & told, 1].all()  # known to be missing: nothing to learn of its value


def test_shares_know_what_the_batch_knows():
    x = state(13)
    whole = LAW(x, BatchRng(3))
    parts = [
        LAW(share.of(x), share.rng(BatchRng(3)))
        for share in (Share(0, 5, 13), Share(5, 9, 13), Share(9, 13, 13))
    ]
    for field in x:
        assert torch.equal(torch.cat([part[field] for part in parts]), whole[field])
