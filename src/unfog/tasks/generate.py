"""Draw samples: prior, loop, back to the user's own type."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError, DataError, ResourceError, out_of_memory
from unfog.kinds.asked import Condition
from unfog.maths.grids import descents
from unfog.maths.states import State, each
from unfog.tasks.assemble import build_sampling, entries
from unfog.tasks.batch import Batch, Bend
from unfog.tasks.calibrate import ROWS, corrected
from unfog.tasks.drawing import precision_of
from unfog.tasks.held import Begin, Held
from unfog.tasks.obey import Kept, finished, obey, rules_of
from unfog.tasks.show import bar
from unfog.tasks.weaker import checked_away

if TYPE_CHECKING:
    from unfog.tasks.met import Met
    from unfog.tasks.novelty import SampleNovelty
    from unfog.tasks.pick import Pick
    from unfog.tasks.trained import Trained


MOST = 512
"""Samples at once; of tables `ROWS`."""


OTHERS = ("scale", "guide", "begin", "held")
"""Choices that take the place of the run's autoguidance."""


@dataclass(frozen=True)
class Samples:
    """What was drawn.

    Attributes:
        raw: (N, …) values in the data's own dtype, or a Table.     state: (N, *D) float32 states,
            or a dict of fields, before decoding.
        given: name -> N condition values as asked.     kind, origin: how to give the user's type
            back.     model: what drew them.
        met: how far the conditions are met, where there were more than values to be given.
        pick: how they were drawn and the error to expect, where that was picked.
        kept: what it cost that the rows obey the constraints, where there are any.
    """

    raw: Any
    state: State
    given: dict[str, list[Any]]
    kind: str
    origin: dict[str, Any] = field(repr=False, default_factory=dict)
    model: Any = field(default=None, repr=False, compare=False)
    met: Met | None = field(default=None, compare=False)
    pick: Pick | None = field(default=None, compare=False)
    kept: Kept | None = field(default=None, compare=False)

    @property
    def satisfied(self) -> dict[str, float]:
        """Condition -> share of the rows that meet it, measured on the decoded rows; of an
        aggregate 1 where it is within its tolerance, else 0.
        """
        return {} if self.met is None else dict(self.met.rates)

    @property
    def ess(self) -> float | None:
        """Effective number of candidates that each row was picked from; None where none were."""
        return None if self.met is None else self.met.ess

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def data(self) -> Any:
        """The samples in the user's own type."""
        return self._kind.give_back(self.raw, self.origin)

    @cached_property
    def novelty(self) -> SampleNovelty:
        """The nearest training item of every sample, and how unusual that nearness is; computed
        when first asked for, with the data that the run was fitted on.

        Raises: DataError where that data is gone.
        """
        from unfog.tasks.novelty import novelty_of

        if self.model is None:
            raise DataError("these samples know no model; novelty is of samples that one drew")
        return novelty_of(self.model, self)

    @property
    def _kind(self) -> Any:
        from unfog.kinds import kinds

        return kinds[self.kind]

    def save(
        self,
        out: str | pathlib.Path,
        *,
        names: list[str] | None = None,
        overwrite: bool = False,
    ) -> pathlib.Path:
        """Write the samples in the user's own format (or by the suffix of `out`: .npz, .npy).

        Args:
            names: of the files of a folder of images; their numbers where None.
        """
        columns = {n: v for n, v in self.given.items() if any(one is not None for one in v)}
        return self._kind.save(
            self.raw, out, columns=columns, names=names, origin=self.origin, overwrite=overwrite
        )

    def look(self, path: str | pathlib.Path | None = None) -> Any:
        """A matplotlib figure of the samples, written to `path` if given."""
        if "ipykernel" in sys.modules:
            import matplotlib.pyplot  # noqa: F401  (teaches the notebook to show figures)
        label = next((v for v in self.given.values() if any(one is not None for one in v)), None)
        few = label is not None and len({str(v) for v in label}) <= 32
        return self._kind.look(self.raw, label if few else None, path)

    def _repr_png_(self) -> bytes:
        import io

        buffer = io.BytesIO()
        self.look().savefig(buffer, format="png", bbox_inches="tight")
        return buffer.getvalue()


