"""What is asked for is drawn first, so that all else can be drawn given it.

Categories: from the net's prediction before anything is revealed, restricted to what is allowed,
one column after the other. The product of the allowed chances is the candidate's weight: without
it, rows would be spread as if each column had been asked for alone. One number: from its own
distribution, which the codec knows, cut to the spans. Several numbers: by particles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unfog.guide import Within, clean, fill, never
from unfog.guide.particles import particles
from unfog.maths.truncated import restricted, truncated
from unfog.sample.randomness import SampleRng
from unfog.tasks.assemble import Sampling, blank
from unfog.tasks.limits import Limits, ends, repeated

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

AT_ONCE = 4096
STEPS = 60
"""Least steps of particles, whose moves are of first order."""


@dataclass
class Firsts:
    """K candidates for each of R rows.

    Attributes:
        state: field -> (R · K, n).     keep: of the same shapes, True = drawn or known.
        log_weight: (R, K).     least: (R,) smallest effective number on the way, K at most.
        whole: whether all of the state was drawn, so that nothing is left to do.
    """

    state: dict[str, Tensor]
    keep: dict[str, Tensor]
    log_weight: Tensor
    least: Tensor
    whole: bool = False


def lone_number(model: Trained, limits: Limits) -> bool:
    """Whether a number that is asked for can be drawn before everything else: it is the only one,
    the net can be told of it, and nothing that is known already bears on it but categories, which
    can be weighed.
    """
    (place,) = limits.spans if len(limits.spans) == 1 else (None,)
    own = {mark for mark, value in limits.values_of.items() if value == place}
    others = set(limits.marks) - set(limits.forced) - own
    known = "num" in limits.keep and bool(limits.keep["num"].any())
    return bool(model.net.told and place is not None and not others and not known)


def first_draws(
    model: Trained,
    limits: Limits,
    cond: dict[str, Tensor] | None,
    how: Sampling,
    numbers: list[int],
    *,
    size: int,
    seed: int,
    filling: bool = False,
) -> Firsts:
    """Draw what is asked for, `size` candidates per row.

    Args:
        cond: (R, …) conditions of the rows, or None.
        numbers: (R,) of the rows, which their noise depends on.
        filling: rows have known cells of their own, so that no number can be drawn by itself.
    """
    weighed = not filling and lone_number(model, limits)
    parts = []
    chunk = max(1, AT_ONCE // size)
    for at in range(0, len(limits), chunk):
        rows = slice(at, at + chunk)
        draw = _Draw(model, limits, cond, how, numbers[rows], rows, size, seed)
        if weighed:
            draw.marks()
            draw.number()
            draw.categories(also_known=True)
        else:
            if not filling:
                draw.marks()
            draw.categories()
        walked = not weighed and bool(limits.spans)
        parts.append(draw.walk() if walked else draw.done())
    state, keep = (
        {name: torch.cat([getattr(p, what)[name] for p in parts]) for name in limits.known}
        for what in ("state", "keep")
    )
    return Firsts(
        state,
        keep,
        torch.cat([part.log_weight for part in parts]),
        torch.cat([part.least for part in parts]),
        parts[0].whole,
    )


class _Draw:
    """One batch of candidates on their way."""

    def __init__(
        self,
        model: Trained,
        limits: Limits,
        cond: dict[str, Tensor] | None,
        how: Sampling,
        numbers: list[int],
        rows: slice,
        size: int,
        seed: int,
    ):
        self.model, self.limits, self.how, self.rows, self.size = model, limits, how, rows, size
        self.told = model.net.told
        self.state = repeated({n: v[rows] for n, v in limits.known.items()}, size)
        self.base = repeated({n: v[rows] for n, v in limits.keep.items()}, size)
        self.keep = {name: value.clone() for name, value in self.base.items()}
        self.cond = None
        if cond is not None:
            some = {name: value[rows] for name, value in cond.items()}
            self.cond = {n: v.to(model.device) for n, v in repeated(some, size).items()}
        indices = [number * size + k for number in numbers for k in range(size)]
        self.rng = SampleRng(seed, indices)
        self.log = torch.zeros(len(indices), dtype=torch.float64)
        self.prior = model.net.path.prior(
            blank(model.config, len(indices), model.device), rng=self.rng, cond=self.cond
        )
        self.grid = how.grid(model.net.path, how.steps)
        self.calls = 0

    def number(self) -> None:
        """The one number that is asked for, from a standard normal cut to its spans."""
        ((place, spans),) = self.limits.spans.items()
        span = spans[self.rows].repeat_interleave(self.size, 0).double()
        z, log = truncated(span, self._uniform(), self._uniform())
        self.log += log
        self.state["num"][:, place] = z.float()
        self.keep["num"][:, place] = True

    def marks(self) -> None:
        """Which cells are missing, before anything else is known; none that is asked for is."""
        if not self.told and not self.limits.forced:
            return
        order = [*self.limits.forced, *self.limits.marks] if self.told else self.limits.forced
        for place in dict.fromkeys(order):
            shares = torch.ones(1, 2)
            if place in self.limits.forced:
                shares = torch.tensor([[1.0, 0.0]])
            self._category(place, shares, told=False)

    def categories(self, also_known: bool = False) -> None:
        """The categories that are asked for; the known ones too, where a number came before."""
        if also_known and "cat" in self.limits.keep:
            keep = self.limits.keep["cat"]
            for place in torch.nonzero(keep.any(0)).flatten().tolist():
                if place in self.limits.marks:
                    continue
                wide = self.model.net.path.fields["cat"].width
                code = torch.nn.functional.one_hot(self.limits.known["cat"][:, place], wide)
                self.keep["cat"][:, place] = False
                shares = torch.where(keep[:, place, None], code, 1).float()
                self._category(place, shares[self.rows])
        for place, shares in self.limits.codes.items():
            self._category(place, shares[self.rows])

    def _category(self, place: int, shares: Tensor, told: bool = True) -> None:
        """Draw one column where it is not known, and weigh by how likely it was."""
        chance = self._predict(place, told and self.told)
        wide = torch.zeros(len(shares), chance.shape[1])
        wide[:, : shares.shape[1]] = shares[:, : chance.shape[1]]
        if len(wide) > 1:
            wide = wide.repeat_interleave(self.size, 0)
        code, log = restricted(chance, wide, self._uniform())
        free = ~self.keep["cat"][:, place]
        self.log += torch.where(free, log, 0.0)
        self.state["cat"][:, place] = torch.where(free, code, self.state["cat"][:, place])
        self.keep["cat"][:, place] = True

    def _uniform(self) -> Tensor:
        self.calls += 1
        return self.rng.at((1 << 20) + self.calls).uniform(self.log)

    def _predict(self, place: int, told: bool) -> Tensor:
        """The net's chances for one category at the first time, given what is drawn so far."""
        device = self.model.device
        shown = {
            name: torch.where(self.keep[name].to(device), self.state[name].to(device), value)
            if told or name == "cat"
            else value
            for name, value in self.prior.items()
        }
        keep = {n: k.to(device) for n, k in self.keep.items()} if told else None
        predict = self.model.net.bind(self.cond, keep=keep)
        found: Tensor = predict(shown, self.grid[0])["cat"][:, place]
        return found.cpu()

    def done(self) -> Firsts:
        """The candidates with what was drawn."""
        weight = self.log.reshape(-1, self.size)
        return Firsts(self.state, self.keep, weight, torch.full((len(weight),), self.size * 1.0))

    def walk(self) -> Firsts:
        """All of the rows by particles whose numbers end inside their spans."""
        device, path, limits = self.model.device, self.model.net.path, self.limits
        on = {n: v.to(device) for n, v in self.state.items()}
        keep = {n: k.to(device) for n, k in self.keep.items()}
        # categories travel in the state, revealed, so that resampling takes them along; only what
        # is the same for all candidates of a row is put into predictions
        known = {n: k.to(device) for n, k in self.base.items()}
        shown = known if self.told else {n: k for n, k in known.items() if n == "cat"}
        predict = clean(self.model.net.bind(self.cond, keep=keep), on, shown)
        last = {n: code.to(device) for n, code in limits.last.items()}
        predict = fill(never(predict, last) if last else predict, on, known)
        x_t = dict(self.prior)
        if "cat" in x_t:
            x_t["cat"] = torch.where(keep["cat"], on["cat"], x_t["cat"])
        low, high = (
            end[self.rows].repeat_interleave(self.size, 0).to(device) for end in ends(limits)
        )
        walk = Within(predict, path, low, high, field="num")
        grid = self.how.grid(path, max(STEPS, self.how.steps))
        least = torch.full((len(low) // self.size,), float(self.size))
        for swarm in particles(
            walk, x_t, grid, size=self.size, rng=self.rng, log_weight=self.log.to(device)
        ):
            least = torch.minimum(least, swarm.ess.float().cpu())
        state = {name: value.cpu() for name, value in swarm.x.items()}
        for place in limits.spans:
            self.keep["num"][:, place] = True
        return Firsts(state, self.keep, swarm.log_weight.cpu(), least, whole=not self.told)
