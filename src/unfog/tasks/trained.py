"""A trained model, in hand: what `fit` returns and `load` reads back."""

from __future__ import annotations

import copy
import pathlib
import shutil
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unfog.errors import ArgumentError
from unfog.kinds.splits import Splits
from unfog.model.model import Model
from unfog.sample.marginals import Marginals
from unfog.tasks.config import Config, checked_interval
from unfog.tasks.generate import Samples
from unfog.tasks.runfolder import Borders
from unfog.tasks.tuning import Tuning

if TYPE_CHECKING:
    from unfog.tasks.edit.edited import Edited


class Trained:
    """A model with its borders to the user's data.

    Attributes:
        folder: its run folder.     config: the resolved configuration.     net: weights as sampled
            (averaged).
        borders: codec, conditions, space.     splits: which items were train, validation, test.
        items: the data it was fitted on where that is in memory (not after `load`).
    """

    def __init__(
        self,
        folder: pathlib.Path,
        config: Config,
        net: Model,
        borders: Borders,
        splits: Splits,
        *,
        items: Any = None,
        device: torch.device | str = "cpu",
    ):
        self.folder, self.config, self.borders, self.splits = folder, config, borders, splits
        self.net = net.eval().requires_grad_(False).to(device)
        self.net.precision = "float32"
        self.items = items
        self.device = torch.device(device)
        self.keeper: Any = None  # holds a temporary folder as long as the model lives
        self.tunings: list[Tuning] = []  # what `tune` stored in the folder for these weights
        # what was calibrated for these weights, by the number of steps
        self.marginals: dict[int, Marginals] | None = None
        self.quick: list[Tuning] = []
        self.costs: dict[int, tuple[float, float]] = {}

    @cached_property
    def weaker(self) -> Model | None:
        """The run's average early in training, which autoguidance turns away from; None where the
        run stored none.
        """
        from unfog.tasks.weaker import read

        found = read(self.folder, self.net)
        return None if found is None else found.to(self.device)

    def between(self, interval: tuple[float, float]) -> Trained:
        """The same model with autoguidance between these times only. Raises ArgumentError."""
        found = copy.copy(self)
        found.config = self.config.model_copy(update={"interval": checked_interval(*interval)})
        return found

    def weaker_at(self, away: float) -> Model | None:
        """The weaker model, where guidance away from it at this strength asks it anything."""
        return None if away == 1 else self.weaker

    def __repr__(self) -> str:
        c = self.config
        given = f", given {', '.join(c.given)}" if c.given else ""
        what = f"{c.kind} {tuple(c.data.item)}, recipe {c.recipe}{given}"
        return f"<unfog model: {what}, in {self.folder}>"

    def sample(self, count: int = 16, **choices: Any) -> Samples:
        """Draw samples; see `unfog.tasks.generate.generate` for given, scale, steps, solver, eta,
        seed, batch, and `unfog.tasks.pick` for nfe, budget, tol and tuned solvers.
        """
        from unfog.tasks.pick import picked

        return picked(self, count, choices)

    def anytime(self, count: int = 16, **choices: Any) -> Iterator[Samples]:
        """The same samples drawn better and better, until stopped; see `unfog.tasks.anytime`."""
        from unfog.tasks.anytime import anytime

        return anytime(self, count, **choices)

    def tune(self, calls: Sequence[int] = range(3, 17), **choices: Any) -> Tuning:
        """Fit solvers to the model for these numbers of calls; see `unfog.tasks.tune`."""
        from unfog.tasks.tune import tune

        return tune(self, calls, **choices)

    def fit_schedule(self, measure: str | None = None, **choices: Any) -> Any:
        """Fit the times of sampling to the data; see `unfog.tasks.schedule`."""
        from unfog.tasks.schedule import fit_schedule

        return fit_schedule(self, measure, **choices)

    def curve(self, others: Sequence[Trained] = (), source: Any = None, **choices: Any) -> Any:
        """Quality against calls of the net, of this run and flow maps of it; see
        `unfog.tasks.levers.curve`.
        """
        from unfog.tasks.levers import curve

        return curve(self, others, source, **choices)

    def fill(self, source: Any, **choices: Any) -> Any:
        """Draw the empty cells of a table; see `unfog.tasks.fill.fill_table` for draws, seed,
        steps, unknown, batch. Of images and arrays what `keep` leaves out, or NaN; see
        `unfog.tasks.edit.complete.inpaint`.
        """
        if self.config.kind != "table":
            return self.edit(source, "inpaint", **choices)
        from unfog.tasks.fill import fill_table

        return fill_table(self, source, **choices)

    def edit(self, source: Any, task: str, **choices: Any) -> Edited:
        """Vary, translate, interpolate, complete, enlarge or restore items; see
        `unfog.tasks.edit.edit` for the tasks and their options.
        """
        from unfog.tasks.edit import edit

        return edit(self, source, task, **choices)

    def evaluate(self, source: Any = None, **choices: Any) -> Any:
        """Judge samples against held-out data; see `unfog.tasks.evaluate.evaluate`."""
        from unfog.tasks.evaluate import evaluate

        return evaluate(self, source, **choices)

    def score(self, source: Any = None, **choices: Any) -> Any:
        """How strange rows are, with p-values and reasons; see `unfog.tasks.score.score`."""
        from unfog.tasks.score import score

        return score(self, source, **choices)

    def log_prob(self, source: Any = None, **choices: Any) -> np.ndarray:
        """(N,) nats of items in the data's units, by the probability-flow ODE; `likelihood` has the
        choices, errors, bits and the variational bound.
        """
        nats: np.ndarray = self.likelihood(source, **choices).nats
        return nats

    def likelihood(self, source: Any = None, **choices: Any) -> Any:
        """log p of items; see `unfog.tasks.likelihood.likelihood`."""
        from unfog.tasks.likelihood import likelihood

        return likelihood(self, source, **choices)

    def doctor(self, source: Any = None) -> Any:
        """Name the run's faults and their fixes; see `unfog.tasks.doctor.diagnose`."""
        from unfog.tasks.doctor import diagnose

        return diagnose(self, source)

    def report(self, out: str | pathlib.Path | None = None, **choices: Any) -> pathlib.Path:
        """Write one self-contained HTML file; see `unfog.tasks.report.report`."""
        from unfog.tasks.report import report

        return report(self, out, **choices)

    def distill(self, **choices: Any) -> Trained:
        """A model that samples in 1 to 4 steps, learnt from this one; see
        `unfog.tasks.distill.distill` for out, objective, scale, budget, steps.
        """
        from unfog.tasks.distill import distilled

        model: Trained = distilled(self, **choices)
        return model

    def averaged(self, length: float) -> Trained:
        """This model with its weights averaged over another length, from stored averages; see
        `unfog.tasks.posthoc`.
        """
        from unfog.tasks.posthoc import averaged

        return averaged(self, length)

    def save(self, out: str | pathlib.Path) -> pathlib.Path:
        """Copy the run folder to `out`, checkpoints left behind."""
        out = pathlib.Path(out)
        if out.exists():
            raise ArgumentError(f"{out} is there already; name a new folder")
        shutil.copytree(self.folder, out, ignore=shutil.ignore_patterns("checkpoints", ".*"))
        return out
