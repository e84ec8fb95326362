"""Looking at images, writing them, and giving them back in the user's own type."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError
from unfog.kinds.image import png
from unfog.kinds.ndarrays import restore, save_arrays
from unfog.kinds.write import whole

CELL = 64  # pixels that a small image is enlarged to


def look(
    data: np.ndarray,
    labels: Sequence[Any] | None = None,
    path: str | Path | None = None,
    *,
    columns: int | None = None,
) -> Any:
    """A figure of images side by side, enlarged without smoothing; with labels, one row per class.

    Args:
        data: (N, H, W, C) pixels. With two channels the second is alpha; of five or more the first
        is shown.
        labels: N values; every class gets a row of up to `columns` images.
        path: where to write the figure as PNG.
        columns: images per row; a square grid (ten with labels) by default.
    """
    from matplotlib.figure import Figure

    if len(data) == 0:
        raise ArgumentError("there are no images to look at")
    rows, names = _rows(len(data), labels, columns)
    shown = _visible(data)
    zoom = max(1, CELL // max(shown.shape[1:3]))
    sheet = _sheet(shown, rows, zoom)
    height, width = sheet.shape[:2]
    margin = 16 + 6 * max((len(name[:14]) for name in names), default=0) if names else 0
    figure = Figure(figsize=((width + margin) / 100, height / 100), dpi=100)
    axes = figure.add_axes((margin / (width + margin), 0, width / (width + margin), 1))
    axes.imshow(sheet, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    step = height / len(rows)
    for i, name in enumerate(names):
        axes.text(-8, (i + 0.5) * step, name[:14], ha="right", va="center", fontsize=8)
    if path is not None:
        figure.savefig(path, dpi=100)
    return figure


def _rows(
    n: int, labels: Sequence[Any] | None, columns: int | None
) -> tuple[list[list[int]], list[str]]:
    """Which images stand in which row, and the rows' names."""
    if labels is None:
        wide = columns or math.ceil(math.sqrt(n))
        return [list(range(i, min(i + wide, n))) for i in range(0, n, wide)], []
    if len(labels) != n:
        raise ArgumentError(f"{len(labels)} labels for {n} images; give one label per image")
    plain = [label.item() if isinstance(label, np.generic) else label for label in labels]
    classes = sorted(set(plain), key=lambda one: (isinstance(one, str), one is None, one or 0))
    rows = [[i for i, one in enumerate(plain) if one == known] for known in classes]
    return [row[: columns or 10] for row in rows], [
        "none" if c is None else str(c) for c in classes
    ]


def _visible(data: np.ndarray) -> np.ndarray:
    """(N, H, W, C) pixels → (N, H, W, 3) uint8, alpha on white.

    Floats are shown from their 1st to their 99th percentile.
    """
    if data.dtype == np.uint16:
        values = data / 65535
    elif data.dtype == np.uint8:
        values = data / 255
    else:
        low, high = np.percentile(data, [1, 99])
        values = np.clip((data - low) / (high - low or 1), 0, 1)
    channels = values.shape[-1]
    if channels in (2, 4):
        alpha = values[..., -1:]
        values = values[..., :-1] * alpha + (1 - alpha)
    if values.shape[-1] != 3:
        values = np.repeat(values[..., :1], 3, axis=-1)
    return np.rint(values * 255).astype(np.uint8)


def _sheet(shown: np.ndarray, rows: list[list[int]], zoom: int) -> np.ndarray:
    """All images on one light sheet with thin gaps."""
    gap = 4
    height, width = shown.shape[1] * zoom, shown.shape[2] * zoom
    wide = max(len(row) for row in rows)
    sheet = np.full(
        (len(rows) * (height + gap) + gap, wide * (width + gap) + gap, 3), 245, np.uint8
    )
    for r, row in enumerate(rows):
        for c, i in enumerate(row):
            top, left = gap + r * (height + gap), gap + c * (width + gap)
            large = shown[i].repeat(zoom, axis=0).repeat(zoom, axis=1)
            sheet[top : top + height, left : left + width] = large
    return sheet


