"""Edits through the noise that an item comes from: encode, decode, translate, interpolate."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError, ShapeError
from unfog.maths.sphere import slerp
from unfog.sample.flow import Flow
from unfog.tasks.edit.conditions import conditions
from unfog.tasks.edit.edited import Edited, named
from unfog.tasks.edit.fitted import Fitted, fitted
from unfog.tasks.edit.sources import Source
from unfog.tasks.edit.vary import plain
from unfog.tasks.predictor import guided
from unfog.tasks.show import bar

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

STEPS = 20
"""Runge-Kutta steps of order 4 one way, four calls each."""


class Follow:
    """The probability flow of a model under one set of conditions, a batch at a time.

    Args:
        given: N values per name, or one for all.     scale: of the guidance; 1, the conditional
            model itself, unless asked for: a guided flow leads to noise that is not white.
    """

    def __init__(
        self,
        model: Trained,
        count: int,
        given: dict[str, Any] | None,
        *,
        scale: float | None = None,
        steps: int | None = None,
        batch: int | None = None,
        show: bool | None = None,
    ):
        self.model, self.count = model, count
        self.scale = 1.0 if scale is None else scale
        self.steps = STEPS if steps is None else steps
        if not isinstance(self.steps, int) or self.steps < 1:
            raise ArgumentError(f"steps is a whole number, 1 or more; got {steps!r}")
        self.batch, self.show = batch or 256, show
        self.asked = given is not None and any(v is not None for v in given.values())
        self.cond = model.borders.given.encode(given, count)

    def to_noise(self, state: Tensor) -> Tensor:
        """(N, *D) in the space's coordinates -> (N, *D) standard normal noise."""
        return self._follow(state, "encoding", lambda flow, x: self._noise(flow, x))

    def to_data(self, noise: Tensor) -> Tensor:
        """The inverse."""

        def down(flow: Flow, z: Tensor) -> Tensor:
            return flow.towards_data(z * math.sin(flow.furthest), self.steps).state

        return self._follow(noise, "decoding", down)

    def _noise(self, flow: Flow, x: Tensor) -> Tensor:
        return flow.towards_noise(x, self.steps).state / math.sin(flow.furthest)

    @torch.no_grad()
    def _follow(self, x: Tensor, word: str, way: Callable[[Flow, Tensor], Tensor]) -> Tensor:
        parts = []
        with bar(f"{word} {len(x)}", len(x), show=self.show) as line:
            for start in range(0, len(x), self.batch):
                rows = slice(start, min(start + self.batch, len(x)))
                flow = Flow(self._predictor(rows), self.model.net.path)
                parts.append(way(flow, x[rows].to(self.model.device)).cpu())
                line.to(rows.stop)
        return torch.cat(parts)

    def _predictor(self, rows: slice) -> Callable[..., Any]:
        mine = {name: value[rows].to(self.model.device) for name, value in self.cond.items()}
        return guided(self.model.net, mine if self.asked else None, self.scale)


def _start(model: Trained, source: Source) -> tuple[Fitted, Tensor, Tensor]:
    """Fitted items, their encoded states, and these in the space's coordinates."""
    fit = fitted(model, source)
    if fit.holes is not None:
        raise ArgumentError("items with missing values have no noise of their own; fill them first")
    encoded = fit.encoded()
    return fit, encoded, model.borders.space.into(encoded.to(model.device)).cpu()


def _raw(model: Trained, state: Tensor) -> np.ndarray:
    back = model.borders.space.back(state.to(model.device)).float().cpu()
    raw: np.ndarray = model.borders.codec.decode(back)
    return raw


def encode(
    model: Trained, source: Source, *, given: dict[str, Any] | None = None, **choices: Any
) -> Edited:
    """The noise that every item comes from, (N, *D) of the space, along the probability flow.

    For data like the training data it is standard normal. `decode` is the inverse, up to what the
    space loses and the steps' error.

    Args:
        choices: steps (of order 4, both ways), scale, batch, show.
    Ref: Song et al. 2021, Score SDEs, sec. 4.3; Song et al. 2021, DDIM, sec. 5.4.
    """
    _, _, state = _start(model, source)
    asked = conditions(model, source.columns, given)
    noise = Follow(model, len(source), asked, **choices).to_noise(state)
    columns = {name: list(v) for name, v in (asked or {}).items() if isinstance(v, list)}
    names = named(source.names, len(source), 1)
    facts = {"mean": float(noise.mean()), "deviation": float(noise.std())}
    origin = {"type": "npz", "key": "noise", "dtype": "<f4"}
    return Edited(list(noise.numpy()), names, "array", columns, origin, facts)


