"""Operators: what a measurement sees of data, y = A(x) + noise.

Each takes a batch (B, *D) to (B, *M), sample by sample, and is differentiable. `axes` count from
the sample's first axis: of images (B, C, H, W) the axes 1 and 2 are height and width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from unfog.errors import ArgumentError, ShapeError
from unfog.maths.states import expand
from unfog.registry import Registry, unknown

operators: Registry[type] = Registry("operator")


@dataclass(frozen=True, eq=False)
class Operator:
    """Base of all operators; a member states `__call__`."""

    @property
    def linear(self) -> bool:
        """Whether A(a x + b x') = a A(x) + b A(x')."""
        return True

    def __call__(self, x: Any) -> Tensor:
        raise TypeError(f"{type(self).__name__} must define __call__")

    def adjoint(self, y: Tensor, like: Any) -> Any:
        """A' y, of `like`'s shape: <A x, y> = <x, A' y>; of a curved A its derivative at `like`."""
        return transposed(self, like)[1](y)


def transposed(see: Callable[[Any], Tensor], x: Any) -> tuple[Tensor, Callable[[Tensor], Any]]:
    """see(x), and v -> the transpose of its derivative at x times v."""
    seen, pull = torch.func.vjp(see, x)[:2]
    return seen, lambda v: pull(v)[0]


def _axes(axes: tuple[int, ...] | None, x: Tensor) -> tuple[int, ...]:
    """Axes of the batch; all after the channels where None, or the only one."""
    if axes is None:
        return tuple(range(min(2, x.ndim - 1), x.ndim))
    if not axes or any(not 0 <= axis < x.ndim - 1 for axis in axes):
        raise ShapeError(
            f"axes of a sample of shape {tuple(x.shape[1:])} are 0 to {x.ndim - 2}; got {axes}"
        )
    return tuple(axis + 1 for axis in axes)


@operators.add("mask", aliases=("inpaint",), reference="Song et al. 2021, Score SDEs, app. I.2")
@dataclass(frozen=True, eq=False)
class Mask(Operator):
    """Only some entries are seen; the others read 0.

    Args:
        keep: 1 = seen; of a sample's shape or a left-aligned part of it, or with the batch in
            front of all axes.
    """

    keep: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        keep = self.keep if self.keep.ndim == x.ndim else self.keep[None]
        try:
            return x * expand(keep.to(x), x)
        except RuntimeError as error:
            raise ShapeError(
                f"a mask of shape {tuple(self.keep.shape)} does not fit samples of shape "
                f"{tuple(x.shape[1:])}"
            ) from error


@operators.add("blur", aliases=("deblur",), reference="Kawar et al. 2022, DDRM, sec. 5")
@dataclass(frozen=True, eq=False)
class Blur(Operator):
    """A weighted mean over near entries; the edge is continued by its own value.

    Args:
        width: standard deviation of a Gaussian, in entries; cut off at four of it.
        kernel: instead, the weights, one axis per blurred axis, each of odd size.
        axes: which are blurred; all after the channels where None.
    """

    width: float = 1.0
    kernel: Tensor | None = None
    axes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.kernel is None and not (self.width > 0 and math.isfinite(self.width)):
            raise ArgumentError(f"a blur's width is a positive number; got {self.width}")
        if self.kernel is not None and any(size % 2 == 0 for size in self.kernel.shape):
            raise ArgumentError(
                f"a kernel has an odd size along each axis, so that it has a centre; got "
                f"{tuple(self.kernel.shape)}"
            )

    def __call__(self, x: Tensor) -> Tensor:
        axes = _axes(self.axes, x)
        if self.kernel is None:
            reach = max(1, math.ceil(4 * self.width))
            away = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
            line = torch.softmax(-away.square() / (2 * self.width**2), 0)
            for axis in axes:
                x = _correlate(x, line, (axis,))
            return x
        if self.kernel.ndim != len(axes):
            raise ShapeError(
                f"the kernel has {self.kernel.ndim} axes, and {len(axes)} axes are blurred"
            )
        return _correlate(x, self.kernel.to(x), axes)


