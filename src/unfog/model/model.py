"""A model is net + path + target: it turns every answer of the net into the house's currency,
x_hat.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from unfog.errors import ArgumentError
from unfog.maths.paths import Affine, as_time, ordered
from unfog.maths.product import fieldwise
from unfog.maths.randomness import Rng
from unfog.maths.states import State, each, entries_mean, expand, lead
from unfog.maths.times import Times
from unfog.model.compiled import Compiled
from unfog.model.half import half

Cond = dict[str, Tensor] | None
Predictor = Callable[..., Any]
PRECISIONS = ("float32", "bfloat16")


# [core: learn]
def learn(
    answer: Predictor,
    path: Any,
    target: Any,
    x: Any,
    *,
    times: Times,
    weight: Callable[..., Tensor],
    rng: Rng,
    z: State | None = None,
    mask: State | None = None,
    keep: State | None = None,
) -> tuple[Tensor, Tensor]:
    """One batch of the objective: draw t, mix data and noise, regress what the net should answer.

    Args:
        answer: (x_t, t) -> the net's answer.     x: (B, *D) data.
        z: paired noise, or None to draw it.     mask, keep: as in `Path.corrupt`; neither padding
            nor known entries count.
    Returns: losses (B,) and times (B,).
    """
    t = times.draw(path, len(lead(x)), rng=rng, device=lead(x).device)
    noised = path.corrupt(x, t, rng=rng, z=z, mask=mask, keep=keep)
    error = target.error(path, answer(noised.x_t, t), x, noised)
    loss = entries_mean(error, mask, keep)
    return weight(path, t) * loss, t


# [/core]


class Model(nn.Module):
    """Net, path and target.

    Args:
        net: (x_t, noise level, () or (B,), cond, s) -> answer.
        path, target: an affine path and a target; or a Product and a Joint target.
        sigma_data: standard deviation of the state's data; scales the net's input to unit variance.
        precision: "float32" or "bfloat16": what the net computes in. The state stays float32.
    """

    def __init__(
        self,
        net: nn.Module,
        path: Any,
        target: Any,
        *,
        sigma_data: float = 1.0,
        precision: str = "float32",
    ):
        super().__init__()
        self.net, self.path, self.target = net, path, target
        self.sigma_data = sigma_data
        self.precision = precision
        self._lent: list[nn.Module] = []  # a list, so that it is no part of the model
        self._compiled: Compiled | None = None

    @property
    def told(self) -> bool:
        """Whether the net can be told which entries are known."""
        return bool(getattr(self.net, "options", {}).get("known", False))

    def answer(
        self,
        x_t: State,
        t: Tensor,
        cond: Cond = None,
        s: Tensor | None = None,
        keep: State | None = None,
    ) -> Any:
        """What the net says, in its target, float32: input at unit variance, time as noise level in
        [0, 1].

        Args:
            keep: of x_t's shape, 1 = an entry that is clean in x_t, at any t. Only a net that can
                be told (`told`) makes use of it.
        """
        batch = lead(x_t)
        level = self._level(t, batch)
        later = None if s is None else self._level(as_time(s), batch)
        keep = keep if self.told else None
        scaled = fieldwise(
            self.path, lambda path, x, kept: self._scale(path, x, kept, t), x_t, keep
        )
        net: Any = self._lent[0] if self._lent else self.net
        if self._compiled is not None and self.training and torch.is_grad_enabled():
            net = self._compiled
        with self._cast(batch.device):
            if keep is None:
                y = net(scaled, level, cond, later)
            else:
                y = net(scaled, level, cond, later, keep)
        return each(lambda v: v.to(torch.float32), y)

    def predict(
        self,
        x_t: State,
        t: Tensor,
        cond: Cond = None,
        s: Tensor | None = None,
        keep: State | None = None,
    ) -> Any:
        """x_hat, the predicted data at state x_t and time t."""
        t = as_time(t)
        return self.target.decode(self.path, self.answer(x_t, t, cond, s, keep), x_t, t)

    def bind(
        self,
        cond: Cond,
        *,
        rng: Rng | None = None,
        keep: State | None = None,
        jumps: bool = True,
    ) -> Predictor:
        """A plain predictor (x_t, t, s=None) -> x_hat under this condition; None is the null
        condition.

        Args:
            rng: for ancestral moves (eta 1). Where the target learns a variance, x_hat is then a
                draw that gives the move from t to s this variance; every other target ignores it.
            keep: which entries are known, see `answer`; `guide.clean` puts them into the state.
            jumps: let a flow map answer for the jump to s; without, it is an ordinary model, which
                solvers of more than one prediction a step need.
        """
        draw = None if rng is None else getattr(self.target, "draw", None)

        def predict(x_t: State, t: Tensor, s: Tensor | None = None) -> Any:
            if draw is None or s is None:
                return self.predict(x_t, t, cond, s if jumps else None, keep)
            t, s = ordered(t, s)
            return draw(self.path, self.answer(x_t, t, cond, s, keep), x_t, t, s, rng=rng)

        return predict

    @contextlib.contextmanager
    def computing(self, precision: str | None) -> Iterator[None]:
        """Within, the net computes in "float32" or "bfloat16"; None leaves it. The state stays
        float32. Where nothing is learnt, bfloat16 weights are made once and held as long.
        """
        if precision not in (None, *PRECISIONS):
            raise ArgumentError(f"precision is {' or '.join(PRECISIONS)}; got {precision!r}")
        before, lent = self.precision, self._lent
        self.precision = precision or self.precision
        held = self.precision == "bfloat16" and not torch.is_grad_enabled()
        self._lent = [half(self.net)] if held else []
        try:
            yield
        finally:
            self.precision, self._lent = before, lent

    @contextlib.contextmanager
    def compiling(self, way: str) -> Iterator[Compiled | None]:
        """Within, what is learnt goes through the net compiled; "no" leaves it.

        Args:
            way: of `model.compiled.WAYS`.
        """
        self._compiled = found = None if way == "no" else Compiled(self.net, way)
        try:
            yield found
        finally:
            self._compiled = None

    def loss(
        self,
        x: State,
        cond: Cond = None,
        *,
        times: Times,
        weight: Callable[..., Tensor],
        rng: Rng,
        z: State | None = None,
        mask: State | None = None,
        keep: State | None = None,
        target: Any = None,
    ) -> tuple[Tensor, Tensor]:
        """Losses (B,) and their times (B,); see `learn`.

        Args:
            target: what is regressed in place of the model's own target.
        """

        def answer(x_t: State, t: Tensor) -> Any:
            return self.answer(x_t, t, cond, keep=keep)

        return learn(
            answer,
            self.path,
            self.target if target is None else target,
            x,
            times=times,
            weight=weight,
            rng=rng,
            z=z,
            mask=mask,
            keep=keep,
        )

    def _scale(self, path: Any, x_t: Tensor, keep: Tensor | None, t: Tensor) -> Tensor:
        if not isinstance(path, Affine):
            return x_t
        variance = path.alpha(t).square() * self.sigma_data**2 + path.sigma(t).square()
        scaled = x_t * expand(variance.rsqrt(), x_t).to(x_t.dtype)
        if keep is None:
            return scaled
        return torch.where(keep.bool(), x_t / self.sigma_data, scaled)  # known: data, at any t

    def _level(self, t: Tensor, like: Tensor) -> Tensor:
        """Float32 noise level, shape of t: atan2(sigma, alpha sigma_data) / (pi/2), which is finite
        on every path; 1 = noise.
        """
        path = self.path
        if not isinstance(path, Affine):
            affine = [p for p in getattr(path, "fields", {}).values() if isinstance(p, Affine)]
            path = affine[0] if affine else None
        if path is not None:
            t = torch.atan2(path.sigma(t), path.alpha(t) * self.sigma_data) * (2 / torch.pi)
        return t.to(like.device, torch.float32)

    def _cast(self, device: torch.device) -> contextlib.AbstractContextManager[Any]:
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(device.type, getattr(torch, self.precision))
