"""Gather: everything a doctor wants to know of a run, measured once."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from unfog.errors import RunError
from unfog.judge.doctor.course import course
from unfog.judge.doctor.facts import Aim, Clock, Facts, Fit, More, Scale
from unfog.judge.doctor.neighbours import copies
from unfog.judge.doctor.restored import Noisings, numbers
from unfog.judge.doctor.signs import puzzling
from unfog.kinds.items import Items
from unfog.kinds.table.cells import Table
from unfog.maths.affine import Affine
from unfog.maths.product import Product
from unfog.maths.randomness import BatchRng
from unfog.maths.states import State, each, lead
from unfog.model import files
from unfog.model.model import Model
from unfog.tasks.assemble import build_objective, build_sampling, entries
from unfog.tasks.doctor.asked import classes, conditions, unheard
from unfog.tasks.doctor.drawn import drawn
from unfog.tasks.doctor.foreign import foreign
from unfog.tasks.doctor.trial import more, trial
from unfog.tasks.evaluate import training_data
from unfog.tasks.looks import seen
from unfog.tasks.recipes import recipes
from unfog.tasks.stored import encoded
from unfog.tasks.trained import Trained
from unfog.train import checkpoint
from unfog.train.heldout import levels
from unfog.train.log import read

LEVELS = 6
MOST = 256
"""Items of a part that are restored."""
FRINGE = 0.95
"""Share of the items, from the middle outwards, that are restored."""
LEAST = 100
"""Items from which 1 % of them is one."""
BASE = 2000
"""Training items that references, ranges and copies are taken from."""


@dataclass(frozen=True)
class Part:
    """Some items, encoded, and where they stand in the run's data."""

    items: Items
    x: State
    cond: dict[str, Tensor]
    places: np.ndarray

    def central(self, count: int, base: State) -> Part:
        """The first of them, without the twentieth that lies furthest from the middle of `base`:
        one stray item would outweigh all others.
        """
        index, x = np.arange(len(self.items)), numbers(self.x)
        if x.shape[1]:
            away = (x - numbers(base).mean(0)).square().sum(1)
            index = np.sort(away.argsort(stable=True).numpy()[: math.ceil(FRINGE * len(index))])
        return self.take(index[:count])

    def take(self, index: np.ndarray) -> Part:
        """Those at these places."""
        picked = torch.from_numpy(index)
        cond = {name: value[picked] for name, value in self.cond.items()}
        return Part(
            self.items.take(index), each(lambda v: v[picked], self.x), cond, self.places[index]
        )


@torch.no_grad()
def gather(model: Trained, source: Any = None) -> Facts:
    """Measure a run. Where the net restores data badly or learns slowly, a few updates are tried at
    other step sizes from fresh weights.

    Args:
        source: further data of the same form, to be compared with what the run learnt from.
    Raises: DataError where the run's own data is gone or has changed.
    """
    config = model.config
    items = training_data(model)
    base = _part(model, items, model.splits.train, BASE)
    away = np.concatenate([model.splits.validation, model.splits.test])
    held = _part(model, items, away, 2 * MOST) if len(away) else None
    held = held if held is not None and len(held.items) else None
    net, borders, splits = model.net, model.borders, model.splits
    plain = Trained(model.folder, config, net, borders, splits, items=items, device="cpu")
    times = levels(model.net.path, LEVELS)
    labels = classes(model, base.cond)
    clock = clock_of(model)
    raw = None if clock.kept is not None else _last(plain)  # those are of a later step
    fit, noisings, further = _fit(plain, raw, base, held, times, labels)
    dead, spanned = noisings.outputs(plain.net)
    mlp = config.net["name"] in ("mlp", "table", "dit")
    count = len(model.splits.train)
    width = config.net.get("width")
    lines = read(model.folder / "metrics.jsonl")
    scale = _scale(base.x)
    if scale.item is not None:
        scale = replace(scale, item=int(base.places[scale.item]))
    shown = copies(numbers(base.x), numbers(held.x)) if held and not config.fields else None
    if held and config.fields:
        shown = copies(*_mixed(model, base.x, held.x))
    if source is not None:
        scale, shown = foreign(model, items, base.x, source, scale, shown)
    facts = Facts(
        items=count,
        entries=entries(config),
        steps=config.train.steps,
        batch=config.train.batch,
        lr=config.train.lr,
        usual_lr=1e-3 if mlp else 5e-3,
        ema=config.train.ema,
        epochs=config.train.steps * config.train.batch / max(1, count),
        parameters=sum(p.numel() for p in model.net.parameters()),
        width=width if isinstance(width, int) else None,
        dropout=config.train.dropout,
        seconds=lines[-1].get("seconds") if lines else None,
        course=course(lines),
        fit=fit,
        scale=scale,
        aim=_aim(model, base),
        conditions=conditions(plain, base, held, noisings),
        drawn=drawn(plain, base.items),
        copies=shown,
        dead=dead,
        spanned=spanned,
        more=further,
        heldout=tuple(
            float(line["validation_mean"])
            for line in seen(model.folder, "heldout")
            if isinstance(line.get("validation_mean"), (int, float))
            and line["step"] <= (config.train.steps if clock.kept is None else clock.kept)
        ),
        clock=clock,
    )
    return replace(facts, trial=trial(model, noisings)) if puzzling(facts) else facts


