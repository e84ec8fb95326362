"""Reading images: folders, zip archives, arrays, tensors and lists of PIL images → Items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unfog.errors import ArgumentError, DataError, UnknownName
from unfog.kinds.columns import with_given
from unfog.kinds.image.arrays import as_images, from_pil_list, is_pil, resize_all
from unfog.kinds.image.collect import Collected, Early
from unfog.kinds.image.decode import (
    MAX_PIXELS,
    RESIZES,
    Form,
    Header,
    Refused,
    both,
    fit_size,
    pixels,
    widen,
)
from unfog.kinds.image.layout import lay_out, many
from unfog.kinds.image.sources import Folder, Source, Zip, is_image_name
from unfog.kinds.items import Items
from unfog.kinds.ndarrays import is_tensor, tensor_array
from unfog.kinds.npy import read_npy, read_npz
from unfog.registry import unknown

Progress = Callable[[int, int], None]
BAD_SHARE = 0.01  # of the files; more undecodable ones than that are refused
KEEP_SIDE = 256  # equal sizes up to here are kept as they are
DEFAULT_SIDE = 64  # the most that unequal or larger images are resized to, unless asked


def read(
    source: Any,
    *,
    given: Sequence[str] | Mapping[str, Any] | None = None,
    size: int | tuple[int, int] | None = None,
    resize: str = "crop",
    part: str | None = None,
    metadata: str | Path | None = None,
    key: str | None = None,
    layout: str | None = None,
    strict: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
) -> Items:
    """Read images of one size and form, with every column that they could be conditioned on.

    Args:
        source: a folder, a `.zip`, `.npz`, `.npy`, an ndarray or tensor (N, H, W[, C]) or (N, C,
        H, W), or a
            list of PIL images. Sub-folders are classes (column "label"); `metadata.csv` or
            `metadata.jsonl` has further columns.
        given: names of columns that must be there, or a dict of further columns.
        size: side, or (height, width), in pixels. Without it equal sizes up to 256 are kept, and
            others become squares of the median short side, 64 at most.
        resize: "crop" | "pad" | "stretch".
        part: "train" | "test" | "validation", where the source has folders of these names; train
        by default.
        metadata: another table of this form, beside the source or in it; `file_name` or `file`
            names the image.
        key: the array of an `.npz`.      layout: "NHWC" | "NCHW", where the shape doesn't tell.
        strict: refuse even one undecodable file; otherwise up to 1 % are skipped, and noted.
        max_pixels: larger images are refused by their header (Pillow itself stops at 178 million).
        progress: called with (done, total).
    Raises: DataError, ArgumentError, UnknownName, ResourceError: one sentence each.
    """
    if resize not in RESIZES:
        raise UnknownName(unknown("resize", resize, RESIZES))
    wanted = _size(size)
    how = (wanted, resize)
    table = None if metadata is None else str(metadata)
    path = Path(source) if isinstance(source, str | Path) else None
    if path is not None and not path.exists():
        raise DataError(f"{path}: is not there; check the path")
    if path is not None and path.is_dir():
        with Folder(path) as files:
            items = _from_files(files, "folder", how, part, table, strict, max_pixels, progress)
    elif path is not None and path.suffix.lower() == ".zip":
        with Zip(path) as files:
            items = _from_files(files, "zip", how, part, table, strict, max_pixels, progress)
    elif path is not None and is_image_name(path.name):
        raise DataError(f"{path}: one image can't be learnt from; give the folder it is in")
    else:
        if part is not None:
            raise ArgumentError(f"part={part!r} needs a folder or zip with folders of that name")
        if table is not None:
            raise ArgumentError(f"metadata={table!r} needs a folder or zip with named files")
        source = source if path is None else path
        items = _from_arrays(source, key, given, layout, wanted, resize)
    if len(items) < 2:
        raise DataError(f"{_named(source)}: only {len(items)} image; give at least two")
    return with_given(items, given)


def _size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    both = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(both) != 2 or not all(isinstance(side, int) and 1 <= side <= 8192 for side in both):
        raise ArgumentError(f"size={size!r} is not a side or (height, width) from 1 to 8192 pixels")
    return both


def _named(source: Any) -> str:
    return str(source) if isinstance(source, str | Path) else f"this {type(source).__name__}"


class _Bad:
    """Files that can't be used: counted, named, and refused beyond the allowed share."""

    def __init__(self, source: Source, total: int, strict: bool):
        self.source, self.total = source, total
        self.allowed = 0 if strict else int(BAD_SHARE * total)
        self.strict = strict
        self.reasons: dict[str, str] = {}

    def add(self, name: str, reason: object) -> None:
        self.reasons[name] = str(reason)

    def check(self) -> None:
        if len(self.reasons) <= self.allowed:
            return
        why = "strict reading allows none" if self.strict else "at most 1 % may be skipped"
        raise DataError(
            f"{self.source.path}: {len(self.reasons)} of {self.total} images can't be used "
            f"({why}): {self.listed()}; repair or remove them"
        )

    def listed(self) -> str:
        first = [f"{name} ({reason})" for name, reason in list(self.reasons.items())[:3]]
        more = len(self.reasons) - len(first)
        return ", ".join(first) + (f" and {more} more" if more else "")

    def note(self) -> list[str]:
        many = len(self.reasons)
        return [f"skipped {many} of {self.total} images: {self.listed()}"] if many else []


