"""Conditions: their checks name the value, their dropout has the stated rate, nulls are learned."""

import pytest
import torch

from unfog.errors import ArgumentError, ShapeError, UnknownName
from unfog.nets import Conditions, dropout, null
from unfog.nets.given import completed, missing, validated

GIVEN = {
    "label": {"type": "class", "size": 10},
    "tags": {"type": "classes", "size": 3},
    "age": {"type": "number", "size": 1},
    "caption": {"type": "text", "size": 9, "length": 4},
    "pose": {"type": "tensor", "shape": [2, 2]},
    "low": {"type": "state", "shape": [2, 4, 4]},
}


def full(batch=3):
    return {
        "label": torch.arange(batch),
        "tags": torch.ones(batch, 3),
        "age": torch.zeros(batch, 1),
        "caption": torch.zeros(batch, 4, dtype=torch.long),
        "pose": torch.zeros(batch, 2, 2),
        "low": torch.zeros(batch, 2, 4, 4),
    }


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"lable": torch.zeros(3)}, UnknownName, ["lable", "did you mean 'label'"]),
        ({"label": torch.tensor([0, 10, 1])}, ArgumentError, ["'label'", "10", "0 to 9", "-1"]),
        ({"label": torch.tensor([0, -2, 1])}, ArgumentError, ["'label'", "-2"]),
        ({"label": torch.zeros(2, dtype=torch.long)}, ShapeError, ["'label'", "(2,)", "(3,)"]),
        ({"label": torch.zeros(3)}, ArgumentError, ["'label'", "float32", "whole numbers"]),
        ({"caption": torch.full((3, 4), 9)}, ArgumentError, ["'caption'", "9", "0 to 8"]),
        ({"caption": torch.zeros(3, 5, dtype=torch.long)}, ShapeError, ["'caption'", "(3, 5)"]),
        ({"tags": torch.full((3, 3), 2.0)}, ArgumentError, ["'tags'", "value 2", "NaN"]),
        ({"age": torch.full((3, 1), torch.inf)}, ArgumentError, ["'age'", "infinite"]),
        ({"age": torch.zeros(3)}, ShapeError, ["'age'", "(3,)", "(3, 1)"]),
        ({"pose": torch.zeros(3, 2, 2, dtype=torch.long)}, ArgumentError, ["'pose'", "floats"]),
        ({"low": torch.zeros(3, 2, 4)}, ShapeError, ["'low'", "(3, 2, 4, 4)"]),
    ],
)
def test_wrong_values_are_named(change, error, words):
    net = Conditions(GIVEN, 8, tokens=True)
    with pytest.raises(error) as caught:
        net({**full(), **change}, 3)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"type": "klass", "size": 3}, "did you mean 'class'"),
        ({"type": "class"}, "size=None"),
        ({"type": "class", "size": 0}, "size=0"),
        ({"type": "class", "size": True}, "size=True"),
        ({"type": "class", "size": 3, "length": 2}, "length"),
        ({"type": "text", "size": 3}, "length=None"),
        ({"type": "tensor", "shape": 3}, "shape=3"),
        ({"type": "state", "shape": [1, -2]}, "shape=[1, -2]"),
    ],
)
def test_wrong_specs_are_named(spec, word):
    with pytest.raises(ArgumentError, match="'x'") as caught:
        validated({"x": spec})
    assert word in str(caught.value)


def test_null_is_missing_and_full_is_not():
    for name, value in null(GIVEN, 5).items():
        assert missing(value, GIVEN[name]).all(), name
    for name, value in full().items():
        assert not missing(value, GIVEN[name]).any(), name
    one_nan = torch.zeros(3, 2, 4, 4)
    one_nan[1, 0, 2, 3] = torch.nan
    assert missing(one_nan, GIVEN["low"]).tolist() == [False, True, False]
    padded = torch.tensor([[1, -1, -1, -1], [-1, -1, -1, -1]])
    assert missing(padded, GIVEN["caption"]).tolist() == [False, True]


def test_dropout_follows_its_draw_and_each_condition_by_itself():
    draw = torch.full((6, 4), 0.9)
    draw[0, 1] = draw[2, 2] = 0.1
    made = dropout(full(4), GIVEN, 0.5, draw)
    lost = {name: missing(value, GIVEN[name]).tolist() for name, value in made.items()}
    assert lost.pop("label") == [False, True, False, False]
    assert lost.pop("age") == [False, False, True, False]
    assert not any(any(row) for row in lost.values())
    assert made["label"].tolist() == [0, -1, 2, 3]
    assert full(4)["label"].tolist() == [0, 1, 2, 3]  # the input stays


