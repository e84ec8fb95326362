"""What a sampler asks: the net's prediction under conditions, guided, with what is known held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unfog.guide.auto import auto
from unfog.guide.cfg import cfg
from unfog.guide.fill import clean, fill
from unfog.maths.randomness import Rng
from unfog.maths.states import State, each
from unfog.model.model import Model
from unfog.nets.given import Given, null

if TYPE_CHECKING:
    from unfog.tasks.held import Held
    from unfog.tasks.trained import Trained

PAIRED = 64
"""Rows up to which both answers of a guided prediction come from one call: 1.2 to 1.7 times as
quick on a CPU for 64 rows to 1, and slower from 256.
"""


def guided(
    net: Model,
    cond: dict[str, Tensor] | None,
    scale: float,
    *,
    jumps: bool = True,
    keep: State | None = None,
    streams: Sequence[Rng | None] = (None, None),
    weaker: Model | None = None,
    away: float = 1.0,
    interval: tuple[float, float] = (0.0, 1.0),
) -> Callable[..., Any]:
    """The net's prediction given conditions (None: of nothing), guided by `scale`.

    Args:
        jumps, keep: as for `Model.bind`.     streams: its `rng`, with conditions and without.
        weaker, away: an earlier state of the net, and the strength of guidance away from it.
        interval: times between which that guidance acts.
    """
    if weaker is not None and away != 1:
        told = guided(net, cond, scale, jumps=jumps, keep=keep, streams=streams)
        worse = _alike(weaker, net, cond, keep, jumps=jumps)
        return auto(told, worse, scale=away, interval=interval)
    predict = net.bind(cond, rng=streams[0], keep=keep, jumps=jumps)
    if cond is None:
        return predict
    alone = net.bind(None, rng=streams[1], keep=keep, jumps=jumps)
    given = getattr(net.net, "options", {}).get("given")
    few = len(next(iter(cond.values()))) <= PAIRED
    if given is None or not few or streams != (None, None):
        return cfg(predict, alone, scale=scale)
    return cfg(predict, alone, scale=scale, both=together(net, cond, given, keep=keep, jumps=jumps))


def _alike(
    weaker: Model,
    net: Model,
    cond: dict[str, Tensor] | None,
    keep: State | None,
    *,
    jumps: bool,
) -> Callable[..., Any]:
    """The weaker model's prediction, computed in whatever precision the net computes in."""
    bound = weaker.bind(cond, keep=keep, jumps=jumps)

    def predict(x_t: Any, t: Tensor, s: Tensor | None = None) -> Any:
        with weaker.computing(net.precision):
            return bound(x_t, t, s)

    return predict


def together(
    net: Model,
    cond: dict[str, Tensor],
    given: Given,
    *,
    keep: State | None = None,
    jumps: bool = True,
) -> Callable[..., tuple[Any, Any]]:
    """Predictions given conditions, and given none, from one call of the net on twice the rows."""
    count = len(next(iter(cond.values())))
    pairs = {}
    for name, value in cond.items():
        nothing = null({name: given[name]}, count, value.device)[name]
        pairs[name] = torch.cat(
            [value, nothing[:, : value.shape[1]] if value.ndim == 2 else nothing]
        )
    kept = None if keep is None else each(_twice, keep)
    predict = net.bind(pairs, keep=kept, jumps=jumps)

    def both(x_t: Any, t: Tensor, s: Tensor | None = None) -> tuple[Any, Any]:
        later = s if s is None or s.ndim == 0 else _twice(s)
        found = predict(each(_twice, x_t), _twice(t) if t.ndim else t, later)
        return each(lambda v: v[:count], found), each(lambda v: v[count:], found)

    return both


def _twice(value: Tensor) -> Tensor:
    return torch.cat([value, value])


def holding(predict: Callable[..., Any], model: Trained, held: Held) -> Callable[..., Any]:
    """A predictor that has the held entries in all that it sees, as the model can, and says."""
    # a category that is known looks like one that is revealed, so every model may see it
    paths = model.net.path.fields
    keep = {n: k for n, k in held.keep.items() if model.net.told or not paths[n].affine}
    return fill(clean(predict, held.known, keep), held.known, held.keep)
