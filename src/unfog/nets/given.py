"""What a condition is as a value: its spec, its checks, and how 'missing' is written in a tensor.

A spec is a JSON dict per name; the tensor of a batch of B samples then is

    {"type": "class", "size": K}            long  (B,), -1 = missing
    {"type": "classes", "size": K}          float (B, K) in [0, 1], a row with NaN = missing
    {"type": "number", "size": n}           float (B, n), a row with NaN = missing
    {"type": "text", "size": K, "length": L}  long (B, <= L), -1 = padding, a row of -1 = missing
    {"type": "tensor", "shape": [...]}      float (B, *shape), any NaN in a sample = missing
    {"type": "state", "shape": [C, ...]}    float (B, C, *spatial), any NaN in a sample = missing
    {"type": "augment", "size": n}          float (B, n), how the sample was augmented; zeros = not
    {"type": "crop", "size": 2 n}           float (B, 2 n), what was cut off before and after each
                                            of n axes, as shares of it; zeros = nothing

How a sample was augmented or cut is never unknown: where it isn't said it was not, and neither
drops out. So nothing that samples has to know of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError, ShapeError, UnknownName
from unfog.registry import unknown

Spec = Mapping[str, Any]
Given = Mapping[str, Spec]

SPEC_KEYS: dict[str, tuple[str, ...]] = {
    "class": ("size",),
    "classes": ("size",),
    "number": ("size",),
    "text": ("size", "length"),
    "tensor": ("shape",),
    "state": ("shape",),
    "augment": ("size",),
    "crop": ("size",),
}
DONE = ("augment", "crop")
"""What is said of how a sample was changed for training."""


def validated(given: Given | None) -> dict[str, dict[str, Any]]:
    """The specs as plain JSON dicts. Raises ArgumentError or UnknownName if one can't be used."""
    plain: dict[str, dict[str, Any]] = {}
    for name, spec in (given or {}).items():
        kind = spec.get("type")
        if kind not in SPEC_KEYS:
            raise UnknownName(unknown(f"type of condition {name!r}:", kind, SPEC_KEYS))
        for key in spec:
            if key != "type" and key not in SPEC_KEYS[kind]:
                raise UnknownName(
                    unknown(f"key of {kind} condition {name!r}", key, SPEC_KEYS[kind])
                )
        made: dict[str, Any] = {"type": kind}
        for key in SPEC_KEYS[kind]:
            value = spec.get(key)
            if key == "shape":
                sizes = list(value) if isinstance(value, list | tuple) else []
            else:
                sizes = [value]
            if not sizes or any(type(size) is not int or size < 1 for size in sizes):
                allowed = "a list of positive integers" if key == "shape" else "a positive integer"
                raise ArgumentError(
                    f"condition {name!r} of type {kind!r} has {key}={value!r}; give {allowed}"
                )
            made[key] = sizes if key == "shape" else value
        plain[name] = made
    return plain


def sample_shape(spec: Spec) -> tuple[int, ...]:
    """The shape of one sample of this condition; text counts its longest length."""
    match spec["type"]:
        case "class":
            return ()
        case "classes" | "number" | "augment" | "crop":
            return (spec["size"],)
        case "text":
            return (spec["length"],)
        case _:
            return tuple(spec["shape"])


def is_index(spec: Spec) -> bool:
    """Whether the values are whole numbers (missing = -1) rather than floats (missing = NaN)."""
    return spec["type"] in ("class", "text")


