"""Data made for `scale.py`: a table and folders of pictures of any size, from real ones."""

from __future__ import annotations

import os
import pathlib
import shutil
import sys

import numpy as np

PIECE = 200_000
"""Rows that are made at once."""
ROW = 100
"""Bytes on disk that a row of the made table takes at most, and its copy for the net."""


def room(folder: pathlib.Path, wanted: float) -> None:
    """Stop where the disk does not hold so many bytes and as much again."""
    free = shutil.disk_usage(folder).free
    if 2 * wanted > free:
        sys.exit(f"{folder} has {free / 1e9:.1f} GB free, and this takes {2 * wanted / 1e9:.1f} GB")


def make_table(source: pathlib.Path, out: pathlib.Path, count: int, seed: int = 0) -> None:
    """Rows of a real table drawn again, their wide numbers shaken by a hundredth of their spread,
    a key in front and a category that one row in a million has; written in pieces.
    """
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

    real = pd.read_csv(source)
    room(out.parent, ROW * count)
    rng = np.random.default_rng(seed)
    writer = None
    for begun in range(0, count, PIECE):
        rows = min(PIECE, count - begun)
        some = real.iloc[rng.integers(0, len(real), rows)].reset_index(drop=True)
        for name in some.columns:
            if some[name].dtype.kind in "if" and real[name].nunique() > 1000:
                moved = some[name] + 0.01 * real[name].std() * rng.standard_normal(rows)
                moved = moved.clip(real[name].min(), None)
                some[name] = (
                    moved.round().astype("int64") if some[name].dtype.kind == "i" else moved
                )
        some.insert(0, "row_id", np.arange(begun, begun + rows))
        flag = np.where(rng.random(rows) < 1e-6, "seldom", "often")
        some["flag"] = np.where(np.arange(begun, begun + rows) == count // 2, "seldom", flag)
        table = pa.Table.from_pandas(some, preserve_index=False)
        if writer is None:
            writer = parquet.ParquetWriter(out, table.schema, write_page_checksum=True)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def make_images(source: pathlib.Path, out: pathlib.Path, count: int) -> None:
    """Pictures of an .npz, one PNG of 32×32 each, in folders of a thousand; shifted and mirrored so
    that few are equal.
    """
    from PIL import Image

    with np.load(source) as arrays:
        name = max(arrays.files, key=lambda one: arrays[one].nbytes)
        real = arrays[name]
    room(out.parent, 4096 * count)
    if os.statvfs(out.parent).f_favail < 1.1 * count:
        sys.exit(f"{out.parent} has too few free inodes for {count} files")
    rng = np.random.default_rng(0)
    side = real.shape[1]
    for i in range(count):
        if i % 1000 == 0:
            (out / f"{i // 1000:04d}").mkdir(parents=True)
        canvas = np.zeros((32, 32, *real.shape[3:]), np.uint8)
        top, left = rng.integers(0, 32 - side + 1, 2)
        one = real[i % len(real)]
        canvas[top : top + side, left : left + side] = one[:, ::-1] if i // len(real) % 2 else one
        Image.fromarray(canvas).save(out / f"{i // 1000:04d}" / f"{i:07d}.png", compress_level=1)


def blobs(home: pathlib.Path) -> pathlib.Path:
    """2000 grey images of 32×32 with structure, as an .npy."""
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.random((2000, 4, 4, 1)), np.ones((1, 8, 8, 1)))
    noisy = np.clip(smooth + 0.1 * rng.standard_normal(smooth.shape), 0, 1)
    np.save(home / "blobs.npy", (255 * noisy).astype(np.uint8))
    return home / "blobs.npy"
