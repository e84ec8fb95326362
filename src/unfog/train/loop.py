"""The training loop: a generator that yields after every update; the caller logs and stops."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from unfog.errors import out_of_memory
from unfog.failpoints import at
from unfog.maths.flowmaps import FlowMap
from unfog.maths.randomness import BatchRng
from unfog.maths.stable import Stable
from unfog.maths.states import lead
from unfog.maths.times import Times
from unfog.model.connect import Teacher, connect
from unfog.model.ema import Ema
from unfog.model.model import Model
from unfog.nets.conditions import dropout
from unfog.nets.units import Dropout, dropping
from unfog.train.ahead import ahead
from unfog.train.batches import Batches
from unfog.train.dist import ALONE, World
from unfog.train.importance import Importance, weighted
from unfog.train.optim import clipped
from unfog.train.parallel import norm_of, synchronised
from unfog.train.pieces import Pieces, backward
from unfog.train.rescue import Diverged, Rescue
from unfog.train.schedule import Horizon, Schedule
from unfog.train.share import Share

if TYPE_CHECKING:
    from unfog.maths.couplings import Coupling


__all__ = ["Diverged", "Losses", "Objective", "Progress", "train"]

UNITS = 37
"""The stream, beside an update's own, that drops a net's units."""


@dataclass(frozen=True)
class Progress:
    """What one update did, in all processes together. `loss` is 0-d, `losses` and `times` are (B,);
    all detached.

    Attributes:
        skipped, halvings: updates left out, and halvings of the step size, in the whole run.
        micro: rows in a piece of the batch; None = all at once.
        said: sentences on what went wrong and was mended in this update.
    """

    step: int
    loss: Tensor
    losses: Tensor
    times: Tensor
    rate: float
    gradient: float
    skipped: int
    halvings: int = 0
    micro: int | None = None
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Objective:
    """What is minimised: how t is drawn, how errors weigh, how noise is paired, how conditions drop
    out.

    Args:
        dropout: share of samples that lose a condition, per condition; teaches the unconditional
            model.
        flowmap: how two times are connected; None = an ordinary model.     teacher: whose flow a
            flow map learns, (condition, keep) -> predictor; None = the data's.
        stable: whether targets are means over the batch's items, weighted by how likely each is the
            one that was noised; for states of one tensor without conditions.
    """

    times: Times
    weight: Callable[..., Tensor]
    coupling: Coupling | None = None
    dropout: float = 0.1
    flowmap: FlowMap | None = None
    teacher: Teacher | None = None
    stable: bool = False

    @property
    def paired(self) -> bool:
        """Whether a row's loss takes the whole batch."""
        return self.stable or self.coupling is not None


