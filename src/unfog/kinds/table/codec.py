"""The table codec: typed columns ↔ a state of normal scores and categories."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError, DataError, RunError, ShapeError
from unfog.kinds.items import Items
from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.columns import Column
from unfog.kinds.table.constraints import (
    Constraint,
    broken_rows,
    declared,
    kinds_of,
    read_constraints,
)
from unfog.kinds.table.derived import (
    computed,
    derived_note,
    derived_role,
    functions_from_json,
    functions_to_json,
    lost,
)
from unfog.kinds.table.draws import place_keys, row_keys
from unfog.kinds.table.drift import aligned, finite
from unfog.kinds.table.find import find
from unfog.kinds.table.functions import Function
from unfog.kinds.table.roles import Role, infer_roles
from unfog.maths.randomness import mix

FIELDS = ("num", "cat")
UNKNOWN = ("refuse", "as-missing")


@dataclass(frozen=True)
class TableCodec:
    """Numbers as standard normal scores, categories as whole numbers, the rest as rules.

    The state is {"num": float32 (B, n), "cat": int64 (B, m)}; a field without columns is absent. A
    number with missing cells has a category of its own that says so, and noise for the score. A
    float32 score tells numbers apart to about 1e-6 of their spread (far tails: of their distance
    from the median); what keeps to a lattice of whole steps comes back exactly if its steps are
    coarser than that.

    A column that others determine has no part in the state but whether it is missing.

    Attributes:
        columns: name → what was learnt, in the table's order.
        seed: of the draws within spikes, for rare levels and for new identifiers.
        notes: sentences about what is left out, re-issued, constant, computed or inexact.
        functions: name → how the column is computed from others.
        constraints: what the user declared of every row, in words.
    """

    columns: dict[str, Column]
    seed: int = 0
    notes: list[str] = field(default_factory=list)
    functions: dict[str, Function] = field(default_factory=dict)
    constraints: list[str] = field(default_factory=list)

    @classmethod
    def fit(
        cls,
        items: Items,
        types: Mapping[str, Any] | None = None,
        seed: int = 0,
        *,
        kept: Collection[str] = (),
        held: Table | None = None,
    ) -> TableCodec:
        """Learn roles, functions, quantiles and levels from training items, whose data is a Table.

        items.origin may say "types", "functions" ("compute", or "learn" for columns that are not to
        be computed from others) and "constraints".

        Args:
            types: column → role, see `infer_roles`; if None, those of items.origin["types"].
            kept: columns that must not be computed.     held: rows that functions must hold in too.
        Raises: DataError for a table without rows, without anything to learn, with a number that
            is not finite, or with rows most of which break a constraint; ArgumentError for
            constraints that can't be read or obeyed.
        """
        table = items.data
        if not isinstance(table, Table) or not len(table):
            raise DataError("a table codec is fitted on a table with at least one row")
        for name, cells in table.columns.items():
            finite(name, cells)
        roles = infer_roles(table, items.origin.get("types") if types is None else types)
        if not any(role.coded for role in roles.values()):
            said = "; ".join(f"{name!r} is {role.kind}" for name, role in roles.items())
            raise DataError(
                f"the table has no column to learn ({said}); give other data, or say types="
            )
        words = list(items.origin.get("constraints") or [])
        kinds = kinds_of({n: (c.values.dtype, roles[n]) for n, c in table.columns.items()})
        rules = read_constraints(words, kinds)
        found = declared(rules, table, roles, frozenset(kept))
        unsearched: list[str] = []
        if items.origin.get("functions", "compute") == "compute":
            found, unsearched = find(table, roles, kept, held, found)
        columns = {}
        for name, cells in table.columns.items():
            role = derived_role(roles[name], found[name], name) if name in found else roles[name]
            columns[name] = Column.fit(cells, role, seed)
        for name, gone in lost(found, table).items():
            columns[name] = replace(columns[name], mark=bool(gone.any()))
        notes = [columns[n].note(n, c) for n, c in table.columns.items() if n not in found]
        notes += [derived_note(name, rule) for name, rule in found.items()] + unsearched
        notes += broken_rows(rules, table, "training")
        return cls(columns, seed, [note for note in notes if note], found, words)

    @property
    def roles(self) -> dict[str, Role]:
        """name → role."""
        return {name: column.role for name, column in self.columns.items()}

    @property
    def fields(self) -> dict[str, dict[str, Any]]:
        """What the state's fields are: the count of numbers, the sizes of the categories."""
        numbers = len(self.columns_of("num"))
        sizes = [k for c in self.columns.values() for field, _, k in c.parts if field == "cat"]
        fields: dict[str, dict[str, Any]] = {}
        if numbers:
            fields["num"] = {"type": "number", "size": numbers}
        if sizes:
            fields["cat"] = {"type": "category", "sizes": sizes}
        return fields

    def columns_of(self, field: str) -> list[tuple[str, str]]:
        """(table column, part) of each state column; the part is value, level or missing."""
        if field not in FIELDS:
            raise ArgumentError(f"a table's state has the fields {FIELDS}; got {field!r}")
        return [
            (name, part)
            for name, column in self.columns.items()
            for home, part, _ in column.parts
            if home == field
        ]

    def check(self, table: Table) -> Table:
        """The table with its columns in the codec's order and types; order is free.

        Raises: DataError for a missing or extra column, or one of another type.
        """
        return aligned(table, {name: column.dtype for name, column in self.columns.items()})

    def known_rows(self, table: Table) -> np.ndarray:
        """(B,) bool: rows without an unseen level or an unheard-of missing cell."""
        table = self.check(table)
        known = np.ones(len(table), dtype=bool)
        for name, column in self.columns.items():
            known &= column.known(table.columns[name])
        return known

    def moved(self, table: Table) -> dict[str, int]:
        """column → how many of its numbers `encode` puts at the nearest place that the column has:
        beyond an end that training closed, inside a gap that it left, or off its steps.
        """
        table = self.check(table)
        keys = row_keys(table, self.seed)
        counts = {n: int(c.moved(n, table.columns[n], keys).sum()) for n, c in self.columns.items()}
        return {name: count for name, count in counts.items() if count}

    def encode(self, table: Table, unknown: str = "refuse", *, piece: int = 0) -> dict[str, Tensor]:
        """Rows → state. The draws depend on the seed and each row's content only, and on how many
        equal rows stand before it.

        Args:
            unknown: "refuse" unseen levels, or take them "as-missing" where the column can be.
            piece: number of this piece of a table, so that equal rows in several draw differently.
        Raises: DataError naming the column for drift, an unseen level, or a missing cell where
            training had none.
        """
        if unknown not in UNKNOWN:
            raise ArgumentError(f"unknown must be one of {UNKNOWN}; got {unknown!r}")
        table = self.check(table)
        keys = row_keys(table, self.seed if piece == 0 else mix(self.seed, 59, piece))
        found: dict[str, list[np.ndarray]] = {field: [] for field in FIELDS}
        for name, column in self.columns.items():
            encoded = column.encode(name, table.columns[name], keys, unknown)
            for (home, _, _), values in zip(column.parts, encoded):
                found[home].append(values)
        return {f: torch.from_numpy(np.stack(found[f], 1)) for f in self.fields}

    def decode(self, state: Mapping[str, Tensor], start: int = 0) -> Table:
        """State → rows, in the order and types of the training table.

        Args:
            start: number of the first row among all samples; identifiers and draws of rare levels
                depend on it.
        Raises: ShapeError for other fields or widths; DataError for a score that is not finite or
            a category that isn't there.
        """
        arrays = self._checked(state)
        count = len(next(iter(arrays.values())))
        keys = place_keys(start, count, self.seed)
        columns: dict[str, Cells] = {}
        gone = {}
        for name, column in self.columns.items():
            parts = self.parts(name, arrays)
            columns[name] = column.decode(name, parts, keys, start)
            if name in self.functions and column.mark:
                gone[name] = parts["missing"] == 1
        return computed(self.functions, Table(columns), gone)

    @cached_property
    def rules(self) -> list[Constraint]:
        """The constraints that were declared when the model was fitted."""
        return self.read_constraints(self.constraints)

    def read_constraints(self, texts: Sequence[str]) -> list[Constraint]:
        """Constraints in words. Raises: ArgumentError or UnknownName, see `read_constraints`."""
        return read_constraints(
            texts, kinds_of({n: (column.dtype, column.role) for n, column in self.columns.items()})
        )

    @cached_property
    def places(self) -> dict[str, dict[str, int]]:
        """Column → part → place in its field, of columns that are part of the state."""
        used = dict.fromkeys(self.fields, 0)
        found: dict[str, dict[str, int]] = {}
        for name, column in self.columns.items():
            for home, part, _ in column.parts:
                found.setdefault(name, {})[part] = used[home]
                used[home] += 1
        return found

    def parts(self, name: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A column's own part → (B,) values, of fields (B, n)."""
        where = self.places.get(name, {})
        return {part: arrays[home][:, where[part]] for home, part, _ in self.columns[name].parts}

    def with_given(self, table: Table, given: Mapping[str, list[Any]]) -> Table:
        """The table with the values that were asked for; None leaves what was drawn. What follows
        from them is computed anew.
        """
        columns, gone = dict(table.columns), lost(self.functions, table)
        for name, wanted in given.items():
            cells = columns[name]
            values, present = cells.values.copy(), cells.present.copy()
            for row, value in enumerate(wanted):
                if value is not None:
                    values[row], present[row] = _as(cells.values.dtype, value), True
            columns[name] = Cells(values, present)
        return computed(self.functions, Table(columns), gone, but=given)

    def _checked(self, state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        fields = self.fields
        if set(state) != set(fields):
            raise ShapeError(f"the state has the fields {sorted(state)}; expected {list(fields)}")
        arrays = {field: state[field].detach().cpu().numpy() for field in fields}
        widths = {f: len(s["sizes"]) if "sizes" in s else s["size"] for f, s in fields.items()}
        for name, array in arrays.items():
            if array.ndim != 2 or array.shape[1] != widths[name]:
                raise ShapeError(
                    f"field {name!r} of the state is {array.shape}; expected (B, {widths[name]})"
                )
        if len({len(array) for array in arrays.values()}) != 1:
            raise ShapeError("the state's fields have different numbers of rows")
        if "num" in arrays and not np.isfinite(arrays["num"]).all():
            raise DataError("the state holds NaN or infinite values; sample again")
        if "cat" in arrays:
            codes, sizes = arrays["cat"], np.array(fields["cat"]["sizes"])
            if codes.dtype.kind not in "iu":
                raise ShapeError(f"categories are whole numbers; got {codes.dtype}")
            wrong = (codes < 0) | (codes >= sizes)
            if wrong.any():
                row, place = np.argwhere(wrong)[0]
                name = self.columns_of("cat")[place][0]
                raise DataError(
                    f"the state holds category {codes[row, place]} for column {name!r}, which has "
                    f"{sizes[place]}; sample again"
                )
        return arrays

    def to_json(self) -> dict[str, Any]:
        """Everything but the tensors."""
        columns = [{"name": name, **column.to_json()} for name, column in self.columns.items()]
        found: dict[str, Any] = {"seed": self.seed, "notes": self.notes, "columns": columns}
        if self.functions:
            found["functions"] = functions_to_json(self.functions)
        return found | ({"constraints": self.constraints} if self.constraints else {})

    def tensors(self) -> dict[str, Tensor]:
        """Quantiles, float64, by the column's place: "3.edges"."""
        return {
            f"{place}.{name}": tensor
            for place, column in enumerate(self.columns.values())
            for name, tensor in column.tensors().items()
        }

    @classmethod
    def from_json(cls, config: dict[str, Any], tensors: dict[str, Tensor]) -> TableCodec:
        """The inverse of `to_json` and `tensors`. Raises: RunError for a damaged codec."""
        try:
            columns = {}
            for place, entry in enumerate(config["columns"]):
                head = f"{place}."
                own = {k.removeprefix(head): t for k, t in tensors.items() if k.startswith(head)}
                entry = dict(entry)
                columns[str(entry.pop("name"))] = Column.from_json(entry, own)
            notes = [str(note) for note in config["notes"]]
            functions = functions_from_json(config.get("functions", []))
            words = [str(text) for text in config.get("constraints", [])]
            made = cls(columns, int(config["seed"]), notes, functions, words)
            used = {n for name, rule in functions.items() for n in (name, *rule.parents)}
            if not used <= set(columns):
                raise ValueError("functions of columns that are not there")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise RunError(f"the table's codec is damaged ({error!r}); fit again") from error
        if len(columns) != len(config["columns"]) or not made.fields:
            raise RunError("the table's codec has repeated columns or none to learn; fit again")
        return made


def _as(dtype: np.dtype, value: Any) -> Any:
    """A given value in the column's type; a truth value may come as its word."""
    if dtype.kind == "b" and isinstance(value, str):
        return value.lower() == "true"
    return np.datetime64(value, "us") if dtype.kind == "M" else value
