"""The log of a run: one JSON line per log step, and TensorBoard events beside it."""

from __future__ import annotations

import contextlib
import json
import math
import pathlib
import warnings
from typing import Any

from unfog.errors import ResourceError
from unfog.failpoints import at
from unfog.model.files import write_bytes


class Log:
    """Appends to `metrics.jsonl`; TensorBoard is optional company and may fail without harm.

    Args:
        folder: the run folder.     after: lines past this step are dropped first (they come again
            on resume).
    """

    def __init__(self, folder: pathlib.Path, *, after: int | None = None, board: bool = True):
        self.path = folder / "metrics.jsonl"
        if after is not None and self.path.exists():
            trim(self.path, after)
        self._file = self.path.open("a", encoding="utf-8")
        self._board = _board(folder) if board else None

    def write(self, step: int, **values: Any) -> None:
        """One line. Numbers that JSON can't say (nan, inf) become their names."""
        line = {"step": step, **{name: _plain(value) for name, value in values.items()}}
        try:
            at("log.write")
            self._file.write(json.dumps(line, allow_nan=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise ResourceError(
                f"could not write {self.path} ({error.strerror}); what was saved before is intact: "
                "free some disk space, and go on with --resume"
            ) from error
        if self._board is not None:
            self._show(self._board, step, values)

    def _show(self, board: Any, step: int, values: dict[str, Any]) -> None:
        try:
            at("board.write")
            for name, value in values.items():
                if isinstance(value, (int, float)) and math.isfinite(value):
                    board.add_scalar(name, value, step)
        except Exception as error:  # as in `_board`
            self._board = None
            _off(error)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a full disk has been said; a cut-off line is dropped
            self._file.close()
        if self._board is not None:
            try:
                self._board.close()
            except Exception as error:  # as in `_board`
                _off(error)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def _board(folder: pathlib.Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(folder))
    except Exception as error:  # company only: no fault of TensorBoard's may stop a training
        _off(error)
        return None


def _off(error: Exception) -> None:
    warnings.warn(f"TensorBoard events are off: {error}", stacklevel=3)


def read(path: pathlib.Path) -> list[dict[str, Any]]:
    """All whole lines of a metrics file; a line that a crash cut short is left out."""
    lines = []
    if path.exists():
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except json.JSONDecodeError:
                break
    return lines


def trim(path: pathlib.Path, after: int) -> None:
    """Drop lines past step `after`, and a cut-off last line."""
    kept = [line for line in read(path) if line["step"] <= after]
    write_bytes(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
