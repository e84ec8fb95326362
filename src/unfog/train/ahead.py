"""Batches made ready on a thread of their own while the device computes the one before."""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from unfog.train.batches import Batch, moved

T = TypeVar("T")
U = TypeVar("U")
DEPTH = 2
"""Batches that wait, at most."""
WAIT = 0.1
"""Seconds after which a thread that waits for room looks whether anybody is there to take them."""


def ahead(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """The same batches in the same order, on `device`.

    On cuda the next ones are fetched, pinned and sent while the device is at work; on other devices
    nothing is gained by that, and each comes when it is asked for.
    """
    if device.type != "cuda":
        for batch in batches:
            yield _each(lambda v: v.to(device, non_blocking=True), batch)
        return
    stream = torch.cuda.Stream(device)

    def sent(batch: Batch) -> tuple[Batch, torch.cuda.Event]:
        with torch.cuda.stream(stream):
            there = _each(lambda v: v.pin_memory().to(device, non_blocking=True), batch)
            arrived = torch.cuda.Event()
            arrived.record(stream)
        return there, arrived

    for batch, arrived in prefetched(batches, sent):
        current = torch.cuda.current_stream(device)
        current.wait_event(arrived)
        _each(functools.partial(_used_on, current), batch)
        yield batch


def prefetched(items: Iterator[T], prepare: Callable[[T], U], *, depth: int = DEPTH) -> Iterator[U]:
    """prepare(item) of every item in order, worked out on a thread that is `depth` items ahead.

    What is raised there is raised here, where that item would have come. Closing this generator
    ends the thread.
    """
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    wanted = threading.Event()
    wanted.set()

    def put(word: str, value: Any) -> bool:
        while wanted.is_set():
            try:
                ready.put((word, value), timeout=WAIT)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put("item", prepare(item)):
                    return
            put("end", None)
        except BaseException as error:
            put("error", error)

    thread = threading.Thread(target=work, name="batches", daemon=True)
    thread.start()
    try:
        while True:
            word, value = ready.get()
            if word == "error":
                raise value
            if word == "end":
                return
            yield value
    finally:
        wanted.clear()
        thread.join()


def _each(move: Callable[[Tensor], Tensor], batch: Batch) -> Batch:
    """A batch with every tensor of it moved."""
    parts = {name: moved(getattr(batch, name), move) for name in ("x", "cond", "z", "keep")}
    return replace(batch, **parts)


def _used_on(stream: Any, value: Tensor) -> Tensor:
    """The same tensor, whose memory is not used again before `stream` is done with it."""
    value.record_stream(stream)
    return value
