"""Looks at a run while it trains: what watchers see is logged, may end the run, and may say which
weights to keep.
"""

from __future__ import annotations

import copy
import json
import os
import pathlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from unfog.errors import RunError
from unfog.model import files
from unfog.model.model import Model
from unfog.tasks.prepare import Prepared
from unfog.tasks.show import note
from unfog.tasks.trained import Trained
from unfog.train.log import read, trim

FILE = "looks.jsonl"
KEPT = "kept"
PICTURES = "samples"
BRAKE = 0.1
"""Share of a budget from which looks are left out, the last one apart: twice what is planned."""
STRICT = "UNFOG_STRICT"
"""Environment variable: where it is set, a watcher's fault ends the run (for tests)."""


@dataclass(frozen=True)
class Sight:
    """What a watcher is shown.

    Attributes:
        step: updates so far.     share: of the run, in (0, 1].     seconds: of training so far.
        model: the averaged weights, as sampling uses them, in eval mode; to be read only.
    """

    step: int
    share: float
    seconds: float
    model: Model
    prepared: Prepared
    folder: pathlib.Path

    @property
    def trained(self) -> Trained:
        """The weights as a model in hand, that samples without autoguidance."""
        p = self.prepared
        config = p.config.model_copy(update={"autoguidance": 1.0})
        net = copy.copy(self.model)  # the same weights; `Trained` sets the precision of its net
        device = next(net.parameters()).device
        return Trained(self.folder, config, net, p.borders, p.splits, device=device)


@dataclass(frozen=True)
class Seen:
    """What a watcher saw.

    Attributes:
        facts: JSON; a line of looks.jsonl.     stop: why the run should end now, in a sentence.
        keep: these weights are the watcher's best so far; they replace those it kept before.
        picture: a PNG that was written, if any.
    """

    facts: dict[str, Any]
    stop: str | None = None
    keep: bool = False
    picture: pathlib.Path | None = None


class Watcher(Protocol):
    """Looks now and then. Nothing it does may touch training: no shared generator, no weights."""

    @property
    def name(self) -> str: ...

    def look(self, sight: Sight) -> Seen | None:
        """Called at even shares of the run; None where it passes this time."""
        ...

    def prefer(self) -> str | None:
        """At the end: why the weights that this watcher kept are to be the run's, or None."""
        ...

    def facts(self) -> dict[str, Any]:
        """What has to come back on resume, as JSON."""
        ...

    def restore(self, facts: dict[str, Any]) -> None: ...


@runtime_checkable
class Timed(Protocol):
    """A watcher that says itself when it looks."""

    def due(self, step: int, steps: int) -> bool:
        """Whether it looks after this step: by the steps alone, the same in every process."""
        ...


