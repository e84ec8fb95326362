"""More rows than memory is to hold: drawn in pieces, each written before the next is drawn."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from unfog.errors import ResourceError
from unfog.failpoints import at
from unfog.kinds.table.appended import Appended, appends
from unfog.kinds.write import whole
from unfog.tasks.constrain import as_it_stands
from unfog.tasks.generate import batch_of, generate
from unfog.tasks.pick import Pick, resolve
from unfog.tasks.show import bar, note
from unfog.train.memory import size

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

PIECE = 2**16
"""Rows that are drawn and written at once, about."""


@dataclass(frozen=True)
class Poured:
    """A file of rows that were drawn, and how where that was picked."""

    out: pathlib.Path
    count: int
    pick: Pick | None = None

    def told(self, seed: int, as_json: bool) -> dict[str, Any] | None:
        """What the command line says: facts, or lines on standard error."""
        if self.pick is not None:
            note(str(self.pick))
        if as_json:
            facts = {} if self.pick is None else self.pick.facts()
            return {"out": str(self.out), "count": self.count, "seed": seed, **facts}
        note(f"{self.count} samples in {self.out}")
        return None


def poured(
    model: Trained, out: pathlib.Path, count: int, choices: dict[str, Any], *, overwrite: bool
) -> Poured:
    """`pour` with solver, grid and steps picked where that was asked for."""
    how, pick = resolve(model, count, choices)
    return replace(pour(model, out, count, overwrite=overwrite, **how), pick=pick)


def pours(model: Trained, out: pathlib.Path, count: int, given: dict[str, Any] | None) -> bool:
    """Whether so many samples are drawn in pieces: rows of a table, more than one piece of them, to
    one file, under no conditions or values that the model was fitted with.
    """
    fields = model.borders.given.fields
    plain = all(as_it_stands(fields, name, value, count) for name, value in (given or {}).items())
    return model.config.kind == "table" and count > PIECE and appends(out) and plain


def pour(
    model: Trained,
    out: str | pathlib.Path,
    count: int,
    *,
    given: dict[str, Any] | None = None,
    batch: int | None = None,
    overwrite: bool = False,
    show: bool | None = None,
    **how: Any,
) -> Poured:
    """Draw `count` rows into one file, in memory for a piece of them; the same rows that `generate`
    draws at once, with identifiers that are unique in all.

    The file has its name when it is whole. Interrupted, the rows so far are kept beside it, as
    NAME.part.SUFFIX, a whole file of fewer rows.

    Args:
        how: as of `generate`.
    Raises: ResourceError where the disk has no room for all rows, known after the first piece, or
        becomes full; nothing is left then.
    """
    out = pathlib.Path(out)
    at_once = batch or batch_of(model)
    piece = -(-PIECE // at_once) * at_once
    with (
        whole(out, folder=False, overwrite=overwrite) as path,
        bar(f"sampling {count}", count, show=show) as line,
    ):
        file = Appended(path, model.config.data.origin)
        try:
            for begun in range(0, count, piece):
                rows = min(piece, count - begun)
                some = generate(
                    model,
                    rows,
                    given=_part(given, begun, begun + rows, count),
                    batch=batch,
                    first=begun,
                    show=False,
                    **how,
                )
                file.append(some.raw)
                at("pour.piece", file.count)
                line.to(file.count)
                if begun == 0:
                    _room(path, count / rows, out)
            file.close()
        except KeyboardInterrupt:
            file.close()
            if file.count:
                part = out.with_name(f"{out.stem}.part{out.suffix}")
                os.replace(path, part)
                note(
                    f"stopped: the first {file.count} of {count} rows are in {part}, a whole file; "
                    "the same seed draws them again"
                )
            raise
        except BaseException:
            with contextlib.suppress(Exception):
                file.close()
            raise
    return Poured(out, count)


def _part(given: dict[str, Any] | None, begun: int, end: int, count: int) -> Any:
    """Conditions of these rows, where there is one for each of all."""
    if given is None:
        return None
    return {
        name: value[begun:end] if isinstance(value, list) and len(value) == count else value
        for name, value in given.items()
    }


def _room(path: pathlib.Path, times: float, out: pathlib.Path) -> None:
    """Raises ResourceError where the rest does not fit beside the first piece."""
    wanted, free = path.stat().st_size * (times - 1), shutil.disk_usage(path.parent).free
    if wanted > free:
        raise ResourceError(
            f"{out}: would take about {size(wanted)} more, and {size(free)} are free; nothing was "
            "left behind: free some space, ask for fewer rows, or choose another place"
        )