def null(given: Given, batch: int, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """The cond dict in which every condition of every sample is missing, and none is augmented or
    cut.
    """
    made = {}
    for name, spec in given.items():
        shape = (batch, *sample_shape(spec))
        if is_index(spec):
            made[name] = torch.full(shape, -1, dtype=torch.long, device=device)
        elif spec["type"] in DONE:
            made[name] = torch.zeros(shape, device=device)
        else:
            made[name] = torch.full(shape, torch.nan, device=device)
    return made


def missing(value: Tensor, spec: Spec) -> Tensor:
    """(B,) bool, True where the sample's condition is missing."""
    if spec["type"] == "class":
        return value < 0
    if spec["type"] == "text":
        return (value < 0).all(1)
    return value.flatten(1).isnan().any(1)


def check(name: str, value: Tensor, spec: Spec, batch: int) -> None:
    """Raise ShapeError or ArgumentError, with name and value, if a tensor does not fit its spec."""
    shape = (batch, *sample_shape(spec))
    if spec["type"] == "text":
        fits = value.ndim == 2 and value.shape[0] == batch and 1 <= value.shape[1] <= shape[1]
    else:
        fits = tuple(value.shape) == shape
    if not fits:
        raise ShapeError(
            f"condition {name!r} has shape {tuple(value.shape)}; its {spec['type']} spec needs "
            f"{shape}"
        )
    if batch == 0:
        return
    if is_index(spec):
        if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
            raise ArgumentError(f"condition {name!r} is {value.dtype}; give whole numbers (long)")
        low, high = int(value.min()), int(value.max())
        if low < -1 or high >= spec["size"]:
            wrong = low if low < -1 else high
            raise ArgumentError(
                f"condition {name!r} has the value {wrong}; allowed are 0 to {spec['size'] - 1}, "
                "and -1 for missing"
            )
        return
    if not value.is_floating_point():
        raise ArgumentError(f"condition {name!r} is {value.dtype}; give floats, NaN for missing")
    if spec["type"] == "classes":
        outside = (value < 0) | (value > 1)
        if bool(outside.any()):
            raise ArgumentError(
                f"condition {name!r} has the value {float(value[outside][0]):g}; give 1 for a "
                "class that applies, 0 for one that does not, and a row of NaN for missing"
            )
    elif bool(value.isinf().any()):
        raise ArgumentError(f"condition {name!r} has an infinite value; give finite ones or NaN")


def completed(
    cond: Mapping[str, Tensor] | None, given: Given, batch: int, device: torch.device | str
) -> dict[str, Tensor]:
    """Every given name with a checked tensor; a name that `cond` lacks is missing in every sample.

    Raises: UnknownName for a name that is not given; ShapeError, ArgumentError as `check` does.
    """
    for name in cond or {}:
        if name not in given:
            raise UnknownName(unknown("condition", name, given))
    full = {}
    for name, spec in given.items():
        value = (cond or {}).get(name)
        if value is None:
            value = null({name: spec}, batch, device)[name]
        else:
            check(name, value, spec, batch)
        full[name] = value
    return full


def dropout(
    cond: Mapping[str, Tensor] | None,
    given: Given,
    rates: float | Mapping[str, float],
    draw: Tensor,
    *,
    joint: float = 0.0,
    joint_draw: Tensor | None = None,
) -> dict[str, Tensor]:
    """Make conditions missing at random, each by itself, and with rate `joint` all at once.

    Args:
        rates: the share of samples that lose a condition: one number, or one per name (else 0).
        draw: (n_given, B) uniform in [0, 1), one row per name in the order of `given`.
        joint: the share of samples that lose all conditions together.
        joint_draw: (B,) uniform in [0, 1); needed when joint > 0.
    Returns: a new cond dict with every given name.
    """
    if isinstance(rates, Mapping):
        for name in rates:
            if name not in given:
                raise UnknownName(unknown("condition", name, given))
    if draw.ndim != 2 or draw.shape[0] != len(given):
        raise ShapeError(
            f"draw has shape {tuple(draw.shape)}; dropout needs one row per condition: "
            f"({len(given)}, B)"
        )
    batch = draw.shape[1]
    together = torch.zeros(batch, dtype=torch.bool, device=draw.device)
    if joint > 0:
        if joint_draw is None or tuple(joint_draw.shape) != (batch,):
            raise ShapeError(f"joint={joint} needs joint_draw of shape ({batch},)")
        together = joint_draw < joint
    full = completed(cond, given, batch, draw.device)
    nulls = null(given, batch, draw.device)
    dropped = {}
    for row, (name, value) in zip(draw, full.items()):
        if given[name]["type"] in DONE:
            dropped[name] = value
            continue
        rate = rates.get(name, 0.0) if isinstance(rates, Mapping) else rates
        lost = ((row < rate) | together).view(-1, *(1,) * (value.ndim - 1))
        empty = nulls[name].to(value.dtype)
        if given[name]["type"] == "text":
            empty = empty[:, : value.shape[1]]
        dropped[name] = torch.where(lost, empty, value)
    return dropped
