"""Writes one small finished run per kind, with samples drawn from it, in today's run format.

    python tests/golden/write.py

Run it once for each new run format. Folders of former formats stay as they are: they are what
`tests/faults/test_faults_golden.py` holds later versions to. An existing folder is never replaced.
"""

from __future__ import annotations

import pathlib
import shutil
import tempfile

import numpy as np

import unfog
from unfog.tasks.runfolder import READ
from unfog.version import FORMAT

HERE = pathlib.Path(__file__).resolve().parent
DRAWN = {"count": 4, "steps": 4, "seed": 7}
KEPT = (*READ, "manifest.json")


def images(place: pathlib.Path) -> tuple[pathlib.Path, dict]:
    """Grey 8 × 8 squares of two sizes, with the size as a condition."""
    rng = np.random.default_rng(0)
    pictures = np.zeros((24, 8, 8, 1), np.uint8)
    for i, picture in enumerate(pictures):
        side = 3 + 2 * (i % 2)
        top, left = rng.integers(0, 8 - side, 2)
        picture[top : top + side, left : left + side] = rng.integers(120, 256)
    np.savez(place / "squares.npz", images=pictures, label=np.array(["small", "large"] * 12))
    settings = {
        "net.width": 8,
        "net.mult": [1, 2],
        "net.blocks": 1,
        "net.attention": [False, False],
    }
    return place / "squares.npz", {"given": "label", "settings": settings}


def vectors(place: pathlib.Path) -> tuple[pathlib.Path, dict]:
    """Three numbers each, two of them related."""
    x = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    x[:, 1] += x[:, 0]
    np.save(place / "x.npy", x)
    return place / "x.npy", {"settings": {"net": "mlp", "net.width": 16, "net.depth": 1}}


def rows(place: pathlib.Path) -> tuple[pathlib.Path, dict]:
    """Numbers with holes, integers, categories and dates."""
    rng = np.random.default_rng(2)
    lines = ["height,legs,colour,born"]
    for i in range(60):
        height = "" if i % 9 == 0 else f"{rng.gamma(3.0):.3f}"
        colour = ["red", "green", "blue"][int(rng.integers(3))]
        lines.append(f"{height},{rng.integers(2, 9)},{colour},2021-03-{1 + i % 28:02d}")
    (place / "rows.csv").write_text("\n".join(lines) + "\n")
    return place / "rows.csv", {"settings": {"net.width": 16, "net.depth": 1}}


def write(kind: str) -> pathlib.Path:
    """Fit, load, draw and keep one kind. Returns its folder."""
    home = HERE / f"format-{FORMAT}" / kind
    if home.exists():
        raise SystemExit(f"{home} is there already; a golden folder is written once")
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        source, choices = {"image": images, "array": vectors, "table": rows}[kind](place)
        unfog.fit(
            source, kind=kind, out=place / "run", steps=20, batch=8, seed=3, quiet=True, **choices
        )
        home.mkdir(parents=True)
        for name in KEPT:
            shutil.copyfile(place / "run" / name, home / name)
    drawn = unfog.load(home).sample(**DRAWN)
    state = drawn.state if isinstance(drawn.state, dict) else {"state": drawn.state}
    np.savez_compressed(home / "state.npz", **{n: v.numpy() for n, v in state.items()})
    if kind == "table":
        drawn.save(home / "samples.csv")
    else:
        np.save(home / "samples.npy", drawn.raw)
    return home


if __name__ == "__main__":
    for kind in ("image", "table", "array"):
        print(write(kind))
