"""The page of the mathematics runs, cell after cell, and what it asserts holds."""

import pathlib
import re

import matplotlib
import pytest

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "maths.md"


@pytest.mark.slow
def test_every_cell_of_the_page_runs(monkeypatch, capsys):
    """Without the builder's cache, which keeps the answers of cells that would fail today."""
    matplotlib.use("agg")
    monkeypatch.syspath_prepend(str(PAGE.parent))
    cells = re.findall(r"```\{code-cell\}[^\n]*\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert len(cells) > 5
    names: dict[str, object] = {}
    for cell in cells:
        code = "\n".join(line for line in cell.splitlines() if not line.startswith(":"))
        exec(compile(code, str(PAGE), "exec"), names)
    assert "declared 2, measured" in capsys.readouterr().out
