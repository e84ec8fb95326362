"""Looks at a run while it trains: what watchers see is logged, may end the run, and may say which
weights to keep.
"""

from __future__ import annotations

import json
import pathlib
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from unfog.model import files
from unfog.model.model import Model
from unfog.tasks.prepare import Prepared
from unfog.train.log import read, trim

FILE = "looks.jsonl"
KEPT = "kept"


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


@dataclass(frozen=True)
class Seen:
    """What a watcher saw.

    Attributes:
        facts: JSON; a line of looks.jsonl.     stop: why the run should end now, in a sentence.
        keep: these weights are the watcher's best so far; they replace those it kept before.
    """

    facts: dict[str, Any]
    stop: str | None = None
    keep: bool = False


class Watcher(Protocol):
    """Looks now and then. Nothing it does may touch training: no shared generator, no weights."""

    @property
    def name(self) -> str: ...

    def look(self, sight: Sight) -> Seen:
        """Called at even shares of the run."""
        ...

    def prefer(self) -> str | None:
        """At the end: why the weights that this watcher kept are to be the run's, or None."""
        ...

    def facts(self) -> dict[str, Any]:
        """What has to come back on resume, as JSON."""
        ...

    def restore(self, facts: dict[str, Any]) -> None: ...


@dataclass
class Looks:
    """All watchers of a run, and when they look: `count` times, at even shares of the steps.

    The moments depend on steps only, so that a run that is resumed is watched at the same ones.

    Args:
        done: the step of the last look.
    """

    folder: pathlib.Path
    watchers: list[Watcher]
    count: int
    done: int = 0
    stop: str | None = field(default=None, init=False)

    def due(self, step: int, steps: int) -> bool:
        """Whether a look comes after this update: the last one always, none twice."""
        if not self.watchers or self.count == 0 or step <= self.done:
            return False
        before = self.count * min(self.done, steps) // steps
        return step >= steps or self.count * step // steps > before

    def look(self, sight: Sight) -> str | None:
        """Let every watcher look; returns why the run should end now, if it should."""
        self.done = sight.step
        for watcher in self.watchers:
            seen = watcher.look(sight)
            line = {"step": sight.step, "seconds": round(sight.seconds, 2), "watch": watcher.name}
            text = json.dumps({**line, **seen.facts}, allow_nan=False)
            with (self.folder / FILE).open("a", encoding="utf-8") as file:
                file.write(text + "\n")
            if seen.keep:
                self._keep(watcher.name, sight)
            self.stop = self.stop or seen.stop
        return self.stop

    def _keep(self, name: str, sight: Sight) -> None:
        home = self.folder / "checkpoints" / KEPT
        home.mkdir(parents=True, exist_ok=True)
        files.write_tensors(home / f"{name}.safetensors", dict(sight.model.state_dict()))

    def wish(self) -> tuple[str, str] | None:
        """The first watcher that wants its kept weights to be the run's, and why."""
        for watcher in self.watchers:
            why = watcher.prefer()
            if why is not None:
                return watcher.name, why
        return None

    def kept(self, name: str) -> dict[str, Tensor]:
        """The weights that a watcher kept."""
        return files.read_tensors(self.folder / "checkpoints" / KEPT / f"{name}.safetensors")

    def facts(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"done": self.done, "watchers": {w.name: w.facts() for w in self.watchers}}

    def restore(self, facts: dict[str, Any]) -> None:
        """Go on from a checkpoint's facts; lines of looks.jsonl after it come again."""
        self.done = facts.get("done", 0)
        known = facts.get("watchers", {})
        for watcher in self.watchers:
            if watcher.name in known:
                watcher.restore(known[watcher.name])

    def begin(self, after: int) -> None:
        """Drop lines past step `after`."""
        if (self.folder / FILE).exists():
            trim(self.folder / FILE, after)


def seen(folder: pathlib.Path, name: str) -> list[dict[str, Any]]:
    """What the watcher called `name` saw, oldest first; [] where it never looked."""
    return [line for line in read(folder / FILE) if line.get("watch") == name]


def watchers_of(prepared: Prepared) -> list[Watcher]:
    """Who watches a run."""
    return []
