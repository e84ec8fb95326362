"""Guided predictions from one call of the net are those from two."""

import pytest
import torch

from unfog.maths.paths import paths
from unfog.maths.randomness import BatchRng
from unfog.maths.states import each
from unfog.maths.targets import targets
from unfog.model.model import Model
from unfog.nets import nets
from unfog.tasks.predictor import PAIRED, guided, together

GIVEN = {
    "label": {"type": "class", "size": 3},
    "size": {"type": "number", "size": 2},
    "words": {"type": "text", "size": 7, "length": 5},
}


class Counted(Model):
    calls = 0

    def answer(self, *args, **options):
        self.calls += 1
        return super().answer(*args, **options)


def made(name, **options):
    net = nets.make(name, given=GIVEN, **options)
    torch.manual_seed(0)
    for value in net.parameters():
        torch.nn.init.normal_(value, std=0.2)
    return Counted(net, paths.make("linear"), targets.make("velocity")).eval()


def conditions(count):
    rng = BatchRng(3)
    words = torch.full((count, 3), -1)  # shorter than the longest text
    words[:, 0] = torch.arange(count) % 7
    return {
        "label": torch.arange(count) % 3,
        "size": rng.normal(torch.empty(count, 2)),
        "words": words,
    }


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("mlp", {"shape": (6,), "width": 16, "depth": 2}, (6,)),
        ("unet", {"shape": (1, 8, 8), "width": 16, "mult": (1,), "blocks": 1}, (1, 8, 8)),
        ("dit", {"shape": (1, 8, 8), "width": 16, "depth": 1, "patch": 4}, (1, 8, 8)),
    ],
)
@pytest.mark.parametrize("each_its_time", [False, True])
@torch.no_grad()
def test_one_call_says_what_two_say(name, options, shape, each_its_time):
    model, cond = made(name, **options), conditions(4)
    x = BatchRng(1).normal(torch.empty(4, *shape))
    t = torch.tensor([0.2, 0.5, 0.7, 0.9]) if each_its_time else torch.tensor(0.6)
    told = model.bind(cond)(x, t)
    base = model.bind(None)(x, t)
    model.calls = 0
    found, alone = together(model, cond, GIVEN)(x, t)
    assert model.calls == 1
    torch.testing.assert_close(found, told, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(alone, base, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(told, base, atol=1e-3)
    t = torch.tensor(0.6)  # guides are asked at one time
    told, base = model.bind(cond)(x, t), model.bind(None)(x, t)
    model.calls = 0
    mixed = guided(model, cond, 2.5)(x, t)
    torch.testing.assert_close(mixed, base + 2.5 * (told - base), rtol=1e-4, atol=1e-4)
    assert model.calls == 1


@torch.no_grad()
def test_many_rows_are_asked_in_two_calls():
    model, count = made("mlp", shape=(6,), width=16, depth=2), PAIRED + 1
    x = BatchRng(1).normal(torch.empty(count, 6))
    guided(model, conditions(count), 2.0)(x, torch.tensor(0.5))
    assert model.calls == 2
    assert each(torch.numel, x) == 6 * count
