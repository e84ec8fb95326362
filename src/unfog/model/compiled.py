"""A net's answer through torch's compiler, for training; without it from where that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from unfog.errors import ArgumentError, out_of_memory

WAYS = ("no", "kernels", "graphs")
"""As it is; kernels written for the net; on cuda these recorded and launched as one graph."""


class Compiled:
    """net(*inputs), compiled at its first call, for the shapes that it sees.

    Args:
        net: any module; its weights are shared.
        way: "kernels" or "graphs".

    Attributes:
        failed: the first line of what the compiler said where it did not manage; the net itself
            answers from then on. None while it works.

    Raises: ArgumentError for another way.  Ref: Ansel et al. 2024, PyTorch 2.
    """

    def __init__(self, net: nn.Module, way: str):
        if way not in WAYS[1:]:
            raise ArgumentError(f"a net is compiled to {' or '.join(WAYS[1:])}; got {way!r}")
        self.net, self.way = net, way
        self.failed: str | None = None
        mode = "reduce-overhead" if way == "graphs" else None
        self.fast: Callable[..., Any] = torch.compile(net, dynamic=False, mode=mode)

    def __call__(self, *inputs: Any) -> Any:
        if self.failed is not None:
            return self.net(*inputs)
        if self.way == "graphs":
            torch.compiler.cudagraph_mark_step_begin()  # the last update's answers may go
        try:
            return self.fast(*inputs)
        except Exception as error:  # compilers fail in many ways, and the net needs none
            if out_of_memory(error):
                raise
            self.failed = (str(error).strip() or type(error).__name__).splitlines()[0]
        return self.net(*inputs)
