"""Stored averages of a run, from which the average over any length can be made afterwards."""

from __future__ import annotations

import pathlib
import re
from dataclasses import dataclass

from torch import Tensor

from unfog.errors import RunError
from unfog.model import files
from unfog.model.ema import Averages, Ema
from unfog.model.model import Model
from unfog.model.profiles import Profile
from unfog.tasks.looks import even
from unfog.train import checkpoint

FOLDER = "snapshots"
INDEX = "index.json"
OWN, LONGER = "own.", "longer."


@dataclass
class Snapshots:
    """Writes both averages of a run now and then, at even shares of its steps.

    Args:
        run: the run folder.     count: how many.
        done: the step of the last one.     taken: how many there are.
    """

    run: pathlib.Path
    averages: Averages[Model]
    count: int
    done: int = 0
    taken: int = 0

    @property
    def home(self) -> pathlib.Path:
        return self.run / FOLDER

    def due(self, step: int, steps: int) -> bool:
        """Whether a snapshot comes after this update: the last one always."""
        return even(self.count - self.taken, self.done, step, steps)

    def passed(self, step: int) -> None:
        """A snapshot of this step is there, written by this or another process."""
        self.done, self.taken = step, self.taken + 1

    def take(self, step: int) -> None:
        """Store both averages."""
        self.home.mkdir(exist_ok=True)
        tensors = {OWN + n: v for n, v in _parameters(self.averages).items()}
        tensors |= {LONGER + n: v for n, v in _parameters(self.averages.longer).items()}
        files.write_tensors(self.home / f"step-{step:08d}.safetensors", tensors)

    def save(self, step: int) -> None:
        """Before a checkpoint of this step: what it does not hold, the longer average."""
        self.home.mkdir(exist_ok=True)
        files.write_tensors(self._resume(step), _parameters(self.averages.longer))
        wanted = {step, *(one.step for one in checkpoint.found(self.run))}
        for path in self.home.glob("resume-*.safetensors"):
            if int(path.stem[7:]) not in wanted:
                path.unlink()

    def restore(self, step: int) -> None:
        """Go on from a checkpoint of this step; snapshots after it come again."""
        longer = self.averages.longer.model
        files.fill_module(
            longer,
            {**dict(longer.state_dict()), **files.read_tensors(self._resume(step))},
            self._resume(step),
        )
        for at, path in _taken(self.run).items():
            if at > step:
                path.unlink()
            else:
                self.passed(at)

    def finish(self) -> None:
        """Write the index and the manifest that make the snapshots whole."""
        for path in self.home.glob("resume-*.safetensors"):
            path.unlink()
        taken = _taken(self.run)
        lengths = {OWN: self.averages.length, LONGER: self.averages.longer.length}
        files.write_json(self.home / INDEX, {"lengths": lengths, "steps": list(taken)})
        files.write_manifest(self.home, [INDEX, *(path.name for path in taken.values())])

    def _resume(self, step: int) -> pathlib.Path:
        return self.home / f"resume-{step:08d}.safetensors"


def stored(run: pathlib.Path) -> list[tuple[Profile, pathlib.Path, str]]:
    """Every stored average of a finished run: its profile, its file, its names' prefix there.

    Raises: RunError where the run has none, or they were altered.
    """
    home = run / FOLDER
    if not (home / files.MANIFEST).exists():
        raise RunError(
            f"{run} has no stored averages; fit it with --snapshots 8 to choose the length of the "
            "average afterwards"
        )
    files.check_manifest(home)
    index = files.read_json(home / INDEX)
    try:
        lengths = {prefix: float(index["lengths"][prefix]) for prefix in (OWN, LONGER)}
        steps = [int(step) for step in index["steps"]]
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{home / INDEX} is damaged ({error}); fit again") from error
    return [
        (Profile(length, step), home / f"step-{step:08d}.safetensors", prefix)
        for step in steps
        for prefix, length in lengths.items()
    ]


def _taken(run: pathlib.Path) -> dict[int, pathlib.Path]:
    """Snapshots on disk by step, oldest first."""
    found = sorted((run / FOLDER).glob("step-*.safetensors"))
    return {int(p.stem[5:]): p for p in found if re.fullmatch(r"\d+", p.stem[5:])}


def _parameters(ema: Ema[Model]) -> dict[str, Tensor]:
    return dict(ema.model.named_parameters())
