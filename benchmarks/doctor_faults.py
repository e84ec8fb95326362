"""Faults that `benchmarks/doctor.py` plants in runs, and healthy runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from doctor_data import GROUPS, Data

EACH = {"tune": 2, "first": 3, "second": 3, "third": 3}
"""Runs of every fault."""
HEALTHY = {"tune": 12, "first": 20, "second": 20, "third": 40}
ROSE = 1.05
"""Held-out loss over its lowest from which a run is over-fitted."""
SEEDS = {"tune": 4, "first": 6, "second": 7, "third": 8}


@dataclass
class Case:
    """One run to be made, and what is wrong with it (None: nothing).

    Attributes:
        rise: what the held-out loss must end at, in units of its lowest, for the fault to have
            taken; else the run is made again, longer. None: nothing to check.
        other: what is planted instead where it does not take.
    """

    fault: str | None
    data: Data
    how: str
    steps: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    recipe: str = "flow"
    seed: int = 0
    source: Data | None = None
    mask: float = 0.0
    rise: float | None = None
    other: Case | None = None


def cases(group: str) -> list[Case]:
    """Every planted fault on some of the group's data sets, and healthy runs."""
    sets = GROUPS[group]()
    rng = np.random.default_rng(SEEDS[group])
    made: list[Case] = []
    for number, plant in enumerate(PLANTS):
        for turn in range(EACH[group]):
            # two or three numbers can't be over-fitted by a net this smooth in so short a time
            able = [s for s in sets if plant != "over_fitting" or s.numbers().shape[1] > 3]
            data = able[(number + turn) % len(able)]
            made.append(PLANTS[plant](data, turn, rng))
            if plant == "over_fitting":
                other = able[(number + turn + 1) % len(able)]
                made[-1].other = _over(other, turn, np.random.default_rng(turn))
    for number in range(HEALTHY[group]):
        data = sets[number % len(sets)]
        recipe = ("flow", "flow", "edm", "flow", "ddpm")[(number // len(sets)) % 5]
        settings: dict[str, Any] = {"net.width": (160, 192, 128, 224)[number // len(sets) % 4]}
        if number // len(sets) == 1:
            data = Data(**{**vars(data), "given": None})
        more = 1 if recipe == "flow" else 1.5
        made.append(
            Case(
                None,
                data,
                f"{recipe}, {settings}",
                int(data.steps * more),
                settings,
                recipe,
                seed=100 + number,
            )
        )
    return made


def _under(data: Data, turn: int, rng: Any) -> Case:
    steps = (12, 20, 30)[turn]
    return Case("under_fitting", data, f"{steps} steps", steps, seed=turn)


def _slow(data: Data, turn: int, rng: Any) -> Case:
    share = (0.2, 0.15, 0.25)[turn]
    steps = int(data.steps * share)
    return Case(
        "slow_convergence",
        data,
        f"{steps} steps",
        steps,
        {"schedule": "constant"} if turn == 1 else {},
        seed=turn,
    )


def _over(data: Data, turn: int, rng: Any) -> Case:
    data = data.take(rng.permutation(len(data.data))[: (160, 200, 180)[turn]])
    data.given = None
    return Case(
        "over_fitting",
        data,
        f"{len(data.data)} items, wide, long",
        3000,
        {"net.width": 256, "net.depth": 2, "train.stop_at": "never"},
        seed=turn,
        rise=ROSE,
    )


def _few(data: Data, turn: int, rng: Any) -> Case:
    data = data.take(rng.permutation(len(data.data))[: (24, 36, 45)[turn]])
    data.given = None
    return Case("too_few_data", data, f"{len(data.data)} items", 300, seed=turn)


def _tiny(data: Data, turn: int, rng: Any) -> Case:
    width = (2, 4, 3)[turn]
    return Case(
        "net_too_small",
        data,
        f"width {width}",
        900,
        {"net.width": width, "net.depth": 1, "train.lr": 5e-3},
        seed=turn,
    )


def _large(data: Data, turn: int, rng: Any) -> Case:
    lr = (0.3, 0.1, 1.0)[turn]
    return Case("step_too_large", data, f"lr {lr}", None, {"train.lr": lr}, seed=turn)


def _little(data: Data, turn: int, rng: Any) -> Case:
    lr = (3e-6, 1e-5, 2e-5)[turn]
    return Case("step_too_small", data, f"lr {lr}", None, {"train.lr": lr}, seed=turn)


def _scale(data: Data, turn: int, rng: Any) -> Case:
    if isinstance(data.data, pd.DataFrame) or turn == 2:
        other = Data(**vars(data))
        if isinstance(data.data, pd.DataFrame):
            number = data.data.select_dtypes("number").columns
            other.data = data.data.copy()
            other.data[number] = other.data[number].astype(float) * 100
        elif data.data.dtype.kind == "u":
            other.data = (data.data // 64).astype(data.data.dtype)
        else:
            other.data = data.data * 255
        return Case("wrong_scale", data, "a source in other units", None, source=other)
    if data.data.dtype.kind == "u":
        other = Data(**vars(data))
        other.data = (data.data // 16).astype(data.data.dtype)
        other.settings = {**data.settings, "space": "identity"}
        return Case("wrong_scale", other, "pixels from 0 to 15 of 255", None)
    other = Data(**vars(data))
    other.data = data.data.copy()
    rows = rng.permutation(len(other.data))[:4]
    other.data[rows, turn] = (9999, -999)[turn % 2]
    return Case("wrong_scale", other, "4 rows with a code for missing", None)


def _aim(data: Data, turn: int, rng: Any) -> Case:
    settings = (
        {"target": "score"},
        {"times.high": 0.4},
        {"weight": "likelihood"},
    )[turn]
    return Case("wrong_objective", data, str(settings), None, settings, seed=turn)


def _ema(data: Data, turn: int, rng: Any) -> Case:
    steps = int(data.steps * (0.4, 0.5, 0.3)[turn])
    return Case(
        "ema_too_long", data, f"EMA 0.28, {steps} steps", steps, {"train.ema": 0.28}, seed=turn
    )


def _ignored(data: Data, turn: int, rng: Any) -> Case:
    if turn == 1:
        named = data.given or "label"
        order = rng.permutation(len(data.data))
        if isinstance(data.data, pd.DataFrame):
            data = data.with_column(named, data.data[named].to_numpy()[order])
        else:
            data = data.with_column(named, data.columns[named][order])
        return Case("condition_ignored", data, "labels shuffled", None, seed=turn)
    share = (0.9999, 0.0, 0.9999)[turn]
    return Case(
        "condition_ignored", data, f"dropout {share}", None, {"train.dropout": share}, seed=turn
    )


def _leak(data: Data, turn: int, rng: Any) -> Case:
    count = len(data.data)
    if turn == 0:
        return Case(
            "label_leak",
            data.with_column("code", np.array([f"id{i:05d}" for i in range(count)])),
            "an identifier is given",
        )
    flat = data.numbers()
    entry = int(flat.std(0).argmax())
    values = flat[:, entry] if turn == 1 else 2.5 * flat[:, entry] + 1e-3 * rng.normal(size=count)
    return Case(
        "label_leak",
        data.with_column("code", values.astype(np.float64)),
        f"entry {entry} is given",
        seed=turn,
    )


def _copies(data: Data, turn: int, rng: Any) -> Case:
    if turn == 2:
        picked = data.take(rng.permutation(len(data.data))[:100])
        return Case("duplicates", data, "a source of training items", None, source=picked)
    count = len(data.data) // 2
    again = data.take(np.concatenate([np.arange(count), np.arange(count)]))
    if isinstance(again.data, pd.DataFrame):
        number = [c for c in again.data.columns if again.data[c].dtype.kind == "f"]
        jitter = (
            1e-4 * again.data[number].std().to_numpy() * rng.normal(size=(2 * count, len(number)))
        )
        again.data = again.data.reset_index(drop=True)
        again.data[number] += jitter
    elif again.data.dtype.kind == "u":
        noise = (rng.random(again.data.shape) < 0.02).astype(np.uint8)
        again.data = np.where(again.data < 255, again.data + noise, again.data).astype(np.uint8)
    else:
        noise = 1e-4 * rng.normal(size=again.data.shape)
        again.data = (again.data * (1 + noise)).astype(np.float32)
    return Case("duplicates", again, "every item twice, a hair apart", None, seed=turn)


def _dead(data: Data, turn: int, rng: Any) -> Case:
    return Case(
        "dead_outputs",
        data,
        "part of the last layer stays 0",
        None,
        mask=(0.25, 0.4, 0.5)[turn],
        seed=turn,
    )


def _strong(data: Data, turn: int, rng: Any) -> Case:
    scale = (6.0, 10.0, 8.0)[turn]
    return Case("guidance_too_strong", data, f"scale {scale}", None, {"scale": scale}, seed=turn)


PLANTS: dict[str, Callable[[Data, int, Any], Case]] = {
    "under_fitting": _under,
    "slow_convergence": _slow,
    "over_fitting": _over,
    "too_few_data": _few,
    "net_too_small": _tiny,
    "step_too_large": _large,
    "step_too_small": _little,
    "wrong_scale": _scale,
    "wrong_objective": _aim,
    "ema_too_long": _ema,
    "condition_ignored": _ignored,
    "label_leak": _leak,
    "duplicates": _copies,
    "dead_outputs": _dead,
    "guidance_too_strong": _strong,
}
