"""Judge a model: samples against held-out data, every figure with its interval and its floor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import DataError
from unfog.judge import Figure, judge
from unfog.kinds import kinds
from unfog.kinds.given import find
from unfog.kinds.items import Items
from unfog.model import files
from unfog.tasks.generate import Samples
from unfog.tasks.prepare import reread
from unfog.tasks.show import bar
from unfog.tasks.trained import Trained

FILE = "evaluation.json"


@dataclass(frozen=True)
class Evaluation:
    """All figures of one judgement, and what was judged."""

    figures: list[Figure]
    count: int
    heldout: str
    sampling: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "heldout": self.heldout,
            "sampling": self.sampling,
            "figures": [figure.to_json() for figure in self.figures],
        }

    def __str__(self) -> str:
        lines = [f"{self.count} samples against {self.heldout}"]
        return "\n".join(lines + [f"  {figure.verdict()}" for figure in self.figures])


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
    show: bool | None = None,
) -> Evaluation:
    """Draw samples with the held-out items' own conditions and judge them.

    Args:
        source: held-out data; the test split of the run's own data where None.
        part: for images, which of the source's train, validation and test folders to read.
        count: how many samples; as many as there are held-out items, at most 2000, where None.
        budget: CPU-seconds for the judge net, which is trained on the training split only.
        samples: judge these instead of drawing.
    The result is also written to RUN/evaluation.json.
    """
    items = training_data(model)
    train = items.take(model.splits.train)
    heldout, words = _heldout(model, items, source, part)
    count = min(len(heldout), 2000) if count is None else count
    given = model.borders.given
    if samples is None:
        asked = {name: list(values) for name, values in given.pick(heldout.columns).items()}
        chosen = np.random.default_rng(seed).choice(
            len(heldout), count, replace=count > len(heldout)
        )
        asked = {name: [values[i] for i in chosen] for name, values in asked.items()}
        samples = model.sample(
            count,
            given=asked or None,
            scale=scale,
            steps=steps,
            solver=solver,
            seed=seed,
            show=show,
        )
    label = next((n for n, spec in given.specs.items() if spec["type"] == "class"), None)
    # decoded and encoded again: what is judged is what the user gets, rounding included
    codec = model.borders.codec
    with bar("judging", 1, show=show) as line:
        figures = judge(
            codec.encode(samples.raw),
            codec.encode(heldout.data),
            codec.encode(train.data),
            labels=None if label is None else _classes(model, label, samples.given[label]),
            real_labels=None if label is None else _classes(model, label, _column(heldout, label)),
            train_labels=None if label is None else _classes(model, label, _column(train, label)),
            kind=model.config.kind,
            seed=seed,
            budget=budget,
            progress=lambda done, total, name: line.to(done / total, name),
        )
    sampling = {"scale": scale, "steps": steps, "solver": solver, "seed": seed}
    result = Evaluation(figures, len(samples), words, sampling)
    files.write_json(model.folder / FILE, result.to_json())
    return result


def training_data(model: Trained) -> Items:
    """The run's own data: in hand after `fit`, read again from its source after `load`, and
    checked.
    """
    if model.items is not None:
        return model.items
    source = model.config.data.source
    if source is None:
        raise DataError(
            f"{model.folder} was fitted on data in memory, which judging needs to tell samples "
            "from copies; evaluate the model that fit returned, or fit from a file"
        )
    model.items = reread(source, model.config, model.splits)
    return model.items


def _heldout(model: Trained, items: Items, source: Any, of: str | None) -> tuple[Items, str]:
    if source is None:
        part = model.splits.test
        if len(part) == 0:
            raise DataError(
                f"only {len(items)} items, so none were held out for testing; give held-out data"
            )
        return items.take(part), f"the {len(part)} held-out items of the run's own data"
    reading = dict(model.config.data.reading)
    if model.config.kind == "image" and "size" not in reading:
        reading["size"] = tuple(model.config.data.item[:2])
    if of is not None:
        reading["part"] = of
    heldout = kinds[model.config.kind].read(source, given=model.config.given or None, **reading)
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