def _from_files(
    files: Source,
    origin: str,
    how: tuple[tuple[int, int] | None, str],
    part: str | None,
    table: str | None,
    strict: bool,
    max_pixels: int,
    progress: Progress | None,
) -> Items:
    """Two passes: every header (plans size and form), then the pixels that were not decoded with
    it. Small images that are all alike need only the first.
    """
    wanted, resize = how
    found = lay_out(files, part, table)
    total = len(found.files)
    bad = _Bad(files, total, strict)
    headers: dict[int, Header] = {}
    alike: dict[Header, Header] = {}
    early = Early()

    def asked(one: Header) -> bool:
        first = next(iter(alike), one)
        fits = (one.height, one.width) == wanted if wanted else max(one.size) <= KEEP_SIDE
        return one == first and fits

    for i, name in enumerate(found.files):
        try:
            with files.open(name) as file:
                one, array = both(file, max_pixels, asked)
        except (Refused, OSError) as error:
            bad.add(name, error)
            continue
        headers[i] = alike.setdefault(one, one)
        if array is not None:
            early.add(i, array, total, str(files.path))
        if progress is not None:
            progress(i + 1, total)
    bad.check()
    notes = list(found.notes)
    size, form = _plan(list(headers.values()), wanted, resize, notes)
    kept = list(headers)
    data = early.data()
    if len(early.places) < len(headers) or data.shape[1:] != (*size, form.channels):
        shape = (*size, form.channels)
        made = Collected(len(headers), shape, form.dtype, str(files.path))
        kept = []
        for done, (i, about) in enumerate(headers.items(), start=1):
            try:
                if i in early.places:
                    array, have = data[early.places[i]], about.form
                else:
                    with files.open(found.files[i]) as file:
                        array, have = pixels(file, max_pixels)
            except (Refused, OSError) as error:
                bad.add(found.files[i], error)
            else:
                array = widen(array, have, form)
                made.add(fit_size(array, size, resize, alpha=form.alpha))
                kept.append(i)
            if progress is not None:
                progress(done, len(headers))
        data = made.data()
    bad.check()
    if not kept:
        raise DataError(f"{files.path}: no image could be used: {bad.listed()}; repair them")
    columns = found.keep(kept)
    return Items(
        kind="image",
        data=data,
        columns=columns,
        names=[found.names[i] for i in kept],
        notes=notes + bad.note(),
        origin={"type": origin, "dtype": data.dtype.str, "layout": "NHWC", "form": _mode(form)},
    )


