"""Line charts as SVG whose colours are the page's own variables: one chart for light and dark."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, QUIET, FIRST, SECOND = "#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04"
"""Colours that no chart has, each the name of one of the page's variables."""
NAMES = {INK: "--ink", QUIET: "--quiet", FIRST: "--first", SECOND: "--second"}


class Chart:
    """One pair of axes; `svg()` is the picture."""

    def __init__(self, title: str, x: str, *, log: bool = False, share: bool = False):
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        self.title = title
        self.figure = Figure(figsize=(4.6, 2.6))
        self.axes: Axes = self.figure.subplots()
        self.axes.set_xlabel(x)
        if x == "step":  # there is no step 39.5
            self.axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if log:
            self.axes.set_yscale("log")
        if share:
            self.axes.yaxis.set_major_formatter(PercentFormatter(1.0))

    def line(self, x: Any, y: Any, label: str, colour: str = FIRST, *, dots: bool = False) -> None:
        self.axes.plot(x, y, color=colour, lw=1.6, label=label, marker="o" if dots else "", ms=4)

    def band(self, x: Any, low: Any, high: Any, colour: str = FIRST) -> None:
        """An interval around a line."""
        self.axes.fill_between(x, low, high, color=colour, alpha=0.18, lw=0)

    def mark(self, x: float, text: str) -> None:
        """A moment of the run."""
        self.axes.axvline(x, color=INK, lw=1, ls=":")
        place = self.axes.get_xaxis_transform()
        self.axes.text(x, 1.02, text, transform=place, ha="center", color=INK, fontsize=8)

    def svg(self) -> str:
        """An <svg> element, as wide as its place."""
        import matplotlib as mpl

        axes = self.axes
        axes.grid(alpha=0.25, color=QUIET)
        axes.spines[["top", "right"]].set_visible(False)
        for spine in axes.spines.values():
            spine.set_color(QUIET)
        axes.tick_params(which="both", colors=QUIET, labelsize=9)
        axes.xaxis.label.set_color(QUIET)
        if len(axes.get_legend_handles_labels()[0]) > 1:
            axes.legend(frameon=False, fontsize=9, labelcolor=INK)
        buffer = io.StringIO()
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": self.title}):
            self.figure.savefig(
                buffer,
                format="svg",
                bbox_inches="tight",
                transparent=True,
                metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
            )
        text = buffer.getvalue()
        text = text[text.index("<svg") :]
        text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
        text = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", text)
        for colour, name in NAMES.items():
            text = text.replace(colour, f"var({name})")
        return text.replace("<svg", f'<svg role="img" aria-label="{self.title}"', 1)
