"""Only: categories that a row may not have get nothing, and the others keep their odds."""

import torch

from unfog.guide import only


def test_the_others_share_what_is_ruled_out():
    chances = torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], [[0.0, 0.0, 1.0], [0.2, 0.4, 0.4]]])
    free = torch.tensor([[True, True, False], [True, True, False]])
    given = {"cat": chances, "num": torch.ones(2, 4)}
    found = only(lambda x_t, t, s: given, {0: free})(None, torch.tensor(0.5))
    assert torch.allclose(found["cat"][0, 0], torch.tensor([0.625, 0.375, 0.0]))
    assert torch.allclose(found["cat"][1, 0], torch.tensor([0.5, 0.5, 0.0]))  # no mass: even
    assert torch.equal(found["cat"][:, 1], chances[:, 1])
    assert torch.equal(found["num"], given["num"])
    assert torch.equal(given["cat"], chances)  # what was given is not altered
