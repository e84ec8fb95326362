"""One batch of a flow map's objective: some rows learn the flow, the others to jump along it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unfog.maths.affine import Noised
from unfog.maths.flowmaps import FlowMap
from unfog.maths.jumps import Ask, flowing, jump, scaled, worth
from unfog.maths.randomness import Rng
from unfog.maths.states import State, each, entries_mean, lead
from unfog.maths.times import Times
from unfog.model.model import Cond, Model, Predictor

Teacher = Callable[[Cond, Any], Predictor]


def connect(
    model: Model,
    x: State,
    cond: Cond = None,
    *,
    flowmap: FlowMap,
    times: Times,
    weight: Callable[..., Tensor],
    rng: Rng,
    teacher: Teacher | None = None,
    z: State | None = None,
    keep: State | None = None,
) -> tuple[Tensor, Tensor]:
    """Losses (B,) and their times (B,), as `Model.loss` gives them.

    Args:
        model: its net takes two times.     x: (B, *D) data, or a dict of fields.
        teacher: (condition, keep) -> predictor whose flow is learnt; None = the data's own.
    """
    pairs = flowmap.draw(times, model.path, len(lead(x)), rng=rng, device=lead(x).device)
    t, s = pairs.t, pairs.s
    noised = model.path.corrupt(x, t, rng=rng, z=z, keep=keep)
    y = model.answer(noised.x_t, t, cond, s, keep)
    x_hat = model.target.decode(model.path, y, noised.x_t, t)
    copied = teacher is not None and not flowmap.onward
    categories = copied and isinstance(x, dict)
    arriving = categories and flowmap.arrival
    here = x
    if teacher is not None:
        far = flowmap.wants_here or (categories and not arriving)
        wanted = (~pairs.apart & copied) | (pairs.apart & far)
        here = _taught(teacher, cond, keep, noised.x_t, t, model.path, x, wanted)
    missed = flowing(model.path, lambda _, hat, wanted: hat - wanted, x_hat, here)
    rows = pairs.apart.nonzero().squeeze(1)
    if len(rows):

        def of(value: Any) -> Any:
            return None if value is None else each(lambda v: v[rows], value)

        off = flowmap.missed(
            _asked(model, of(cond), of(keep), teacher, x_t=of(noised.x_t), x_hat=of(x_hat),
                   here=of(here), t=t[rows], s=s[rows], u=pairs.u[rows])
        )  # fmt: skip
        missed = each(lambda v, w: v.index_copy(0, rows, w.to(v.dtype)), missed, off)
        if arriving and teacher is not None:
            landed = jump(model.path, of(noised.x_t), each(Tensor.detach, of(x_hat)), t[rows],
                          s[rows], of(keep))  # fmt: skip
            here = _arrived(teacher(of(cond), of(keep)), model.path, here, rows, landed, s[rows])
    error = _errors(model, missed, y, x, here if copied else None, noised)
    loss = flowmap.weighed(entries_mean(error, None, keep))
    return weight(model.path, t) * loss, t


def _taught(
    teacher: Teacher,
    cond: Cond,
    keep: Any,
    x_t: Any,
    t: Tensor,
    path: Any,
    x: Any,
    wanted: Tensor,
) -> Any:
    """The teacher's x_hat at rows where it is wanted; at others the data's flowing fields, and 0 in
    the fields that don't flow. What is not asked of it costs nothing.
    """
    rows = wanted.nonzero().squeeze(1)
    if len(rows) == 0:
        return x
    with torch.no_grad():
        if len(rows) == len(wanted):
            return teacher(cond, keep)(x_t, t)
        cond, keep, x_t = (
            None if v is None else each(lambda u: u[rows], v) for v in (cond, keep, x_t)
        )
        found = teacher(cond, keep)(x_t, t[rows])
        part = flowing(path, lambda _, v, w: v.index_copy(0, rows, w.to(v.dtype)), x, found)
        if not isinstance(part, dict):
            return part
        empty = {n: v.new_zeros(len(wanted), *v.shape[1:]) for n, v in found.items()}
        return {n: part.get(n, empty[n].index_copy(0, rows, v)) for n, v in found.items()}


@torch.no_grad()
def _arrived(
    predict: Predictor, path: Any, here: Any, rows: Tensor, landed: Any, s: Tensor
) -> dict[str, Tensor]:
    """`here` with what a teacher says, at s, of the categories at these rows."""
    found = predict(landed, s)
    part = flowing(path, lambda _, value: value, here)
    return {
        name: value if name in part else value.index_copy(0, rows, found[name].to(value.dtype))
        for name, value in here.items()
    }


def _asked(model: Model, cond: Cond, keep: Any, teacher: Teacher | None, **parts: Any) -> Ask:
    def predict(x_t: State, t: Tensor, s: Tensor | None = None) -> Any:
        return model.predict(x_t, t, cond, s, keep)

    trust = predict if teacher is None else teacher(cond, keep)
    return Ask(predict=predict, trust=trust, path=model.path, keep=keep, **parts)


def _errors(model: Model, missed: Any, y: Any, x: Any, taught: Any, noised: Noised) -> Any:
    """Squared errors in the target's own currency; of fields that don't flow their own errors,
    against the data or what a teacher says of them.
    """
    if not isinstance(x, dict):
        return scaled(worth(model.target, model.path, noised.t), missed).square()
    found = {}
    for name, path in model.path.fields.items():
        target = model.target.fields[name]
        if name in missed:
            found[name] = scaled(worth(target, path, noised.t), missed[name]).square()
            continue
        part = Noised(noised.x_t[name], noised.z[name], noised.t)
        if taught is None:
            found[name] = target.error(path, y[name], x[name], part)
        else:
            found[name] = target.error_towards(path, y[name], taught[name], part)
    return found
