"""Judge: every metric that applies to samples, real held-out items and training items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from unfog.errors import DataError
from unfog.judge import (  # noqa: F401  (registry rows)
    frechet,
    hitrate,
    manifold,
    mmd,
    novelty,
    sliced,
    twosample,
)
from unfog.judge.case import Case, metrics
from unfog.judge.classifier import JudgeNet, train_judge
from unfog.judge.figure import Figure
from unfog.judge.states import alike, labelled, rng, states, subset

MOST = 4000
PLACES = {"image": "pixels"}
REAL = ("real", "other", "all_real", "train")
Progress = Callable[[int, int, str], None]


def judge(
    samples: Any,
    real: Any,
    train: Any,
    *,
    labels: Any = None,
    real_labels: Any = None,
    train_labels: Any = None,
    kind: str = "array",
    seed: int = 0,
    budget: float = 20.0,
    only: Sequence[str] | None = None,
    net: JudgeNet | None = None,
    progress: Progress | None = None,
) -> list[Figure]:
    """Judge samples against held-out real items, each figure beside the floor of real data.

    Args:
        samples: (N, *D) states to judge.      real: (M, *D) held-out states.
        train: (T, *D) the states that the generator learnt from.
        labels, real_labels, train_labels: (N,), (M,), (T,) integer classes, or None.
        kind: the data's kind; names the space that novelty is measured in.
        budget: CPU-seconds for training the judge net.
        only: registry names of the metrics to run; None runs all.
        net: a judge net trained before; None trains one here, on the training items that the
            floor does not use.
        progress: called with (done, total, name) before every part and once at the end.
    Raises: DataError for too few items; UnknownName for a metric; ShapeError for unequal shapes.
    """
    panel = Panel(real, train, real_labels, train_labels, kind, seed, budget, net)
    figures = panel(samples, labels=labels, only=only, progress=progress)
    if net is None:
        return figures
    said = "the judge net may have learnt from the floor's items: a generous floor"
    return [replace(figure, notes=(*figure.notes, said)) for figure in figures]


@dataclass
class Panel:
    """Judges any number of sample sets against the same real items, with one judge net.

    Args: as `judge`; sets of samples should be of one size, so that the net and the floor fit all.
    """

    real: Any
    train: Any
    real_labels: Any = None
    train_labels: Any = None
    kind: str = "array"
    seed: int = 0
    budget: float = 20.0
    net: JudgeNet | None = None
    _features: dict[int, dict[str, Tensor]] = field(default_factory=dict, repr=False)
    _floors: dict[int, dict[str, Any]] = field(default_factory=dict, repr=False)

    def __call__(
        self,
        samples: Any,
        *,
        labels: Any = None,
        only: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> list[Figure]:
        """The figures of `samples`. Raises as `judge`."""
        names = metrics.names() if only is None else list(only)
        rows = [(name, metrics[name]) for name in names]
        tell = progress or (lambda done, total, name: None)
        tell(0, len(rows) + 1, "judge net")
        case = _case(
            (states(samples, "samples"), states(self.real, "real"), states(self.train, "train")),
            (labels, self.real_labels, self.train_labels),
            PLACES.get(self.kind, "values"),
            self.seed,
            self.budget,
            self.net,
        )
        self.net = case.net
        # which real items are compared depends on how many samples there are, and on no more
        known = self._features.setdefault(len(case.all_samples), {})
        case._features.update(known)
        case.floors.update(self._floors.setdefault(case.n, {}))
        figures = []
        for done, (name, metric) in enumerate(rows, 1):
            tell(done, len(rows) + 1, name)
            figures += metric(case)
        known |= {name: v for name, v in case._features.items() if name in REAL}
        self._floors[case.n] = case.floors
        tell(len(rows) + 1, len(rows) + 1, "done")
        return figures


def _case(
    items: tuple[Tensor, Tensor, Tensor],
    labels: tuple[Any, Any, Any],
    place: str,
    seed: int,
    budget: float,
    net: JudgeNet | None,
) -> Case:
    samples, real, train = items
    alike(samples, real)
    alike(train, real)
    asked, real_labels, train_labels = (
        None if given is None else labelled(given, x, f"{name} labels")
        for given, x, name in zip(labels, items, ("sample", "real", "train"))
    )
    # a third of the training items at most is kept from the judge net, to be the floor's other side
    n = min(len(samples), len(real), len(train) // 3, MOST)
    if n < twosample.LEAST:
        raise DataError(
            f"{len(samples)} samples, {len(real)} held-out and {len(train)} training items; "
            f"judging needs at least {twosample.LEAST}, {twosample.LEAST} and {3 * twosample.LEAST}"
        )
    notes = []
    if n < max(len(samples), len(real)):
        notes.append(
            f"compared at n = {n} (of {len(samples)} samples and {len(real)} held-out items), so "
            "that value and floor have the same n"
        )
    generator = rng(seed, "subsets")
    chosen = subset(len(samples), n, generator), subset(len(real), n, generator)
    aside = torch.zeros(len(train), dtype=torch.bool)
    aside[subset(len(train), n, generator)] = True
    if net is None:
        learn = None if train_labels is None else train_labels[~aside]
        net = train_judge(train[~aside], learn, seed=seed, budget=budget)
    return Case(
        samples=samples[chosen[0]],
        real=real[chosen[1]],
        other=train[aside],
        all_samples=samples,
        all_real=real,
        train=train,
        labels=asked,
        real_labels=real_labels,
        net=net,
        trust=_trust(net, real, real_labels),
        seed=seed,
        place=place,
        notes=tuple(notes),
    )


def _trust(net: JudgeNet, real: Tensor, real_labels: Tensor | None) -> str:
    """How far the judge net can be believed, in one sentence."""
    if net.pseudo is None and real_labels is None:
        return "judge net: held-out accuracy unknown, as the held-out items have no labels"
    accuracy = net.accuracy(real, real_labels)
    of = "clusters that stand in for labels" if net.pseudo else "classes"
    said = f"judge net: {100 * accuracy:.1f} % right on {len(real)} held-out items, "
    return said + f"{len(net.classes)} {of}" + "".join(f"; {note}" for note in net.notes)
