"""Named fields, each on its own path, on one clock: a mixed table, a molecule, a pose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unfog.errors import ArgumentError, ShapeError
from unfog.maths.affine import Affine, Noised, Path
from unfog.maths.paths import Linear
from unfog.maths.randomness import Rng
from unfog.registry import unknown


@dataclass(frozen=True)
class Product:
    """A dict of paths; its state is a dict of tensors with the same names.

    Args:
        fields: name -> path. The order of names is the order of random draws.
    """

    fields: Mapping[str, Path]

    def __post_init__(self) -> None:
        if not self.fields:
            raise ArgumentError("a Product needs at least one field; got none")

    @property
    def affine(self) -> bool:
        return all(path.affine for path in self.fields.values())

    @property
    def clock(self) -> Affine:
        """The affine path whose noise levels times and grids are laid out by: the first one, or
        the linear path where no field has one.
        """
        found = (path for path in self.fields.values() if isinstance(path, Affine))
        return next(found, Linear())

    def alpha(self, t: Tensor) -> Tensor:
        """The clock's; with the next six, what times, grids and weights of the loss ask a path."""
        return self.clock.alpha(t)

    def sigma(self, t: Tensor) -> Tensor:
        """The clock's."""
        return self.clock.sigma(t)

    def alpha_rate(self, t: Tensor) -> Tensor:
        """The clock's."""
        return self.clock.alpha_rate(t)

    def sigma_rate(self, t: Tensor) -> Tensor:
        """The clock's."""
        return self.clock.sigma_rate(t)

    def log_snr(self, t: Tensor) -> Tensor:
        """The clock's."""
        return self.clock.log_snr(t)

    def angle(self, t: Tensor) -> Tensor:
        """The clock's."""
        return self.clock.angle(t)

    def time_at(self, log_ratio: Tensor) -> Tensor:
        """The clock's."""
        return self.clock.time_at(log_ratio)

    def time_at_angle(self, angle: Tensor) -> Tensor:
        """The clock's."""
        return self.clock.time_at_angle(angle)

    def _field(self, values: Any, name: str) -> Any:
        if values is None:
            return None
        if not isinstance(values, Mapping):
            raise ShapeError(
                f"a state of a Product is a dict of {list(self.fields)}; got {type(values)}"
            )
        for known in values:
            if known not in self.fields:
                raise ShapeError(unknown("field", known, self.fields))
        return values.get(name)

    def _state(self, values: Any, name: str) -> Any:
        field = self._field(values, name)
        if field is None:
            raise ShapeError(f"the state has no field {name!r}; it needs {list(self.fields)}")
        return field

    def prior(
        self, like: Any, *, rng: Rng, mask: Any = None, cond: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """The prior of every field."""
        return {
            name: path.prior(
                self._state(like, name), rng=rng, mask=self._field(mask, name), cond=cond
            )
            for name, path in self.fields.items()
        }

    def corrupt(
        self, x: Any, t: Tensor, *, rng: Rng, z: Any = None, mask: Any = None, keep: Any = None
    ) -> Noised:
        """Every field corrupted at the same t; `mask`, `keep`, `z` are dicts, a missing name is
        None.
        """
        parts = {
            name: path.corrupt(
                self._state(x, name),
                t,
                rng=rng,
                z=self._field(z, name),
                mask=self._field(mask, name),
                keep=self._field(keep, name),
            )
            for name, path in self.fields.items()
        }
        return Noised({n: p.x_t for n, p in parts.items()}, {n: p.z for n, p in parts.items()}, t)

    def move(
        self,
        x_t: Any,
        x_hat: Any,
        t: float | Tensor,
        s: float | Tensor,
        *,
        eta: float = 0.0,
        rng: Rng | None = None,
        mask: Any = None,
    ) -> dict[str, Tensor]:
        """Every field moved from t to s."""
        return {
            name: path.move(
                self._state(x_t, name),
                self._state(x_hat, name),
                t,
                s,
                eta=eta,
                rng=rng,
                mask=self._field(mask, name),
            )
            for name, path in self.fields.items()
        }

    def renoise(
        self, x_s: Any, s: float | Tensor, t: float | Tensor, *, rng: Rng, mask: Any = None
    ) -> dict[str, Tensor]:
        """Every field taken up from s to t."""
        return {
            name: path.renoise(self._state(x_s, name), s, t, rng=rng, mask=self._field(mask, name))
            for name, path in self.fields.items()
        }


def fieldwise(path: Any, function: Callable[..., Any], first: Any, *others: Any) -> Any:
    """function(path, values…) for a plain path; for a Product the same, field by field."""
    if not isinstance(path, Product):
        return function(path, first, *others)
    return {
        name: function(member, first[name], *(None if o is None else o[name] for o in others))
        for name, member in path.fields.items()
    }
