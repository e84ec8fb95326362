"""Derived columns: computed from the others whenever rows are made, and checked where rows come."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.functions import Function
from unfog.kinds.table.roles import Role

Functions = Mapping[str, Function]


def computing_order(functions: Functions) -> list[str]:
    """Columns such that each comes after those that it is computed from."""
    found: dict[str, None] = {}

    def add(name: str) -> None:
        if name in functions and name not in found:
            for parent in functions[name].parents:
                add(parent)
            found[name] = None

    for name in functions:
        add(name)
    return list(found)


def computed(
    functions: Functions,
    table: Table,
    gone: Mapping[str, np.ndarray],
    but: Collection[str] = (),
) -> Table:
    """The table with its derived columns computed.

    Args:
        gone: column → (N,) bool, cells that are missing though their parents are there.
        but: columns that are left as they are.
    """
    columns = dict(table.columns)
    for name in computing_order(functions):
        if name in but:
            continue
        cells = functions[name].cells(columns)
        lost = gone.get(name)
        columns[name] = cells if lost is None else Cells(cells.values, cells.present & ~lost)
    return Table(columns)


def lost(functions: Functions, table: Table) -> dict[str, np.ndarray]:
    """Column → (N,) bool, derived cells that are missing though their parents are there."""
    found = {}
    for name, rule in functions.items():
        empty = ~table.columns[name].present
        if empty.any():
            found[name] = empty & rule.cells(table.columns).present
    return found


def broken(functions: Functions, table: Table) -> dict[str, np.ndarray]:
    """Column → (N,) bool, cells that are otherwise than their function says; none left out."""
    return {
        name: rule.broken(table.columns, table.columns[name]) for name, rule in functions.items()
    }


def derived_role(role: Role, rule: Function, name: str) -> Role:
    """The role of a column that is computed: the same kind, and not learnt."""
    return replace(role, coded="", reason=rule.words(name))


def derived_note(name: str, rule: Function) -> str:
    """What a user must know of a derived column."""
    where = "as declared" if rule.declared else f"in all {_spaced(rule.rows)} rows"
    return f"{rule.words(name)} {where}: computed, not learnt"


def _spaced(count: int) -> str:
    return f"{count:,}".replace(",", " ")


def functions_to_json(functions: Functions) -> list[dict[str, Any]]:
    """All of them, in order."""
    return [{"name": name, **rule.to_json()} for name, rule in functions.items()]


def functions_from_json(content: list[dict[str, Any]]) -> dict[str, Function]:
    """The inverse of `functions_to_json`."""
    return {str(entry["name"]): Function.from_json(entry) for entry in content}
