"""--set takes choices, and what it takes is so."""

import json

import numpy as np
import pytest
import torch

import unfog
from unfog.errors import ArgumentError
from unfog.tasks.config import Config
from unfog.tasks.settings import FOUND, OPTIONS, check_settings


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal(size=(300, 3))


def fitted(rows, settings, **how):
    return unfog.fit(rows, settings=settings, quiet=True, **({"steps": 12} | how))


@pytest.mark.parametrize("key", OPTIONS)
def test_what_has_an_option_is_said_by_it(rows, key):
    with pytest.raises(ArgumentError, match=rf"'{key}' has an option .* --{OPTIONS[key]} "):
        fitted(rows, {key: 3})


@pytest.mark.parametrize("key", ["shape", "data.count", "versions.torch", "sigma_data", "plan"])
def test_facts_are_no_choices(rows, key):
    with pytest.raises(ArgumentError, match=f"'{key}' is no choice"):
        fitted(rows, {key: 3})


def test_every_name_in_the_lists_is_part_of_a_configuration(rows):
    config = fitted(rows, {}).config
    for key in (*OPTIONS, *FOUND):
        part = key.split(".")
        assert part[0] in Config.model_fields
        if part[0] == "train":
            assert hasattr(config.train, part[1])


def test_distill_has_fewer_options():
    with pytest.raises(ArgumentError, match="has an option"):
        check_settings(["train.steps"], ("steps", "budget"))
    with pytest.raises(ArgumentError, match="no choice"):
        check_settings(["train.precision"], ("steps", "budget"))


def test_threads_are_those_asked_for(rows, tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for how in ({"steps": 12}, {"steps": None, "budget": 2}):
            for threads in (1, 2):
                plan = unfog.fit(
                    rows, settings={"train.threads": threads}, dry_run=True, quiet=True, **how
                )
                said = {row["what"]: row for row in plan["rows"]}["threads"]
                assert said["choice"].startswith(f"{threads} on ")
                assert said["why"] == "as asked for"
                assert {one["threads"] for one in plan["tried"]} <= {threads}
        with pytest.raises(ArgumentError, match=r"train\.threads=3: this process has 2"):
            fitted(rows, {"train.threads": 3})
        again = {"out": tmp_path / "run", "steps": None, "resume": True}
        run = fitted(rows, {"train.threads": 2}, out=tmp_path / "run")
        assert json.loads((run.folder / "config.json").read_text())["train"]["threads"] == 2
        with pytest.raises(ArgumentError, match=r"train\.threads=3: this process has 2"):
            fitted(rows, {"train.threads": 3}, **again)
        fitted(rows, {"train.threads": 1}, **again)
        assert json.loads((run.folder / "config.json").read_text())["train"]["threads"] == 1
    finally:
        torch.set_num_threads(before)


def test_autoguidance_needs_the_weaker_model(rows):
    with pytest.raises(ArgumentError, match=r"--set train\.weaker=0\.2"):
        fitted(rows, {"autoguidance": 2.0})
    model = fitted(rows, {"autoguidance": 2.0, "train.weaker": 0.2}, steps=120)
    assert model.config.autoguidance == 2.0
