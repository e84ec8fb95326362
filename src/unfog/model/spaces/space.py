"""What every space is: into, back, what it keeps, and how much it loses."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from unfog.errors import ArgumentError, DataError, RunError, ShapeError, UnknownName
from unfog.maths.randomness import BatchRng
from unfog.registry import Registry, unknown

S = TypeVar("S", bound="Space")
spaces: Registry[type[Space]] = Registry("space")

ROWS = 20_000  # a fit reads at most so many rows …
ENTRIES = 1 << 27  # … and at most so many numbers (512 MiB of float32)


@dataclass(frozen=True, eq=False)
class Space:
    """Base of all spaces, u = scale · analyse(x); a member states `analyse` and `synthesise`.

    Args:
        data_shape: one item of x, without the batch axis.     shape: one item of u.
        scale: the one number between the units of x and of u.
        std: standard deviation of u over the fitted rows: root of the mean variance of its entries.
        error: share of the data's variance that back(into(x)) loses, on rows not used in the fit.
    """

    data_shape: tuple[int, ...]
    shape: tuple[int, ...]
    scale: float = 1.0
    std: float = 1.0
    error: float = 0.0

    @property
    def linear(self) -> bool:
        """Whether into is linear up to a fixed offset, so that straight paths stay straight."""
        return True

    @property
    def orthogonal(self) -> bool:
        """Whether into keeps inner products up to scale², so that white noise stays white."""
        return True

    @property
    def lossless(self) -> bool:
        """Whether back(into(x)) = x for every x, not only for data like the fitted."""
        return True

    @property
    def unheld(self) -> float:
        """Root mean square, in units of x, of what back(into(x)) loses of data like the fitted.

        Of orthogonal spaces; a measurement of x trusted closer than that bends what is drawn to
        fit what no latent is.
        """
        share = math.prod(self.shape) / math.prod(self.data_shape)
        held = share * (self.std / self.scale) ** 2
        return math.sqrt(self.error / (1 - self.error) * held) if self.error < 1 else 0.0

    @property
    def log_volume(self) -> float:
        """log of how much `into` stretches volumes, along the directions that it keeps."""
        return math.prod(self.shape) * math.log(self.scale)

    def analyse(self, x: Tensor) -> Tensor:
        """(B, *data_shape) -> (B, *shape), before the scale."""
        raise TypeError(f"{type(self).__name__} must define analyse")

    def synthesise(self, u: Tensor) -> Tensor:
        """(B, *shape) -> (B, *data_shape), the inverse of `analyse`."""
        raise TypeError(f"{type(self).__name__} must define synthesise")

    def into(self, x: Tensor) -> Tensor:
        """Data (B, *data_shape) to latents (B, *shape). Raises ShapeError."""
        return self.analyse(_checked("into", x, self.data_shape)) * self.scale

    def back(self, u: Tensor) -> Tensor:
        """Latents (B, *shape) to data (B, *data_shape); differentiable. Raises ShapeError."""
        return self.synthesise(_checked("back", u, self.shape) / self.scale)

    def config(self) -> dict[str, Any]:
        """Everything but the tensors, as JSON values; `build` makes the space again."""
        options = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if not isinstance(getattr(self, field.name), Tensor)
        }
        listed = {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}
        name = next(row.name for row in spaces if row.make is type(self))
        return {"name": name, **listed}

    def tensors(self) -> dict[str, Tensor]:
        """The fitted tensors, for safetensors."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {k: v.contiguous() for k, v in values.items() if isinstance(v, Tensor)}

    @classmethod
    def from_config(cls: type[S], config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> S:
        """The inverse of `config` and `tensors`. Raises RunError for a part too many or too few."""
        parts: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in config.items()
        }
        parts.pop("name", None)
        parts |= tensors
        wanted = {field.name for field in dataclasses.fields(cls)}
        if set(parts) != wanted:
            raise RunError(
                f"a saved {cls.__name__.lower()} space needs {sorted(wanted)}; this one has "
                f"{sorted(parts)}"
            )
        return cls(**parts)

    def to(self: S, device: torch.device | str) -> S:
        """The same space with its tensors on `device`."""
        moved: dict[str, Any] = {k: v.to(device) for k, v in self.tensors().items()}
        return dataclasses.replace(self, **moved)

    def measured(self: S, found: float, held_out: Tensor, std: float | None) -> S:
        """This space with its scale, std and error filled in.

        Args:
            found: the latent's standard deviation over the fitted rows, at scale 1.
            std: what it becomes; None leaves its units alone.
        """
        if std is not None and not found > 0:
            raise DataError(
                f"the rows do not vary, so they can't be scaled to a standard deviation of {std}; "
                "give data that differs, or std=None"
            )
        scale = 1.0 if std is None else std / found
        scaled = dataclasses.replace(self, scale=scale, std=found if std is None else float(std))
        return dataclasses.replace(scaled, error=lost(scaled, held_out))


