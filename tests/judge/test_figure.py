"""Figures say in words what their intervals say in numbers."""

import json

import pytest

from unfog.errors import ArgumentError
from unfog.judge import Figure


def figure(**changed):
    values = {
        "name": "distance",
        "value": 3.0,
        "low": 2.8,
        "high": 3.2,
        "floor": 1.0,
        "floor_low": 0.9,
        "floor_high": 1.1,
        "better": "lower",
        "n": 100,
    }
    return Figure(**{**values, **changed})


def test_a_distance_above_its_floor_is_told_as_a_multiple():
    assert "3.0 times the floor" in figure().verdict()
    assert not figure().at_floor


def test_better_than_the_floor_counts_as_good_in_the_right_direction_only():
    below = {"value": 0.5, "low": 0.4, "high": 0.6}
    assert figure(**below).at_floor
    assert not figure(**below, better="higher").at_floor
    assert not figure(**below, better="floor").at_floor
    assert figure(better="higher").at_floor


def test_gap_is_held_against_the_facing_half_widths():
    # half-widths .2 and .1 facing each other: the border is at hypot(.2, .1) = .2236
    assert figure(value=1.22, low=1.02, high=1.3).at_floor
    assert not figure(value=1.23, low=1.03, high=1.3).at_floor


def test_json_round_trip_and_share_in_per_cent():
    share = figure(unit="share", value=0.5, low=0.4, high=0.6, notes=("a note",))
    data = json.loads(json.dumps(share.to_json()))
    assert Figure.from_json(data) == share
    assert "50.0 % (40.0 to 60.0)" in data["verdict"]


@pytest.mark.parametrize(
    "wrong", [{"better": "more"}, {"value": float("nan")}, {"low": 4.0}, {"floor_low": 2.0}]
)
def test_impossible_figures_are_refused(wrong):
    with pytest.raises(ArgumentError):
        figure(**wrong)


def test_from_json_names_the_missing_field():
    with pytest.raises(ArgumentError, match="floor"):
        Figure.from_json({"name": "x", "value": 1.0})
