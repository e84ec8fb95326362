"""Correctors: draws at one noise level that pull a state back to where it should be distributed.

A predictor (a solver's step) carries a state from one noise level to the next, with some error; a
corrector stays at its level and runs a Markov chain that leaves the level's distribution as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from unfog.errors import ArgumentError
from unfog.maths import views
from unfog.maths.paths import Affine
from unfog.maths.product import fieldwise
from unfog.maths.randomness import Rng
from unfog.maths.states import expand
from unfog.registry import Registry

correctors: Registry[type] = Registry("corrector")


class Corrector(Protocol):
    """A frozen dataclass; `calls` is how often it asks the predictor."""

    @property
    def calls(self) -> int: ...

    def __call__(
        self,
        predict: Callable[..., Any],
        path: Any,
        x_t: Any,
        t: Tensor,
        *,
        rng: Rng,
        mask: Any = None,
    ) -> Any:
        """A state at t, from a state at t."""
        ...


@correctors.add("none", aliases=("unchanged",), reference="no corrector: the solver alone")
@dataclass(frozen=True)
class Unchanged:
    """The state as it is."""

    @property
    def calls(self) -> int:
        return 0

    def __call__(
        self,
        predict: Callable[..., Any],
        path: Any,
        x_t: Any,
        t: Tensor,
        *,
        rng: Rng,
        mask: Any = None,
    ) -> Any:
        return x_t


UNCHANGED = Unchanged()


@correctors.add("langevin", reference="Song et al. 2021, Score SDEs, alg. 4 and 5")
@dataclass(frozen=True)
class Langevin:
    """Unadjusted Langevin steps along the score, as long as the noise level allows.

        x_t <- x_t + e score(x_t) + sqrt(2 e) noise,     e = 2 (snr sigma_t)^2

    The paper takes e = 2 (snr ||noise|| / ||score||)^2 with norms averaged over the batch. Here
    ||score|| is what it is for noise of this level, sqrt(D) / sigma_t, so that a sample does not
    depend on its batch. A step that is not infinitely small leaves a relative excess of variance
    of at most e / (2 sigma_t^2) = snr^2. Fields without an affine path keep their state.

    Args:
        snr: signal-to-noise ratio r of one step; 0.16 in the paper.     steps: per noise level.
    """

    snr: float = 0.16
    steps: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.snr < 1 or self.steps < 1:
            raise ArgumentError(
                f"langevin needs 0 < snr < 1 and steps >= 1; got {self.snr} and {self.steps}; "
                "for no corrector take none"
            )

    @property
    def calls(self) -> int:
        return self.steps

    def __call__(
        self,
        predict: Callable[..., Any],
        path: Any,
        x_t: Any,
        t: Tensor,
        *,
        rng: Rng,
        mask: Any = None,
    ) -> Any:
        def pulled(member: Any, state: Any, trusted: Any, real: Any) -> Any:
            if not isinstance(member, Affine):
                return state
            step = 2 * (self.snr * member.sigma(t)).square()
            score = views.score(member, state, trusted, t)
            noise = member.noise(state, rng=rng, mask=real)
            drift, spread = (expand(v, state).to(state.dtype) for v in (step, (2 * step).sqrt()))
            return member.project(state + drift * score + spread * noise, real)

        for _ in range(self.steps):
            x_t = fieldwise(path, pulled, x_t, predict(x_t, t), mask)
        return x_t


@correctors.add(
    "resample",
    aliases=("repaint", "restart"),
    reference="Lugmayr et al. 2022, RePaint, alg. 1; Xu et al. 2023, Restart Sampling, alg. 1",
)
@dataclass(frozen=True)
class Resample:
    """Move from t to t (1 - jump) along the prediction, then back up by fresh noise.

    With `fill`, whose prediction holds the known entries, this is RePaint: the unknown ones get
    several tries to fit them. Without it, fresh noise contracts errors (Restart).

    Args:
        jump: how far down, as a share of t.     rounds: per noise level.
        eta: of the move down: 1 ancestral, as RePaint; 0 deterministic, as Restart.
    """

    jump: float = 0.1
    rounds: int = 4
    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.jump < 1 or self.rounds < 1 or not 0 <= self.eta <= 1:
            raise ArgumentError(
                "resample needs 0 < jump < 1, rounds >= 1 and eta in [0, 1]; got "
                f"{self.jump}, {self.rounds} and {self.eta}; for no corrector take none"
            )

    @property
    def calls(self) -> int:
        return self.rounds

    def __call__(
        self,
        predict: Callable[..., Any],
        path: Any,
        x_t: Any,
        t: Tensor,
        *,
        rng: Rng,
        mask: Any = None,
    ) -> Any:
        s = t * (1 - self.jump)
        for _ in range(self.rounds):
            x_hat = predict(x_t, t, s)
            x_s = path.move(x_t, x_hat, t, s, eta=self.eta, rng=rng, mask=mask)
            x_t = path.renoise(x_s, s, t, rng=rng, mask=mask)
        return x_t
