"""Draw data that explain a measurement: super-resolution, deblurring, any y = A(x) + noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.guide import Measurement, diffpir, dps, mmps, pigdm
from unfog.guide.operators import Mask, operators
from unfog.guide.particles import particles
from unfog.guide.steer import Steer, likelihood
from unfog.kinds.image.codec import ImageCodec
from unfog.maths.states import each, lead
from unfog.registry import unknown
from unfog.sample.randomness import SampleRng
from unfog.tasks.assemble import blank, build_sampling
from unfog.tasks.generate import Samples, generate, samples_of
from unfog.tasks.predictor import guided

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

METHODS: dict[str, Callable[..., Any]] = {
    "mmps": mmps,
    "pigdm": pigdm,
    "dps": dps,
    "diffpir": diffpir,
}
PARTICLES = "particles"


@dataclasses.dataclass(frozen=True)
class Explained:
    """Samples that explain a measurement.

    Attributes:
        samples: as of `generate`.
        misfit: (N,) root mean square of (y - A x) / noise: about 1 where x explains y as well as
            the truth does; of y without noise, in y's units.
        ess: (N,) smallest effective number of particles on the way; None for other methods.
    """

    samples: Samples
    misfit: Tensor
    ess: Tensor | None = None


def measured(
    model: Trained,
    y: Any,
    operator: Any,
    *,
    noise: float = 0.0,
    method: str = "mmps",
    count: int | None = None,
    given: dict[str, Any] | None = None,
    scale: float | None = None,
    steps: int | None = None,
    solver: str = "euler",
    eta: float = 1.0,
    seed: int = 0,
    batch: int | None = None,
    size: int = 16,
    options: Mapping[str, Any] | None = None,
    show: bool | None = None,
) -> Explained:
    """Draw samples of x given y = A(x) + noise, without training for it.

    x is an item as the codec encodes it: pixels run from -1 to 1, and noise is in these units.

    Args:
        y: a tensor (*M) or (count, *M) in the units of A's result; or an array of pixels in the
            data's own type, (H, W[, C]) or with the count in front, for operators that average.
        operator: a member of `unfog.guide.operators`, its name, or {"name": …, option: …}; or any
            differentiable function of (B, *item).
        method: mmps, pigdm, dps, diffpir, or particles (exact in the limit, needs noise > 0).
        count: how many; as many as y has, or 1.
        given, scale, steps, seed, batch: as for `generate`; sample i depends on the seed and i.
        solver, eta: ancestral Euler unless said otherwise: fresh noise forgets a guide's errors.
        size: particles per sample.     options: of the method.
    Raises: ArgumentError for tables, for unknown names, for y of another shape than A gives.
    """
    if model.config.fields or not hasattr(model.borders.codec, "state_shape"):
        raise ArgumentError(
            f"a measurement is of images and arrays, and this is a model of {model.config.kind}s; "
            "fill takes tables"
        )
    if method not in (*METHODS, PARTICLES):
        raise ArgumentError(unknown("method", method, [*METHODS, PARTICLES]))
    operator = _operator(operator)
    seen = _reading(model, y, operator)
    count = (len(seen) if len(seen) > 1 else 1) if count is None else count
    if len(seen) not in (1, count):
        raise ArgumentError(f"y holds {len(seen)} measurements, for {count} samples; give 1 or all")
    whole = Measurement(
        seen.to(model.device), operator, noise, model.borders.space.back, model.config.sigma_data
    )
    if method == PARTICLES:
        return _particles(
            model, whole, count, given, scale, steps, seed, size, dict(options or {}), show
        )

    def guide(predict: Callable[..., Any], rows: range) -> Callable[..., Any]:
        return _call(method, predict, model.net.path, _rows(whole, rows), dict(options or {}))

    samples = generate(
        model, count, given=given, scale=scale, steps=steps, solver=solver, eta=eta, seed=seed,
        batch=batch, guide=guide, show=show,
    )  # fmt: skip
    return Explained(samples, misfit(whole, lead(samples.state)))


def misfit(measurement: Measurement, data: Tensor) -> Tensor:
    """Root mean square of (y - A x) / noise of encoded items, (N,); unscaled without noise."""
    plain = dataclasses.replace(measurement, back=None)
    data = data.to(measurement.y.device)
    seen = plain.see(data)
    variance = plain.variance(seen)
    away = plain.missing(seen).square() / torch.where(variance > 0, variance, 1.0)
    counted = _counted(measurement.operator, seen)
    return ((away * counted).sum(1) / counted.sum(1).clamp_min(1)).sqrt().cpu()


def _counted(operator: Any, seen: Tensor) -> Tensor:
    """1 for entries that were seen: a mask's others read 0 and say nothing."""
    if not isinstance(operator, Mask):
        return torch.ones_like(seen)
    keep = operator.keep
    return (seen != 0).to(seen) if keep.numel() != seen.shape[1] else keep.reshape(1, -1).to(seen)


