"""The path that holes are drawn along: late reveals keep the law, older runs fill as they did."""

import json
import pathlib

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import unfog
from unfog.errors import ArgumentError
from unfog.maths.discrete import Masking
from unfog.maths.paths import paths
from unfog.maths.product import Product
from unfog.maths.randomness import BatchRng
from unfog.sample.loop import sample
from unfog.sample.reveal import OrderedProduct, Random
from unfog.sample.solvers import solvers
from unfog.tasks.config import Config, FillingConfig
from unfog.tasks.fill_path import filling_path

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden" / "format-1" / "table"
PATH = Product({"num": paths.make("linear"), "cat": Masking((2,))})
MEANS, SPREAD = torch.tensor([-1.0, 1.0]), 0.5
SHARE = torch.tensor([0.3, 0.7])
"""The law: a letter, 0 or 1, and a number that is normal about the letter's mean."""


def config(**filling):
    return Config.model_construct(filling=FillingConfig(**filling))


def predict(x_t, t, s=None):
    """The exact one: on the linear path x_t = (1 - t) x + t z."""
    t = t.to(torch.float32)
    x, keep = x_t["num"], 1 - t
    variance = keep**2 * SPREAD**2 + t**2
    log = -((x - keep * MEANS) ** 2) / (2 * variance) + SHARE.log()
    chance = torch.softmax(log, 1)
    code = x_t["cat"]
    shown = torch.nn.functional.one_hot(code.clamp_max(1), 2)[:, 0].float()
    chance = torch.where(code < 2, shown, chance)
    each = MEANS + keep * SPREAD**2 / variance * (x - keep * MEANS)
    return {"num": (chance * each).sum(1, keepdim=True), "cat": chance[:, None]}


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_any_schedule_draws_the_joint_law(schedule):
    path = filling_path(config(schedule=schedule, reveal={"name": "random"}), PATH)
    like = {"num": torch.zeros(6000, 1), "cat": torch.zeros(6000, 1).long()}
    x = path.prior(like, rng=BatchRng(0))
    grid = torch.linspace(1, 0, 81, dtype=torch.float64)
    *_, last = sample(predict, path, solvers.make("euler"), x, grid, rng=BatchRng(1))
    letter, number = last.x["cat"][:, 0], last.x["num"][:, 0]
    assert stats.binomtest(int(letter.sum()), 6000, float(SHARE[1])).pvalue > 1e-4
    for code in (0, 1):
        mine = number[letter == code]
        assert float(mine.mean()) == pytest.approx(float(MEANS[code]), abs=0.06)
        assert float(mine.std()) == pytest.approx(SPREAD, rel=0.08)


def test_cosine_keeps_holes_masked_for_longer_and_all_are_shown_at_the_end():
    path = filling_path(config(schedule="cosine", reveal={"name": "random"}), PATH)
    assert isinstance(path, OrderedProduct)
    assert path.reveal == Random()
    t = torch.linspace(0.05, 0.95, 10)
    late, usual = (p.fields["cat"].masked_share(t) for p in (path, PATH))
    assert (late > usual + 0.02).all()
    assert path.fields["cat"].masked_share(torch.tensor(0.0)) == 0
    assert path.fields["num"] is PATH.fields["num"]


def test_runs_of_before_and_tables_of_numbers_keep_their_path():
    kept = unfog.load(GOLDEN)
    assert "filling" not in json.loads((GOLDEN / "config.json").read_text())
    assert filling_path(kept.config, kept.net.path) == kept.net.path
    numbers = Product({"num": paths.make("linear")})
    assert filling_path(config(schedule="cosine", reveal={"name": "random"}), numbers) is numbers


def test_what_a_run_fills_by_is_in_its_configuration(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=60), "b": rng.choice(list("xy"), 60)})
    tiny = {"net.width": 16, "net.depth": 1}
    model = unfog.fit(table, out=tmp_path / "run", steps=1, settings=tiny, quiet=True)
    said = json.loads((tmp_path / "run" / "config.json").read_text())["filling"]
    assert said == {"schedule": "cosine", "reveal": {"name": "random"}}
    holes = table.assign(b=None)
    other = unfog.fit(
        table, steps=1, settings={**tiny, "filling.schedule": "linear"}, quiet=True
    )  # the same weights
    assert not model.fill(holes, draws=4).data.equals(other.fill(holes, draws=4).data)
    with pytest.raises(ArgumentError, match=r"filling\.schedule"):
        unfog.fit(table, steps=1, settings={**tiny, "filling.schedule": "late"}, quiet=True)
