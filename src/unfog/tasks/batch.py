"""One batch of samples: drawn, and some of its rows drawn again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unfog.failpoints import at
from unfog.maths.grids import descents
from unfog.maths.randomness import mix
from unfog.maths.states import State, each
from unfog.sample.adaptive import adapt
from unfog.sample.loop import sample
from unfog.sample.marginals import Marginals
from unfog.sample.randomness import SampleRng
from unfog.sample.reveal import revealing
from unfog.tasks.assemble import Sampling, blank
from unfog.tasks.held import Begin, Held
from unfog.tasks.predictor import guided, holding

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

AGAIN = 0xB0
"""Of the seeds of rows that are drawn again."""
Bend = Callable[[Callable[..., Any], range], Callable[..., Any]]


@dataclass(frozen=True)
class Batch:
    """What a batch is drawn by.

    Attributes:
        cond: of its rows, or None.     numbers: its rows', which their noise depends on.
        guide: as for `generate`, told of `rows`.     begin, held: of its rows.
        rows: its rows' places among all that were asked for.     away: strength of autoguidance.
        marginals: corrections of every step, where there are any.
    """

    model: Trained
    cond: dict[str, Tensor] | None
    numbers: range
    how: Sampling
    cut: Tensor
    scale: float
    seed: int
    guide: Bend | None
    begin: Begin | None
    held: Held | None
    rows: range
    away: float = 1.0
    marginals: Marginals | None = None

    def draw(self, tell: Callable[[int], None]) -> State:
        """All of it; `tell` hears of every step."""
        return self._by(self.cond, self.numbers, self.held, self.seed, tell)

    def again(self, places: list[int], attempt: int) -> State:
        """Some rows of it by other noise, which depends on the attempt and each row's number."""
        seed, chosen = mix(self.seed, AGAIN + attempt), torch.tensor(places)
        if self.guide is not None or self.begin is not None:  # they are of the batch as it is
            state = self._by(self.cond, self.numbers, self.held, seed, _nobody)
            return each(lambda v: v[chosen], state)
        cond = None if self.cond is None else {n: v[chosen] for n, v in self.cond.items()}
        held = None if self.held is None else self.held.part(chosen, self.model.device)
        return self._by(cond, [self.numbers[place] for place in places], held, seed, _nobody)

    def _by(
        self,
        cond: dict[str, Tensor] | None,
        numbers: Sequence[int],
        held: Held | None,
        seed: int,
        tell: Callable[[int], None],
    ) -> State:
        bend, rows = self.guide, self.rows
        return _drawn(
            self.model,
            cond,
            numbers,
            self.how,
            self.cut,
            self.scale,
            seed,
            None if bend is None else lambda predict: bend(predict, rows),
            self.begin,
            tell,
            held,
            self.away,
            self.marginals,
        )


def _nobody(step: int) -> None:
    """Progress of rows that are drawn again is not shown."""


def _drawn(
    model: Trained,
    cond: dict[str, Tensor] | None,
    indices: Sequence[int],
    how: Any,
    cut: Tensor,
    scale: float,
    seed: int,
    guide: Any,
    begin: Begin | None,
    tell: Any,
    held: Held | None,
    away: float,
    marginals: Marginals | None,
) -> State:
    device = model.device
    rng = SampleRng(seed, indices)
    if begin is None:
        x_t = model.net.path.prior(blank(model.config, len(indices), device), rng=rng, cond=cond)
    else:
        clean = each(lambda v: v.to(device), begin.state)
        x_t = model.net.path.corrupt(clean, torch.tensor(begin.t), rng=rng).x_t
    if cond is not None:
        cond = {name: value.to(device) for name, value in cond.items()}
    # two streams with one key: guidance then scales the learnt spread as it scales the mean
    ancestral = how.eta == 1 and how.solver.order == 1
    streams = [rng.at(descents(cut) + 1) if ancestral else None for _ in range(2)]
    keep = None if held is None else held.keep
    predict = guided(
        model.net, cond, scale, jumps=how.jumps, keep=keep, streams=streams,
        weaker=model.weaker_at(away), away=away, interval=model.config.interval,
    )  # fmt: skip
    if held is not None:
        predict = holding(predict, model, held)
    if guide is not None:
        predict = guide(predict)
    path, corrector = revealing(model.net.path, how.reveal), how.corrector
    if marginals is not None:
        predict, corrector = marginals.tilted(predict), marginals
    if how.tol is not None:
        tried = adapt(predict, path, x_t, tol=how.tol, start=float(cut[0]), rng=rng)
        states = (step.x for step in tried)
    else:
        steps = sample(
            predict, path, how.solver, x_t, cut, eta=how.eta, rng=rng, corrector=corrector
        )
        states = (step.x for step in steps)
    for number, state in enumerate(states, 1):
        at("sample.step", number)
        x_t = state
        tell(min(number, len(cut) - 1))
    if marginals is not None:
        x_t = marginals.moved(model.net.path, x_t, cut[-1])
    back = model.borders.space.back(x_t)
    return each(lambda v: (v.float() if v.is_floating_point() else v).cpu(), back)
