"""What is known of an item: masks by word, by file or as arrays, 1 = known."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError, ShapeError
from unfog.registry import unknown

Keep = str | pathlib.Path | np.ndarray | Sequence[Any]
Shape = tuple[int, ...]


def keep_of(what: Any, shape: Shape, *, image: bool, place: int = 0, seed: int = 0) -> np.ndarray:
    """Which entries of one item are known, bool of `shape` (H, W of an image, else the item's).

    Args:
        what: a word (`WORDS`, `FIRSTS`; `not:WORD` swaps known and unknown), a mask file (.png:
            white is known; .npy or .npz), or an array of the item's shape or its first axes.
        place: the item's number, which random masks depend on, as on the seed.
    Raises: UnknownName for another word; ShapeError for a mask of another shape; ArgumentError for
        a mask that knows everything or nothing.
    """
    made = _made(what, shape, image, place, seed)
    if made.all() or not made.any():
        raise ArgumentError(
            f"keep={_said(what)} knows {'all' if made.all() else 'none'} of an item's entries; "
            "1 is known, 0 is drawn, and both must occur"
        )
    return made


def _said(what: Any) -> str:
    return repr(str(what)) if isinstance(what, str | pathlib.Path) else "this mask"


def _made(what: Any, shape: Shape, image: bool, place: int, seed: int) -> np.ndarray:
    if isinstance(what, str) and what.startswith("not:"):
        return ~_made(what.removeprefix("not:"), shape, image, place, seed)
    if isinstance(what, str | pathlib.Path):
        words = WORDS if image else FIRSTS
        name, _, options = str(what).partition(":")
        if name in words:
            return words[name](shape, options, np.random.default_rng([seed, place]))
        path = pathlib.Path(what)
        if path.suffix.lower() not in (".png", ".npy", ".npz") or not path.exists():
            raise ArgumentError(
                unknown("keep", str(what), words) + "; or a file .png, .npy or .npz that is there"
            )
        what = _file(path)
    found = np.asarray(what)
    if found.shape == () or not np.isin(found, (0, 1, 255)).all():
        raise ArgumentError("a mask holds 1 (or 255) for what is known and 0 for what is drawn")
    found = found.astype(bool)
    if found.ndim == len(shape) + 1 and len(found) > place:
        found = found[place]
    if found.shape != shape[: found.ndim]:
        raise ShapeError(f"the item is {shape} and the mask is {found.shape}; give one of its size")
    return np.broadcast_to(found.reshape(found.shape + (1,) * (len(shape) - found.ndim)), shape)


def _file(path: pathlib.Path) -> np.ndarray:
    from unfog.kinds.npy import read_npy, read_npz

    if path.suffix.lower() == ".npy":
        return read_npy(path)
    if path.suffix.lower() == ".npz":
        return read_npz(path)[1]
    from unfog.kinds.image.decode import Refused, pixels

    try:
        with path.open("rb") as file:
            array, form = pixels(file)
    except (Refused, OSError) as error:
        raise DataError(f"{path}: {error}") from error
    bright = array[..., : array.shape[-1] - form.alpha].astype(float).mean(-1)
    return bright > np.iinfo(array.dtype).max / 2


def _share(options: str, usual: float, word: str) -> float:
    try:
        share = float(options) if options else usual
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise ArgumentError(f"{word} takes a share between 0 and 1, {word}:0.5; got {options!r}")
    return share


def _side(axis: int, last: bool, word: str) -> Callable[[Shape, str, Any], np.ndarray]:
    def side(shape: Shape, options: str, _: Any) -> np.ndarray:
        size = shape[axis]
        count = round(size * _share(options, 0.5, word))
        line = np.arange(size) >= size - count if last else np.arange(size) < count
        wide = [1] * len(shape)
        wide[axis] = size
        return np.broadcast_to(line.reshape(wide), shape)

    return side


def _centre(shape: Shape, options: str, _: Any) -> np.ndarray:
    """The window in the middle, of half of each side unless said otherwise."""
    share = _share(options, 0.5, "center")
    lines = []
    for size in shape:
        count = max(1, round(size * share))
        first = (size - count) // 2
        lines.append((np.arange(size) >= first) & (np.arange(size) < first + count))
    return lines[0][:, None] & lines[1][None, :]


def _random(shape: Shape, options: str, rng: np.random.Generator) -> np.ndarray:
    return rng.random(shape) < _share(options, 0.5, "random")


def _numbers(options: str, count: int, word: str, example: str) -> list[int]:
    try:
        found = [int(text) for text in options.split(",")]
    except ValueError:
        found = []
    if len(found) != count or min(found) < 0:
        raise ArgumentError(f"{word} takes {count} whole numbers: {example}; got {options!r}")
    return found


def _box(shape: Shape, options: str, _: Any) -> np.ndarray:
    """A window by top, left, height and width, in pixels of the image."""
    top, left, height, width = _numbers(options, 4, "box", "box:TOP,LEFT,HEIGHT,WIDTH")
    if top + height > shape[0] or left + width > shape[1] or not height * width:
        raise ArgumentError(f"box:{options} does not lie in an image of {shape[0]}×{shape[1]}")
    found = np.zeros(shape, bool)
    found[top : top + height, left : left + width] = True
    return found


def _checks(shape: Shape, options: str, _: Any) -> np.ndarray:
    """A checkerboard with fields of so many pixels, an eighth of the height unless said."""
    (size,) = _numbers(options or str(max(1, shape[0] // 8)), 1, "checks", "checks:4")
    if not size:
        raise ArgumentError("the fields of checks have at least one pixel")
    rows, columns = np.indices(shape)
    return (rows // size + columns // size) % 2 == 0


def _lines(shape: Shape, options: str, _: Any) -> np.ndarray:
    """Every so many-th row, every second unless said."""
    (every,) = _numbers(options or "2", 1, "lines", "lines:2")
    if every < 2:
        raise ArgumentError("lines:N keeps every N-th row, N 2 or more")
    return np.broadcast_to((np.arange(shape[0]) % every == 0)[:, None], shape)


def _entries(shape: Shape, options: str, _: Any) -> np.ndarray:
    """Entries of the item's first axis: channels, or numbers of a vector."""
    try:
        places = [int(text) for text in options.split(",")]
    except ValueError:
        places = [-1]
    if not all(0 <= one < shape[0] for one in places):
        raise ArgumentError(f"entries takes numbers from 0 to {shape[0] - 1}; got {options!r}")
    return np.broadcast_to(
        np.isin(np.arange(shape[0]), places).reshape(-1, *[1] * (len(shape) - 1)), shape
    )


Word = Callable[[Shape, str, np.random.Generator], np.ndarray]
WORDS: dict[str, Word] = {
    "left": _side(1, False, "left"),
    "right": _side(1, True, "right"),
    "top": _side(0, False, "top"),
    "bottom": _side(0, True, "bottom"),
    "center": _centre,
    "random": _random,
    "box": _box,
    "checks": _checks,
    "lines": _lines,
}
"""Of images."""

FIRSTS: dict[str, Word] = {
    "first": _side(-1, False, "first"),
    "last": _side(-1, True, "last"),
    "random": _random,
    "entries": _entries,
}
"""Of arrays: shares of the last axis, or entries of the first."""