def save(
    data: np.ndarray | Sequence[np.ndarray],
    out: str | Path,
    *,
    columns: Mapping[str, Sequence[Any]] | None = None,
    names: Sequence[str] | None = None,
    origin: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write images as one `.npz` or `.npy` (by the suffix of `out`), else as a folder of PNGs.
    Returns `out`.

    Args:
        data: (N, H, W, C), or into a folder images of several sizes.
    A column "label" makes class folders; all columns go into `metadata.csv` (or into the `.npz`).
    Float images of one channel become 32-bit TIFFs. The result is there whole or not at all.

    Raises: ArgumentError if `out` exists and `overwrite` is not given; DataError for pixels no PNG
    can hold.
    """
    out, origin, columns = Path(out), dict(origin or {}), dict(columns or {})
    if out.suffix.lower() in (".npz", ".npy"):
        array = restore(np.asarray(data), origin)
        return save_arrays(array, out, columns, origin.get("key", "images"), overwrite)
    if out.suffix and not out.is_dir():
        raise ArgumentError(
            f"{out}: images are written to a folder, .npz or .npy, not {out.suffix!r}"
        )
    files = _file_names(data, columns, names)
    with whole(out, folder=True, overwrite=overwrite) as folder:
        for array, name in zip(data, files):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(array, path)
        if columns:
            with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
                table = csv.writer(file)
                table.writerow(["file_name", *columns])
                for i, name in enumerate(files):
                    table.writerow([name, *(_cell(values[i]) for values in columns.values())])
    return out


def _write(array: np.ndarray, path: Path) -> None:
    if array.dtype == np.uint16 and 2 <= array.shape[2] <= 4:
        path.write_bytes(png.written(array))
    else:
        to_pil(array).save(path)


def _cell(value: Any) -> Any:
    """A value as it stands in a CSV: arrays as JSON lists, missing ones empty."""
    if isinstance(value, np.ndarray):
        return json.dumps(value.tolist())
    return "" if value is None else value


def _file_names(
    data: np.ndarray | Sequence[np.ndarray],
    columns: Mapping[str, Sequence[Any]],
    names: Sequence[str] | None,
) -> list[str]:
    suffix = ".tif" if np.issubdtype(data[0].dtype, np.floating) else ".png"
    labels = columns.get("label", columns.get("labels"))
    digits = max(5, len(str(len(data))))
    made: list[str] = []
    for i in range(len(data)):
        stem = f"{i:0{digits}d}" if names is None else Path(names[i]).stem
        label = None if labels is None else labels[i]
        if label is not None and str(label) in (".", "..", ""):
            label = None
        made.append(
            f"{str(label).replace('/', '_')}/{stem}{suffix}" if label is not None else stem + suffix
        )
    if len(set(made)) < len(made):
        raise ArgumentError("two images would get the same file name; give other names, or none")
    return made


def to_pil(array: np.ndarray) -> Any:
    """One (H, W, C) image as PIL: L, LA, RGB, RGBA, 16-bit grey or 32-bit float grey.

    Raises: DataError for pixels that PIL has no mode for.
    """
    from PIL import Image

    height, width, channels = array.shape
    if array.dtype == np.uint8 and channels <= 4:
        mode = ("L", "LA", "RGB", "RGBA")[channels - 1]
    elif array.dtype == np.uint16 and channels == 1:
        mode = "I;16"
    elif np.issubdtype(array.dtype, np.floating) and channels == 1:
        mode, array = "F", array.astype(np.float32)
    else:
        raise DataError(
            f"images of {channels} channels of {array.dtype} have no file format here; write an "
            ".npz instead"
        )
    return Image.frombytes(mode, (width, height), np.ascontiguousarray(array).tobytes())


def give_back(data: np.ndarray, origin: dict[str, Any]) -> Any:
    """Images in the user's own type: PIL images for files, else an ndarray or tensor of the same
    layout and dtype.

    Pixels that PIL has no mode for come back as an ndarray (N, H, W, C).
    """
    if origin.get("type") in ("folder", "zip", "pil"):
        if not origin.get("form"):
            return data
        return [to_pil(array) for array in data]
    return restore(data, origin)