def _rows(measurement: Measurement, rows: range) -> Measurement:
    if len(measurement.y) == 1:
        return measurement
    return dataclasses.replace(measurement, y=measurement.y[rows.start : rows.stop])


def _call(method: str, predict: Any, path: Any, m: Measurement, options: dict[str, Any]) -> Any:
    try:
        return METHODS[method](predict, path, m, **options)
    except TypeError as error:
        raise ArgumentError(f"method {method!r}: {error}") from error


def _operator(operator: Any) -> Callable[[Any], Tensor]:
    if isinstance(operator, str):
        operator = {"name": operator}
    if isinstance(operator, Mapping):
        options = {
            key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
            for key, value in operator.items()
        }
        made: Callable[[Any], Tensor] = operators.build(options)
        return made
    if not callable(operator):
        raise ArgumentError(f"an operator is a function, a name or a dict; got {operator!r}")
    return operator


def _reading(model: Trained, y: Any, operator: Any) -> Tensor:
    """y with a batch axis, in units of the encoded data."""
    probe = operator(torch.zeros(1, *model.borders.codec.state_shape))
    if isinstance(y, Tensor):
        y = y if y.ndim == probe.ndim else y[None]
        if y.shape[1:] != probe.shape[1:]:
            raise ArgumentError(
                f"the operator gives {tuple(probe.shape[1:])} per item, y has {tuple(y.shape[1:])}"
            )
        return y.to(torch.float32)
    pixels = np.asarray(y)
    codec = model.borders.codec
    if not isinstance(codec, ImageCodec) or probe.ndim != 4 or probe.shape[1] != codec.shape[2]:
        raise ArgumentError(
            "y in the data's own units is an image, and the operator gives "
            f"{tuple(probe.shape[1:])} per item; give a tensor in the units of the encoded data"
        )
    if codec.shape[2] == 1 and pixels.shape[-2:] == probe.shape[-2:]:
        pixels = pixels[..., None]
    pixels = pixels[None] if pixels.ndim == 3 else pixels
    encoded = dataclasses.replace(codec, shape=(*probe.shape[2:], codec.shape[2])).encode(pixels)
    return operator(encoded) if isinstance(operator, Mask) else encoded


def _steer(predict: Any, path: Any, m: Measurement, options: dict[str, Any]) -> Steer:
    """Without the gradient unless asked for: a trained net's can be wild at high noise."""
    try:
        return Steer(predict, path, likelihood(m, path), **{"pull": 0.0, **options})
    except TypeError as error:
        raise ArgumentError(f"method 'particles': {error}") from error


@torch.no_grad()
def _particles(
    model: Trained,
    measurement: Measurement,
    count: int,
    given: dict[str, Any] | None,
    scale: float | None,
    steps: int | None,
    seed: int,
    size: int,
    options: dict[str, Any],
    show: bool | None,
) -> Explained:
    """One sample at a time, each from particles of its own."""
    from unfog.tasks.show import bar

    how = build_sampling(model.config, steps=steps)
    path, grid = model.net.path, how.grid(model.net.path, how.steps)
    scale = model.config.scale if scale is None else scale
    cond = model.borders.given.encode(given, count)
    asked = given is not None and any(v is not None for v in given.values())
    states, least = [], []
    with bar(f"sampling {count} by {size} particles", count, show=show) as line:
        for row in range(count):
            rng = SampleRng(seed, range(row * size, (row + 1) * size))
            mine = {k: v[row : row + 1].repeat_interleave(size, 0) for k, v in cond.items()}
            mine = {k: v.to(model.device) for k, v in mine.items()}
            predict = guided(model.net, mine if asked else None, scale, jumps=False)
            one = _rows(measurement, range(row, row + 1))
            walk = _steer(predict, path, one, options)
            x_t = path.prior(blank(model.config, size, model.device), rng=rng, cond=mine)
            ess = float(size)
            for swarm in particles(walk, x_t, grid, size=size, rng=rng):
                ess = min(ess, float(swarm.ess))
            states.append(model.borders.space.back(swarm.pick(rng=rng.at(how.steps + 1))).cpu())
            least.append(ess)
            line.to(row + 1)
    state = each(lambda *parts: torch.cat(parts), *states)
    samples = samples_of(model, state, cond, 0)
    return Explained(samples, misfit(measurement, state), torch.tensor(least))
