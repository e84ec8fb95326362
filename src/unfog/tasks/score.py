"""How strange rows are: a score, a p-value against held-out rows, and the columns to blame."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from unfog.errors import ArgumentError, DataError
from unfog.judge.strange import Case, Owners, Rows, detectors, p_values, strangest
from unfog.kinds import kinds
from unfog.kinds.items import Items
from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.derived import broken
from unfog.kinds.table.holes import unseen
from unfog.tasks.evaluate import training_data
from unfog.tasks.reasons import Rule, reasons
from unfog.tasks.trained import Trained

DEFAULT = "noised_neighbours"


@dataclass(frozen=True)
class Scores:
    """Every row's strangeness.

    Attributes:
        score: (N,) float64, higher = stranger.     p_value: (N,) share of held-out rows that are at
            least as strange, conformal.
        parts: (N, C) what each column adds to the score.     names: of the C columns.
        reasons: N lists of sentences, one to three, the strangest column's first.
        strangest: (N) names of that column.
        detector: its name.     heldout: how many rows the p-values rest on.
        usual: (heldout,) the scores of these.
        notes: what a reader must know, in sentences.
    """

    score: np.ndarray
    p_value: np.ndarray
    parts: np.ndarray
    names: tuple[str, ...]
    reasons: list[list[str]]
    strangest: list[str]
    detector: str
    heldout: int
    usual: np.ndarray = field(repr=False)
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.score)

    @property
    def data(self) -> Any:
        """A pandas DataFrame, one row per row scored: row, score, p_value, strangest (the column),
        reasons.
        """
        import pandas as pd

        return pd.DataFrame(self._columns())

    def _columns(self) -> dict[str, Any]:
        return {
            "row": np.arange(len(self)),
            "score": self.score,
            "p_value": self.p_value,
            "strangest": self.strangest,
            "reasons": ["; ".join(found) for found in self.reasons],
        }

    def save(self, out: str | pathlib.Path, *, overwrite: bool = False) -> pathlib.Path:
        """Write `data` to a .csv, .tsv or .parquet. Raises ArgumentError if it is there already."""
        there = np.ones(len(self), bool)
        cells = {
            name: Cells(
                np.array(values, dtype=object) if isinstance(values, list) else values, there
            )
            for name, values in self._columns().items()
        }
        written: pathlib.Path = kinds["table"].save(Table(cells), out, overwrite=overwrite)
        return written

    def to_json(self) -> dict[str, Any]:
        """Counts of flagged rows, and the ten strangest rows."""
        worst = np.argsort(-self.score, kind="stable")[:10]
        return {
            "count": len(self),
            "detector": self.detector,
            "heldout": self.heldout,
            "flagged": {str(level): int((self.p_value <= level).sum()) for level in (0.01, 0.05)},
            "strangest": [
                {
                    "row": int(row),
                    "score": float(self.score[row]),
                    "p_value": float(self.p_value[row]),
                    "reasons": self.reasons[row],
                }
                for row in worst
            ],
            "notes": self.notes,
        }

    def __str__(self) -> str:
        told = self.to_json()
        lines = [
            f"{len(self)} rows by {self.detector}, against {self.heldout} held-out rows: "
            f"{told['flagged']['0.01']} with p <= 0.01, {told['flagged']['0.05']} with p <= 0.05"
        ]
        lines += [
            f"  row {one['row']}: p = {one['p_value']:.3g}; {'; '.join(one['reasons'])}"
            for one in told["strangest"]
        ]
        return "\n".join(lines + self.notes)


def score(
    model: Trained,
    source: Any = None,
    *,
    detector: str | None = None,
    draws: int = 8,
    seed: int = 0,
) -> Scores:
    """Score rows of a table, or vectors of an array.

    Args:
        source: rows with the run's columns; anything that its kind reads. None: the run's own
            rows, each beside the others; what is contaminated is scored so.
        detector: a name of `unfog detectors`.
        draws: noisings of a row at each noise level.     seed: of that noise; the same rows get the
            same scores, whatever stands beside them.
    Raises: ArgumentError for runs of other kinds; DataError for drift, or where the run's own data
        is gone or left nothing held out.
    """
    name = detectors.rows[detector].name if detector in detectors.rows else (detector or DEFAULT)
    made = detectors.make(name)
    shape = model.config.data.item
    if model.config.kind != "table" and (model.config.kind != "array" or len(shape) != 1):
        raise ArgumentError(
            f"scoring is for tables and arrays of vectors; this run learnt {model.config.kind} "
            f"items of shape {tuple(shape)}"
        )
    items = training_data(model)
    held = np.sort(np.concatenate([model.splits.validation, model.splits.test]))
    if not len(held):
        raise DataError(
            f"only {len(items)} rows, so none were held out, and p-values need some; fit on more"
        )
    own = source is None
    fresh = items if own else _read(model, source)
    train, heldout = items.take(model.splits.train), items.take(held)
    locate, owners = _locator(model, train)
    case = Case(
        model.net.bind(None),
        model.net.path,
        locate(train),
        owners,
        seed,
        draws,
        model.borders.space.into,
        model.borders.space.back,
        model.device,
    )
    rows, theirs = locate(fresh), locate(heldout)
    if own:
        rows = replace(rows, own=_among(model.splits.train, len(items)))
    known, parts = made(case, theirs), made(case, rows)
    usual = strangest(known, theirs.odd, known)  # what counts for fresh rows counts for these
    parts = strangest(parts, rows.odd, known)
    if own:
        parts[held] = usual
    totals, expected = parts.double().sum(1), usual.double().sum(1)
    chances = p_values(totals, expected)
    if own:  # a held-out row is one of those that it is compared with
        chances[held] = (chances[held] * (len(held) + 1) - 1) / len(held)
    of_table = model.config.kind == "table"
    rules = rules_of(model.borders.codec, fresh.data) if of_table else {}
    why = reasons(parts.numpy(), rows.odd.numpy(), usual.numpy(), fresh, train, owners.names, rules)
    return Scores(
        totals.numpy(),
        chances.numpy(),
        parts.numpy(),
        owners.names,
        [[sentence for _, sentence in found] for found in why],
        [found[0][0] for found in why],
        name,
        len(held),
        expected.numpy(),
        _notes(fresh, train, len(held), own=own)
        + (broken_notes(rules, model.borders.codec, fresh.data) if of_table else []),
    )


def rules_of(codec: Any, table: Table) -> dict[str, Rule]:
    """Column -> the function that it is, in words, and what that says of these rows."""
    return {
        name: (
            f"{rule.words(name)} {'was declared' if rule.declared else 'in all training rows'}",
            rule.cells(table.columns),
        )
        for name, rule in codec.functions.items()
    }


def broken_notes(rules: dict[str, Rule], codec: Any, table: Table) -> list[str]:
    """How many cells are unheard of, and how many rows break a rule that held in all training rows,
    or one that was declared.
    """
    notes = [f"{text}; such cells are strange" for text in unseen(codec, table)]
    found = broken(codec.functions, table)
    counts = {rules[name][0]: int(wrong.sum()) for name, wrong in found.items()}
    for one in codec.rules:
        counts[f"{one.text}, which was declared"] = int((~one.obeyed(table.columns)).sum())
    return notes + [
        f"{count} rows break a rule: {words}" for words, count in counts.items() if count
    ]


def _read(model: Trained, source: Any) -> Items:
    config = model.config
    reading = dict(config.data.reading)
    if config.kind == "table":  # its columns are checked, and named, by the codec
        reading["least"] = 1
    else:
        reading["given"] = config.given or None
    fresh = kinds[config.kind].read(source, **reading)
    if config.kind == "table":
        return replace(fresh, data=model.borders.codec.check(fresh.data))
    return fresh


def _locator(model: Trained, train: Items) -> tuple[Any, Owners]:
    """items → Rows, and whose the coordinates are."""
    codec = model.borders.codec
    if model.config.kind == "table":
        from unfog.kinds.table.points import Points

        points = Points.fit(codec, train.data)
        place, state = points.owners()

        def rows(items: Items) -> Rows:
            found = points(items.data)
            return Rows(found.state, found.points, found.odd, found.beyond)

        return rows, Owners(points.names, place, state)
    from unfog.kinds.array.points import located

    own = torch.tensor(codec.owners)

    def vectors(items: Items) -> Rows:
        state, odd = located(codec, items.data)
        return Rows(state, state, odd, torch.zeros(odd.shape))

    return vectors, Owners(tuple(map(str, range(codec.shape[0]))), own, own)


def _among(train: Any, count: int) -> torch.Tensor:
    """(count,) where each row stands among the training rows, -1 where it does not."""
    places = torch.full((count,), -1)
    places[torch.as_tensor(train)] = torch.arange(len(train))
    return places


def _notes(fresh: Items, train: Items, held: int, *, own: bool) -> list[str]:
    notes = []
    if held < 99:
        notes.append(
            f"the smallest p-value that {held} held-out rows can give is 1/{held + 1} = "
            f"{1 / (held + 1):.2g}: a false-alarm rate of 1 % can't be kept"
        )
    if own:
        notes.append(
            "these are the run's own rows: each was compared with the other training rows, and its "
            "p-value says how many of the held-out rows are as strange; where some rows of the "
            "data are bad, some of those are"
        )
        return notes
    known, given = set(train.keys()), fresh.keys()
    repeated = sum(key in known for key in given)
    if repeated:
        notes.append(
            f"{repeated} of the rows were trained on: they look more usual than fresh rows do; "
            "score without a source to compare each of the run's own rows with the others"
        )
    return notes
