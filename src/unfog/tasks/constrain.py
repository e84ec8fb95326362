"""Draw samples that are as asked: which means serves which condition, and what came of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.guide.candidates import pick_each, pick_together
from unfog.kinds.asked import Asked, Condition, Equal, Name, Rows
from unfog.kinds.asking import read
from unfog.kinds.fields import ClassField, NumberField
from unfog.kinds.given import find
from unfog.kinds.table.allowed import askable, plain_cells
from unfog.kinds.table.askderived import askable_derived, roots, translated
from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.codec import TableCodec
from unfog.kinds.table.derived import computed, lost
from unfog.kinds.table.draws import place_keys, uniforms
from unfog.maths.randomness import mix
from unfog.sample.randomness import SampleRng
from unfog.tasks.assemble import Sampling
from unfog.tasks.firsts import Firsts, first_draws, lone_number
from unfog.tasks.generate import Samples, samples_of
from unfog.tasks.held import Held
from unfog.tasks.limits import Limits, ask, empty
from unfog.tasks.met import measure, tolerance
from unfog.tasks.mixes import mixed
from unfog.tasks.obey import Rules, finished

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

FEW, MANY, PLENTY = 32, 64, 4096
"""Candidates per row: particles; draws that cost one call a column; in all, for aggregates."""
NEAR = 0.05
"""How near, in normal scores, a number is steered by a model that can't be told of it."""
UNLIKELY = 1e-6
Draw = Callable[..., Samples]


def constrained(
    model: Trained,
    count: int,
    given: Mapping[str, Any],
    *,
    how: Sampling,
    seed: int,
    first: int,
    rows: range | None,
    candidates: int | None,
    draw: Draw,
    rules: Rules | None = None,
) -> Samples | None:
    """Samples as asked; None where plain values are asked of what the model was fitted with.

    Values that the model was fitted with are its own conditions. Of them, "one of" and ranges are
    drawn as training had them. Columns of a table that it was not fitted with are drawn first
    (`firsts`), then known while the rest is drawn. Aggregates tilt the candidates' weights.

    Args:
        draw: `generate` with everything but `given` and `held`.
        rules: what all rows obey besides.
    """
    fields = model.borders.given.fields
    if all(as_it_stands(fields, name, value, count) for name, value in given.items()):
        return None
    names = nameable(model)
    if not names:
        return None
    asked = read(given, names, count)
    if asked.plain and all(name in fields for name in asked.conditions):
        return None
    if candidates is not None and not (isinstance(candidates, int) and candidates >= 1):
        raise ArgumentError(f"candidates is a whole number, 1 or more; got {candidates!r}")
    if asked.aggregates and any(isinstance(c, Rows) for c in asked.conditions.values()):
        raise ArgumentError(
            "an aggregate is of all rows together, and a value per row fixes what each is: ask for "
            "one or the other"
        )
    said = {find(key, names) or key: value for key, value in given.items()}
    if model.config.kind == "table":
        drawn = _table(model, count, asked, said, how, seed, first, rows, candidates, draw, rules)
        return finished(rules, drawn, list(asked.conditions))
    values, notes, ess, size = mixed(fields, asked, count, mix(seed, 0x67), candidates)
    plain = _values(asked, names, said)
    samples = draw(given={**plain, **values})
    there = slice(None) if rows is None else slice(rows.start, rows.stop)
    met = measure(
        asked, {n: v[there] for n, v in values.items()}, ess=ess, candidates=size, notes=notes
    )
    return dataclasses.replace(samples, met=met)


def as_it_stands(fields: Mapping[str, Any], key: str, value: Any, count: int) -> bool:
    """Whether this is plainly a value, or one per row, of what the model was fitted with."""
    known = fields.get(find(key, fields) or "")
    if known is None or isinstance(value, tuple | set | frozenset):
        return False
    if isinstance(value, str):
        return not isinstance(known, NumberField) and (
            not isinstance(known, ClassField) or value in known.places
        )
    return not isinstance(value, list) or len(value) == count


def nameable(model: Trained) -> dict[str, Name]:
    """What can be asked of this model's samples, by name."""
    names: dict[str, Name] = {}
    if model.config.kind == "table":
        names = askable(model.borders.codec)
        names |= askable_derived(model.borders.codec, names)
    for name, known in model.borders.given.fields.items():
        if find(name, names) is not None:
            continue
        if isinstance(known, ClassField):
            ordered = all(isinstance(level, int | float) for level in known.classes)
            dtype = np.dtype(float) if ordered else np.dtype(object)
            names[name] = Name(name, "level", dtype, tuple(known.classes), ordered)
        elif isinstance(known, NumberField):
            names[name] = Name(name, "number", np.dtype(float))
        else:
            names[name] = Name(name, "other")
    return names


