"""What `unfog tune` leaves in a run: tuned solvers, and what every choice of sampling costs and
misses. Plain numbers in `tuned.json`, which the manifest lists, so that an altered file is refused.
"""

from __future__ import annotations

import pathlib
from typing import Any

from pydantic import Field, ValidationError

from unfog.errors import RunError
from unfog.model import files
from unfog.sample.solvers.tuned import Row, Tuned
from unfog.tasks import runfolder
from unfog.tasks.config import Part, complaint

FILE = runfolder.TUNED
SHARE, SLICED = "share", "sliced"
MEASURES = {
    SHARE: "of the samples' spread, from where the flow itself ends",
    SLICED: "sliced distance, in units of the samples' spread",
}


class RowPart(Part):
    """One step of a tuned solver, see `unfog.sample.solvers.tuned.Row`."""

    t: float = Field(gt=0, le=1)
    look: float = Field(gt=0, le=1)
    weights: tuple[float, ...]
    state: float


class Entry(Part):
    """One way to sample and its error.

    Attributes:
        calls: of the net per sample, guidance counted once.     steps: of the solver.
        solver, grid: registry names with options; a solver called tuned stands for the stored rows.
    """

    calls: int = Field(ge=1)
    steps: int = Field(ge=1)
    solver: dict[str, Any]
    grid: dict[str, Any]
    error: float = Field(ge=0)

    @property
    def tuned(self) -> bool:
        return bool(self.solver["name"] == "tuned")


class Tuning(Part):
    """Errors and tuned solvers for one kind of request.

    Attributes:
        guided: the scale of requests with conditions that it is for; None for those without.
        away: the strength of autoguidance of such requests.
        measure: a name of `MEASURES`.     floor: what two equally good sets differ by under it.
        solvers: steps -> rows.
    """

    guided: float | None = None
    away: float = 1.0
    measure: str = Field(pattern=f"^({SHARE}|{SLICED})$")
    floor: float = 0.0
    trajectories: int = Field(ge=1)
    seconds: float = 0.0
    entries: list[Entry]
    solvers: dict[int, list[RowPart]] = Field(default_factory=dict)

    def fits(self, guided: float | None, away: float) -> bool:
        """Whether it is for requests that are guided so."""
        return self.guided == guided and self.away == away

    @property
    def most(self) -> int:
        """The most calls that were measured."""
        return max(entry.calls for entry in self.entries)

    def best(self, calls: int, *, stock: bool = False) -> Entry | None:
        """The entry of least error within so many calls; only untuned ones where `stock`."""
        open_ = [e for e in self.entries if e.calls <= calls and not (stock and e.tuned)]
        return min(open_, key=lambda e: (e.error, e.calls), default=None)

    def within(self, tol: float, *, stock: bool = False) -> Entry | None:
        """The cheapest entry with an error of at most `tol`."""
        open_ = [e for e in self.entries if e.error <= tol and not (stock and e.tuned)]
        return min(open_, key=lambda e: (e.calls, e.error), default=None)

    def tuned_at(self, steps: int) -> Entry | None:
        """The entry of the tuned solver with so many steps."""
        return next((e for e in self.entries if e.tuned and e.steps == steps), None)

    def solver(self, steps: int) -> dict[str, Any]:
        """The tuned solver for the registry, rows and all."""
        rows = tuple(Row(r.t, r.look, r.weights, r.state) for r in self.solvers[steps])
        return {"name": "tuned", "rows": rows}

    def grid(self, steps: int) -> dict[str, Any]:
        """The times that go with it."""
        return {"name": "fitted", "knots": (*(r.t for r in self.solvers[steps]), 0.0)}


def stored_rows(solver: Tuned) -> list[RowPart]:
    """Rows as they are stored."""
    return [RowPart(t=r.t, look=r.look, weights=r.weights, state=r.state) for r in solver.rows]


class Tunings(Part):
    """The content of `tuned.json`.

    Attributes:
        weights: SHA-256 of the weights that were tuned for.
    """

    weights: str
    tunings: list[Tuning]


def read(folder: pathlib.Path) -> list[Tuning]:
    """What was tuned; nothing where the manifest lists none, or its weights are others.

    Raises: RunError for content that does not fit.
    """
    manifest = files.read_json(folder / files.MANIFEST)["files"]
    if FILE not in manifest:
        return []
    try:
        found = Tunings.model_validate(files.read_json(folder / FILE))
        for tuning in found.tunings:
            for steps in tuning.solvers:
                Tuned(tuning.solver(steps)["rows"])
    except (ValidationError, ValueError) as error:
        said = complaint(error) if isinstance(error, ValidationError) else error
        raise RunError(f"{folder / FILE} does not fit: {said}; run `unfog tune` again") from error
    return found.tunings if found.weights == manifest["model.safetensors"]["sha256"] else []


def write(folder: pathlib.Path, tunings: list[Tuning]) -> None:
    """Store what was tuned, and list it in the manifest."""
    weights = files.digest(folder / "model.safetensors")["sha256"]
    content = Tunings(weights=weights, tunings=tunings)
    files.write_json(folder / FILE, content.model_dump(mode="json"))
    runfolder.sign(folder)