def _part(model: Trained, items: Items, places: np.ndarray, most: int) -> Part:
    """At most `most` of the items at these places, at random, encoded."""
    order = np.random.default_rng(0).permutation(len(places))[:most]
    chosen = places[order]
    if isinstance(items.data, Table):  # a held-out row may hold a level that training never had
        chosen = chosen[model.borders.codec.known_rows(items.data[chosen])]
    part = items.take(chosen)
    given = {**part.columns, **unheard(model, part)}
    part = replace(part, columns=given)
    whole = replace(model.splits, train=np.arange(len(part)))
    states, cond = encoded(part, whole, model.borders)
    return Part(part, states, cond, chosen)


def _fit(
    model: Trained,
    raw: Model | None,
    base: Part,
    held: Part | None,
    times: Tensor,
    labels: Tensor | None,
) -> tuple[Fit, Noisings, More | None]:
    """Errors of averaged and last weights on training and held-out items; the held-out
    noisings (of training items, where none were held out); what more updates bring.
    """
    most = max(32, min(MOST, 2_000_000 // entries(model.config)))

    def noised(part: Part, base_x: State, known: Tensor | None) -> Noisings:
        own = None if known is None else classes(model, part.cond)
        return Noisings(model.net, part.x, part.cond, times, train=base_x, labels=known, known=own)

    few = base.central(most, base.x)
    mine = noised(few, base.x, labels)
    theirs = None if held is None else noised(held.central(most, base.x), base.x, labels)
    if theirs is not None:  # one unit for both, so that their errors can be compared
        mine.units = theirs.units
    looked, own = theirs or mine, mine.errors(model.net)
    restored = own if theirs is None else theirs.errors(model.net)
    here, there = mine.linear_errors(), theirs.linear_errors() if theirs else None
    gap = None
    if here and there:
        gap = sum(there) / max(1e-12, sum(here))
    fit = Fit(
        train=_levels(own),
        held=None if theirs is None else _levels(restored),
        raw_train=None if raw is None else _levels(mine.errors(raw)),
        raw_held=None if raw is None or theirs is None else _levels(theirs.errors(raw)),
        linear_gap=gap,
        error=looked.standard_error(restored),
    )
    further = None if raw is None else more(model, raw, mine, theirs)
    return fit, looked, further


def _levels(errors: Tensor) -> tuple[float, ...]:
    return tuple(float(v) for v in errors.mean(1))


def clock_of(model: Trained) -> Clock:
    """What the memorisation clock saw, and whether the run has earlier weights for that."""
    looks = seen(model.folder, "clock")
    first = next((line["step"] for line in looks if line.get("copying")), None)
    if any(reason.startswith("stopped at step") for reason in model.config.reasons):
        return Clock(
            first, max((line["step"] for line in looks if line.get("quiet")), default=None)
        )
    return Clock(first if looks and looks[-1].get("copying") else None)


def _last(model: Trained) -> Model | None:
    """The weights as training left them, before averaging; None without a checkpoint."""
    if not (model.folder / "checkpoints").is_dir():
        return None
    found, _ = checkpoint.newest(model.folder)
    if found is None:
        return None
    net = copy.deepcopy(model.net)
    try:
        files.fill_module(net, files.read_tensors(found.folder / "model.safetensors"), found.folder)
    except RunError:  # of another net, such as the first half of a straightened flow
        return None
    return net


def _scale(x: State) -> Scale:
    """Offset and outliers of the training states."""
    values = numbers(x).double()
    if not values.shape[1]:
        return Scale(0.0, 0.0)
    spread = values.std(0)
    whole = float(values.var(0).mean().sqrt())
    offset = float(values.mean(0).mean().abs()) / max(whole, 1e-12)
    if len(values) < LEAST:
        return Scale(offset, 0.0)
    ends = torch.tensor([0.05, 0.5, 0.95]).double()
    low, middle, high = torch.quantile(values, ends, dim=0)
    away = (values - middle).square()
    top, rows = away.topk(max(1, len(values) // 100), dim=0)
    share = top.sum(0) / away.sum(0).clamp_min(1e-30)
    share = torch.where((spread > 0.3 * whole) & (high > low), share, torch.zeros_like(share))
    entry = int(share.argmax())
    where = f"entry {entry}"
    return Scale(offset, float(share[entry]), where, item=int(rows[0, entry]))


def _mixed(model: Trained, *states: State) -> list[Tensor]:
    """Numbers in units of the first states' deviation, and categories as corners of a cube."""
    spread = numbers(states[0]).std(0).clamp_min(1e-6)
    found = []
    for x in states:
        parts = [numbers(x) / spread]
        for name, field in model.config.fields.items():
            sizes = field.get("sizes", [])
            for column, size in enumerate(sizes):
                value = x[name][:, column] if isinstance(x, dict) else x[:, column]
                parts.append(one_hot(value.clamp(max=size), size + 1).float())
        found.append(torch.cat(parts, 1))
    return found


def _aim(model: Trained, base: Part) -> Aim | None:
    """Where the objective looks, and where sampling goes."""
    net, config = model.net, model.config
    path = net.path.clock if isinstance(net.path, Product) else net.path
    if not isinstance(path, Affine):
        return None
    objective = build_objective(config)
    law, weight = objective.times, objective.weight
    part = base.take(np.arange(min(1000, len(base.items))))
    count = len(lead(part.x))
    drawn = law.draw(path, 4096, rng=BatchRng(0, 53)).double()
    many = [
        net.loss(part.x, part.cond or None, times=law, weight=weight, rng=BatchRng(0, n))
        for n in range(54, 54 + max(1, 1000 // count))
    ]
    losses, t = torch.cat([v[0] for v in many]), torch.cat([v[1] for v in many])
    groups = losses.double()[t.argsort()].tensor_split(20)
    sums = torch.stack([g.sum() for g in groups])
    top = int(sums.argmax())
    grid = build_sampling(config).grid(path, 100).double()
    angles, seen_at = path.angle(grid), path.angle(drawn)
    low, high = torch.quantile(seen_at, torch.tensor([0.002, 0.998]).double())
    least, most = angles[angles > 0].min(), angles.max()
    missed = (low - least).clamp_min(0) + (most - high).clamp_min(0)
    one = torch.ones((), dtype=torch.float64)
    return Aim(
        densest=float(sums[top] / sums.sum().clamp_min(1e-30)),
        at=float(t.sort().values.tensor_split(20)[top].mean()),
        uncovered=float(missed / (most - least).clamp_min(1e-9)),
        left=float(path.alpha(one) * config.sigma_data / path.sigma(one)),
        recipe=recipe_of(model),
    )


def recipe_of(model: Trained) -> str | None:
    """The recipe that has this run's path, target, weight and times; None where none has."""
    config = model.config
    target = {name: value for name, value in config.target.items() if name != "sigma_data"}
    asked = [config.path, target, config.weight, config.times]
    for row in recipes:
        if asked == [row.make.path, row.make.target, row.make.weight, row.make.times]:
            return str(row.name)
    return None