@torch.no_grad()
def generate(
    model: Trained,
    count: int,
    *,
    given: dict[str, Any] | None = None,
    scale: float | None = None,
    autoguidance: float | None = None,
    interval: tuple[float, float] | None = None,
    steps: int | None = None,
    solver: str | dict[str, Any] | None = None,
    grid: str | dict[str, Any] | None = None,
    eta: float | None = None,
    corrector: str | None = None,
    reveal: str | None = None,
    tol: float | None = None,
    seed: int = 0,
    batch: int | None = None,
    precision: str | None = None,
    first: int = 0,
    rows: range | None = None,
    guide: Bend | None = None,
    begin: Begin | None = None,
    held: Held | None = None,
    candidates: int | None = None,
    constraints: Sequence[str] | None = None,
    wanted: Mapping[str, Condition] | None = None,
    obeying: bool = True,
    show: bool | None = None,
) -> Samples:
    """Draw `count` samples.

    Args:
        given: condition values, one for all or `count` each; a name left out is the null condition.
            Also sets, ranges, inequalities, aggregates, and columns of a table that the model was
            not fitted with as `given`: see `unfog.kinds.asked.read`.
        scale: guidance strength, 1 = the conditional model unchanged.
        autoguidance: strength of guidance away from the run's weaker model, 1 = none. A scale or
            another guide that is asked for takes its place, unless both are.
        interval: (low, high), times between which autoguidance acts; the run's own where None.
        steps, solver, grid, eta, corrector: how to sample. The run's own choice where None, as for
            scale; names take options: "unipc:order=4".
        reveal: in which order masked categories are revealed; the run's own order where
            None.
        tol: in place of steps and solver: error of a step, whose length follows from it.
        seed: sample i depends on (seed, first + i) only, not on `batch`.
        precision: what the net computes in, float32 or bfloat16; the state stays float32. Where
            None, the run's own, or float32 where this machine is not quick in that.
        batch: how many at once; chosen by size where None.
        rows: which of the `count` to give back; all where None. They come out bit-equal to those
            of a call for all, since whole batches are computed.
        guide: (predictor, range of rows) -> predictor, on top of `scale`; see `unfog.guide`.
        begin: noised data to start from, in place of pure noise; then only the steps below its
            time are taken.
        held: entries that are known from the start, of a state of fields.
        candidates: tries per row where conditions need weights; chosen by what is asked where None.
        constraints: what every row of a table has to obey, besides what the run declares: "a <= b".
        wanted: what computed columns are to be, where drawing rows again can bring it about.
        obeying: whether declared constraints are enforced; False is for measuring.
    """
    if not isinstance(count, int) or count < 1:
        raise ArgumentError(f"the number of samples is a whole number, 1 or more; got {count!r}")
    if batch is not None and batch < 1:
        raise ArgumentError(f"batch is a whole number, 1 or more; got {batch!r}")
    if interval is not None:
        model = model.between(interval)
    how = build_sampling(
        model.config,
        solver=solver,
        grid=grid,
        steps=steps,
        eta=eta,
        corrector=corrector,
        reveal=reveal,
        tol=tol,
    )
    rules = rules_of(model, constraints, wanted) if obeying else None
    if given and held is None:
        from unfog.tasks.constrain import constrained

        drawn = constrained(
            model, count, given,
            how=how, seed=seed, first=first, rows=rows, candidates=candidates,
            draw=partial(
                generate, model, count, scale=scale, autoguidance=autoguidance,
                steps=steps, solver=solver, grid=grid, eta=eta,
                corrector=corrector, reveal=reveal, tol=tol, seed=seed, batch=batch, first=first,
                rows=rows, guide=guide, precision=precision, constraints=constraints,
                obeying=obeying, show=show,
            ),
            rules=rules,
        )  # fmt: skip
        if drawn is not None:
            return drawn
    others = {"scale": scale, "guide": guide, "begin": begin, "held": held}
    away = away_of(model, {**others, "autoguidance": autoguidance})
    told = given if given and any(v is not None for v in given.values()) else None
    free = steps is None
    how, marginals = corrected(model, how, free, told, autoguidance, guide, begin, held)
    scale = model.config.scale if scale is None else scale
    cond = model.borders.given.encode(given, count)
    path = model.net.path
    cut = how.grid(path, how.steps)
    cut = cut if begin is None else begin.cut(cut)
    lengths = descents(cut)
    size = batch or batch_of(model)
    parts: list[State] = []
    rows = range(count) if rows is None else rows
    begun, end = rows.start // size * size, min(count, -(-rows.stop // size) * size)
    with (
        bar(f"sampling {len(rows)}", (end - begun) * lengths, show=show) as line,
        model.net.computing(precision_of(model.config, model.device, precision)),
    ):
        done = begun
        while done < end:
            stop = min(done + size, end)
            piece = {name: value[done:stop] for name, value in cond.items()}
            numbers = range(first + done, first + stop)

            drawing = Batch(
                model, None if told is None else piece, numbers, how, cut, scale, seed, guide,
                None if begin is None else begin.part(done, stop),
                None if held is None else held.part(slice(done, stop), model.device),
                range(done, stop), away, marginals,
            )  # fmt: skip
            try:
                ahead = partial(_ahead, line, (done - begun) * lengths, stop - done)
                state = drawing.draw(ahead)
                if rules is not None:
                    values = {n: list(v) for n, v in model.borders.given.decode(piece).items()}
                    state = obey(rules, state, numbers.start, values, drawing.again)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                if stop - done == 1:
                    raise ResourceError("not enough memory for a single sample") from error
                size = max(1, (stop - done) // 2)
                continue
            parts.append(state)
            done = stop
    mine = slice(rows.start - begun, rows.stop - begun)
    state = each(lambda *pieces: torch.cat(pieces)[mine], *parts)
    cond = {name: value[rows.start : rows.stop] for name, value in cond.items()}
    return finished(rules, samples_of(model, state, cond, first + rows.start), given or ())


def away_of(model: Trained, choices: Mapping[str, Any]) -> float:
    """The strength of autoguidance: as asked, or the run's own where nothing else guides; else 1.

    Args:
        choices: of `generate`, those that matter here.
    Raises: ArgumentError as `checked_away` does.
    """
    asked = choices.get("autoguidance")
    if asked is None:
        alone = all(choices.get(name) is None for name in OTHERS)
        asked = model.config.autoguidance if alone else 1.0
    return checked_away(model.folder, asked)


def _ahead(line: Any, before: int, width: int, step: int) -> None:
    """Move a progress bar to a step of a batch of so many samples."""
    line.to(before + step * width)


def samples_of(model: Trained, state: State, cond: dict[str, Tensor], first: int) -> Samples:
    """Final states as samples, numbered from `first`; a table's rows hold what was given."""
    values = {n: list(v) for n, v in model.borders.given.decode(cond).items()}
    return Samples(
        raw=_decoded(model, state, first, values),
        state=state,
        given=values,
        kind=model.config.kind,
        origin=model.config.data.origin,
        model=model,
    )


def _decoded(model: Trained, state: State, first: int, given: dict[str, list[Any]]) -> Any:
    """Raw data; a table's rows are numbered from `first`, and hold what was given."""
    if model.config.kind != "table":
        return model.borders.codec.decode(state)
    table = model.borders.codec.decode(state, start=first)
    return model.borders.codec.with_given(table, given)


def batch_of(model: Trained) -> int:
    """Samples at once: about 4 million numbers of state, at most 512, and of tables 2560."""
    size = entries(model.config)
    return max(1, min(ROWS if model.config.fields else MOST, 4_000_000 // max(1, size * 16)))


def shard_rows(model: Trained, count: int, batch: int | None, part: int, parts: int) -> range:
    """The samples of shard `part`, counted from 0: about a `parts`-th of `count`, contiguous.

    Shards end where batches end, unless there are fewer batches than shards.
    """
    if not 0 <= part < parts or parts > count:
        raise ArgumentError(
            f"{count} samples have shards 0/n to (n - 1)/n, n at most {count}; got {part}/{parts}"
        )
    size = batch or batch_of(model)
    batches = -(-count // size)
    if batches < parts:
        return range(part * count // parts, (part + 1) * count // parts)
    ends = [min(count, i * batches // parts * size) for i in (part, part + 1)]
    return range(*ends)
