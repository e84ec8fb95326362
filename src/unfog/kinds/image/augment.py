"""Augmentation that the net is told about, so that samples show none of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from unfog.errors import ArgumentError, UnknownName
from unfog.maths.randomness import Rng
from unfog.registry import unknown

SIZES = {  # what can be done → how many numbers say how it was done
    "mirror": 1,
    "upend": 1,
    "turn": 2,
    "shift": 2,
    "scale": 1,
    "rotate": 2,
    "brightness": 1,
    "contrast": 1,
}
SHIFT, SCALE = 0.125, 0.2  # deviations: share of a side, octaves
BRIGHTNESS, CONTRAST = 0.2, 0.3  # deviations: of the state's unit, octaves


@dataclass(frozen=True)
class Augment:
    """Each transformation of `which` with this probability, on its own, per image.

    mirror: left and right change places. upend: top and bottom. turn: by 90, 180 or 270 degrees
    (square images). shift, scale, rotate: by any amount, what comes in at the border is mirrored.
    brightness, contrast: of all channels but alpha.

    The numbers that say what was done are zero where nothing was: a net that is given them in
    training, and zeros in sampling, learns from all but draws what was not augmented.
    Ref: Karras et al. 2022, Elucidating the Design Space of Diffusion-Based Generative Models,
    appendix F.2.
    """

    probability: float
    which: Sequence[str] = tuple(SIZES)

    def __post_init__(self) -> None:
        if not (isinstance(self.probability, int | float) and 0 < self.probability <= 1):
            raise ArgumentError(f"augment={self.probability!r} is no probability above 0, up to 1")
        for name in self.which:
            if name not in SIZES:
                raise UnknownName(unknown("augmentation", name, SIZES))

    @property
    def size(self) -> int:
        """How many numbers say what was done to an image."""
        return sum(SIZES.values())

    def __call__(self, x: Tensor, rng: Rng) -> tuple[Tensor, Tensor]:
        """Images (B, C, H, W) as the codec encodes them → the same augmented, and how (B, size).

        An image that nothing was done to comes back bit-equal.
        """
        batch = len(x)
        draw = rng.uniform(x.new_empty(batch, len(SIZES)))
        done = {
            name: (draw[:, place] < self.probability) & (name in self.which)
            for place, name in enumerate(SIZES)
        }
        if x.shape[2] != x.shape[3]:
            done["turn"] = torch.zeros_like(done["turn"])
        normal, even = rng.normal(x.new_empty(batch, 5)), rng.uniform(x.new_empty(batch, 2))
        quarter = torch.where(done["turn"], 1 + (even[:, 0] * 3).long().clamp(max=2), 0)
        for name, axis in (("mirror", 3), ("upend", 2)):
            x = torch.where(_wide(done[name]), x.flip(axis), x)
        for times in (1, 2, 3):
            if bool((quarter == times).any()):
                x = torch.where(_wide(quarter == times), x.rot90(times, (2, 3)), x)
        move = normal[:, :2] * done["shift"][:, None]
        octave = normal[:, 2] * done["scale"]
        angle = (2 * even[:, 1] - 1) * math.pi * done["rotate"]
        moved = done["shift"] | done["scale"] | done["rotate"]
        if bool(moved.any()):
            x = x.clone()
            x[moved] = _warped(x[moved], SHIFT * move[moved], SCALE * octave[moved], angle[moved])
        bright, strong = normal[:, 3] * done["brightness"], normal[:, 4] * done["contrast"]
        coloured = done["brightness"] | done["contrast"]
        x = torch.where(_wide(coloured), _coloured(x, bright, strong), x)
        quarters = quarter * (math.pi / 2)
        told = [
            done["mirror"],
            done["upend"],
            quarters.cos().round() - 1,
            quarters.sin().round(),
            *move.unbind(1),
            octave,
            angle.cos() - 1,
            angle.sin(),
            bright,
            strong,
        ]
        return x, torch.stack([one.to(x.dtype) for one in told], dim=1)


def _wide(flag: Tensor) -> Tensor:
    return flag.view(-1, 1, 1, 1)


def _warped(x: Tensor, shift: Tensor, octave: Tensor, angle: Tensor) -> Tensor:
    """Each image moved by `shift` of its sides, enlarged by 2^octave, turned by `angle`."""
    aspect = x.shape[3] / x.shape[2]
    cos, sin = angle.cos() * 2**-octave, angle.sin() * 2**-octave
    rows = [cos, -sin / aspect, -2 * shift[:, 0], sin * aspect, cos, -2 * shift[:, 1]]
    matrix = torch.stack(rows, dim=1).view(-1, 2, 3)
    places = F.affine_grid(matrix, list(x.shape), align_corners=False)
    return F.grid_sample(x, places, padding_mode="reflection", align_corners=False)


def _coloured(x: Tensor, bright: Tensor, strong: Tensor) -> Tensor:
    alpha = x.shape[1] in (2, 4)
    colours = x[:, :-1] if alpha else x
    colours = colours * _wide(2 ** (CONTRAST * strong)) + _wide(BRIGHTNESS * bright)
    return torch.cat([colours, x[:, -1:]], dim=1) if alpha else colours
