"""What is this? A source, or a run folder, in a few facts."""

from __future__ import annotations

import pathlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from unfog.errors import DataError, UnfogError
from unfog.judge.source import directions, imbalance, near_copies, suspects
from unfog.kinds import kinds
from unfog.kinds.fields import plain_values
from unfog.kinds.given import guess
from unfog.kinds.infer import infer
from unfog.kinds.items import Items
from unfog.kinds.splits import Splits, split
from unfog.kinds.table.cells import Table
from unfog.kinds.table.derived import derived_note, functions_from_json
from unfog.kinds.table.find import find
from unfog.kinds.table.roles import infer_roles
from unfog.tasks.config import Config
from unfog.tasks.expect import expect
from unfog.train import checkpoint
from unfog.train.log import read as read_log
from unfog.train.memory import size
from unfog.train.plan import span

FEW = 1000
EACH = 10
"""Items a direction of variation that are called enough: fewer don't pin its spread down."""
Facts = dict[str, Any]


def inspect(
    source: Any, *, kind: str | None = None, reading: Mapping[str, Any] | None = None
) -> Facts:
    """Facts about a source or a run folder, as one JSON-able dict with a list of plain `advice`.

    Of a source: whether there is enough of it, what repeats (exactly or nearly), is imbalanced,
    missing or leaking between parts and columns, and what a default fit would take.
    """
    if isinstance(source, (str, pathlib.Path)) and (pathlib.Path(source) / "config.json").is_file():
        return _run(pathlib.Path(source))
    name = infer(source, kind)
    reading = dict(reading or {})
    begun = time.monotonic()
    items = kinds[name].read(source, **reading)
    parts = split(items, seed=0)
    read = time.monotonic() - begun
    plain = {key: plain_values(v) for key, v in items.columns.items() if guess(v) != "tensor"}
    if name == "table":  # there every column may be told from another
        plain |= {key: plain_values(v.to_list()) for key, v in _table(items).columns.items()}
    facts: Facts = {
        "what": "data",
        "kind": name,
        "count": len(items),
        **OF_KIND.get(name, _any)(items, parts),
        "columns": {key: _column(values) for key, values in items.columns.items()},
        "duplicates": parts.duplicates,
        "splits": {part: len(getattr(parts, part)) for part in ("train", "validation", "test")},
        "leaks": _parts(source, name, items, reading),
        "suspects": [vars(one) for one in suspects(plain)],
        "fingerprint": items.fingerprint(),
        "notes": items.notes,
    }
    try:
        facts["default_fit"] = expect(source, name, items, reading, read)
    except UnfogError as error:  # what stands in the way of a fit is a fact like others
        facts["default_fit"] = {"refused": str(error)}
    return {**facts, "advice": _advice(facts)}


def _any(items: Items, parts: Splits) -> Facts:
    return {"item": list(items.data.shape[1:])}


def _numbers(items: Items, parts: Splits) -> Facts:
    """Of an ndarray: form, range, directions of variation, near copies."""
    data = np.asarray(items.data)
    near, leaks = near_copies(data), near_copies(data[parts.test], data[parts.train])
    spread = directions(data)
    return {
        "item": list(data.shape[1:]),
        "dtype": str(data.dtype),
        "range": [float(np.nanmin(data)), float(np.nanmax(data))],
        "memory_mb": round(data.nbytes / 1e6, 1),
        "directions": spread,
        "items_a_direction": round(len(items) / spread, 1),
        "near_copies": None if near is None else _near(near.count, near.looked),
        "near_split": None if leaks is None else _near(leaks.count, leaks.looked),
    }


def _table(items: Items) -> Table:
    table: Any = items.data
    return table


def _cells(items: Items, parts: Splits) -> Facts:
    """Of a table: every column's type, missing cells and classes."""
    table = _table(items)
    return {
        "item": [len(table.names)],
        "memory_mb": round(table.nbytes / 1e6, 1),
        "functions": functions_of(table, parts, items.origin),
        "cells": {name: _column(cells.to_list()) for name, cells in table.columns.items()},
    }


