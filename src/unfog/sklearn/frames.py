"""X and y in scikit-learn's forms as a table's columns, and new rows back in the same forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import _num_samples, check_consistent_length, column_or_1d
from sklearn.utils.validation import validate_data as validate

from unfog.kinds import kinds
from unfog.kinds.items import Items
from unfog.kinds.table.cells import Cells, Table
from unfog.kinds.table.roles import infer_roles

SCALARS = (str, bytes, bool, int, float, np.generic, type(None))


def is_frame(X: Any) -> bool:
    """Whether X is a frame of pandas or polars."""
    return hasattr(X, "columns") and type(X).__module__.split(".")[0] in ("pandas", "polars")


def checked(
    estimator: Any, X: Any, y: Any = "no_validation", *, reset: bool = True, least: int = 2
) -> Any:
    """X (N, D), and y (N,) where one is given, checked as scikit-learn does; NaN is a missing cell.

    Frames stay frames, with their types.
    """
    plain = isinstance(y, str)
    if is_frame(X):
        validate(estimator, X, y=None if plain else y, skip_check_array=True, reset=reset)
        if _num_samples(X) < least:
            raise ValueError(f"found {_num_samples(X)} sample(s); a minimum of {least} is required")
    else:
        # no check of y here: it may hold words
        X = validate(
            estimator,
            X,
            dtype=None,
            ensure_all_finite="allow-nan",
            ensure_min_samples=least,
            reset=reset,
            **({} if plain or y is not None else {"y": y}),
        )
        if X.dtype.kind == "O":
            _scalars(X)
    if plain:
        return X
    y = column_or_1d(y, warn=True)
    check_consistent_length(X, y)
    return X, y


def _scalars(X: np.ndarray) -> None:
    for (row, column), cell in np.ndenumerate(X):
        if not isinstance(cell, SCALARS):
            raise TypeError(
                f"argument must be a string or a number; row {row}, column {column} holds a "
                f"{type(cell).__name__}"
            )


@dataclass(frozen=True)
class Form:
    """The form that X and y came in.

    Attributes:
        names: X's columns in the table.      target: y's column there, None without y.
        origin: of the table as read.      like: an empty slice of X.      dtype: of y.
    """

    names: list[str]
    target: str | None
    origin: dict[str, Any]
    like: Any
    dtype: Any = None

    def x(self, table: Table) -> Any:
        """The table's columns of X, in X's own form."""
        part = Table({name: table.columns[name] for name in self.names})
        if not is_frame(self.like):
            return np.stack([_array(c, self.like.dtype) for c in part.columns.values()], 1)
        frame = kinds["table"].give_back(part, self.origin)
        if hasattr(self.like, "dtypes") and hasattr(self.like, "iloc"):
            frame.columns = self.like.columns
        return frame

    def y(self, table: Table) -> np.ndarray:
        """The table's column of y (N,), in y's own type."""
        assert self.target is not None
        return _array(table.columns[self.target], self.dtype)


def tabled(
    X: Any, y: np.ndarray | None, types: dict[str, Any], least: int = 2
) -> tuple[Items, Form]:
    """X and y as one table, and the way back."""
    if is_frame(X):
        names = [str(name) for name in X.columns]
        parts = {
            name: X.iloc[:, k] if hasattr(X, "iloc") else X[name] for k, name in enumerate(names)
        }
        source, like = X, X[:0]
    else:
        names = [f"x{k}" for k in range(X.shape[1])]
        parts = {name: X[:, k] for k, name in enumerate(names)}
        source, like = parts, X[:0]
    target = None
    if y is not None:
        target = "y"
        while target in names:
            target += "_"
        source = _beside(X, parts, target, y)
    items = kinds["table"].read(source, types=types, least=least)
    if not is_frame(X):  # columns of an array are measured; running numbers in them are no keys
        roles = infer_roles(items.data, types)
        keys = [n for n, role in roles.items() if role.kind == "identifier" and n not in types]
        numbers = {n: "integer" for n in keys if items.data.columns[n].values.dtype.kind == "i"}
        if numbers:
            items = kinds["table"].read(source, types={**types, **numbers}, least=least)
    return items, Form(names, target, items.origin, like, None if y is None else y.dtype)


def _beside(X: Any, parts: dict[str, Any], target: str, y: np.ndarray) -> Any:
    """X's columns and y's."""
    if hasattr(X, "iloc"):
        return X.assign(**{target: y})
    if is_frame(X):
        import polars

        return X.with_columns(polars.Series(target, y))
    return {**parts, target: y}


def _array(cells: Cells, dtype: Any) -> np.ndarray:
    """Cells (N,) as an array of this dtype; NaN, or None in arrays of objects, where missing."""
    if dtype.kind == "O":
        out = np.empty(len(cells), object)
        out[:] = cells.to_list()
        return out
    if cells.present.all():
        return cells.values.astype(dtype)
    return np.where(cells.present, cells.values, np.nan).astype(dtype)


def stacked(X: Any, new: Any) -> Any:
    """The rows of both, one after the other, in X's form."""
    if hasattr(X, "iloc"):
        import pandas

        return pandas.concat([X, new.astype(X.dtypes, errors="ignore")], ignore_index=True)
    if is_frame(X):
        import polars

        return polars.concat([X, new.select(X.columns)], how="vertical_relaxed")
    return np.concatenate([X, new])
