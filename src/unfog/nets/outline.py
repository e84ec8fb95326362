"""A net's outline: its parts and their shapes, with no memory behind them, whatever the size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

FILLING = frozenset(
    {
        Tensor.normal_,
        Tensor.uniform_,
        Tensor.fill_,
        Tensor.zero_,
    }
)
"""What initialises a weight; of weights that are not there, nothing is left of it."""


class _Unfilled(TorchFunctionMode):
    """Leaves weights as they are.

    To work out what a fill does to nothing, torch loads its compiler: 1.7 CPU-seconds, once.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func in FILLING:
            return args[0]
        if getattr(func, "__module__", "") == nn.init.__name__:
            return args[0] if args else (kwargs or {})["tensor"]
        if func is torch.logspace:  # the same, for a row of numbers
            return torch.empty(int(args[2]))
        return func(*args, **(kwargs or {}))


@contextmanager
def outline() -> Iterator[None]:
    """Within, what is built has shapes only: it is on the device "meta"."""
    with torch.device("meta"), _Unfilled():
        yield
