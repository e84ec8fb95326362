"""What tables are drawn in: measured once, written down, and kept to where the machine can."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import unfog
from unfog.errors import ArgumentError
from unfog.tasks import drawing
from unfog.tasks.generate import MOST, ROWS, batch_of

TIMES = {"float32": 2.0, "bfloat16": 1.0}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    size = rng.gamma(2.0, size=300)
    return pd.DataFrame({"size": size, "kind": np.where(size > 2, "large", "small")})


@pytest.fixture(scope="module")
def model(rows):
    return unfog.fit(rows, steps=30, batch=32, settings={"net.width": 32}, quiet=True)


def planned(rows, monkeypatch, seconds=TIMES, **choices):
    monkeypatch.setattr(drawing, "quick", lambda device: True)
    monkeypatch.setattr(drawing, "call_seconds", lambda config, device, precisions: seconds)
    facts = unfog.fit(rows, quiet=True, dry_run=True, **choices)
    return next(row["choice"] for row in facts["rows"] if row["what"] == "sampling")


def test_a_table_is_drawn_in_what_measured_quicker(rows, monkeypatch):
    assert planned(rows, monkeypatch, budget=3).endswith("bfloat16")
    even = {"float32": 1.0, "bfloat16": 0.95}
    assert planned(rows, monkeypatch, even, budget=3).endswith("float32")


@pytest.mark.parametrize("choices", [{"steps": 5}, {"budget": 3, "precision": "float32"}])
def test_nothing_is_measured_where_the_user_fixed_it(rows, monkeypatch, choices):
    assert planned(rows, monkeypatch, **choices).endswith("float32")


def test_other_kinds_are_drawn_in_float32(monkeypatch):
    points = np.random.default_rng(0).normal(size=(60, 2))
    assert planned(points, monkeypatch, budget=3).endswith("float32")


def test_the_measurement_is_of_both(model):
    both = ("float32", "bfloat16")
    found = drawing.call_seconds(model.config, torch.device("cpu"), both)
    assert set(found) == set(both)
    assert all(0 < seconds < 1 for seconds in found.values())


def test_a_run_draws_in_its_own_precision_where_the_machine_is_quick_in_it(model, monkeypatch):
    config = model.config.model_copy(update={"sampling_precision": "bfloat16"})
    other = unfog.Trained(
        model.folder, config, model.net, model.borders, model.splits
    )  # the same weights
    exact = model.sample(200, seed=1, show=False).state
    asked = model.sample(200, seed=1, show=False, precision="bfloat16").state
    monkeypatch.setattr(drawing, "quick", lambda device: True)
    own = other.sample(200, seed=1, show=False).state
    assert all(torch.equal(value, asked[name]) for name, value in own.items())
    assert 0 < (own["num"] - exact["num"]).abs().median() < 0.02
    assert (own["cat"] == exact["cat"]).float().mean() > 0.95
    monkeypatch.setattr(drawing, "quick", lambda device: False)
    slow = other.sample(200, seed=1, show=False).state
    assert all(torch.equal(value, exact[name]) for name, value in slow.items())


def test_a_row_depends_on_its_number_and_not_on_its_batch(model):
    """In float32 to rounding; in bfloat16 to its own digits, as products of other shapes round."""
    for precision, near in (("float32", 1e-4), ("bfloat16", 0.05)):
        whole, parts = (
            model.sample(96, seed=2, show=False, precision=precision, batch=batch).state
            for batch in (96, 7)
        )
        assert (whole["num"] - parts["num"]).abs().quantile(0.95) < near
        assert (whole["cat"] == parts["cat"]).float().mean() > 0.98


def test_rows_of_tables_are_drawn_many_at_once(model):
    assert batch_of(model) == ROWS > MOST


def test_an_unknown_precision_is_refused(model):
    with pytest.raises(ArgumentError, match="float32 or bfloat16"):
        model.sample(2, show=False, precision="half")
