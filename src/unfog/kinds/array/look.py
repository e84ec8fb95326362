"""Looking at arrays, writing them, and giving them back in the user's own type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unfog.errors import ArgumentError
from unfog.kinds.array.axes import looks_like_grid
from unfog.kinds.ndarrays import restore, save_arrays
from unfog.kinds.write import whole

FEW = 6  # entries that are shown as a matrix of scatter plots
MANY = 24  # entries from which a vector is drawn as a line
SHOWN = 16  # panels, at most


def look(
    data: np.ndarray,
    labels: Sequence[Any] | None = None,
    path: str | Path | None = None,
    *,
    columns: int | None = None,
) -> Any:
    """A figure of arrays (N, ...): scatter plots of vectors, lines of series, maps of grids.

    Rank 1 after the sample axis: histograms and scatter plots of the first six entries, coloured
    by label; from 24 entries on one line per item.
    Rank 2: one line per channel, one panel per item, or a map where both sides look like a grid's.
    Rank 3 and more: the first channel as a map (the middle slice of further axes). What is missing
    is left white.

    Args:
        labels: N values; colours, or the titles of panels.
        path: where to write the figure as PNG.      columns: panels per row.
    """
    from matplotlib.figure import Figure

    if len(data) == 0:
        raise ArgumentError("there are no items to look at")
    if labels is not None and len(labels) != len(data):
        raise ArgumentError(f"{len(labels)} labels for {len(data)} items; give one label per item")
    values = data.astype(np.float64)
    figure = Figure(figsize=(8, 8), dpi=100, layout="constrained")
    if values.ndim == 2 and values.shape[1] < MANY:
        _scatter(figure, values, labels)
    else:
        items = values[:, None] if values.ndim == 2 else values
        _panels(figure, items, labels, columns or 4)
    if path is not None:
        figure.savefig(path)
    return figure


def _scatter(figure: Any, values: np.ndarray, labels: Sequence[Any] | None) -> None:
    few = min(values.shape[1], FEW)
    grid = figure.subplots(few, few, squeeze=False)
    colours: Any = "C0"
    if labels is not None:
        names = sorted({str(label) for label in labels})
        colours = [f"C{names.index(str(label)) % 10}" for label in labels]
    for r in range(few):
        for c in range(few):
            axes = grid[r][c]
            if r == c:
                there = values[:, r]
                axes.hist(there[~np.isnan(there)], bins=40, color="C0")
                axes.set_title(f"entry {r}", fontsize=8)
            else:
                axes.scatter(values[:, c], values[:, r], s=2, c=colours, rasterized=True)
            axes.tick_params(labelsize=6)


def _panels(figure: Any, values: np.ndarray, labels: Sequence[Any] | None, wide: int) -> None:
    shown = min(len(values), SHOWN)
    wide = min(wide, shown)
    grid = figure.subplots(-(-shown // wide), wide, squeeze=False).ravel()
    there = values[:shown][~np.isnan(values[:shown])]  # missing values are left white
    low, high = (float(there.min()), float(there.max())) if there.size else (0.0, 1.0)
    for axes in grid[shown:]:
        axes.set_axis_off()
    for i, axes in enumerate(grid[:shown]):
        item = values[i]
        if _is_line(item):
            axes.plot(item.T, linewidth=1)
            axes.set_ylim(low, high + (high == low))
        else:
            plane = item if item.ndim == 2 else item[0]
            while plane.ndim > 2:
                plane = plane[plane.shape[0] // 2]
            axes.imshow(plane, vmin=low, vmax=high, cmap="viridis", interpolation="nearest")
            axes.set_axis_off()
        axes.set_title("" if labels is None else str(labels[i]), fontsize=8)
        axes.tick_params(labelsize=6)


def _is_line(item: np.ndarray) -> bool:
    """Whether an item (channels, entries) is drawn as lines, not as a map."""
    return item.ndim == 2 and not looks_like_grid(item.shape)


def in_pairs(data: np.ndarray, other: np.ndarray) -> Any:
    """A figure of eight items, each with its partner: lines in one panel, or maps above each other.

    Args:
        data, other: (N, ...) arrays; of items drawn as lines the first channel is shown.
    """
    from matplotlib.figure import Figure

    wide = SHOWN // 2
    both = [part[:wide].astype(np.float64) for part in (data, other)]
    both = [part[:, None] if part.ndim == 2 else part for part in both]
    figure = Figure(figsize=(12, 3), dpi=100, layout="constrained")
    if not _is_line(both[0][0]):
        _panels(figure, np.concatenate(both), None, len(both[0]))
        return figure
    grid = figure.subplots(2, wide // 2, squeeze=False).ravel()
    for axes, mine, theirs in zip(grid, *both):
        axes.plot(theirs[0], linewidth=2.5, color="0.75")
        axes.plot(mine[0], linewidth=1, color="C0")
        axes.tick_params(labelsize=6)
    for axes in grid[len(both[0]) :]:
        axes.set_axis_off()
    return figure


def save(
    data: np.ndarray,
    out: str | Path,
    *,
    columns: Mapping[str, Sequence[Any]] | None = None,
    names: Sequence[str] | None = None,
    origin: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write arrays to `.npy` or `.npz` (by the suffix of `out`); a folder gets `samples.npy` or
    `.npz`.

    Columns and names go into an `.npz` beside the data. An `.npy` holds the data only, so with
    columns a folder gets an `.npz`. Returns the path written. Raises: ArgumentError if it exists
    and `overwrite` is not given.
    """
    out, origin, columns = Path(out), dict(origin or {}), dict(columns or {})
    if names is not None:
        columns["names"] = names
    array = restore(data, origin)
    key = origin.get("key", "x")
    if out.suffix.lower() in (".npz", ".npy"):
        return save_arrays(array, out, columns, key, overwrite)
    if out.suffix and not out.is_dir():
        raise ArgumentError(
            f"{out}: arrays are written to .npy, .npz or a folder, not {out.suffix!r}"
        )
    suffix = "npz" if columns or origin.get("type") == "npz" else "npy"
    with whole(out, folder=True, overwrite=overwrite) as folder:
        save_arrays(array, folder / f"samples.{suffix}", columns, key, overwrite=False)
    return out / f"samples.{suffix}"


def give_back(data: np.ndarray, origin: dict[str, Any]) -> Any:
    """An ndarray or a tensor, as the user gave it."""
    return restore(data, origin)
