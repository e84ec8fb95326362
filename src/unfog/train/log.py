"""The log of a run: one JSON line per log step, and TensorBoard events beside it."""

from __future__ import annotations

import contextlib
import json
import math
import pathlib
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from unfog.errors import ResourceError
from unfog.failpoints import at
from unfog.model.files import write_bytes

LARGEST = 16
"""Parameters that have histograms."""
POINTS = 5000
"""Entries of a parameter in its histogram, or a few more."""


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

    def show(
        self, step: int, name: str, facts: dict[str, Any], picture: pathlib.Path | None = None
    ) -> None:
        """TensorBoard only: numbers as NAME/KEY, lists over noise levels as NAME/KEY/t=LEVEL, and a
        picture from its PNG file.
        """
        if self._board is None:
            return
        try:
            for key, value in spread(facts).items():
                self._board.add_scalar(f"{name}/{key}", value, step)
            if picture is not None:
                self._board.add_image(name, _pixels(picture), step, dataformats="HWC")
        except Exception as error:
            self._board = None
            _off(error)

    def histograms(self, step: int, model: nn.Module) -> None:
        """TensorBoard only: weights and gradients of the largest parameters, thinned out."""
        if self._board is None:
            return
        named = sorted(model.named_parameters(), key=lambda one: -one[1].numel())[:LARGEST]
        try:
            for name, value in named:
                place = name.replace(".", "/")
                self._board.add_histogram(f"weights/{place}", _thin(value), step)
                if value.grad is not None:
                    self._board.add_histogram(f"gradients/{place}", _thin(value.grad), step)
        except Exception as error:
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


def spread(facts: dict[str, Any]) -> dict[str, float]:
    """All finite numbers of a look by name; lists as long as `levels` get one name a level."""
    found: dict[str, float] = {}
    levels = facts.get("levels") or []
    for key, value in facts.items():
        if isinstance(value, list) and key != "levels" and len(value) == len(levels):
            found |= {f"{key}/t={t:.3g}": v for t, v in zip(levels, value) if _number(v)}
        elif _number(value):
            found[key] = value
    return found


def _number(value: Any) -> bool:
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return real and math.isfinite(value)


def _pixels(path: pathlib.Path) -> Any:
    """(H, W, 3) uint8 of a PNG."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _thin(value: Tensor) -> Tensor:
    """At most `POINTS` of the entries, at even distances; those that are not finite left out."""
    flat = value.detach().flatten()
    flat = flat[:: max(1, len(flat) // POINTS)].float().cpu()
    return flat[torch.isfinite(flat)]


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
