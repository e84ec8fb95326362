"""No change of coordinates, or one of units only."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unfog.model.spaces.space import Space, parted, spaces, spread


@spaces.add("identity", aliases=("none", "pixels"))
@dataclass(frozen=True, eq=False)
class Identity(Space):
    """The data themselves; with `std` in units where they have that standard deviation."""

    @classmethod
    def fit(
        cls,
        x: Tensor,
        *,
        held_out: Tensor | None = None,
        std: float | None = None,
        seed: int = 0,
    ) -> Identity:
        """Measure x, (N, *D).

        Args:
            held_out: (M, *D) rows for the error; without them some of x are set aside.
            std: the latent's standard deviation; None leaves every value as it is.
        """
        rows, held_out = parted(x, held_out, std, seed)
        shape = tuple(x.shape[1:])
        return cls(shape, shape).measured(spread(rows), held_out, std)

    def analyse(self, x: Tensor) -> Tensor:
        return x

    def synthesise(self, u: Tensor) -> Tensor:
        return u
