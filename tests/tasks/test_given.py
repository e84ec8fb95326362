"""What a model is given: found by name, refused by name, and really used."""

import json

import numpy as np
import pytest

import unfog
from unfog.cli import run
from unfog.errors import ArgumentError, UnknownName

TINY = {"net": "mlp", "net.width": 16, "net.depth": 1}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "x.npz"
    rng = np.random.default_rng(0)
    np.savez(
        path,
        x=rng.normal(size=(90, 3)).astype(np.float32),
        labels=np.array(["cat", "dog", "horse"] * 30),
        age=rng.uniform(1, 9, 90).astype(np.float32),
    )
    return path


@pytest.fixture(scope="module")
def model(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    # as `--given label,age` and the .npz key `labels`
    return unfog.fit(
        source, out=out, given="label,age", steps=20, batch=16, settings=TINY, quiet=True
    )


def test_columns_of_an_npz_become_classes_and_numbers(model):
    assert model.config.given == ["label", "age"]
    specs = model.borders.given.specs
    assert (specs["label"]["type"], specs["label"]["size"]) == ("class", 3)
    assert specs["age"]["type"] == "number"


def test_an_unknown_column_lists_the_columns(source):
    with pytest.raises(
        UnknownName, match=r"unknown column 'lable'; known: .*did you mean 'labels'"
    ) as caught:
        unfog.fit(source, given="lable", steps=1, quiet=True)
    assert "age" in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"label": "cta"}, "'cta'.*did you mean 'cat'"),
        ({"label": "cow"}, "'cow'.*cat, dog, horse"),
        ({"label": ["cat", "hrse", "dog", "cat"]}, "'hrse'.*did you mean 'horse'"),
        ({"lable": "cat"}, "'lable'.*did you mean 'label'"),
    ],
)
def test_an_unknown_class_or_name_suggests_the_nearest(model, given, said):
    with pytest.raises(UnknownName, match=said):
        model.sample(4, given=given, steps=1)


def test_a_wrong_count_is_refused(model):
    with pytest.raises(ArgumentError, match="3 values for 4 items"):
        model.sample(4, given={"label": ["cat", "dog", "cat"]}, steps=1)


def test_singular_and_plural_find_each_other(model):
    one = model.sample(3, given={"label": "dog"}, steps=2).raw
    np.testing.assert_array_equal(model.sample(3, given={"labels": "dog"}, steps=2).raw, one)


def test_each_item_gets_its_own_value_and_missing_is_its_null(model):
    mixed = model.sample(
        3, given={"label": ["cat", None, "dog"], "age": [2.0, None, 8.0]}, steps=4, scale=1.0
    )
    for i, (label, age) in enumerate([("cat", 2.0), (None, None), ("dog", 8.0)]):
        alone = model.sample(1, given={"label": label, "age": age}, steps=4, scale=1.0, first=i)
        np.testing.assert_allclose(mixed.raw[i], alone.raw[0], atol=1e-5)
    assert mixed.given["label"] == ["cat", None, "dog"]
    assert mixed.given["age"][1] is None
    assert mixed.given["age"][2] == pytest.approx(8.0, rel=1e-5)


def typed(capsys, model, out, *given):
    capsys.readouterr()
    words = [word for text in given for word in ("--given", text)]
    code = run(
        ["sample", str(model.folder), "-n", "6", "-o", str(out), "--steps", "2", *words, "--json"]
    )
    return code, capsys.readouterr()


def test_the_command_line_gives_the_same(model, tmp_path, capsys):
    code, told = typed(capsys, model, tmp_path / "a.npz", "label=dog", "age=3.5")
    assert code == 0, told.err
    assert json.loads(told.out)["count"] == 6
    with np.load(tmp_path / "a.npz") as drawn:
        asked = model.sample(6, given={"label": "dog", "age": 3.5}, steps=2)
        np.testing.assert_array_equal(drawn["x"], asked.raw)
        assert list(drawn["label"]) == ["dog"] * 6
    code, _ = typed(capsys, model, tmp_path / "b.npz", "label=*")
    assert code == 0
    with np.load(tmp_path / "b.npz") as drawn:
        assert list(drawn["label"]) == ["cat", "dog", "horse"] * 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["label=cta"], "did you mean 'cat'"),
        (["lable=cat"], "did you mean 'label'"),
        (["label"], "name=value"),
        (["label=cat", "label=dog"], "twice"),
        (["age=old"], "'old'"),
        (["age=*"], "number"),
    ],
)
def test_the_command_line_says_what_is_wrong(model, tmp_path, capsys, given, said):
    code, told = typed(capsys, model, tmp_path / "a.npz", *given)
    assert code == 2
    assert said in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert not (tmp_path / "a.npz").exists()
