"""What a model makes of its conditions, and what the data says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import UnknownName
from unfog.judge.doctor.facts import Condition
from unfog.judge.doctor.probes import explained, features, told
from unfog.judge.doctor.restored import Noisings, numbers
from unfog.kinds.fields import plain_values
from unfog.kinds.given import find
from unfog.kinds.items import Items
from unfog.maths.states import lead
from unfog.tasks.trained import Trained

if TYPE_CHECKING:
    from unfog.tasks.doctor.gather import Part

WIDEST = 512
"""Classes beyond which what a condition says is not probed."""
UPPER = (2, 3, 4, 5)
"""Levels at which a condition has something left to say."""


def classes(model: Trained, cond: dict[str, Tensor]) -> Tensor | None:
    """The classes (N,) of the run's only class condition, for a reference; None where there is no
    such, or where some are missing.
    """
    found = [n for n, spec in model.borders.given.specs.items() if spec["type"] == "class"]
    if len(found) != 1 or bool((cond[found[0]] < 0).any()):
        return None
    values = cond[found[0]].long()
    size = model.borders.given.specs[found[0]]["size"]
    return values if len(values) >= 20 * size else None


def conditions(
    model: Trained, base: Part, held: Part | None, noisings: Noisings
) -> dict[str, Condition]:
    """Facts of every condition by name."""
    found = {}
    looked = base if held is None else held
    for name, spec in model.borders.given.specs.items():
        size = spec["size"] if spec["type"] in ("class", "text") else None
        fine = size is None or size <= WIDEST
        mine, theirs = features(base.cond[name], size), features(looked.cond[name], size)
        other = _others(model, name)
        x, names = _data(base.x, other)
        y, _ = _data(looked.x, other)
        says, most, entry = 0.0, 0.0, 0
        if x.shape[1] and fine:
            says, most, entry = explained(mine, x, theirs, y)
            says = max(says, told(mine, x, theirs, y))
        rise, error, without = _rises(model, noisings, name, other)
        found[name] = Condition(
            says=says,
            most=most,
            entry=names[entry] if names else "",
            rise=rise,
            error=error,
            repeats=_repeats(base, name, model),
            number=spec["type"] in ("number", "tensor"),
            without=without if model.config.train.dropout > 0 else None,
        )
    return found


def _others(model: Trained, given: str) -> dict[str, Tensor] | None:
    """Of a table, which columns of each field are not the given one itself; None elsewhere."""
    if model.config.kind != "table":
        return None
    codec = model.borders.codec
    return {
        field: torch.tensor([name != given for name, _ in codec.columns_of(field)]).bool()
        for field in model.config.fields
    }


def _data(x: Any, others: dict[str, Tensor] | None) -> tuple[Tensor, list[str]]:
    """(N, D) numbers, and categories as one-hot columns; and what each column is."""
    if others is None:
        flat = numbers(x).double()
        return flat, [f"entry {number}" for number in range(flat.shape[1])]
    parts, names = [], []
    for field, value in x.items():
        for number in others[field].nonzero()[:, 0].tolist():
            column = value[:, number]
            hot = column[:, None].double() if column.is_floating_point() else features(column, 64)
            parts.append(hot)
            names += [f"column {number} of {field}"] * hot.shape[1]
    return torch.cat(parts, 1) if parts else torch.zeros(len(lead(x)), 0), names


def _rises(
    model: Trained, noisings: Noisings, name: str, others: dict[str, Tensor] | None
) -> tuple[float, float, float]:
    """By how much shuffling one condition raises the error at the level where it does most, and the
    standard error; and by how much leaving it out does, where that does most; as shares.
    """
    cond = noisings.cond or {}
    count = len(cond[name])
    order = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    levels = list(UPPER)
    own = noisings.errors(model.net, levels, counted=others)
    means = own.mean(1).clamp_min(1e-12)
    shuffled = {**cond, name: cond[name][order]}
    difference = noisings.errors(model.net, levels, shuffled, others) - own
    rises = difference.mean(1) / means
    level = int(rises.argmax())
    error = difference[level].std() / count**0.5 / means[level]
    rest = {other: value for other, value in cond.items() if other != name}
    bare = noisings.errors(model.net, levels, rest, others).mean(1) / means - 1
    return float(rises[level]), float(error), float(bare.max())


def _repeats(base: Part, name: str, model: Trained) -> float:
    """Training items a distinct value."""
    values = next(iter(_column(base, name, model).values()), None)
    if values is None:
        return float("inf")
    try:
        plain = [v for v in plain_values(values) if v is not None]
    except (TypeError, ValueError):
        return float("inf")
    if not plain or any(np.ndim(v) for v in plain):
        return float("inf")
    return len(plain) / len(set(plain))


def _column(base: Part, name: str, model: Trained) -> dict[str, Any]:
    picked = model.borders.given.pick(base.items.columns)
    return {name: picked[name]} if name in picked else {}


def unheard(model: Trained, items: Items) -> dict[str, list[Any]]:
    """The condition columns of some items, with None for classes that training did not have."""
    found = {}
    given = model.borders.given
    for name, values in given.pick(items.columns).items():
        if given.specs[name]["type"] != "class":
            continue
        known: dict[Any, bool] = {None: True}
        plain = plain_values(values)
        for value in set(plain):
            try:
                given.encode({name: value}, 1)
                known[value] = True
            except UnknownName:
                known[value] = False
        if not all(known.values()):
            found[find(name, items.columns) or name] = [v if known[v] else None for v in plain]
    return found