def _plan(
    headers: list[Header], wanted: tuple[int, int] | None, resize: str, notes: list[str]
) -> tuple[tuple[int, int], Form]:
    """The size and form that all images are brought to; what that changes goes into `notes`."""
    form = headers[0].form
    for one in headers:
        form |= one.form
    narrower = sum(one.form != form for one in headers)
    if narrower:
        notes.append(
            f"widened {narrower} of {many(len(headers), 'image')} to {form}, which holds all"
        )
    frames = sum(one.frames for one in headers)
    if frames:
        notes.append(f"used the first frame of {many(frames, 'image')} with several")
    reduced = sum(one.reduced for one in headers)
    if reduced:
        notes.append(
            f"read {many(reduced, 'image')} of 16 bits per colour at 8 bits; an .npz keeps them all"
        )
    sizes = {(one.height, one.width) for one in headers}
    first = (headers[0].height, headers[0].width)
    if wanted is not None:
        size = wanted
    elif len(sizes) == 1 and max(first) <= KEEP_SIDE:
        size = first
    else:
        short = [min(one.height, one.width) for one in headers]
        side = min(DEFAULT_SIDE, max(1, int(np.median(short))))
        size = (side, side)
    changed = sum((one.height, one.width) != size for one in headers)
    if changed:
        how = {
            "crop": "cropped to the centre and resized",
            "pad": "resized and padded with zeros",
            "stretch": "stretched",
        }[resize]
        low, high = min(sizes), max(sizes)
        were = f"{low[0]}×{low[1]}" + ("" if low == high else f" to {high[0]}×{high[1]}")
        asked = "" if wanted else "; ask for another with size="
        notes.append(
            f"{changed} of {len(headers)} images ({were}) were {how} to {size[0]}×{size[1]}{asked}"
        )
    return size, form


def _mode(form: Form) -> str:
    """The PIL mode that shows this form; "" where PIL has none."""
    if form.bits == 8:
        return ("RGB" if form.colour else "L") + ("A" if form.alpha else "")
    return {(16, 1): "I;16", (32, 1): "F"}.get((form.bits, form.channels), "")


def _from_arrays(
    source: Any,
    key: str | None,
    given: Iterable[str] | None,
    layout: str | None,
    wanted: tuple[int, int] | None,
    resize: str,
) -> Items:
    notes: list[str] = []
    columns: dict[str, Any] = {}
    origin: dict[str, Any] = {"type": "ndarray"}
    if isinstance(source, Path):
        origin["type"] = source.suffix.lower().removeprefix(".")
        if origin["type"] == "npz":
            origin["key"], array, columns = read_npz(source, key, given)
        elif origin["type"] == "npy":
            array = read_npy(source)
        else:
            raise DataError(
                f"{source}: images are read from a folder, .zip, .npz or .npy, not "
                f"{source.suffix!r}"
            )
    elif isinstance(source, list | tuple) and source and all(is_pil(one) for one in source):
        return _from_pils(list(source), wanted, resize)
    elif is_tensor(source):
        array, dtype = tensor_array(source)
        origin |= {"type": "tensor", "tensor_dtype": dtype}
    else:
        array = np.asarray(source)
        origin["type"] = "list" if isinstance(source, list | tuple) else "ndarray"
    data, how = as_images(array, layout, notes)
    origin |= how
    if wanted is not None and data.shape[1:3] != wanted:
        notes.append(
            f"the images were resized from {data.shape[1]}×{data.shape[2]} to "
            f"{wanted[0]}×{wanted[1]}"
        )
        data = resize_all(data, wanted, resize)
    return Items(kind="image", data=data, columns=columns, notes=notes, origin=origin)


def _from_pils(images: list[Any], wanted: tuple[int, int] | None, resize: str) -> Items:
    notes: list[str] = []
    arrays, form = from_pil_list(images)
    headers = [Header(a.shape[0], a.shape[1], form) for a in arrays]
    size, form = _plan(headers, wanted, resize, notes)
    data = np.stack([fit_size(array, size, resize, alpha=form.alpha) for array in arrays])
    origin = {"type": "pil", "dtype": data.dtype.str, "layout": "NHWC", "form": _mode(form)}
    return Items(kind="image", data=data, notes=notes, origin=origin)