def _table(
    model: Trained,
    count: int,
    asked: Asked,
    said: dict[str, Any],
    how: Sampling,
    seed: int,
    first: int,
    rows: range | None,
    candidates: int | None,
    draw: Draw,
    rules: Rules | None,
) -> Samples:
    codec, fields, wished = model.borders.codec, model.borders.given.fields, asked
    asked, left = translated(codec, asked)
    inside = {
        n: c for n, c in asked.conditions.items() if n in codec.columns and codec.places.get(n)
    }
    limits = ask(
        empty(codec, count), codec, dataclasses.replace(asked, conditions=inside),
        seed=codec.seed, first=first,
    )  # fmt: skip
    _there(limits, codec, wished)
    whole_range(limits, codec, asked)
    exact = _unlearnt(model, limits)
    equal = {n: v for n, v in _values(asked, nameable(model), said).items() if n in fields}
    # a number that is drawn first knows of categories by their weight alone, so by no condition
    alone = lone_number(model, limits)
    told = {n: v for n, v in equal.items() if not (alone and n in inside)}
    cond = model.borders.given.encode(told, count) if told else None
    size = candidates or usual(model, limits, bool(asked.aggregates), count)
    numbers = list(range(first, first + count))
    drawn = first_draws(model, limits, cond, how, numbers, size=size, seed=mix(seed, 1))
    if drawn.whole and (left or rules is not None):
        drawn = _weighed(drawn, codec, rules, left, first, count)
    chosen, ess = _chosen(
        codec, asked, drawn, count, SampleRng(mix(seed, 2), numbers), mix(seed, 3)
    )
    likely = float(drawn.log_weight.logsumexp(1).mean()) - np.log(size)
    if likely < np.log(UNLIKELY):
        limits.notes.append(
            f"under this model all that is asked for together has a chance of {np.exp(likely):.0e}"
        )
    state, keep = (
        {name: value[chosen] for name, value in each.items()} for each in (drawn.state, drawn.keep)
    )
    if exact is not None:
        state["num"] = torch.where(exact.keep["num"], exact.known["num"], state["num"])
    if drawn.whole:
        there = range(count) if rows is None else rows
        part = {name: value[there.start : there.stop] for name, value in state.items()}
        cond = model.borders.given.encode(equal, count)
        cond = {name: value[there.start : there.stop] for name, value in cond.items()}
        samples = samples_of(model, part, cond, first + there.start)
    else:
        _unheard(model, limits, state, keep, seed, numbers)
        cells = codec.decode(state, start=first)
        free = {n: cells.columns[n].to_list() for n in inside if n in fields and n not in equal}
        samples = draw(given={**equal, **free} or None, held=Held(state, keep), wanted=left)
    table = written_in(codec, samples.raw, asked, limits, rows, first)
    values = {name: plain_cells(cells) for name, cells in table.columns.items()}
    weighed = ess if size > 1 else None
    if weighed is not None and weighed < 4:
        limits.notes.append(
            f"only {weighed:.1f} of {size} candidates count, so rows are no fair draws of what is "
            f"asked for; ask for more of them (--candidates {8 * size}), or for less"
        )
    met = measure(wished, values, ess=weighed, candidates=size, notes=limits.notes, rows=rows)
    return dataclasses.replace(samples, raw=table, met=met)


def _there(limits: Limits, codec: TableCodec, asked: Asked) -> None:
    """Computed columns of which something is asked are not missing."""
    for name in asked.conditions:
        if name in codec.functions and codec.columns[name].mark:
            place = codec.places[name]["missing"]
            limits.known["cat"][:, place] = 0
            limits.keep["cat"][:, place] = True
            limits.forced.append(place)


def _weighed(
    drawn: Firsts,
    codec: TableCodec,
    rules: Rules | None,
    left: dict[str, Condition],
    first: int,
    count: int,
) -> Firsts:
    """Candidates that break a rule count for nothing, where a row has others."""
    all_of = Rules(codec, [] if rules is None else rules.constraints, left)
    good = torch.from_numpy(all_of.obeyed(codec.decode(drawn.state, start=first)))
    good = good.reshape(count, -1)
    good |= ~good.any(1, keepdim=True)
    weight = torch.where(good, drawn.log_weight, float("-inf"))
    return dataclasses.replace(drawn, log_weight=weight)


def _values(asked: Asked, names: Mapping[str, Name], said: Mapping[str, Any]) -> dict[str, Any]:
    """name -> the value, or one per row, that is asked for, as a model's conditions take it."""

    def mine(name: str, value: Any) -> Any:
        dated = value is not None and names[name].dtype.kind in "mM"
        return np.int64(value).astype(names[name].dtype).item() if dated else value

    values = {}
    for name, condition in asked.conditions.items():
        if names[name].kind == "other":
            values[name] = said[name]
        elif isinstance(condition, Equal):
            values[name] = mine(name, condition.value)
        elif isinstance(condition, Rows):
            values[name] = [mine(name, value) for value in condition.values]
    return values


