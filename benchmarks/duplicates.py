"""Planted copies: how many the detector finds, and how many fresh items it calls copies.

    python benchmarks/duplicates.py --data DATA

DATA holds images_fashion_mnist/, images_cifar10/, images_flowers_fewshot/ and tables/. Training
items are copied, changed as each line says, and judged against the rest of the training items and
400 held-out ones; the false alarms are of held-out items that the detector was not calibrated on.
Prints one markdown table, shares with 95 % intervals.
"""

from __future__ import annotations

import argparse
import io
import pathlib
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from unfog.judge.bootstrap import share
from unfog.judge.copies import CopyDetector
from unfog.judge.finders import Images
from unfog.judge.table.features import Rows, encode, roles_of
from unfog.kinds import kinds
from unfog.tasks.novelty import SURE, row_detector

HELD, PLANTED = 400, 300


def states(pixels: np.ndarray) -> Tensor:
    """uint8 (N, H, W[, C]) → float32 (N, C, H, W) in [-1, 1]."""
    pixels = pixels[..., None] if pixels.ndim == 3 else pixels
    return torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).float() / 127.5 - 1


def moved(pixels: np.ndarray, down: int, right: int) -> np.ndarray:
    """Shifted, edges repeated."""
    margin = [(0, 0), (2, 2), (2, 2), *[(0, 0)] * (pixels.ndim - 3)]
    high, wide = pixels.shape[1:3]
    wider = np.pad(pixels, margin, mode="edge")
    return wider[:, 2 - down : 2 - down + high, 2 - right : 2 - right + wide]


def encoded_again(pixels: np.ndarray) -> np.ndarray:
    """Through JPEG at quality 75."""
    found = []
    for one in pixels:
        buffer = io.BytesIO()
        Image.fromarray(one).save(buffer, "JPEG", quality=75)
        found.append(np.asarray(Image.open(buffer)))
    return np.stack(found)


def image_plants(pixels: np.ndarray, rng: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Ways to hide a copy of an image."""
    yield "exact", pixels
    yield "shift by 1", moved(pixels, 1, -1)
    yield "shift by 2", moved(pixels, -2, 1)
    yield "flip", np.ascontiguousarray(pixels[:, :, ::-1])
    yield "JPEG 75", encoded_again(pixels)
    noise = np.round(pixels + rng.normal(0, 5, pixels.shape))
    yield "noise 5/255", np.clip(noise, 0, 255).astype(np.uint8)


def row_plants(rows: Rows, rng: Any) -> Iterator[tuple[str, Rows]]:
    """Ways to hide a copy of a row."""
    yield "exact", rows
    noise = 0.01 * rng.normal(size=rows.numbers.shape)
    spread = np.nanstd(rows.numbers, axis=0)
    whole = np.all(np.nan_to_num(rows.numbers) == np.round(np.nan_to_num(rows.numbers)), 0)
    for what, scale in (("spread", spread), ("value", rows.numbers)):
        near = rows.numbers + noise * scale
        near[:, whole] = np.round(near[:, whole])
        yield f"noise 1 % of the {what}", replace(rows, numbers=near)
    codes = rows.codes.copy()
    for row in codes:
        j = rng.integers(len(row))
        others = [level for level in range(1, rows.levels[j]) if level != row[j]]
        row[j] = rng.choice(others) if others else row[j]
    yield "one category", replace(rows, codes=codes)


def photos(path: pathlib.Path, part: str, side: int | None) -> np.ndarray:
    """The images of a zip whose names begin with `part`."""
    found = []
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.startswith(part) and name.endswith(".jpg"):
                image = Image.open(io.BytesIO(archive.read(name))).convert("RGB")
                found.append(np.asarray(image.resize((side, side), Image.BOX) if side else image))
    return np.stack(found)


def line(name: str, told: list[tuple[str, Tensor]]) -> None:
    """One row of the table."""
    cells = []
    for what, hits in told:
        low, high = share(int(hits.sum()), len(hits))
        cells.append(f"{what} {100 * hits.float().mean():.1f} ({100 * low:.1f}-{100 * high:.1f})")
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def of_images(name: str, train: np.ndarray, held: np.ndarray, rng: Any) -> None:
    held = held[rng.permutation(len(held))]
    cut = min(HELD, len(held) // 2)
    detector = CopyDetector.fit([Images(states(train))], states(held[:cut]), level=SURE)
    told = [("false alarms", detector(states(held[cut : cut + 600])).copied)]
    picked = train[rng.permutation(len(train))[:PLANTED]]
    told += [(w, detector(states(changed)).copied) for w, changed in image_plants(picked, rng)]
    line(f"{name}, {len(train)} training and {cut} held-out images", told)


def of_table(path: pathlib.Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = kinds["table"].read(path).data
    rows = encode([table], roles_of(table))[0]
    order = rng.permutation(len(rows))
    cut, end = int(0.8 * len(rows)), int(0.9 * len(rows))
    train, held, fresh = rows[order[:cut]], rows[order[cut:end]], rows[order[end:]]
    detector = row_detector(train, held)
    told = [("false alarms", detector(fresh[: 3 * HELD]).copied)]
    picked = train[rng.permutation(len(train))[:PLANTED]]
    told += [(what, detector(changed).copied) for what, changed in row_plants(picked, rng)]
    line(f"{path.stem}, {len(train)} training and {len(held)} held-out rows", told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--tables", action="store_true", help="tables only")
    parser.add_argument("--splits", type=int, default=3, help="of every table")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first of them")
    asked, rng = parser.parse_args(), np.random.default_rng(0)
    data = asked.data
    torch.set_num_threads(1)
    if not asked.tables:
        images(data, rng)
    for name in ("adult_train", "california_housing", "abalone", "insurance"):
        for seed in range(asked.first, asked.first + asked.splits):
            of_table(data / "tables" / f"{name}.csv", seed)


def images(data: pathlib.Path, rng: Any) -> None:
    """Every line about images."""
    fashion = [np.load(data / f"images_fashion_mnist/{p}.npz")["images"] for p in ("train", "test")]
    for count in (5000, len(fashion[0])):
        of_images("Fashion-MNIST", fashion[0][:count], fashion[1], rng)
    zips = [photos(data / f"images_cifar10/{p}.zip", "", None) for p in ("train", "test")]
    of_images("CIFAR-10", zips[0], zips[1], rng)
    lilies = data / "images_flowers_fewshot/tigerlily_80.zip"
    of_images("tiger lilies, 64 px", photos(lilies, "train", 64), photos(lilies, "test", 64), rng)


if __name__ == "__main__":
    main()
