"""The language of conditions: what a user may write, and one sentence for what can't be asked."""

import datetime

import numpy as np
import pytest

from unfog.errors import ArgumentError, UnknownName
from unfog.kinds.asked import Aggregate, Equal, Name, OneOf, Range, Rows
from unfog.kinds.asking import read, split

NAMES = {
    "label": Name("label", "level", levels=("cat", "dog", "horse")),
    "grade": Name("grade", "level", levels=("low", "mid", "top"), ordered=True),
    "rooms": Name("rooms", "level", np.dtype(int), (1, 2, 3), True),
    "age": Name("age", "number", np.dtype(int)),
    "income": Name("income", "number", np.dtype(float)),
    "class": Name("class", "level", levels=("<=50K", ">50K")),
    "joined": Name("joined", "number", np.dtype("M8[us]")),
    "caption": Name("caption", "other"),
}
DAY = 1_577_836_800_000_000  # 2020-01-01 in microseconds


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("label", "cat", Equal("cat")),
        ("labels", "cat", Equal("cat")),
        ("label", ["cat", "dog"], OneOf(("cat", "dog"))),
        ("label", {"dog", "cat"}, OneOf(("cat", "dog"))),
        ("label", "cat|dog", OneOf(("cat", "dog"))),
        ("label", "!=cat", OneOf(("dog", "horse"))),
        ("label", ["cat", None, "dog"], Rows(("cat", None, "dog"))),
        ("label", None, Equal(None)),
        ("class", ">50K", Equal(">50K")),
        ("class", "=>50K", Equal(">50K")),
        ("grade", ">=mid", Range("mid", None, False, False, ("low", "mid", "top"))),
        ("rooms", (2, 3), Range(2.0, 3.0)),
        ("rooms", 2, Equal(2)),
        ("rooms", "2", Equal(2)),
        ("age", (30, 40), Range(30.0, 40.0)),
        ("age", "30..40", Range(30.0, 40.0)),
        ("age", (None, 40), Range(None, 40.0)),
        ("age", "..40", Range(None, 40.0)),
        ("age", 35.0, Equal(35)),
        ("income", ">=50000", Range(50000.0)),
        ("income", ">50000", Range(50000.0, below=True)),
        ("income", "< 5e4", Range(None, 50000.0, above=True)),
        ("income", "-3..-1", Range(-3.0, -1.0)),
        ("income", np.array([1.0, 2.0, 3.0]), Rows((1.0, 2.0, 3.0))),
        ("joined", ">=2020-01-01", Range(DAY)),
        ("joined", (datetime.date(2020, 1, 1), None), Range(DAY)),
        ("caption", "a red car", Equal("a red car")),
    ],
)
def test_what_is_written_is_what_is_meant(name, value, found):
    asked = read({name: value}, NAMES, 3)
    assert list(asked.conditions.values()) == [found]


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("mean(income)", 41000, Aggregate("mean", "income", 41000.0)),
        ("sum(age)", "70", Aggregate("sum", "age", 70.0)),
        ("share(label=cat)", 0.5, Aggregate("share", "label", 0.5, "cat")),
        ("share(class=>50K)", 0.5, Aggregate("share", "class", 0.5, ">50K")),
    ],
)
def test_aggregates(key, value, found):
    assert read({key: value}, NAMES, 3).aggregates == {key: found}


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"lable": "cat"}, UnknownName, "unknown given 'lable'.*did you mean 'label'"),
        ({"label": "cow"}, UnknownName, "'cow'; known: cat, dog, horse"),
        ({"label": "cat|cow"}, UnknownName, "'cow'"),
        ({"label": (None, "dog")}, ArgumentError, "2 values for 3|no order|distinct|different"),
        ({"label": ">=cat"}, ArgumentError, "no order.*label=cat"),
        ({"label": ["cat", "cat"]}, ArgumentError, "2 values for 3 items"),
        ({"age": [30, 30]}, ArgumentError, "2 values for 3 items"),
        ({"age": (40, 30)}, ArgumentError, "from 40 to 30 is empty"),
        ({"grade": "top..low"}, ArgumentError, "from top to low is empty"),
        ({"age": "old"}, ArgumentError, "'old' is no finite number"),
        ({"age": ">=nan"}, ArgumentError, "no finite number"),
        ({"age": "!=3"}, ArgumentError, "!= is for levels"),
        ({"joined": ">=soon"}, ArgumentError, "'soon' is no date"),
        ({"median(age)": 3}, UnknownName, "unknown aggregate 'median'; known: .*mean"),
        ({"mean(agee)": 3}, UnknownName, "did you mean 'age'"),
        ({"mean(label)": 3}, ArgumentError, "no numbers.*share"),
        ({"share(label)": 0.3}, ArgumentError, r"share\(sex=F\)"),
        ({"share(label=cat)": 30}, ArgumentError, r"lies in \[0, 1\]; got 30"),
        ({"label": "cat", "labels": "dog"}, ArgumentError, "twice"),
    ],
)
def test_what_cannot_be_asked_is_said(given, error, said):
    with pytest.raises(error, match=said):
        read(given, NAMES, 3)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("label=cat|dog", ("label", "cat|dog")),
        ("income>=50000", ("income", ">=50000")),
        ("income < 5", ("income", "< 5")),
        ("class=>50K", ("class", ">50K")),
        ("age=30..40", ("age", "30..40")),
        ("mean(income)=41000", ("mean(income)", "41000")),
        ("share(class=>50K)=0.3", ("share(class=>50K)", "0.3")),
        ("a=b=c", ("a=b", "c")),
        ("unknown!=3", ("unknown", "!=3")),
    ],
)
def test_a_command_lines_words(text, found):
    assert split(text, [*NAMES, "a=b"]) == found


def test_words_without_a_sign():
    with pytest.raises(ArgumentError, match=r"name=value.*age=30\.\.40.*got 'label'"):
        split("label", NAMES)


def test_who_meets_what():
    assert Range(1, 3, above=True).met([0, 1, 2.9, 3, None]).tolist() == [0, 1, 1, 0, 0]
    ordered = Range("mid", None, below=True, order=("low", "mid", "top"))
    assert ordered.met(["low", "mid", "top", None]).tolist() == [0, 0, 1, 0]
    assert OneOf(("a", "b")).met(["a", "c", None]).tolist() == [1, 0, 0]
    assert Rows((1, None)).met([2, 5]).tolist() == [0, 1]
    mean = Aggregate("mean", "x", 2.0)
    assert mean.features([1.0, None, 4.0], 3).tolist() == [-1, 0, 2]
    assert mean.reached([1.0, None, 3.0]) == 2
    assert Aggregate("sum", "x", 6.0).features([1.0, None], 3).tolist() == [-1, -2]
    assert Aggregate("share", "x", 0.5, "a").reached(["a", "b", None, "a"]) == 0.5
