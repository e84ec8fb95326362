"""Numbers of a column ↔ standard normal scores: the values exact where they repeat, no end cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, from_numpy

from unfog.errors import RunError
from unfog.kinds.table.lattice import EXACT, Lattice
from unfog.kinds.table.quantiles import Quantiles

ROOM = 960  # powers of two: slopes stay finite up to here
LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class Number:
    """One column of numbers, dates or durations on a Gaussian path.

    Attributes:
        dtype: of the values.
        quantiles: of k on the lattice, or of values / 2^exponent without one.
        lattice: the evenly spaced values that the column keeps to, or None.
        exponent: of a power of two that brings extreme values back into range; mostly 0.
        exact: (S,) int64, k of the spikes where float64 can't tell neighbours apart, or None.
    """

    dtype: np.dtype
    quantiles: Quantiles
    lattice: Lattice | None
    exponent: int = 0
    exact: np.ndarray | None = None

    @classmethod
    def fit(cls, values: np.ndarray) -> Number:
        """Learn from the known training values (N,), finite."""
        lattice = Lattice.find(values)
        signed = values.astype(np.float64) if values.dtype.kind in "fi" else None
        if lattice is None:
            exponent = _surplus(values)
            walls = _walls(signed, 0.0, 0.0)
            return cls(
                values.dtype,
                Quantiles.fit(np.ldexp(values, -exponent), walls=walls),
                None,
                exponent,
            )
        k = lattice.into(values)
        zero = lattice.zero()
        # a strict sign is kept after rounding to the lattice too, hence the walls half a step off
        walls = _walls(signed, np.floor(zero) + 0.5 + 1e-9, np.ceil(zero) - 0.5 - 1e-9, on=zero)
        quantiles = Quantiles.fit(k.astype(np.float64), width=1.0, walls=walls)
        exact = None
        if np.abs(k.astype(np.float64)).max() >= EXACT:
            whole, counts = np.unique(k, return_counts=True)
            order = np.argsort(
                counts, kind="stable"
            )  # of integers equal as floats the most frequent
            most = dict(zip(whole[order].astype(np.float64).tolist(), whole[order].tolist()))
            exact = np.array([most.get(x, 0) for x in quantiles.left.tolist()], dtype=np.int64)
        return cls(values.dtype, quantiles, lattice, 0, exact)

    def encode(self, values: np.ndarray, chance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values (B,) and uniform draws (B,) → float32 scores; and False where the column can't
        say a value, so that the nearest one that it can stands for it.
        """
        if self.lattice is None:
            return self.quantiles.into(np.ldexp(values, -self.exponent), chance)
        k = self.lattice.into(values)
        centre = k.astype(np.float64)
        scores, taken = self.quantiles.into(centre, chance)
        piece = np.clip(np.searchsorted(self.quantiles.left, centre, "right") - 1, 0, None)
        spike = self.quantiles.flat[piece] & (self.quantiles.left[piece] == centre)
        spread, _ = self.quantiles.into(centre + chance - 0.5, chance)
        good = ~spike & (self._whole(spread) == k)
        scores = np.where(good, spread, scores)
        return scores, taken & (self.lattice.back(k, self.dtype) == values)

    def decode(self, scores: np.ndarray) -> np.ndarray:
        """(B,) finite scores → values in the column's dtype."""
        z = scores.astype(np.float64)
        if self.lattice is not None:
            return self.lattice.back(self._whole(z), self.dtype)
        x = self.quantiles.back(z)
        with np.errstate(over="ignore"):
            return np.clip(np.ldexp(x, self.exponent), -LARGEST, LARGEST)

    def _whole(self, scores: np.ndarray) -> np.ndarray:
        """Scores → k."""
        z = scores.astype(np.float64)
        k = np.rint(np.clip(self.quantiles.back(z), -(2.0**63), 2.0**63 - 1024)).astype(np.int64)
        if self.exact is None:
            return k
        piece = self.quantiles.piece(z)
        return np.where(self.quantiles.flat[piece], self.exact[piece], k)

    def to_json(self) -> dict[str, Any]:
        """Everything but the pieces of the quantile function."""
        lattice = self.lattice
        return {
            "dtype": self.dtype.str,
            "exponent": self.exponent,
            "lattice": None if lattice is None else [lattice.base, lattice.step, lattice.decimals],
            "slopes": list(self.quantiles.slopes),
            "walls": list(self.quantiles.walls),
        }

    def tensors(self) -> dict[str, Tensor]:
        """The pieces, float64, and exact spikes, int64."""
        q = self.quantiles
        parts = {"edges": q.edges, "left": q.left, "right": q.right}
        if self.exact is not None:
            parts["exact"] = self.exact
        return {name: from_numpy(np.ascontiguousarray(part)) for name, part in parts.items()}

    @classmethod
    def from_json(cls, config: dict[str, Any], tensors: dict[str, Tensor]) -> Number:
        """The inverse of `to_json` and `tensors`. Raises: RunError for pieces that don't fit."""
        edges, left, right = (tensors[name].numpy() for name in ("edges", "left", "right"))
        slopes = tuple(float(slope) for slope in config["slopes"])
        walls = tuple(None if wall is None else float(wall) for wall in config["walls"])
        sound = (
            all(part.dtype == np.float64 and part.ndim == 1 for part in (edges, left, right))
            and len(edges) == len(left) + 1 == len(right) + 1 > 1
            and all(np.isfinite(part).all() for part in (edges, left, right, slopes))
            and (np.diff(edges) > 0).all()
            and (left <= right).all()
            and (right[:-1] <= left[1:]).all()
            and len(slopes) == len(walls) == 2
            and min(slopes) >= 0
        )
        if not sound:
            raise RunError("the codec's quantiles do not rise from piece to piece; fit again")
        lattice = None if config["lattice"] is None else Lattice(*map(int, config["lattice"]))
        if lattice is not None and lattice.step < 1:
            raise RunError(f"the codec's step between values is {lattice.step}; fit again")
        exact = tensors["exact"].numpy() if "exact" in tensors else None
        if exact is not None and (exact.dtype != np.int64 or exact.shape != left.shape):
            raise RunError("the codec's exact values do not fit its quantiles; fit again")
        quantiles = Quantiles(edges, left, right, slopes, walls)  # type: ignore[arg-type]
        return cls(np.dtype(config["dtype"]), quantiles, lattice, int(config["exponent"]), exact)


def _surplus(values: np.ndarray) -> int:
    """The power of two that brings extreme numbers back to where slopes neither overflow nor
    lose digits; 0 for all others.
    """
    power = int(np.frexp(np.abs(values).max())[1])
    return power - ROOM if power > ROOM else min(power + ROOM, 0)


def _walls(
    values: np.ndarray | None, lower: float, upper: float, on: float = 0.0
) -> tuple[float | None, float | None]:
    """A wall at 0 below numbers that are never negative, above numbers that are never positive.

    Args:
        values: numbers with a sign, or None (dates).     on: where 0 lies on the map's axis.
        lower, upper: the walls for numbers that are never 0.
    """
    if values is None:
        return None, None
    low, high = values.min(), values.max()
    return (
        float(lower if low > 0 else on) if low >= 0 else None,
        float(upper if high < 0 else on) if high <= 0 else None,
    )
