"""Memory: what the process holds, what is free, and what one update will need."""

from __future__ import annotations

import contextlib
import pathlib
import resource
import sys
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

EVERY = 0.002
"""Seconds between two looks of `Watch`."""
COPIES = 5
"""Of the weights, while training: themselves, their gradient, their average, Adam's two moments."""
SPARE = 4
"""Copies that `Rescue` keeps on the CPU: the weights, their average, Adam's two moments."""
SAVING = 4
"""Copies of the weights that writing Adam's moments takes on top: each moment as bytes, twice."""


def peak() -> int:
    """Bytes: the most that this process has held so far."""
    try:  # what getrusage says begins, on Linux, at what the parent held when it started this one
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
        return next(int(x.split()[1]) * 1024 for x in lines if x.startswith("VmHWM"))
    except (OSError, ValueError, StopIteration):
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return held if sys.platform == "darwin" else held * 1024


def resident() -> int:
    """Bytes that this process holds now; its peak where the system doesn't say."""
    try:
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return peak()
    return pages * resource.getpagesize()


def available(device: torch.device) -> int | None:
    """Bytes that may still be taken, on the device or within this process's limits; None = unknown.

    On a CPU: what the system calls available, or less where a control group sets a limit.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + unused
    found = [value for value in (_system(), _group()) if value is not None]
    return min(found) if found else None


def _system() -> int | None:
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
        return next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable"))
    except (OSError, ValueError, StopIteration):
        return None


def _group(home: pathlib.Path = pathlib.Path("/sys/fs/cgroup")) -> int | None:
    """What a container may still take: its limit, less its use, plus file pages it can drop."""
    for limit, used, droppable in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most = int((home / limit).read_text())
            now = int((home / used).read_text())
            lines = (home / limit).with_name("memory.stat").read_text().splitlines()
        except (OSError, ValueError):  # "max" = no limit
            continue
        cached = sum(int(x.split()[1]) for x in lines if x.startswith(f"{droppable} "))
        return max(0, most - now + cached)
    return None


class Watch:
    """The most memory held while it is open, in bytes, by looking now and then.

    Attributes: peak: of the process, or on cuda of the tensors there.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        while not self._over.wait(EVERY):
            self.peak = max(self.peak, resident())

    def __enter__(self) -> Watch:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self.peak = resident()
            self._thread.start()
        return self

    def __exit__(self, *stop: object) -> None:
        if self.device.type == "cuda":
            self.peak = torch.cuda.max_memory_allocated(self.device)
        else:
            self._over.set()
            self._thread.join()


def weights(module: nn.Module) -> int:
    """Bytes of the parameters."""
    return sum(p.numel() * p.element_size() for p in module.parameters())


@contextlib.contextmanager
def kept(module: nn.Module) -> Iterator[dict[int, int]]:
    """What autograd keeps for the backward pass: storage address → bytes, the weights left out."""
    own = {p.untyped_storage().data_ptr() for p in module.parameters()}
    seen: dict[int, int] = {}
    alive: list[Any] = []  # so that no address is used twice

    def note(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
            alive.append(storage)
        return value

    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        yield seen


def size(bytes_: float) -> str:
    """1.2 GB or 340 MB, in powers of ten."""
    return f"{bytes_ / 1e9:.1f} GB" if bytes_ >= 1e9 else f"{bytes_ / 1e6:.0f} MB"
