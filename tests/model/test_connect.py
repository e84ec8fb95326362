"""Where a teacher is asked about categories: where jumps start, or where they land."""

import pytest
import torch

from unfog.maths.discrete import Masking
from unfog.maths.flowmaps import flowmaps
from unfog.maths.heads import Categories, Joint
from unfog.maths.jumps import jump
from unfog.maths.paths import paths
from unfog.maths.product import Product
from unfog.maths.randomness import BatchRng
from unfog.maths.targets import targets
from unfog.maths.times import times
from unfog.maths.weights import Unit
from unfog.model.connect import connect
from unfog.model.model import Model
from unfog.nets import nets

COUNT = 64
PATH = Product({"num": paths.make("linear"), "cat": Masking((3,))})
LAW = times.make("angle")


@pytest.fixture(scope="module")
def model():
    fields = {"num": {"type": "number", "size": 2}, "cat": {"type": "category", "sizes": [3]}}
    torch.manual_seed(0)
    net = nets.make("table", fields=fields, width=16, depth=1, two_times=True)
    for weight in net.parameters():  # so that it says something
        torch.nn.init.normal_(weight, std=0.1)
    target = Joint({"num": targets.make("velocity"), "cat": Categories()})
    return Model(net, PATH, target)


def asked(model, flowmap):
    """The calls that a teacher gets in one batch, (x_t, t) each, and the batch's jumps: noised
    states, times t and s, landings, of rows with s < t.
    """
    calls = []

    def teacher(cond, keep):
        def predict(x_t, t, s=None):
            calls.append((x_t, t))
            even = torch.full((len(t), 1, 3), 1 / 3)
            return {"num": torch.zeros_like(x_t["num"]), "cat": even}

        return predict

    x = {
        "num": torch.randn(COUNT, 2, generator=torch.Generator().manual_seed(1)),
        "cat": torch.arange(COUNT)[:, None] % 3,
    }
    connect(model, x, flowmap=flowmap, times=LAW, weight=Unit(), rng=BatchRng(4), teacher=teacher)
    rng = BatchRng(4)
    pairs = flowmap.draw(LAW, PATH, COUNT, rng=rng)
    noised = PATH.corrupt(x, pairs.t, rng=rng)
    rows = pairs.apart
    x_t = {name: value[rows] for name, value in noised.x_t.items()}
    t, s = pairs.t[rows], pairs.s[rows]
    landed = jump(PATH, x_t, model.predict(x_t, t, None, s), t, s)
    return calls, x_t, t, s, landed


@pytest.mark.parametrize("name", flowmaps.names())
def test_with_arrival_it_is_asked_where_the_jumps_land_with_the_categories_of_the_start(
    model, name
):
    calls, x_t, _, s, landed = asked(model, flowmaps.make(name, arrival=True))
    state, at = calls[-1]
    assert torch.equal(at, s)
    assert torch.allclose(state["num"], landed["num"], atol=1e-3)
    assert torch.equal(state["cat"], x_t["cat"])
    _, first = calls[0]  # rows that learn the flow itself; of some objectives all rows
    assert len(first) in (COUNT - len(s), COUNT)


def test_without_it_is_asked_at_all_rows_where_they_start(model):
    calls, *_ = asked(model, flowmaps.make("progressive"))
    assert [len(t) for _, t in calls] == [COUNT]