def fit(name: str, x: Tensor, **options: Any) -> Space:
    """Fit the space `name` on x, (N, *D), with that member's own options.

    Raises: UnknownName for a name or option that does not exist, with the nearest one.
    """
    member: Any = spaces[name]
    known = [key for key in inspect.signature(member.fit).parameters if key != "x"]
    for option in options:
        if option not in known:
            raise UnknownName(unknown(f"option of space {name!r}", option, known))
    return member.fit(x, **options)


def build(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Space:
    """The space that `config()` and `tensors()` describe."""
    if "name" not in config:
        raise ArgumentError(f"a space needs a name; got {dict(config)!r}")
    return spaces[config["name"]].from_config(config, tensors)


def spread(u: Tensor) -> float:
    """Root of the mean variance of the entries of (N, *D): equal in all orthogonal coordinates."""
    return u.var(0, correction=0).mean(dtype=torch.float64).sqrt().item()


def lost(space: Space, x: Tensor) -> float:
    """Share of the variance of x, (N, *D), that back(into(x)) loses; who keeps the mean loses 1."""
    away = gone = 0.0
    mean = x.mean(0)
    for rows in x.split(1024):  # a big validation split need not exist three times in memory
        gone += (space.back(space.into(rows)) - rows).double().square().sum().item()
        away += (rows - mean).double().square().sum().item()
    return gone / away if away > 0 else float(gone > 0)


def parted(
    x: Tensor, held_out: Tensor | None, std: float | None, seed: int
) -> tuple[Tensor, Tensor]:
    """The rows to fit on, in random order, and the rows to measure the error on.

    Without `held_out` a tenth of x, at most 1000 rows, is set aside and never fitted on.

    Raises: DataError for fewer than two rows or numbers that are not finite.
    """
    if std is not None and not (math.isfinite(std) and std > 0):
        raise ArgumentError(f"std must be a positive number, or None to leave units; got {std}")
    if x.ndim < 2:
        raise ShapeError(f"a space is fitted on (N, *D) with D; got shape {tuple(x.shape)}")
    if held_out is not None and held_out.shape[1:] != x.shape[1:]:
        raise ShapeError(
            f"held_out has items of {tuple(held_out.shape[1:])}, x of {tuple(x.shape[1:])}"
        )
    if len(x) < 2 or (held_out is not None and not len(held_out)):
        raise DataError(f"a space needs two rows or more, and one held out; got {len(x)}")
    order = BatchRng(seed, 1).uniform(torch.empty(len(x))).argsort().to(x.device)
    if held_out is None:
        aside = max(1, min(1000, len(x) // 10))
        held_out, order = x[order[:aside]], order[aside:]
    most = max(2, ENTRIES // max(1, x[0].numel()))
    rows = x[order[: min(ROWS, most)]]
    for what, values in (("x", rows), ("held_out", held_out)):
        if not bool(values.isfinite().all()):
            raise DataError(
                f"{what} has {int((~values.isfinite()).sum())} values that are NaN or infinite; a "
                "space is fitted on finite numbers, so fill or drop these first"
            )
    return rows.float(), held_out.float()


def _checked(verb: str, value: Tensor, shape: tuple[int, ...]) -> Tensor:
    if tuple(value.shape[1:]) != shape:
        raise ShapeError(f"{verb} needs (B, {', '.join(map(str, shape))}); got {value.shape}")
    return value