def _correlate(x: Tensor, kernel: Tensor, axes: tuple[int, ...]) -> Tensor:
    """x with each entry replaced by the kernel's sum around it, over these axes."""
    moved = x.movedim(axes, tuple(range(-len(axes), 0)))
    for axis, size in enumerate(kernel.shape, moved.ndim - len(axes)):
        length = moved.shape[axis]
        index = torch.arange(-(size // 2), length + size // 2, device=x.device).clamp(0, length - 1)
        moved = moved.index_select(axis, index)
    grid = moved.shape[-len(axes) :]
    conv = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}.get(len(axes))
    if conv is None:
        raise ShapeError(f"a kernel has 1 to 3 axes; got {len(axes)}")
    seen = conv(moved.reshape(-1, 1, *grid), kernel[None, None])
    seen = seen.reshape(*moved.shape[: -len(axes)], *seen.shape[2:])
    return seen.movedim(tuple(range(-len(axes), 0)), axes)


@operators.add(
    "downsample",
    aliases=("super_resolution",),
    reference="Chung et al. 2023, DPS, sec. 4 (block means)",
)
@dataclass(frozen=True, eq=False)
class Downsample(Operator):
    """Means of blocks of `factor` entries along each axis.

    Args:
        factor: how many times fewer entries.     axes: as for blur.
    """

    factor: int = 2
    axes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.factor, int) or self.factor < 2:
            raise ArgumentError(f"a factor is a whole number, 2 or more; got {self.factor!r}")

    def __call__(self, x: Tensor) -> Tensor:
        for axis in _axes(self.axes, x):
            if x.shape[axis] % self.factor:
                raise ShapeError(
                    f"an axis of {x.shape[axis]} entries has no blocks of {self.factor}; crop or "
                    "pad it first, or take a factor that divides it"
                )
            x = x.unflatten(axis, (-1, self.factor)).mean(axis + 1)
        return x


@operators.add("fourier", aliases=("mri",), reference="Lustig et al. 2007, Sparse MRI, sec. 2")
@dataclass(frozen=True, eq=False)
class Fourier(Operator):
    """Fourier coefficients (orthonormal), the real and imaginary part as a last axis of 2.

    Args:
        keep: which coefficients are seen, of the transformed axes' shape; all where None.
        axes: as for blur.
    """

    keep: Tensor | None = None
    axes: tuple[int, ...] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        axes = _axes(self.axes, x)
        seen = torch.view_as_real(torch.fft.fftn(x, dim=axes, norm="ortho"))
        if self.keep is None:
            return seen
        sizes = tuple(x.shape[axis] for axis in axes)
        if tuple(self.keep.shape) != sizes:
            raise ShapeError(f"keep must be {sizes}, like the axes; got {tuple(self.keep.shape)}")
        shape = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
        return seen * self.keep.to(x).reshape(*shape, 1)


@operators.add(
    "magnitude", aliases=("phase", "phase_retrieval"), reference="Chung et al. 2023, DPS, eq. 18"
)
@dataclass(frozen=True, eq=False)
class Magnitude(Operator):
    """Sizes of the Fourier coefficients (orthonormal): the phase is lost. Not linear.

    Args:
        pad: zeros appended, as a multiple of each axis; 1 makes the image recoverable up to a flip.
        axes: as for blur.
    """

    pad: float = 1.0
    axes: tuple[int, ...] | None = None

    @property
    def linear(self) -> bool:
        return False

    def __call__(self, x: Tensor) -> Tensor:
        axes = _axes(self.axes, x)
        sizes = [x.shape[axis] + round(self.pad * x.shape[axis]) for axis in axes]
        seen = torch.view_as_real(torch.fft.fftn(x, s=sizes, dim=axes, norm="ortho"))
        # the size of 0 has no derivative; the smallest number keeps it finite
        return (seen.square().sum(-1) + torch.finfo(x.dtype).tiny).sqrt()


@operators.add("matrix", aliases=("linear",), reference="any linear map of the flattened sample")
@dataclass(frozen=True, eq=False)
class Matrix(Operator):
    """A matrix times the flattened sample.

    Args:
        matrix: (M, D).
    """

    matrix: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        if self.matrix.ndim != 2 or self.matrix.shape[1] != flat.shape[1]:
            raise ShapeError(
                f"the matrix must be (M, {flat.shape[1]}) for samples of shape "
                f"{tuple(x.shape[1:])}; got {tuple(self.matrix.shape)}"
            )
        return flat @ self.matrix.to(x).mT


@operators.add("sum", reference="a constraint on a total")
@dataclass(frozen=True, eq=False)
class Sum(Operator):
    """The sum over all entries, or over some axes.

    Args:
        axes: which; all where None.
    """

    axes: tuple[int, ...] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(1).sum(1) if self.axes is None else x.sum(_axes(self.axes, x))


@operators.add("mean", reference="a constraint on an average")
@dataclass(frozen=True, eq=False)
class Mean(Operator):
    """The mean over all entries, or over some axes.

    Args:
        axes: which; all where None.
    """

    axes: tuple[int, ...] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(1).mean(1) if self.axes is None else x.mean(_axes(self.axes, x))


@operators.add("field", reference="an operator on one part of a state of named fields")
@dataclass(frozen=True, eq=False)
class Field(Operator):
    """One field of a state of several, seen by another operator.

    Args:
        name: of the field.     operator: what sees it; the field itself where None.
    """

    name: str
    operator: Callable[[Tensor], Tensor] | None = None

    @property
    def linear(self) -> bool:
        return self.operator is None or bool(getattr(self.operator, "linear", False))

    def __call__(self, x: dict[str, Tensor]) -> Tensor:
        if self.name not in x:
            raise ShapeError(unknown("field", self.name, x))
        value = x[self.name]
        return value if self.operator is None else self.operator(value)
