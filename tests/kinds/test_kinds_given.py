"""Given: values in, tensors out, and back."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from unfog.errors import ArgumentError, DataError, RunError, UnknownName
from unfog.kinds.given import GivenCodec, guess, resolve

CAPTIONS = ["a red cat", "a blue dog, asleep", "two red dogs", "Rain & sun"]
N = 40
COLUMNS = {
    "labels": np.arange(N) % 10,
    "species": ["cat", "dog"] * (N // 2),
    "age": np.linspace(10.0, 90.0, N),
    "flag": np.arange(N) % 2 == 0,
    "caption": [f"{CAPTIONS[i % 4]} {i}" for i in range(N)],
    "pose": np.random.default_rng(0).normal(3, 5, (N, 2, 4)),
}
NAMES = ["label", "species", "age", "flag", "caption", "pose"]


@pytest.fixture
def codec() -> GivenCodec:
    made = GivenCodec.fit(COLUMNS, NAMES)
    return GivenCodec.from_json(json.loads(json.dumps(made.to_json())))


def test_types_are_guessed(codec: GivenCodec) -> None:
    assert {name: spec["type"] for name, spec in codec.specs.items()} == {
        "label": "class",
        "species": "class",
        "age": "number",
        "flag": "class",
        "caption": "text",
        "pose": "tensor",
    }
    assert codec.specs["label"] == {"type": "class", "size": 10}
    assert codec.specs["age"] == {"type": "number", "size": 1}
    assert codec.specs["pose"] == {"type": "tensor", "shape": [2, 4]}
    assert guess(np.arange(1000)) == "number"
    assert guess([f"id{i}" for i in range(50)]) == "class"


def test_columns_round_trip(codec: GivenCodec) -> None:
    cond = codec.encode(codec.pick(COLUMNS), N)
    back = codec.decode(cond)
    assert back["label"] == COLUMNS["labels"].tolist()
    assert back["species"] == COLUMNS["species"]
    assert back["flag"] == COLUMNS["flag"].tolist()
    assert back["caption"] == COLUMNS["caption"]
    assert np.allclose(back["age"], COLUMNS["age"], atol=1e-5)
    assert np.allclose(np.stack(back["pose"]), COLUMNS["pose"], atol=1e-5)


def test_numbers_are_standardised(codec: GivenCodec) -> None:
    age = codec.encode(codec.pick(COLUMNS), N)["age"]
    assert age.shape == (N, 1)
    assert abs(age.mean()) < 1e-6
    assert abs(age.std(correction=0) - 1) < 1e-6


def test_one_value_is_for_all_and_spellings_agree(codec: GivenCodec) -> None:
    for three in (3, "3", 3.0, np.uint8(3), torch.tensor(3), [3, 3], np.array([3, 3])):
        assert codec.encode({"label": three}, 2)["label"].tolist() == [3, 3]
    assert codec.encode({"labels": "3"}, 1)["label"].tolist() == [3]
    for true in (True, "true", "True"):
        assert codec.encode({"flag": true}, 1)["flag"].tolist() == [1]
    assert codec.decode(codec.encode({"age": "42"}, 2))["age"] == pytest.approx([42, 42])
    one = COLUMNS["pose"][0]
    both = codec.encode({"pose": one}, 3)["pose"]
    assert torch.equal(both, codec.encode({"pose": np.stack([one] * 3)}, 3)["pose"])


def test_what_is_missing_is_null(codec: GivenCodec) -> None:
    for given in (None, {}, {"age": None, "label": math.nan, "caption": ""}):
        cond = codec.encode(given, 2)
        assert cond["label"].tolist() == [-1, -1]
        assert cond["label"].dtype == torch.long
        assert torch.isnan(cond["age"]).all()
        assert cond["age"].shape == (2, 1)
        assert (cond["caption"] == -1).all()
        assert cond["caption"].shape == (2, codec.specs["caption"]["length"])
        assert torch.isnan(cond["pose"]).all()
        assert all(values == [None, None] for values in codec.decode(cond).values())
    mixed = codec.decode(codec.encode({"label": [1, None], "pose": [None, COLUMNS["pose"][1]]}, 2))
    assert mixed["label"] == [1, None]
    assert mixed["pose"][0] is None
    assert np.allclose(mixed["pose"][1], COLUMNS["pose"][1], atol=1e-5)


def test_new_words_are_spelt_and_new_characters_refused(codec: GivenCodec) -> None:
    said = "a blue sun"
    assert codec.decode(codec.encode({"caption": said}, 1))["caption"] == [said]
    assert codec.decode(codec.encode({"caption": "unsaid, lord"}, 1))["caption"] == ["unsaid, lord"]
    with pytest.raises(UnknownName, match="character 'ж'"):
        codec.encode({"caption": "ж"}, 1)
    with pytest.raises(ArgumentError, match="shorten"):
        codec.encode({"caption": "a " * 500}, 1)


def test_wrong_values_are_named(codec: GivenCodec) -> None:
    with pytest.raises(UnknownName, match="did you mean 'species'"):
        codec.encode({"spezies": 2}, 1)
    with pytest.raises(UnknownName, match="did you mean 'cat'"):
        codec.encode({"species": "catt"}, 1)
    with pytest.raises(ArgumentError, match="3 values for 2 items"):
        codec.encode({"label": [1, 2, 3]}, 2)
    with pytest.raises(ArgumentError, match="'old' is not a number"):
        codec.encode({"age": "old"}, 1)
    with pytest.raises(ArgumentError, match="finite"):
        codec.encode({"age": math.inf}, 1)
    with pytest.raises(ArgumentError, match=r"\(2, 4\)"):
        codec.encode({"pose": np.zeros((2, 3, 4))}, 2)
    with pytest.raises(UnknownName, match="without given"):
        GivenCodec.fit({}, []).encode({"label": 1}, 1)
    with pytest.raises(RunError, match="damaged"):
        GivenCodec.from_json({"label": {"type": "pickle"}})


def test_types_can_be_said() -> None:
    codec = GivenCodec.fit(COLUMNS, ["label", "age"], {"label": "number"})
    assert codec.specs["label"]["type"] == "number"
    assert codec.decode(codec.encode({"label": 7}, 1))["label"] == [7]
    with pytest.raises(UnknownName, match="did you mean 'number'"):
        GivenCodec.fit(COLUMNS, ["age"], {"age": "numbr"})
    with pytest.raises(UnknownName, match="label"):
        GivenCodec.fit(COLUMNS, ["age"], {"label": "class"})
    with pytest.raises(DataError, match="no values"):
        GivenCodec.fit({"empty": [None, None]}, ["empty"])


def test_columns_are_found_in_singular_and_plural() -> None:
    assert resolve("label", ["labels", "age"]) == "labels"
    assert resolve("labels", ["label"]) == "label"
    with pytest.raises(UnknownName, match="known: label, age"):
        resolve("lable", ["label", "age"])
    with pytest.raises(UnknownName, match="no columns"):
        resolve("label", [])
