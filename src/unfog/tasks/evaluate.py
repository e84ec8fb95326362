"""Judge a model: samples against held-out data, every figure with its interval and its floor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import DataError
from unfog.failpoints import at
from unfog.judge import Figure, Panel
from unfog.judge.baselines import OURS, compare, verdict
from unfog.judge.table import TableJudge
from unfog.kinds import kinds
from unfog.kinds.given import find
from unfog.kinds.items import Items
from unfog.model import files
from unfog.tasks.generate import Samples
from unfog.tasks.prepare import reread
from unfog.tasks.show import bar
from unfog.tasks.trained import Trained

FILE = "evaluation.json"
MOST_ROWS = 10_000
FEW = 20
"""Held-out items below which the validation part is judged against as well."""
JUDGED = {
    "continuous": "number",
    "integer": "number",
    "ordinal": "number",
    "duration": "number",
    "category": "category",
    "boolean": "category",
    "date": "date",
    "identifier": "skip",
    "constant": "skip",
    "text": "skip",
}
"""How the judge of tables compares a column of each role."""

Progress = Callable[[int, int, str], None]
Judged = Callable[..., list[Figure]]


@dataclass(frozen=True)
class Evaluation:
    """All figures of one judgement, and what was judged."""

    figures: list[Figure]
    count: int
    heldout: str
    sampling: dict[str, Any]
    baselines: dict[str, list[Figure]] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Against the baselines, in plain words; empty if none was judged."""
        return verdict({OURS: self.figures, **self.baselines}) if self.baselines else ""

    def to_json(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "heldout": self.heldout,
            "sampling": self.sampling,
            "figures": [figure.to_json() for figure in self.figures],
            "baselines": {
                name: [figure.to_json() for figure in figures]
                for name, figures in self.baselines.items()
            },
            "verdict": self.verdict,
        }

    def __str__(self) -> str:
        lines = [f"{self.count} samples against {self.heldout}"]
        lines += [f"  {figure.verdict()}" for figure in self.figures]
        return "\n".join(lines + [self.verdict] * bool(self.verdict))


def evaluate(
    model: Trained,
    source: Any = None,
    *,
    count: int | None = None,
    scale: float | None = None,
    steps: int | None = None,
    solver: str | None = None,
    part: str | None = None,
    seed: int = 0,
    budget: float = 20.0,
    samples: Samples | None = None,
    baselines: bool = True,
    show: bool | None = None,
) -> Evaluation:
    """Draw samples with the held-out items' own conditions and judge them.

    Args:
        source: held-out data; the test split of the run's own data where None.
        part: for images, which of the source's train, validation and test folders to read.
        count: how many samples; as many as there are held-out items, at most 2000, where None;
            for tables as many as training rows, at most 10 000.
        budget: CPU-seconds for the judge net, which is trained on the training split only.
        samples: judge these instead of drawing.
        baselines: judge as many draws from generators that cost nothing, to say whether they do.
    The result is also written to RUN/evaluation.json.
    """
    items = training_data(model)
    train = items.take(model.splits.train)
    heldout, words = heldout_items(model, items, source, part)
    if count is None and model.config.kind == "table":  # rows are cheap, and teach the tasks' trees
        count = min(max(len(heldout), len(train)), MOST_ROWS)
    count = min(len(heldout), 2000) if count is None else count
    if samples is None:
        asked = conditions_of(model, heldout, count, seed)
        samples = model.sample(
            count,
            given=asked,
            scale=scale,
            steps=steps,
            solver=solver,
            seed=seed,
            show=show,
        )
    at("evaluate.judge")
    with bar("judging", 1, show=show) as line:
        judged, learnt = judge_of(model, heldout, train, seed, budget)
        tell = _part(line, 0.0, 0.5 if baselines else 1.0)
        figures = judged(samples, progress=tell)
        beside: dict[str, list[Figure]] = {}
        if baselines:
            beside = _beside(judged, learnt, figures, samples, seed, _part(line, 0.5, 1.0))
    sampling = {"scale": scale, "steps": steps, "solver": solver, "seed": seed}
    result = Evaluation(figures, len(samples), words, sampling, beside)
    files.write_json(model.folder / FILE, result.to_json())
    return result


def _part(line: Any, low: float, high: float) -> Progress:
    """Progress of one part of the judging, from `low` to `high` of the bar."""
    return lambda done, total, name: line.to(low + (high - low) * done / total, name)


