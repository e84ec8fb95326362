"""One picture per suite: panels of dots, a line per case, a colour per contestant."""

from __future__ import annotations

import pathlib
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

Cells = Mapping[str, Mapping[str, list[float]]]


@dataclass(frozen=True)
class Panel:
    """A figure of all contestants.

    Args:
        title: with the unit and which way is better.     cells: case -> contestant -> values.
        goal: a line to be on the right side of.
        log: a logarithmic axis, where the values span a factor of 20.
    """

    title: str
    cells: Cells
    goal: float | None = None
    log: bool = False


def dots(panels: list[Panel], path: pathlib.Path, title: str, across: int = 2) -> None:
    """Medians as dots, the range as a line; unfog's are large and dark."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = [panel for panel in panels if panel.cells]
    if not panels:
        return
    across = min(across, len(panels))
    down = -(-len(panels) // across)
    most = max(len(panel.cells) for panel in panels)
    size = (5.6 * across + 1.6, (0.42 * most + 1.5) * down + 0.6)
    figure, grid = plt.subplots(down, across, figsize=size, layout="constrained", squeeze=False)
    names = list(dict.fromkeys(n for p in panels for row in p.cells.values() for n in row))
    looks = {name: style(name, place) for place, name in enumerate(names)}
    for axis, panel in zip(grid.flat, panels, strict=False):
        for y, (_, row) in enumerate(panel.cells.items()):
            there = [name for name in names if any(name in cells for cells in panel.cells.values())]
            for name, numbers in row.items():
                if not numbers:
                    continue
                at = y + 0.7 * ((there.index(name) + 0.5) / len(there) - 0.5)
                axis.plot([min(numbers), max(numbers)], [at, at], color=looks[name]["color"], lw=1)
                axis.plot([statistics.median(numbers)], [at], ls="", label=name, **looks[name])
        axis.set_yticks(range(len(panel.cells)), list(panel.cells))
        axis.set_ylim(len(panel.cells) - 0.5, -0.5)
        axis.set_title(panel.title, fontsize=10)
        axis.grid(alpha=0.3)
        numbers = [v for row in panel.cells.values() for some in row.values() for v in some]
        if panel.log and max(numbers) > 20 * max(min(numbers), 1e-12):  # else labels collide
            axis.set_xscale("log")
        if panel.goal is not None:
            axis.axvline(panel.goal, color="black", lw=1, ls="--")
    for axis in list(grid.flat)[len(panels) :]:
        axis.set_visible(False)
    handles: dict[str, object] = {}
    for axis in grid.flat:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if len(handles) > 1:
        figure.legend(list(handles.values()), list(handles), loc="outside right upper", fontsize=9)
    figure.suptitle(title, fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def style(name: str, place: int) -> dict[str, object]:
    if name.startswith("unfog"):
        return {"color": "black", "marker": "D", "ms": 7, "zorder": 4}
    if name.startswith("real"):
        return {"color": "grey", "marker": "|", "ms": 12, "zorder": 2}
    return {"color": f"C{place}", "marker": "osv^<>Pp"[place % 8], "ms": 5.5, "zorder": 3}
