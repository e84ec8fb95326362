"""What a run does when its loss breaks: leave the update out, go back, take smaller steps, give up.

A copy of everything that an update changes is refreshed now and then, at steps that depend on
nothing but their number. When the loss was broken for some updates in a row, weights, average and
optimiser go back to that copy, and all steps from there on have half the size; step numbers,
batches and noise go on, so nothing is logged twice. All of it is part of a checkpoint.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.errors import RunError, UnfogError
from unfog.train.importance import Importance
from unfog.train.parallel import sliced

EVERY = 100
"""Updates between two copies."""
TRIES = 3
"""How often a run goes back before it gives up."""
TIMES = 50.0
"""A loss so many times above its recent level is broken, though finite."""
KNOWN = 32
"""Losses of single items after which their level is known."""
SETTLED = 3.0
"""A state is copied while the level is at most so many times that of the copy before."""
FEWEST = 0.02
"""Share of the newest loss in the level, at least: it forgets within about 50 updates."""


class Diverged(UnfogError):
    """The loss stayed infinite, not a number or far above its level, update after update."""

    exit_code = 3


@dataclass
class Level:
    """The recent mean of the loss over healthy updates."""

    value: float = 0.0
    updates: int = 0
    items: int = 0

    def below(self, loss: float, times: float) -> bool:
        """Whether a loss is more than `times` above this level, which has to be known for that."""
        return self.items >= KNOWN and self.value > 0 and loss > times * self.value

    def take(self, loss: float, items: int) -> None:
        self.updates, self.items = self.updates + 1, self.items + items
        self.value += (loss - self.value) * max(FEWEST, 1 / self.updates)


class Rescue:
    """Watches the loss of a run, and brings it back.

    Args:
        model, ema, optimiser, memory: what an update changes.
        patience: so many broken updates in a row are too many.
        tries: how often to go back. With 0 nothing is copied, and only losses that are not finite
            count.

    Attributes:
        skipped: updates left out so far.     halvings: how often the step size was halved.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        ema: Any,
        optimiser: torch.optim.Optimizer,
        memory: Importance | None = None,
        *,
        patience: int = 20,
        tries: int = TRIES,
    ):
        self.model, self.ema, self.optimiser, self.memory = model, ema, optimiser, memory
        self.patience, self.tries = patience, tries
        self.skipped = self.halvings = self.streak = 0
        self.level, self.step = Level(), -1
        self.good: dict[str, Tensor] = {}
        self._level = Level()

    @property
    def factor(self) -> float:
        """Of the step size."""
        return 0.5**self.halvings

    def begin(self, step: int) -> None:
        """Before update `step` + 1: copy the state, unless a checkpoint brought a copy along."""
        if self.tries and self.step < 0:
            self._copy(step)

    def judge(self, step: int, loss: float, *, finite: bool, items: int) -> str:
        """Take in the loss of update `step`, made if it was finite, else left out.

        Returns: a sentence if the run went back, else nothing.
        Raises: Diverged where it has gone back often enough.
        """
        high = bool(self.tries) and finite and self.level.below(loss, TIMES)
        self.skipped += not finite
        if finite and not high:
            self.streak = 0
            self.level.take(loss, items)
            if (
                self.tries
                and step % EVERY == 0
                and not self._level.below(self.level.value, SETTLED)
            ):
                self._copy(step)
            return ""
        self.streak += 1
        if self.streak < self.patience:
            return ""
        what = "was not finite" if not finite else f"was over {TIMES:g} times its level"
        said = f"the loss {what} for {self.streak} updates in a row, at step {step}"
        rate = self.optimiser.param_groups[0]["lr"]
        if self.halvings >= self.tries:
            again = f" (also after going back {self.tries} times)" if self.tries else ""
            raise Diverged(
                f"{said}{again}; lower --lr (the step size is {rate:.3g} now), or use --precision "
                "float32"
            )
        self._restore()
        self.halvings, self.streak = self.halvings + 1, 0
        return f"{said}: went back to the state of step {self.step}, with half the step size"

    def facts(self) -> dict[str, Any]:
        """What a checkpoint keeps beside the copy, as JSON."""
        return {
            "skipped": self.skipped,
            "halvings": self.halvings,
            "streak": self.streak,
            "level": asdict(self.level),
            "good": {"step": self.step, "level": asdict(self._level)},
        }

    def load(self, facts: Any, good: dict[str, Tensor], where: Any) -> None:
        """The inverse of `facts`; without a copy the state that is there is copied at `begin`.

        Raises: RunError where they are altered.
        """
        try:
            self.skipped, self.halvings = int(facts["skipped"]), int(facts["halvings"])
            self.streak, self.level = int(facts["streak"]), Level(**facts["level"])
            step, level = int(facts["good"]["step"]), Level(**facts["good"]["level"])
            sound = min(self.skipped, self.halvings, self.streak, step) >= 0 and all(
                math.isfinite(one.value) for one in (self.level, level)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{where} was altered: what it says of the loss can't be") from error
        if not sound:
            raise RunError(f"{where} was altered: what it says of the loss can't be")
        if good:
            live = self._live()
            wrong = {n for n, v in live.items() if n in good and _form(good[n]) != _form(v)}
            wrong |= (good.keys() - live.keys()) | {
                n for n in live.keys() - good.keys() if not n.startswith("optimiser.")
            }
            if wrong:
                raise RunError(f"{where} holds a copy of another model: {sorted(wrong)[:3]}")
            self.good = {name: sliced(value, live[name]) for name, value in good.items()}
            self.step, self._level = step, level

    def _live(self) -> dict[str, Tensor]:
        """Everything that an update changes, by name."""
        found = {f"model.{name}": v for name, v in self.model.state_dict().items()}
        if self.ema is not None:
            found |= {f"ema.{name}": v for name, v in self.ema.tensors().items()}
        places = {p: i for i, p in enumerate(_parameters(self.optimiser))}
        for parameter, entry in self.optimiser.state.items():
            found |= {f"optimiser.{places[parameter]}.{n}": v for n, v in entry.items()}
        if self.memory is not None:
            found |= {f"memory.{name}": v for name, v in self.memory.tensors().items()}
        return found

    @torch.no_grad()
    def _copy(self, step: int) -> None:
        live = self._live()
        self.good = {name: _put(self.good.get(name), value) for name, value in live.items()}
        self.step, self._level = step, Level(**asdict(self.level))

    @torch.no_grad()
    def _restore(self) -> None:
        for name, value in self._live().items():
            if name in self.good:
                value.copy_(self.good[name])
        for number, parameter in enumerate(_parameters(self.optimiser)):
            if not any(name.startswith(f"optimiser.{number}.") for name in self.good):
                self.optimiser.state.pop(parameter, None)  # the copy is older than its first update
        self.level = Level(**asdict(self._level))


def _parameters(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimiser.param_groups for p in group["params"]]


def _form(value: Tensor) -> tuple[Any, ...]:
    return value.shape, value.dtype


def _put(held: Tensor | None, value: Tensor) -> Tensor:
    """A copy in the CPU's memory, into `held` where there is one; a slice stays where it is."""
    if held is not None:
        return held.copy_(value)
    if hasattr(value, "full_tensor"):
        return value.detach().clone()
    return value.detach().to("cpu", copy=True)
