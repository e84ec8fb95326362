"""The training loop: a generator that yields after every update; the caller logs and stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from unfog.errors import UnfogError
from unfog.maths.randomness import BatchRng
from unfog.maths.states import lead
from unfog.maths.times import Times
from unfog.model.ema import Ema
from unfog.model.model import Model
from unfog.nets.conditions import dropout
from unfog.nets.units import dropping
from unfog.train.batches import Batches, to_device
from unfog.train.dist import ALONE, World
from unfog.train.importance import Importance, weighted
from unfog.train.parallel import norm_of, synchronised
from unfog.train.schedule import Horizon, Schedule
from unfog.train.share import Share

if TYPE_CHECKING:
    from unfog.maths.couplings import Coupling


UNITS = 37
"""The stream, beside an update's own, that drops a net's units."""


class Diverged(UnfogError):
    """The loss or its gradient stayed infinite or not a number, update after update."""

    exit_code = 3


@dataclass(frozen=True)
class Progress:
    """What one update did, in all processes together. `loss` is 0-d, `losses` and `times` are (B,);
    all detached.
    """

    step: int
    loss: Tensor
    losses: Tensor
    times: Tensor
    rate: float
    gradient: float
    skipped: int


@dataclass(frozen=True)
class Objective:
    """What is minimised: how t is drawn, how errors weigh, how noise is paired, how conditions drop
    out.

    Args:
        dropout: share of samples that lose a condition, per condition; teaches the unconditional
            model.
    """

    times: Times
    weight: Callable[..., Tensor]
    coupling: Coupling | None = None
    dropout: float = 0.1


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
) -> Iterator[Progress]:
    """Update the model from step `start` to the horizon; noise depends on (seed, step) only.

    A loss or gradient that is not finite leaves weights and average untouched and is counted.
    Several processes share each batch, and what they do is what one would do with all of it.

    Args:
        horizon: the number of the last update; the caller may move it between updates.
        clip: the gradient's norm is cut to this.     patience: so many broken updates in a row are
            an error.
        memory: of losses, for times that follow them; updated in place.
    Raises: Diverged after `patience` broken updates in a row.
    """
    device = next(model.parameters()).device
    parameters = [p for p in model.parameters() if p.requires_grad]
    base = [group["lr"] for group in optimiser.param_groups]
    skipped = broken = 0
    model.train()
    share = world.share(batches.size)
    losses_of = synchronised(Losses(model), world)
    taken = share if objective.coupling is None else None  # pairs are chosen in the whole batch
    for step, batch in enumerate(batches.since(start, taken), start):
        if step >= horizon.steps:
            break
        factor = schedule.factor(step, horizon.steps)
        for group, rate in zip(optimiser.param_groups, base, strict=True):
            group["lr"] = rate * factor
        x, cond = to_device(batch.x, device), to_device(batch.cond, device)
        drawn, asked = None, objective
        if memory is not None:
            drawn = memory.times()
            asked = replace(objective, times=drawn, weight=weighted(objective.weight, drawn))
        z = None if batch.z is None else to_device(batch.z, device)
        keep = None if batch.keep is None else to_device(batch.keep, device)
        losses, times = losses_of(x, cond, BatchRng(seed, 0, step), share, asked, z, keep)
        optimiser.zero_grad(set_to_none=True)
        # gradients are averaged over processes, so each weighs by its share of the batch
        (losses.mean() * (len(losses) * world.size / share.total)).backward()
        norm = norm_of(nn.utils.clip_grad_norm_(parameters, clip))
        (losses, times), norm = world.gather(share, torch.stack([losses.detach(), times]), norm)
        loss = losses.mean()
        if bool(torch.isfinite(norm) & torch.isfinite(loss)):
            broken = 0
            optimiser.step()
            if ema is not None:
                ema.update(model, step + 1)
            if memory is not None and drawn is not None:
                memory.update(drawn, times, losses)
        else:
            skipped, broken = skipped + 1, broken + 1
            if broken >= patience:
                raise Diverged(
                    f"the loss was not finite for {patience} updates in a row, at step {step}; "
                    f"lower --lr (now {base[0]:g}), or use --precision float32"
                )
        yield Progress(
            step=step + 1,
            loss=loss,
            losses=losses,
            times=times,
            rate=base[0] * factor,
            gradient=float(norm),
            skipped=skipped,
        )
    for group, rate in zip(optimiser.param_groups, base, strict=True):
        group["lr"] = rate


class Losses(nn.Module):
    """The objective as a forward pass, which is where DDP and FSDP hook in."""

    def __init__(self, model: Model):
        super().__init__()
        self.model = model

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
            x, cond, z, keep: those rows; with a coupling the whole batch.     rng: of the whole
                batch.
            z: noise that comes with the data; None where it is drawn.
            keep: 1 = a known entry; None where there are none.
        """
        model = self.model
        conditions = getattr(model.net, "conditions", None)
        if objective.coupling is not None:
            z = model.path.noise(x, rng=rng) if z is None else z
            z = objective.coupling.pair(x, z, cond or None, rng=rng)
            x, z, cond = share.of(x), share.of(z), share.of(cond)
            keep = None if keep is None else share.of(keep)
        if cond and conditions is not None and objective.dropout > 0:
            draw = rng.uniform(
                torch.empty(len(conditions.given), share.total, device=lead(x).device)
            )
            mine = share.of(draw.T).T
            cond = dropout(cond, conditions.given, objective.dropout, mine)
        with dropping(model.net, share.rng(rng.at(UNITS))):
            return model.loss(
                x,
                cond or None,
                times=share.times(objective.times),
                weight=objective.weight,
                rng=share.rng(rng),
                z=z,
                keep=keep,
            )
