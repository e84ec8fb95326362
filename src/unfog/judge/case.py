"""A case: everything the metrics may look at, prepared once, and the registry of metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from unfog.judge.classifier import JudgeNet
from unfog.judge.figure import Figure
from unfog.registry import Registry


@dataclass(frozen=True)
class Case:
    """Samples on trial, with the real items that they are held against.

    Args:
        samples, real, other: (n, *D) samples, held-out items and training items that the judge net
            did not learn from, all of the same n; `other` against `real` is the floor.
        all_samples, all_real, train: everything there is, for figures that need no equal n.
        labels, real_labels: integer classes of all_samples and all_real, or None.
        net: the judge net.      trust: its accuracy, a sentence to print beside its figures.
        place: what the entries of a state are called ("pixels", "values").
        notes: what was done to make the sizes equal.
        made: what several figures share, made by the first of them.
        floors: what real items score, which no samples change; kept from case to case.
    """

    samples: Tensor
    real: Tensor
    other: Tensor
    all_samples: Tensor
    all_real: Tensor
    train: Tensor
    labels: Tensor | None
    real_labels: Tensor | None
    net: JudgeNet
    trust: str
    seed: int
    place: str = "values"
    notes: tuple[str, ...] = ()
    made: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    floors: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    _features: dict[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

    @property
    def n(self) -> int:
        """The common number of samples, held-out and other items."""
        return len(self.samples)

    def features(self, name: str) -> Tensor:
        """Judge features (N, 64) of the field called `name`, run once."""
        if name not in self._features:
            self._features[name] = self.net.features(getattr(self, name))
        return self._features[name]

    def floor(self, name: str, measure: Callable[[Tensor, Tensor], Any]) -> Any:
        """`measure` of the judge features of other and real, once for all cases of a panel."""
        if name not in self.floors:
            self.floors[name] = measure(self.features("other"), self.features("real"))
        return self.floors[name]


Metric = Callable[[Case], list[Figure]]
metrics: Registry[Metric] = Registry("metric")