OF_KIND: dict[str, Callable[[Items, Splits], Facts]] = {
    "image": _numbers,
    "array": _numbers,
    "table": _cells,
}
"""Facts that depend on what the data is; a kind that is not here says its shape."""


def _near(count: int, looked: int) -> Facts:
    return {"found": count, "looked": looked}


def functions_of(table: Table, parts: Splits, origin: Mapping[str, Any]) -> list[str]:
    """What a fit would compute and not learn, a sentence for each column."""
    train, held = table[parts.train], table[parts.validation] if len(parts.validation) else None
    found, _ = find(train, infer_roles(train, origin.get("types")), held=held)
    return [derived_note(name, rule) for name, rule in found.items()]


def _column(values: Any) -> Facts:
    kind = guess(values)
    plain = plain_values(values) if kind != "tensor" else []
    facts: Facts = {"type": kind, "missing": sum(value is None for value in plain)}
    if kind == "class":
        counts = Counter(str(v) for v in plain if v is not None)
        facts["classes"] = dict(counts.most_common(50))
        facts["distinct"] = len(counts)
        facts["fewest"], facts["most"] = imbalance(plain)
    return facts


def _parts(source: Any, name: str, items: Items, reading: dict[str, Any]) -> list[Facts]:
    """Items of the source's own test and validation folders that are in its train folder too."""
    path = isinstance(source, (str, pathlib.Path)) and name == "image"
    if not path or reading.get("part", "train") != "train":
        return []
    found = []
    for part in ("validation", "test"):
        options = {**reading, "part": part, "size": tuple(items.data.shape[1:3])}
        try:
            other = kinds[name].read(source, **options)
        except DataError:  # there is no such folder
            continue
        if other.data.shape[1:] != items.data.shape[1:]:
            continue
        known = {row.tobytes() for row in items.data}
        near = near_copies(other.data, items.data)
        found.append(
            {
                "part": part,
                "count": len(other),
                "exact": sum(row.tobytes() in known for row in other.data),
                "near": None if near is None else _near(near.count, near.looked),
            }
        )
    return found


def _advice(facts: Facts) -> list[str]:
    return [*_amount(facts), *_repeats(facts), *_columns(facts)]


def _amount(facts: Facts) -> list[str]:
    count, spread = facts["count"], facts.get("directions")
    if count < FEW:
        return [
            f"{count} items are few: a model will copy them rather than generalise; read the "
            "measured novelty"
        ]
    if spread is None:
        return []
    each = facts["items_a_direction"]
    what = f"95 % of the variance lies in {spread} directions: {each:g} items each"
    if count < EACH * spread:
        return [f"{what}; with fewer than {EACH} fine detail is learnt by heart, if at all"]
    return [f"{what}, enough to learn from ({EACH} or more)"]


def _repeats(facts: Facts) -> list[str]:
    advice = []
    if facts["duplicates"]:
        advice.append(
            f"{facts['duplicates']} items repeat another exactly; they are kept on one side of "
            "every split"
        )
    near, crossing = facts.get("near_copies"), facts.get("near_split")
    if near and near["found"]:
        advice.append(
            f"{near['found']} of {near['looked']} items looked at nearly repeat another: a tenth "
            "of the usual distance between neighbours, or less"
        )
    if crossing and crossing["found"]:
        advice.append(
            f"{crossing['found']} of {crossing['looked']} test items nearly repeat a training "
            "item: figures on the test part will flatter; remove them, or give held-out data"
        )
    for leak in facts["leaks"]:
        near = (leak["near"] or {"found": 0})["found"]
        if leak["exact"] or near:
            advice.append(
                f"leak: of {leak['count']} items in the source's {leak['part']} folder "
                f"{leak['exact']} are in its train folder too, and {near} nearly"
            )
    return advice


