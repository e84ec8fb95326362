"""Several processes that train one model: who they are, what they agree on, how they come and go.

Every decision of a run (how many steps, whether to stop, whether a step counts) is one decision of
all. Only the chief, process 0, writes. Processes are started by torchrun, or by `--nproc`.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from unfog import errors
from unfog.errors import ArgumentError, DataError, UnfogError
from unfog.train.share import Share

P = ParamSpec("P")
R = TypeVar("R")
_times_joined = itertools.count()
_BROKEN = re.compile(r"gloo|nccl|connection (closed|reset|refused)|broken pipe|socket", re.I)


class Ended(UnfogError):
    """Another process of the run ended, and this one with it. No message: that one said why."""

    exit_code = 75


@dataclass(frozen=True)
class World:
    """Which of how many processes this is, and what they can settle together.

    Each of its verbs has to be called by all processes, in the same order.
    """

    rank: int = 0
    size: int = 1

    @property
    def chief(self) -> bool:
        """Whether this is the process that writes, logs and decides."""
        return self.rank == 0

    def share(self, total: int) -> Share:
        """This process's rows of a batch. Raises ArgumentError if there are too few for all."""
        if total < self.size:
            raise ArgumentError(
                f"a batch of {total} can't be shared by {self.size} processes; use --batch "
                f"{self.size} or more, or fewer processes"
            )
        return Share(self.rank * total // self.size, (self.rank + 1) * total // self.size, total)

    def vote(self, *numbers: int) -> list[int]:
        """The largest of what any process says, number by number."""
        if self.size == 1:
            return list(numbers)
        import torch.distributed as dist

        ballot = torch.tensor(numbers, dtype=torch.int64, device=_speaks())
        dist.all_reduce(ballot, dist.ReduceOp.MAX)
        return ballot.tolist()

    def say(self, content: Any) -> Any:
        """What the chief says, as plain JSON; what the others hand in is not looked at."""
        if self.size == 1:
            return content
        import torch.distributed as dist

        text = json.dumps(content).encode() if self.chief else b""
        length = self.vote(len(text))[0]
        letters = torch.zeros(length, dtype=torch.uint8)
        if self.chief:
            letters = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        letters = letters.to(_speaks())
        dist.broadcast(letters, src=0)
        return json.loads(bytes(letters.tolist()))

    def lead(self, action: Callable[[], Any]) -> Any:
        """The chief acts; its result (JSON), or the error that it met, is everybody's."""
        if self.size == 1:
            return action()
        report: dict[str, Any] = {}
        if self.chief:
            try:
                report = {"result": action()}
            except UnfogError as error:
                self.say({"error": type(error).__name__, "said": str(error)})
                raise
        report = self.say(report)
        if "error" in report:
            raise getattr(errors, report["error"], UnfogError)(report["said"])
        return report["result"]

    def same(self, name: str, digest: str) -> None:
        """Raises DataError where the processes hold different things."""
        mine = int(digest[:15], 16)
        low, high = self.vote(-mine, mine)
        if -low != high:
            raise DataError(
                f"the processes of this run read different {name}; give all of them the same files "
                "in the same place"
            )

    def gather(self, share: Share, rows: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (n, b) of every process put together, (n, total); and the mean of a number."""
        if self.size == 1:
            return rows, mean
        import torch.distributed as dist

        every = rows.new_zeros(len(rows) * share.total + 1)
        every[:-1].view(len(rows), share.total)[:, share.start : share.stop] = rows
        every[-1] = mean / self.size
        dist.all_reduce(every)
        return every[:-1].view(len(rows), share.total), every[-1]

    def wait(self) -> None:
        """Until all processes have come here."""
        if self.size > 1:
            import torch.distributed as dist

            dist.barrier()


ALONE = World()


def here() -> World:
    """The processes of the group that is open now, else this one alone."""
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return ALONE
    return World(dist.get_rank(), dist.get_world_size())


def place(device: torch.device, world: World) -> torch.device:
    """The device of this process: one GPU each, where there are several processes."""
    if world.size == 1 or device.type != "cuda" or device.index is not None:
        return device
    local = int(os.environ.get("LOCAL_RANK", world.rank))
    mine = torch.device("cuda", local % torch.cuda.device_count())
    torch.cuda.set_device(mine)
    return mine


def threads(world: World) -> int:
    """How many threads each process may use, so that together they don't outnumber the cores."""
    here_too = min(world.size, int(os.environ.get("LOCAL_WORLD_SIZE", world.size)))
    fair = max(1, (os.cpu_count() or 1) // here_too)
    return torch.get_num_threads() if world.size == 1 else min(torch.get_num_threads(), fair)


def together(function: Callable[P, R]) -> Callable[P, R]:
    """Run a function in the process group that torchrun announces; alone without one."""

    @functools.wraps(function)
    def run(*args: P.args, **options: P.kwargs) -> R:
        with joined():
            return function(*args, **options)

    return run


@contextlib.contextmanager
def joined() -> Iterator[World]:
    """Be part of the group for a while. A group that is open already is used, and left open."""
    if here().size > 1 or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield here()
        return
    import torch.distributed as dist

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    store, rank, size = next(dist.rendezvous("env://"))
    words = dist.PrefixStore(f"unfog-{next(_times_joined)}", store)
    world = World(rank, size)
    dist.init_process_group(
        backend, store=dist.PrefixStore("group", words), rank=rank, world_size=size
    )
    try:
        yield world
        dist.barrier()  # without it gloo aborts some processes that leave while others still talk
        dist.destroy_process_group()
    except UnfogError as error:
        if _all_say(words, world, str(error)):
            dist.destroy_process_group()
            if world.chief:
                raise
            time.sleep(0.3)  # whoever ends first is the end of all: let the chief speak before
            raise _silent(error) from error
        if not world.chief:
            error.args = (f"process {rank} of {size}: {error}",)
        raise
    except RuntimeError as error:
        if not _BROKEN.search(str(error)):
            _all_say(words, world, repr(error))
            raise
        raise _lost(words, world) from error


def _all_say(words: Any, world: World, text: str, patience: float = 2.0) -> bool:
    """Leave a last word; True if within `patience` all others left the same."""
    names = [f"end-{rank}" for rank in range(world.size)]
    words.set(names[world.rank], text or "-")
    try:
        words.wait(names, timedelta(seconds=patience))
    except RuntimeError:  # a store that can't be reached is an answer too
        return False
    return len({words.get(name) for name in names}) == 1


def _silent(error: UnfogError) -> Ended:
    ended = Ended("")
    ended.exit_code = error.exit_code
    return ended


def _lost(words: Any, world: World) -> Ended:
    """What a broken connection means: another process is gone; which one, if it left no word."""
    _all_say(words, world, "lost a connection")
    try:
        silent = [r for r in range(world.size) if not words.check([f"end-{r}"])]
    except RuntimeError:
        return Ended("the store of the process group is gone; go on with --resume")
    if not silent:
        return Ended("")
    gone = ", ".join(str(rank) for rank in silent)
    return Ended(
        f"process {gone} of {world.size} ended without a word, and process {world.rank} stopped "
        "with it; go on with --resume"
    )


def _speaks() -> str:
    """Where small tensors have to be so that the group can send them."""
    import torch.distributed as dist

    return "cpu" if "gloo" in str(dist.get_backend_config()) else "cuda"