def train(
    model: Model,
    batches: Batches,
    optimiser: torch.optim.Optimizer,
    objective: Objective,
    schedule: Schedule,
    *,
    horizon: Horizon,
    seed: int,
    ema: Ema | None = None,
    start: int = 0,
    clip: float = 1.0,
    world: World = ALONE,
    patience: int = 20,
    memory: Importance | None = None,
    rescue: Rescue | None = None,
    micro: int | None = None,
) -> Iterator[Progress]:
    """Update the model from step `start` to the horizon; noise depends on (seed, step) only.

    A loss or gradient that is not finite leaves weights and average untouched and is counted.
    Several processes share each batch, and what they do is what one would do with all of it. If
    memory runs out, the same update is made in smaller pieces.

    Args:
        horizon: the number of the last update; the caller may move it between updates.
        clip: the gradient's norm is cut to this.     patience: so many broken updates in a row are
            an error.
        memory: of losses, for times that follow them; updated in place.
        rescue: goes back where the loss stays broken; updated in place. None = Diverged then.
        micro: rows of a batch that are computed at once, at most; None = all of them.
    Raises: Diverged after `patience` broken updates in a row, or what `rescue` allows;
        ResourceError where memory does not hold one item.
    """
    device = next(model.parameters()).device
    parameters = [p for p in model.parameters() if p.requires_grad]
    base = [group["lr"] for group in optimiser.param_groups]
    model.train()
    share = world.share(batches.size)
    pieces = Pieces(share, world.size, micro)
    losses_of = synchronised(Losses(model), world)
    trial = rescue is None
    if rescue is None:
        rescue = Rescue(model, ema, optimiser, memory, patience=patience, tries=0)
    rescue.begin(start)
    paired = objective.paired
    coming = ahead(batches.since(start, None if paired else share), device)
    for step, batch in enumerate(coming, start):
        if step >= horizon.steps:
            break
        spoil = not trial and at("train.step", step + 1)
        rate = base[0] * schedule.factor(step, horizon.steps) * rescue.factor
        for group, whole in zip(optimiser.param_groups, base, strict=True):
            group["lr"] = rate * (whole / base[0])
        drawn, asked = None, objective
        if memory is not None:
            drawn = memory.times()
            asked = replace(objective, times=drawn, weight=weighted(objective.weight, drawn))
        inputs = [batch.x, batch.cond, batch.z, batch.keep]
        said: list[str] = []
        found = None
        while found is None:
            optimiser.zero_grad(set_to_none=True)
            try:
                found = backward(
                    losses_of,
                    inputs,
                    pieces,
                    functools.partial(BatchRng, seed, 0, step),
                    asked,
                    paired=paired,
                    spoil=spoil,
                )
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
            if found is None:  # outside the handler, which keeps everything alive that was computed
                said.append(f"step {step + 1}: {pieces.halve()}")
        norm = norm_of(clipped(parameters, clip))
        (losses, times), norm = world.gather(share, torch.stack(found), norm)
        loss = losses.mean()
        finite = bool(torch.isfinite(norm) & torch.isfinite(loss))
        if finite:
            optimiser.step()
            if ema is not None:
                ema.update(model, step + 1)
            if memory is not None and drawn is not None:
                memory.update(drawn, times, losses)
        back = rescue.judge(step + 1, float(loss), finite=finite, items=share.total)
        yield Progress(
            step=step + 1,
            loss=loss,
            losses=losses,
            times=times,
            rate=rate,
            gradient=float(norm),
            skipped=rescue.skipped,
            halvings=rescue.halvings,
            micro=pieces.micro,
            said=(*said, back) if back else tuple(said),
        )
    for group, whole in zip(optimiser.param_groups, base, strict=True):
        group["lr"] = whole


class Losses(nn.Module):
    """The objective as a forward pass, which is where DDP and FSDP hook in."""

    def __init__(self, model: Model):
        super().__init__()
        self.model = model
        self.drops = any(isinstance(part, Dropout) and part.rate for part in model.net.modules())

    def forward(
        self,
        x: Any,
        cond: dict[str, Tensor],
        rng: BatchRng,
        share: Share,
        objective: Objective,
        z: Any = None,
        keep: Any = None,
    ) -> tuple[Tensor, Tensor]:
        """Losses and times (b,) of this process's rows.

        Args:
            x, cond, z, keep: those rows; where the objective is `paired` the whole batch.
            rng: of the whole batch.
            z: noise that comes with the data; None where it is drawn.
            keep: 1 = a known entry; None where there are none.
        """
        model, whole = self.model, x
        conditions = getattr(model.net, "conditions", None)
        if objective.coupling is not None:
            z = model.path.noise(x, rng=rng) if z is None else z
            z = objective.coupling.pair(x, z, cond or None, rng=rng)
        if objective.paired:
            x, cond = share.of(x), share.of(cond)
            z, keep = (None if v is None else share.of(v) for v in (z, keep))
        if cond and conditions is not None and objective.dropout > 0:
            draw = rng.uniform(
                torch.empty(len(conditions.given), share.total, device=lead(x).device)
            )
            mine = share.of(draw.T).T
            cond = dropout(cond, conditions.given, objective.dropout, mine)
        asked: dict[str, Any] = {
            "times": share.times(objective.times),
            "weight": objective.weight,
            "rng": share.rng(rng),
            "z": z,
            "keep": keep,
        }
        if objective.flowmap is not None:
            asked |= {"flowmap": objective.flowmap, "teacher": objective.teacher}
            return connect(model, x, cond or None, **asked)
        if objective.stable:
            asked["target"] = Stable(model.target, whole, share.start)
        if not self.drops:
            return model.loss(x, cond or None, **asked)
        with dropping(model.net, share.rng(rng.at(UNITS))):
            return model.loss(x, cond or None, **asked)