@dataclass
class Looks:
    """All watchers of a run, and when they look: `count` times, at even shares of the steps.

    The moments depend on steps only, so that a run that is resumed is watched at the same ones. A
    watcher that fails is dropped with a note: no fault of it may end a night's training.

    Args:
        done: the step of the last look.     taken: looks so far.
        strict: a watcher's fault is raised.     budget: seconds of the whole training, if any.
        tell: told (step, watcher's name, what it saw).
    """

    folder: pathlib.Path
    watchers: list[Watcher]
    count: int
    done: int = 0
    taken: int = 0
    strict: bool = field(default_factory=lambda: bool(os.environ.get(STRICT)))
    quiet: bool = False
    budget: float | None = None
    tell: Callable[[int, str, Seen], None] | None = None
    stop: str | None = field(default=None, init=False)
    latest: dict[str, dict[str, Any]] = field(default_factory=dict, init=False)
    kept_at: dict[str, int] = field(default_factory=dict, init=False)
    took: list[float] = field(default_factory=list, init=False)

    def due(self, step: int, steps: int) -> bool:
        """Whether a look comes after this update: the last one always, none twice."""
        if not self.watchers or self.count == 0:
            return False
        return self._shared(step, steps) or any(
            isinstance(watcher, Timed) and watcher.due(step, steps) for watcher in self.watchers
        )

    def _shared(self, step: int, steps: int) -> bool:
        """Whether it is the turn of those that look at even shares."""
        return even(self.count - self.taken, self.done, step, steps)

    def look(self, sight: Sight) -> str | None:
        """Let every watcher look; returns why the run should end now, if it should."""
        steps = round(sight.step / sight.share)
        shared = self._shared(sight.step, steps)
        self.passed(sight.step, steps)
        dear = sight.share < 1 and self._dear()
        begun = time.monotonic()
        for watcher in list(self.watchers):
            turn = shared and not dear
            if not (watcher.due(sight.step, steps) if isinstance(watcher, Timed) else turn):
                continue
            try:
                self._one(watcher, sight)
            except Exception as error:
                self._drop(watcher, error)
        self.took.append(time.monotonic() - begun)
        return self.stop

    def _dear(self) -> bool:
        """Whether looks took more of the budget than they may: a slower machine than planned."""
        if self.budget is None or not self.took:
            return False
        return sum(self.took) + max(self.took) > BRAKE * self.budget

    def passed(self, step: int, steps: int) -> None:
        """A look at this step is over, here or in another process."""
        if self._shared(step, steps):
            self.taken += 1
            self.done = step

    def _one(self, watcher: Watcher, sight: Sight) -> None:
        begun = time.monotonic()
        seen = watcher.look(sight)
        if seen is None:
            return
        line = {"step": sight.step, "seconds": round(sight.seconds, 2), "watch": watcher.name}
        line["took"] = round(time.monotonic() - begun, 3)
        text = json.dumps({**line, **seen.facts}, allow_nan=False)
        with (self.folder / FILE).open("a", encoding="utf-8") as file:
            file.write(text + "\n")
        self.latest[watcher.name] = seen.facts
        if seen.keep:
            self._keep(watcher.name, sight)
        self.stop = self.stop or seen.stop
        if self.tell is not None:
            self.tell(sight.step, watcher.name, seen)

    def _drop(self, watcher: Watcher, error: Exception) -> None:
        if self.strict:
            raise error
        self.watchers.remove(watcher)
        said = f"{type(error).__name__}: {error}"
        note(f"warning: {watcher.name} does not watch any more ({said})", quiet=self.quiet)

    def _keep(self, name: str, sight: Sight) -> None:
        home = self.folder / "checkpoints" / KEPT
        home.mkdir(parents=True, exist_ok=True)
        files.write_tensors(home / f"{name}.safetensors", dict(sight.model.state_dict()))
        files.write_json(home / f"{name}.json", {"step": sight.step})
        self.kept_at[name] = sight.step

    def ahead(self, step: int, steps: int) -> float:
        """Seconds that the looks to come will take, as far as those behind tell."""
        if not self.took or not self.watchers or step >= steps:
            return 0.0
        left = max(1, self.count - self.taken)
        return (left - 1) * sum(self.took) / len(self.took) + max(self.took)

    def wish(self) -> tuple[str, str] | None:
        """The first watcher that wants its kept weights to be the run's, and why."""
        for watcher in list(self.watchers):
            try:
                why = watcher.prefer()
                if why is not None:
                    self._whole(watcher.name)
                    return watcher.name, why
            except Exception as error:
                self._drop(watcher, error)
        return None

    def _whole(self, name: str) -> None:
        """Raises RunError unless the kept weights are those that the watcher means."""
        found = files.read_json(self.folder / "checkpoints" / KEPT / f"{name}.json")
        if found.get("step") != self.kept_at.get(name):
            raise RunError(
                f"the kept weights are of step {found.get('step')}, and those of step "
                f"{self.kept_at.get(name)} were meant"
            )

    def kept(self, name: str) -> dict[str, Tensor]:
        """The weights that a watcher kept."""
        return files.read_tensors(self.folder / "checkpoints" / KEPT / f"{name}.safetensors")

    def facts(self) -> dict[str, Any]:
        """For the checkpoint."""
        watchers = {w.name: w.facts() for w in self.watchers}
        told = {"done": self.done, "taken": self.taken, "kept": self.kept_at}
        return {**told, "watchers": watchers}

    def restore(self, facts: dict[str, Any]) -> None:
        """Go on from a checkpoint's facts; lines of looks.jsonl after it come again."""
        self.done, self.taken = facts.get("done", 0), facts.get("taken", 0)
        self.kept_at = dict(facts.get("kept", {}))
        known = facts.get("watchers", {})
        for watcher in self.watchers:
            if watcher.name in known:
                watcher.restore(known[watcher.name])

    def begin(self, after: int) -> None:
        """Drop lines and pictures past step `after`."""
        if (self.folder / FILE).exists():
            trim(self.folder / FILE, after)
        for path in (self.folder / PICTURES).glob("step-*.png"):
            if path.stem[5:].isdigit() and int(path.stem[5:]) > after:
                path.unlink()


def even(left: int, done: int, step: int, steps: int) -> bool:
    """Whether the next of `left` looks at even distances comes after this step: one at the last
    always, none twice. Where the number of steps moves, what is left is spread anew.

    Args:
        done: the step of the one before.
    """
    if left <= 0 and step < steps:
        return False
    return step > done and (step >= steps or (step - done) * left >= steps - done)


def seen(folder: pathlib.Path, name: str) -> list[dict[str, Any]]:
    """What the watcher called `name` saw, oldest first; [] where it never looked."""
    return [line for line in read(folder / FILE) if line.get("watch") == name]


def watchers_of(prepared: Prepared) -> list[Watcher]:
    """Who watches a run."""
    from unfog.tasks.clock import clock_of
    from unfog.tasks.looking import looking
    from unfog.tasks.watch_heldout import HeldOut
    from unfog.tasks.watch_quality import Quality

    splits = prepared.splits
    how = looking(prepared.config, min(len(splits.train), len(splits.validation)))
    watchers: list[Watcher] = []
    if how.items and prepared.source is None:  # pairs that a flow drew have no held-out part
        choose = prepared.config.train.choose == "heldout"
        watchers.append(HeldOut(prepared, how.items, choose=choose))
    if how.every:
        watchers.append(Quality(prepared, how))
    watchers += clock_of(prepared)
    return watchers