def _columns(facts: Facts) -> list[str]:
    advice, useless = [], set()
    for one in facts["suspects"]:
        name, other = one["column"], one["other"]
        if one["what"] == "constant":
            useless.add(name)
            advice.append(f"{name} has one value only; conditioning on it does nothing")
        elif one["what"] == "identifier":
            useless.add(name)
            advice.append(
                f"{name} is different for every item: an identifier, by which a model would learn "
                "each item by heart; don't condition on it"
            )
        elif one["what"] == "same":
            advice.append(f"{name} and {other} say the same; condition on one of them")
        else:
            advice.append(f"{name} determines {other}; given {name}, {other} adds nothing")
    for name, column in {**facts.get("cells", {}), **facts["columns"]}.items():
        if column.get("fewest") and column["most"] > 10 * column["fewest"]:
            advice.append(
                f"{name} is imbalanced: from {column['fewest']} to {column['most']} items a class"
            )
        if column["missing"] and name in facts["columns"]:
            advice.append(
                f"{name} is missing for {column['missing']} items; they train as unconditional"
            )
        if column["type"] in ("class", "number", "text") and name not in useless:
            advice.append(f"condition on it with --given {name}")
    return advice


def told(facts: Facts) -> list[tuple[str, str]]:
    """The facts as lines for people: (name, words)."""
    lines = []
    for name, value in facts.items():
        if name in ("advice", "notes", "suspects") or value in (None, [], {}):
            continue
        if name in ("functions", "constraints"):
            lines += [(name[:-1], str(one)) for one in value]
        elif name in ("columns", "cells"):
            lines += [(f"  {key}", _words(column)) for key, column in value.items()]
        elif name == "default_fit":
            lines += _told_fit(value)
        elif name in ("near_copies", "near_split"):
            lines.append((name, f"{value['found']} of {value['looked']} looked at"))
        elif isinstance(value, dict):
            lines.append((name, ", ".join(f"{key} {one}" for key, one in value.items())))
        else:
            lines.append((name, str(value)))
    return lines


def _words(column: Facts) -> str:
    words = [column["type"]]
    if "distinct" in column:
        words.append(
            f"{column['distinct']} classes of {column['fewest']} to {column['most']} items"
        )
    return ", ".join([*words, f"{column['missing']} missing"])


def _told_fit(fit: Facts) -> list[tuple[str, str]]:
    if "refused" in fit:
        return [("default fit", f"refused: {fit['refused']}")]
    return [
        ("default fit", f"{fit['net']}, {fit['parameters']} parameters, batch {fit['batch']}"),
        ("  memory", f"about {size(fit['memory_bytes'])}"),
        (
            "  time",
            f"about {span(fit['pass_seconds'])} a pass over the data, "
            f"{span(fit['enough_seconds'])} for {fit['enough_updates']} updates",
        ),
    ]


def _run(folder: pathlib.Path) -> dict[str, Any]:
    from unfog.model.files import MANIFEST, read_json
    from unfog.tasks.runfolder import check, read_config

    config: Config = read_config(folder)
    whole = (folder / MANIFEST).exists()
    if whole:
        check(folder)
    lines = read_log(folder / "metrics.jsonl")
    codec = read_json(folder / "codec.json").get("codec", {}) if config.kind == "table" else {}
    functions = functions_from_json(codec.get("functions", []))
    return {
        "what": "run",
        "kind": config.kind,
        "finished": whole,
        "given": config.given,
        "recipe": config.recipe,
        "item": config.data.item,
        "net": config.net["name"],
        "space": config.space["name"],
        "steps": config.train.steps,
        "step": lines[-1]["step"] if lines else 0,
        "loss": lines[-1]["loss"] if lines else None,
        "checkpoints": [found.step for found in checkpoint.found(folder)],
        "functions": [derived_note(name, rule) for name, rule in functions.items()],
        "constraints": codec.get("constraints", []),
        "source": config.data.source,
        "version": config.version,
        "advice": [] if whole else [f"not finished: unfog fit -o {folder} --resume"],
    }