def test_dropout_rates_are_the_stated_ones_and_independent():
    torch.manual_seed(0)
    batch = 20_000
    rates = {"label": 0.1, "age": 0.5}
    made = dropout(
        {"label": torch.zeros(batch, dtype=torch.long), "age": torch.zeros(batch, 1)},
        {"label": GIVEN["label"], "age": GIVEN["age"]},
        rates,
        torch.rand(2, batch),
        joint=0.2,
        joint_draw=torch.rand(batch),
    )
    label, age = (missing(made[n], GIVEN[n]).double() for n in ("label", "age"))
    # six standard errors: false alarm below 1e-8
    for got, want in (
        (label.mean(), 0.2 + 0.8 * 0.1),
        (age.mean(), 0.2 + 0.8 * 0.5),
        ((label * age).mean(), 0.2 + 0.8 * 0.05),
    ):
        assert abs(float(got) - want) < 6 * (want * (1 - want) / batch) ** 0.5


def test_dropout_refuses_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"\(6, B\)"):
        dropout(full(), GIVEN, 0.5, torch.rand(5, 3))
    with pytest.raises(ShapeError, match="joint_draw"):
        dropout(full(), GIVEN, 0.5, torch.rand(6, 3), joint=0.1)
    with pytest.raises(UnknownName, match="did you mean 'label'"):
        dropout(full(), GIVEN, {"labl": 0.5}, torch.rand(6, 3))


def test_a_lacking_name_is_missing():
    made = completed({"age": torch.ones(2, 1)}, GIVEN, 2, "cpu")
    assert list(made) == list(GIVEN)
    assert made["age"].tolist() == [[1.0], [1.0]]
    assert (made["label"] == -1).all()


def test_vector_has_unit_variance_whatever_is_given():
    torch.manual_seed(0)
    for name, spec in GIVEN.items():
        net = Conditions({name: spec}, 4096, tokens=False, grid=False)
        net.initialise()
        value = {
            **full(),
            "age": torch.randn(3, 1),
            "pose": torch.randn(3, 2, 2),
            "low": torch.randn(3, 2, 4, 4),
        }[name]
        for cond in ({name: value}, None):
            assert 0.4 < float(net(cond, 3).vector.detach().std()) < 2.2, name


def test_tokens_hold_the_words_and_the_null_hides_padding():
    net = Conditions(GIVEN, 8, tokens=True)
    net.initialise()
    text = torch.tensor([[1, 2, -1, -1], [-1, -1, -1, -1], [3, 3, 3, 3]])
    made = net({"caption": text}, 3)
    assert made.token_mask.tolist() == [
        [True, True, False, False],
        [True, False, False, False],
        [True] * 4,
    ]
    null_token = net(None, 1).tokens[0, 0]
    assert torch.equal(made.tokens[1, 0], null_token)
    assert not torch.allclose(made.tokens[0, 0], null_token)
    assert not torch.allclose(made.tokens[2, 0], made.tokens[2, 1])  # places differ


def test_state_channels_carry_value_presence_and_null():
    net = Conditions({"low": GIVEN["low"]}, 8, tokens=False)
    net.initialise()
    low = torch.randn(2, 2, 4, 4)
    low[1] = torch.nan
    made = net({"low": low}, 2).channels
    assert torch.equal(made[0, :2], low[0])
    assert torch.equal(made[:, 2, 0, 0], torch.tensor([1.0, 0.0]))
    assert torch.equal(made[1, :2, 1, 2], net.parts["0"].null)
    twice = net({"low": low}, 2, spatial=(8, 8)).channels
    assert torch.equal(twice[0, :2, ::2, 1::2], low[0])


def test_drop_equals_missing():
    net = Conditions(GIVEN, 8, tokens=True)
    net.initialise()
    gone, kept = net(full(), 3, drop=torch.ones(6, 3, dtype=torch.bool)), net(full(), 3)
    nothing = net(None, 3)
    assert torch.equal(gone.vector, nothing.vector.expand(3, -1))  # one row says it of all
    assert torch.equal(gone.tokens[:, 0], nothing.tokens[:, 0])
    assert torch.equal(gone.token_mask, nothing.token_mask)
    assert torch.equal(gone.channels, nothing.channels)
    assert not torch.allclose(kept.vector, nothing.vector)


def test_names_may_hold_any_character():
    net = Conditions({"a.b c": GIVEN["label"], "forward": GIVEN["age"]}, 8, tokens=False)
    net.initialise()
    assert net({"a.b c": torch.tensor([1])}, 1).vector.isfinite().all()
