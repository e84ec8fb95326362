"""Batches from a thread: the same ones in the same order, no thread left, no error lost."""

import threading
import time

import numpy as np
import pytest
import torch

from unfog.train.ahead import DEPTH, ahead, prefetched
from unfog.train.batches import Batches
from unfog.train.share import Share


def threads():
    return [one for one in threading.enumerate() if one.name == "batches"]


def test_items_come_prepared_and_in_order():
    assert list(prefetched(iter(range(50)), lambda n: n * n)) == [n * n for n in range(50)]
    assert list(prefetched(iter(()), lambda n: n)) == []
    assert not threads()


def test_it_is_no_further_ahead_than_it_may_be():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    coming = prefetched(items(), lambda n: n)
    for asked in range(5):
        assert next(coming) == asked
        time.sleep(0.05)
        assert len(taken) <= asked + 1 + DEPTH + 1  # those that wait, and one in its hand
    coming.close()
    assert not threads()


def test_items_are_prepared_while_the_last_one_is_used():
    def slow(number):
        time.sleep(0.05)
        return number

    begun = time.perf_counter()
    for _ in prefetched(iter(range(10)), slow):
        time.sleep(0.05)
    assert time.perf_counter() - begun < 0.85  # one after the other takes a second
    assert not threads()


@pytest.mark.parametrize("where", ["item", "prepare"])
def test_an_error_comes_where_its_item_would_have_come(where):
    def items():
        yield from range(3)
        if where == "item":
            raise OSError("the disk is gone")
        yield 3

    def prepare(number):
        if number == 3:
            raise OSError("the disk is gone")
        return number

    coming = prefetched(items(), prepare)
    assert [next(coming) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(coming)
    assert not threads()


def test_a_loop_that_ends_early_leaves_no_thread():
    for number in prefetched(iter(range(10**9)), lambda n: n):
        if number == 3:
            break
    deadline = time.monotonic() + 5
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not threads()


def batches():
    data = torch.from_numpy(np.random.default_rng(0).normal(size=(40, 3)).astype("float32"))
    return Batches(
        40, 8, 0, lambda index: (data[torch.from_numpy(index)], {"label": data[index, :1]})
    )


def same(one, other):
    pairs = [(one.x, other.x), (one.cond["label"], other.cond["label"])]
    return all(torch.equal(a.cpu(), b.cpu()) for a, b in pairs) and one.z is other.z is None


def test_a_processor_gets_its_batches_when_it_asks():
    coming = ahead(batches().since(3, Share(0, 4, 8)), torch.device("cpu"))
    for _, found, expected in zip(
        range(12), coming, batches().since(3, Share(0, 4, 8)), strict=False
    ):
        assert same(found, expected)
        assert not threads()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no cuda device here")
def test_a_gpu_gets_the_same_batches_on_it():
    device = torch.device("cuda")
    for _, found, expected in zip(
        range(40), ahead(batches().since(0), device), batches().since(0), strict=False
    ):
        assert found.x.device.type == "cuda"
        assert same(found, expected)