def judge_of(
    model: Trained, heldout: Items, train: Items, seed: int, budget: float
) -> tuple[Judged, Any]:
    """What judges samples of this model, or draws of a baseline, against the held-out items, by all
    metrics or only some; and the training items as baselines take them.
    """
    codec = model.borders.codec
    if model.config.kind == "table":
        learnt = codec.check(train.data)
        roles = table_roles(codec, train.data)
        table = TableJudge(codec.check(heldout.data), learnt, roles, seed=seed)

        def rows(
            drawn: Any, progress: Progress | None = None, only: Sequence[str] | None = None
        ) -> list[Figure]:
            raw = drawn.raw if isinstance(drawn, Samples) else drawn
            return table(raw, only=only, progress=progress)

        return rows, learnt
    label = next(
        (n for n, spec in model.borders.given.specs.items() if spec["type"] == "class"), None
    )
    # decoded and encoded again: what is judged is what the user gets, rounding included
    states = codec.encode(train.data)
    panel = Panel(
        codec.encode(heldout.data),
        states,
        real_labels=None if label is None else _classes(model, label, _column(heldout, label)),
        train_labels=None if label is None else _classes(model, label, _column(train, label)),
        kind=model.config.kind,
        seed=seed,
        budget=budget,
    )

    def items(
        drawn: Any, progress: Progress | None = None, only: Sequence[str] | None = None
    ) -> list[Figure]:
        if not isinstance(drawn, Samples):
            return panel(drawn, only=only, progress=progress)
        asked = None if label is None else _classes(model, label, drawn.given[label])
        return panel(codec.encode(drawn.raw), labels=asked, only=only, progress=progress)

    return items, states


def conditions_of(
    model: Trained, heldout: Items, count: int, seed: int
) -> dict[str, list[Any]] | None:
    """Conditions of so many samples, those of held-out items drawn with this seed; None without."""
    asked = {name: list(v) for name, v in model.borders.given.pick(heldout.columns).items()}
    chosen = np.random.default_rng(seed).choice(len(heldout), count, replace=count > len(heldout))
    return {name: [values[i] for i in chosen] for name, values in asked.items()} or None


def table_roles(codec: Any, table: Any) -> dict[str, str]:
    """How the judge of tables compares each column of a table that a codec was fitted on."""
    roles = {name: JUDGED[role.kind] for name, role in codec.roles.items()}
    words = [n for n, cells in table.columns.items() if cells.values.dtype == object]
    return roles | {name: "category" for name in words if roles[name] == "number"}


def _beside(
    judged: Judged,
    learnt: Any,
    figures: list[Figure],
    samples: Samples,
    seed: int,
    progress: Progress,
) -> dict[str, list[Figure]]:
    """The figures of every baseline that applies."""
    rows = compare(judged, samples, learnt, figures=figures, seed=seed, progress=progress)
    return {name: found for name, found in rows.items() if name != OURS}


def training_data(model: Trained) -> Items:
    """The run's own data: in hand after `fit`, read again from its source after `load`, and
    checked.
    """
    if model.items is not None:
        return model.items
    source = model.config.data.source
    if source is None:
        raise DataError(
            f"{model.folder} was fitted on data in memory, which judging and scoring compare "
            "with; use the model that fit returned, or fit from a file"
        )
    model.items = reread(source, model.config, model.splits)
    return model.items


def heldout_items(
    model: Trained, items: Items | None, source: Any, of: str | None = None
) -> tuple[Items, str]:
    """The items to judge by, and in words which those are: of a source, else of the run's own.

    Args:
        items: the run's own data, if at hand.
        of: images: which of the source's train, validation and test folders to read.
    """
    if source is None:
        items = training_data(model) if items is None else items
        part = model.splits.test
        if len(part) == 0:
            raise DataError(
                f"none of the {len(items)} items were held out for testing; give held-out data"
            )
        what = f"the {len(part)} held-out items of the run's own data"
        if len(part) < FEW:  # neither part was learnt from
            part = np.sort(np.concatenate([part, model.splits.validation]))
            what = f"the {len(part)} items of the run's own test and validation parts"
        return items.take(part), what
    reading = dict(model.config.data.reading)
    if model.config.kind == "image" and "size" not in reading:
        reading["size"] = tuple(model.config.data.item[:2])
    if of is not None:
        reading["part"] = of
    if model.config.kind != "table":  # whose columns are checked, and named, by the codec
        reading["given"] = model.config.given or None
    heldout = kinds[model.config.kind].read(source, **reading)
    if model.config.kind == "table":  # columns in another order are fine; others are named
        heldout = replace(heldout, data=model.borders.codec.check(heldout.data))
    if list(heldout.data.shape[1:]) != model.config.data.item:
        raise DataError(
            f"the held-out items have shape {heldout.data.shape[1:]}, the model's "
            f"{model.config.data.item}; give items of the same shape"
        )
    name = (
        str(source)
        if isinstance(source, str) or hasattr(source, "__fspath__")
        else "the given data"
    )
    return heldout, f"{len(heldout)} items of {name}"


def _column(items: Items, label: str) -> list[Any]:
    name = find(label, items.columns)
    if name is None:
        raise DataError(f"the held-out data has no column {label!r}, which the model was given")
    return list(items.columns[name])


def _classes(model: Trained, label: str, values: list[Any]) -> Tensor:
    """Class indices (N,) as the model numbers them."""
    codes = model.borders.given.encode({label: list(values)}, len(values))[label]
    if bool((codes < 0).any()):
        raise DataError(
            f"{int((codes < 0).sum())} items have no {label!r}; judging needs one for each"
        )
    return codes.to(torch.long)