def usual(
    model: Trained, limits: Limits, together: bool, count: int, *, filling: bool = False
) -> int:
    """How many candidates per row: one where weights can't differ."""
    told = model.net.told and not filling
    alone = not filling and lone_number(model, limits)
    if limits.spans and not alone:
        size = FEW
    else:
        known = "cat" in limits.keep and bool(limits.keep["cat"].any())
        # a category that is weighed after something was drawn at random makes weights differ
        random = alone or (told and bool(set(limits.marks) - set(limits.forced)))
        later = len(limits.codes) - (not random) + (alone and known)
        size = MANY if later > 0 else 1
    return (
        max(size, MANY if not limits.spans or alone else FEW, -(-PLENTY // count))
        if together
        else size
    )


def whole_range(limits: Limits, codec: TableCodec, asked: Asked) -> None:
    """Columns of aggregates are drawn first too, with all that they can be."""
    where = codec.places
    for aggregate in asked.aggregates.values():
        for name in roots(codec, aggregate.name):
            column, parts = codec.columns[name], where[name]
            if column.number is not None:
                known = limits.keep["num"][:, parts["value"]].all()
                if parts["value"] not in limits.spans and not known:
                    span = torch.tensor([-np.inf, np.inf]).expand(len(limits), 1, 2)
                    limits.spans[parts["value"]] = span
            elif parts["level"] not in limits.codes:
                assert column.levels is not None
                limits.codes[parts["level"]] = torch.ones(len(limits), column.levels.size)


def _unlearnt(model: Trained, limits: Limits) -> Held | None:
    """Known numbers of a net that can't be told of any: narrow spans, and the numbers put at the
    end.
    """
    if model.net.told or "num" not in limits.keep or not bool(limits.keep["num"].any()):
        return None
    known, keep = limits.known["num"].clone(), limits.keep["num"].clone()
    for place in torch.nonzero(keep.any(0)).flatten().tolist():
        use = keep[:, place, None]
        near = torch.stack([known[:, place] - NEAR, known[:, place] + NEAR], -1)
        free = torch.tensor([-np.inf, np.inf], dtype=near.dtype)
        limits.spans[place] = torch.where(use, near, free)[:, None]
    limits.keep["num"][:] = False
    limits.notes.append(
        "this model was trained without known cells (train.known = 0), so numbers are steered to "
        "their values, which is less exact: fit again with --set train.known=0.3"
    )
    return Held({"num": known}, {"num": keep})


def _unheard(
    model: Trained,
    limits: Limits,
    state: dict[str, Tensor],
    keep: dict[str, Tensor],
    seed: int,
    numbers: list[int],
) -> None:
    """Scores of missing cells are known noise, as in training."""
    if not model.net.told:
        return
    noise = SampleRng(mix(seed, 4), numbers)
    for mark, place in limits.values_of.items():
        drawn = noise.normal(state["num"][:, :1])[:, 0]
        gone = keep["cat"][:, mark] & (state["cat"][:, mark] == 1)
        state["num"][:, place] = torch.where(gone, drawn, state["num"][:, place])
        keep["num"][:, place] |= gone


def _chosen(
    codec: TableCodec, asked: Asked, drawn: Firsts, count: int, rng: SampleRng, seed: int
) -> tuple[Tensor, float]:
    """Which candidates become the rows, and how many count per row."""
    size = drawn.log_weight.shape[1]
    if not asked.aggregates:
        chosen, ess = pick_each(drawn.log_weight, rng)
        return chosen, min(ess, float(drawn.least.mean()))
    table = codec.decode(drawn.state)
    features, close = [], []
    for aggregate in asked.aggregates.values():
        values = plain_cells(table.columns[aggregate.name])
        features.append(aggregate.features(values, count))
        wide = tolerance(aggregate, values) * (count / len(values) if aggregate.how == "sum" else 1)
        close.append(wide / (4 * count if aggregate.how == "sum" else 4))
    whole = drawn.log_weight.flatten()
    chosen, ess, _ = pick_together(whole, np.stack(features, 1), count, seed, np.array(close))
    return chosen, min(ess, float(drawn.least.mean()) if drawn.least.min() < size else ess)


def written_in(
    codec: TableCodec, table: Table, asked: Asked, limits: Limits, rows: range | None, first: int
) -> Table:
    """Asked values as they were asked, and rare levels among those that are allowed."""
    there = range(len(table)) if rows is None else rows
    exact = {}
    for name, condition in asked.conditions.items():
        if name in table.columns and isinstance(condition, Equal | Rows):
            exact[name] = (
                [condition.value] * len(table)
                if isinstance(condition, Equal)
                else list(condition.values[there.start : there.stop])
            )
    table = codec.with_given(table, exact)
    columns = dict(table.columns)
    for name, rare in limits.rare.items():
        cells, levels = columns[name], codec.columns[name].levels
        assert levels is not None
        hit = np.array([v in levels.rare for v in plain_cells(cells)])
        chance = uniforms(place_keys(first + there.start, len(table), codec.seed), f"asked {name}")
        shares = np.cumsum([often for _, often in rare])
        pick = np.searchsorted(shares, chance * shares[-1], side="right")
        values = cells.values.copy()
        for row in np.flatnonzero(hit):
            values[row] = rare[pick[row]][0]
        columns[name] = Cells(values, cells.present)
    gone = lost(codec.functions, table)
    return computed(codec.functions, Table(columns), gone, but=exact)
