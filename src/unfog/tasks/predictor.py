"""What a sampler asks: the net's prediction under conditions, guided, with what is known held."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from unfog.guide.cfg import cfg
from unfog.guide.fill import clean, fill
from unfog.maths.randomness import Rng
from unfog.model.model import Model

if TYPE_CHECKING:
    from unfog.tasks.held import Held
    from unfog.tasks.trained import Trained


def guided(
    net: Model,
    cond: dict[str, Tensor] | None,
    scale: float,
    *,
    jumps: bool = True,
    keep: dict[str, Tensor] | None = None,
    streams: Sequence[Rng | None] = (None, None),
) -> Callable[..., Any]:
    """The net's prediction given conditions (None: of nothing), guided by `scale`.

    Args:
        jumps, keep: as for `Model.bind`.     streams: its `rng`, with conditions and without.
    """
    predict = net.bind(cond, rng=streams[0], keep=keep, jumps=jumps)
    if cond is None:
        return predict
    alone = net.bind(None, rng=streams[1], keep=keep, jumps=jumps)
    return cfg(predict, alone, scale=scale)


def holding(predict: Callable[..., Any], model: Trained, held: Held) -> Callable[..., Any]:
    """A predictor that has the held entries in all that it sees, as the model can, and says."""
    # a category that is known looks like one that is revealed, so every model may see it
    paths = model.net.path.fields
    keep = {n: k for n, k in held.keep.items() if model.net.told or not paths[n].affine}
    return fill(clean(predict, held.known, keep), held.known, held.keep)