def decode(
    model: Trained, noise: Any, *, given: dict[str, Any] | None = None, **choices: Any
) -> Edited:
    """Items from the noise that `encode` gave; given may be another than in encoding.

    Args:
        noise: (N, *D) of the space's shape, or what `encode` returned.
    Raises: ShapeError for noise of another shape.
    """
    columns: dict[str, Any] = {}
    if isinstance(noise, Edited):
        noise, columns = noise.raw, noise.columns
    z = torch.as_tensor(np.asarray(noise), dtype=torch.float32)
    shape = tuple(model.config.shape)
    z = z[None] if tuple(z.shape) == shape else z
    if tuple(z.shape[1:]) != shape:
        raise ShapeError(f"noise of this model is (N, {shape}); got {tuple(z.shape)}")
    asked = conditions(model, columns, given)
    raw = _raw(model, Follow(model, len(z), asked, **choices).to_data(z))
    return Edited(
        list(raw), named(None, len(z), 1), model.config.kind, {}, dict(model.config.data.origin)
    )


def translate(
    model: Trained,
    source: Source,
    *,
    given: dict[str, Any] | None = None,
    scale: float | None = None,
    **choices: Any,
) -> Edited:
    """Items under other conditions with the same noise: to the noise under their own conditions,
    back under `given`.

    An item without conditions of its own goes to its noise under the null condition.

    Args:
        scale: of the guidance on the way back; 1 where None.     choices: steps, batch, show.
    Raises: ArgumentError where `given` asks for nothing.
    Ref: Su et al. 2023, Dual Diffusion Implicit Bridges, alg. 1.
    """
    if not given:
        raise ArgumentError("translate needs conditions to go to: given, for example label=cat")
    fit, _, state = _start(model, source)
    own = conditions(model, source.columns, None)
    noise = Follow(model, len(source), own, **choices).to_noise(state)
    asked = conditions(model, source.columns, given)
    raw = _raw(model, Follow(model, len(source), asked, scale=scale, **choices).to_data(noise))
    items = [fit.back(place, one) for place, one in enumerate(raw)]
    return Edited(items, named(source.names, len(items), 1), model.config.kind, {}, source.origin)


def interpolate(
    model: Trained,
    source: Source,
    *,
    frames: int = 8,
    given: dict[str, Any] | None = None,
    **choices: Any,
) -> Edited:
    """From each item to the next in `frames` pictures, both ends included, bit-equal.

    The noises of the two are followed along a great circle. What the space and the steps lose of
    the ends fades from one to the other. Between items of different conditions the pictures are
    drawn without any, unless `given` says which.

    Args:
        frames: 2 or more, of every pair.     choices: steps, scale, batch, show.
    Ref: Song et al. 2021, DDIM, sec. 5.3 (spherical interpolation: Shoemake 1985).
    """
    if not isinstance(frames, int) or frames < 2:
        raise ArgumentError(f"frames is a whole number, 2 or more; got {frames!r}")
    if len(source) < 2:
        raise ArgumentError("to interpolate needs two items or more, in the order of the way")
    if len({one.shape for one in source.items}) > 1:
        raise ShapeError("items of several sizes have no way between them; resize them first")
    fit, _, state = _start(model, source)
    asked = conditions(model, source.columns, given)
    follow = Follow(model, len(source), _common(asked), **choices)
    noise = follow.to_noise(state)
    ends = _raw(model, follow.to_data(noise))
    lost = [
        fit.source.items[i].astype(np.float64) - fit.back(i, one).astype(np.float64)
        for i, one in enumerate(ends)
    ]
    shares = torch.linspace(0, 1, frames)
    inner = torch.cat(
        [slerp(a[None], b[None], w) for a, b in pairwise(noise) for w in shares[1:-1]]
        or [noise[:0]]
    )
    drawn: list[np.ndarray] = []
    if len(inner):
        drawn = list(
            _raw(model, Follow(model, len(inner), _common(asked), **choices).to_data(inner))
        )
    items: list[np.ndarray] = []
    for pair in range(len(source) - 1):
        items.append(source.items[pair].copy())
        for w in shares[1:-1].tolist():
            faded = (1 - w) * lost[pair] + w * lost[pair + 1] if plain(model) else None
            items.append(fit.back(pair, drawn.pop(0), lost=faded))
        items.append(source.items[pair + 1].copy())
    names = [
        f"{pair:05d}-{frame:02d}" for pair in range(len(source) - 1) for frame in range(frames)
    ]
    kept = dict(source.origin)
    return Edited(items, names, model.config.kind, {}, kept, {"frames": frames})


def _common(asked: dict[str, Any] | None) -> dict[str, Any] | None:
    """The conditions that all items share, one value each."""
    shared: dict[str, Any] = {}
    for name, values in (asked or {}).items():
        listed = list(values) if isinstance(values, list | tuple) else [values]
        if all(one == listed[0] for one in listed):
            shared[name] = listed[0]
    return shared or None
