"""What memory and time do as data grows: rows, images, samples, nets, processes.

    python benchmarks/scale.py rows --tables FOLDER --counts 100000,1000000,10000000
    python benchmarks/scale.py samples --tables FOLDER --counts 100000,1000000
    python benchmarks/scale.py images --pictures FILE.npz --counts 50000,200000
    python benchmarks/scale.py memory
    python benchmarks/scale.py processes          # on a machine that does nothing else

Every run is a process of its own, `unfog` from the command line; its peak is what the system says
that it held (VmHWM), file pages that it had mapped included. `make-table` and `make-images` only
write the data. One table is printed, and JSON written with --out.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

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
                some[name] = moved.round().astype("int64") if some[name].dtype.kind == "i" else moved
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


def run(command: list[str]) -> dict[str, Any]:
    """Run `unfog` and wait: seconds, CPU-seconds, peak bytes, and what it wrote to stderr."""
    begun = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen([sys.executable, "-m", "unfog", *command], stderr=said)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    if child.returncode:
        sys.exit(f"unfog {' '.join(command)} ended with {child.returncode}:\n{text[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "seconds": round(time.monotonic() - begun, 2),
        "cpu": round(used.ru_utime + used.ru_stime, 2),
        "peak": used.ru_maxrss * unit,
        "said": text,
    }


if __name__ == "__main__":
    make_table(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3]))
