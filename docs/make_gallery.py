"""Make gallery.md and its pictures: every edit on held-out items of three real data sets.

    python docs/make_gallery.py DATA RUNS

DATA holds images_fashion_mnist, images_cifar10 and images_flowers_fewshot; RUNS is where the runs
lie, or are put by `unfog fit` where they are missing (about 17 minutes). Every edit is a command
line; the page shows it.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import sys
import tempfile
import zipfile
from typing import Any

import numpy as np
from gallery_page import page
from PIL import Image, ImageDraw

import unfog
from unfog.cli import run as cli
from unfog.guide.operators import Blur
from unfog.tasks.edit.keeps import keep_of
from unfog.tasks.edit.seen import small

HERE = pathlib.Path(__file__).parent
PICTURES = HERE / "pictures" / "gallery"
COUNT = 6
SHOWN = 5
KEEPS = ("not:center", "left", "random:0.2", "checks:4", "lines:3")
STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0)
SETS = {
    "fashion": ("images_fashion_mnist", "5m", []),
    "cifar": ("images_cifar10", "8m", []),
    "flowers": ("images_flowers_fewshot", "4m", ["--size", "32"]),
}
FLOWERS = ("species12_small", "tigerlily_80", "fritillary_80")


# --- data and runs


def flowers(data: pathlib.Path, part: str, out: pathlib.Path) -> pathlib.Path:
    """One class folder per species, of the three archives' training or test images."""
    for archive in FLOWERS:
        with zipfile.ZipFile(data / f"{archive}.zip") as files:
            for name in files.namelist():
                parts = pathlib.PurePosixPath(name).parts
                if parts[0] == part and name.endswith(".jpg"):
                    species = parts[1] if len(parts) == 3 else archive.removesuffix("_80")
                    (out / species).mkdir(parents=True, exist_ok=True)
                    (out / species / parts[-1]).write_bytes(files.read(name))
    return out


def fitted(name: str, data: pathlib.Path, runs: pathlib.Path) -> pathlib.Path:
    """The run folder; learnt by the main job if it is not there."""
    folder, budget, more = SETS[name]
    run = runs / name
    if run.exists():
        return run
    source = {"fashion": data / folder / "train.npz", "cifar": data / folder / "train.zip"}.get(
        name
    )
    if name == "flowers":
        source = flowers(data / folder, "train", runs / "flowers_train")
        more = [*more, "--from", str(runs / "cifar")]
    verb("fit", str(source), "-o", str(run), "--given", "label", "--budget", budget, *more)
    return run


def held_out(name: str, data: pathlib.Path, out: pathlib.Path) -> pathlib.Path:
    """A folder of `COUNT` test images as PNG, each of another class, in class folders."""
    folder = data / SETS[name][0]
    if name == "fashion":
        archive = np.load(folder / "test.npz")
        images, labels = archive["images"], [str(one) for one in archive["labels"]]
        wanted = ["0", "1", "5", "7", "8", "9"]
        found = {one: images[labels.index(one)] for one in wanted}
    else:
        source = out.parent / f"{name}_test"
        if name == "flowers":
            flowers(folder, "test", source)
        else:
            with zipfile.ZipFile(folder / "test.zip") as files:
                files.extractall(source)
        names = {
            "cifar": ["airplane", "automobile", "cat", "deer", "horse", "ship"],
            "flowers": ["sunflower", "tigerlily", "iris", "daisy", "fritillary", "pansy"],
        }[name]
        found = {}
        for one in names:
            picture = Image.open(sorted(next(source.glob(f"**/{one}")).iterdir())[1])
            found[one] = np.asarray(
                picture.convert("RGB").resize((32, 32), Image.Resampling.LANCZOS)
            )
    for label, pixels in found.items():
        (out / label).mkdir(parents=True)
        Image.fromarray(pixels).save(out / label / f"{label}.png")
    return out


# --- verbs


def verb(*words: str) -> None:
    """Run one command line. Raises SystemExit where it fails."""
    code = cli([*words])
    if code:
        raise SystemExit(f"unfog {' '.join(words)}: exit {code}")


class Desk:
    """One data set's items and edits."""

    def __init__(self, name: str, run: pathlib.Path, items: pathlib.Path, work: pathlib.Path):
        self.name, self.run, self.items, self.work = name, run, items, work
        self.labels = sorted(one.name for one in items.iterdir())
        self.truth = np.stack([pixels(items / one / f"{one}.png") for one in self.labels])
        self.count = 0

    def put(self, images: np.ndarray) -> pathlib.Path:
        """Images as a folder like the items'."""
        out = self._fresh()
        for label, one in zip(self.labels, images):
            (out / label).mkdir(parents=True)
            Image.fromarray(one.squeeze(-1) if one.shape[-1] == 1 else one).save(
                out / label / f"{label}.png"
            )
        return out

    def edit(self, task: str, source: pathlib.Path, *more: str) -> np.ndarray:
        """What `unfog edit` makes of them, in the order of the labels."""
        out = self._fresh()
        verb("edit", str(self.run), str(source), "-o", str(out), "--task", task, *more)
        files = sorted(out.glob("*.png")) or sorted(
            out.glob("**/*.png"), key=lambda path: self.labels.index(path.parent.name)
        )
        return np.stack([pixels(path) for path in files])

    def _fresh(self) -> pathlib.Path:
        self.count += 1
        return self.work / f"{self.name}_{self.count}"


def pixels(path: pathlib.Path) -> np.ndarray:
    array = np.asarray(Image.open(path))
    return array if array.ndim == 3 else array[..., None]


def rmse(a: np.ndarray, b: np.ndarray, where: np.ndarray | None = None) -> float:
    """Of pixels from 0 to 255, over `where` (H, W)."""
    away = (a.astype(float) - b.astype(float)) ** 2
    return float(np.sqrt(away.mean() if where is None else away[where].mean()))


# --- sheets


def sheet(name: str, rows: list[tuple[str, np.ndarray]], zoom: int = 2, shown: int = SHOWN) -> None:
    """Rows of captioned pictures as one PNG, the first of each row."""
    rows = [(caption, images[:shown]) for caption, images in rows]
    margin, gap = 108, 3
    high = [zoom * images.shape[1] + gap for _, images in rows]
    wide = margin + max(len(images) * (zoom * images.shape[2] + gap) for _, images in rows)
    page = Image.new("RGB", (wide, sum(high) + gap), (245, 245, 245))
    pen, top = ImageDraw.Draw(page), gap
    for (caption, images), height in zip(rows, high):
        pen.text((4, top + height // 2 - 8), caption, fill=(20, 20, 20))
        for place, one in enumerate(images):
            one = np.repeat(one, 3, -1) if one.shape[-1] == 1 else one
            large = one.repeat(zoom, 0).repeat(zoom, 1)
            page.paste(Image.fromarray(large), (margin + place * (large.shape[1] + gap), top))
        top += height
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.save(PICTURES / f"{name}.png", optimize=True)


def grown(images: np.ndarray, size: int) -> np.ndarray:
    """Enlarged without smoothing to this side."""
    times = size // images.shape[1]
    return images.repeat(times, 1).repeat(times, 2)


def cubic(images: np.ndarray, size: int) -> np.ndarray:
    """What enlarging without a model gives."""
    made = [
        np.asarray(
            Image.fromarray(one.squeeze(-1) if one.shape[-1] == 1 else one).resize(
                (size, size), Image.Resampling.BICUBIC
            )
        )
        for one in images
    ]
    return np.stack(made).reshape(len(images), size, size, -1)


def completed(desk: Desk) -> dict[str, tuple[float, float]]:
    rows, told = [("item", desk.truth)], {}
    for keep in KEEPS:
        drawn = desk.edit("inpaint", desk.items, "--keep", keep, "--seed", "1")
        shape = desk.truth.shape[1:3]
        masks = [keep_of(keep, shape, image=True, place=i, seed=1) for i in range(len(drawn))]
        hidden = desk.truth.copy()
        flat, mean = [], []
        for i, known in enumerate(masks):
            assert (drawn[i][known] == desk.truth[i][known]).all()
            hidden[i][~known] = 128
            flat.append(rmse(drawn[i], desk.truth[i], ~known) ** 2)
            even = np.broadcast_to(desk.truth[i][known].mean(0), drawn[i].shape)
            mean.append(rmse(even, desk.truth[i], ~known) ** 2)
        rows += [("known: " + keep.replace(":", " "), hidden), ("drawn", drawn)]
        told[keep] = (float(np.sqrt(np.mean(flat))), float(np.sqrt(np.mean(mean))))
    sheet(f"{desk.name}_inpaint", rows)
    return told


def restored(desk: Desk) -> dict[str, tuple[float, float]]:
    model = unfog.load(desk.run)
    size = desk.truth.shape[1]
    rows, told = [("item", desk.truth)], {}
    for factor in (2, 4):
        little = small(model, desk.truth, factor)
        drawn = desk.edit("enlarge", desk.put(little), "--seed", "1")
        assert np.abs(small(model, drawn, factor).astype(float) - little).max() <= 1
        rows += [(f"1/{factor} the size", grown(little, size)), (f"enlarged x{factor}", drawn)]
        told[f"enlarge ×{factor}"] = (
            rmse(drawn, desk.truth), rmse(cubic(little, size), desk.truth),
        )  # fmt: skip
    codec = model.borders.codec
    dull = codec.decode(Blur(1.5)(codec.encode(desk.truth)))
    drawn = desk.edit("deblur", desk.put(dull), "--width", "1.5", "--seed", "1")
    rows += [("blurred", dull), ("deblurred", drawn)]
    told["deblur"] = (rmse(drawn, desk.truth), rmse(dull, desk.truth))
    noisy = desk.truth + np.random.default_rng(0).normal(0, 0.3 * 127.5, desk.truth.shape)
    noisy = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    drawn = desk.edit("denoise", desk.put(noisy), "--noise", "0.3", "--seed", "1")
    rows += [("noisy", noisy), ("denoised", drawn)]
    told["denoise"] = (rmse(drawn, desk.truth), rmse(noisy, desk.truth))
    sheet(f"{desk.name}_restore", rows)
    return told


def grown_out(desk: Desk) -> None:
    drawn = desk.edit("outpaint", desk.items, "--grow", "0.25", "--seed", "1")
    side, at = drawn.shape[1], (drawn.shape[1] - desk.truth.shape[1]) // 2
    placed = np.full_like(drawn, 128)
    inner = slice(at, at + desk.truth.shape[1])
    placed[:, inner, inner] = desk.truth
    assert (drawn[:, inner, inner] == desk.truth).all()
    assert side > desk.truth.shape[1]
    sheet(f"{desk.name}_outpaint", [("item", placed), ("out-painted", drawn)])


def varied(desk: Desk, other: str) -> None:
    rows = [("item", desk.truth)]
    for strength in STRENGTHS:
        made = desk.edit("vary", desk.items, "--strength", str(strength), "--seed", "2")
        rows.append((f"strength {strength}", made))
    as_other = f"label={other}"
    for strength in (0.6, 0.8):
        made = desk.edit(
            "vary", desk.items, "--strength", str(strength), "--given", as_other, "--scale", "3",
        )  # fmt: skip
        rows.append((f"as {other}, {strength}", made))
    made = desk.edit("translate", desk.items, "--given", as_other)
    rows.append((f"translated: {other}"[:18], made))
    sheet(f"{desk.name}_vary", rows)


def between(desk: Desk) -> float:
    frames = 8
    made = desk.edit("interpolate", desk.items, "--frames", str(frames))
    rows = [made[i * frames : (i + 1) * frames] for i in range(3)]
    for i in range(COUNT - 1):
        assert (made[i * frames] == desk.truth[i]).all()
    noise = desk.work / f"{desk.name}.npz"
    verb("edit", str(desk.run), str(desk.items), "-o", str(noise), "--task", "encode")
    out = desk.work / f"{desk.name}_back"
    verb("edit", str(desk.run), str(noise), "-o", str(out), "--task", "decode")
    back = np.stack([pixels(path) for path in sorted(out.glob("**/*.png"))])
    sheet(f"{desk.name}_between", [("interpolated", row) for row in rows], shown=frames)
    return rmse(back, desk.truth)


# --- guidance


def guidance(run: pathlib.Path, data: pathlib.Path, per_class: int = 50) -> list[dict[str, float]]:
    """Hit-rate of a classifier that knows real images only, and diversity, by scale."""
    from matplotlib.figure import Figure
    from sklearn.svm import SVC

    train, test = (np.load(data / f"{part}.npz") for part in ("train", "test"))
    flat = lambda images: images.reshape(len(images), -1) / 255.0  # noqa: E731
    judge = SVC(C=10, gamma="scale").fit(flat(train["images"][:8000]), train["labels"][:8000])
    labels = np.arange(10 * per_class) % 10
    real = np.concatenate([test["images"][test["labels"] == k][:per_class] for k in range(10)])
    floor = spread(flat(real), np.repeat(np.arange(10), per_class))
    rows = [{
        "scale": "real test images",
        "hit": float((judge.predict(flat(test["images"][:2000])) == test["labels"][:2000]).mean()),
        "diversity": 1.0,
    }]  # fmt: skip
    model = unfog.load(run)
    for scale in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0):
        given = {"label": labels.tolist()}
        drawn = flat(model.sample(len(labels), given=given, scale=scale, seed=0).raw[..., 0])
        hit = float((judge.predict(drawn) == labels).mean())
        rows.append({"scale": scale, "hit": hit, "diversity": spread(drawn, labels) / floor})
    figure = Figure(figsize=(6, 3.4), dpi=100, layout="constrained")
    axes = figure.subplots()
    x = [row["scale"] for row in rows[1:]]
    axes.plot(x, [row["hit"] for row in rows[1:]], "o-", label="hit-rate")
    axes.plot(x, [row["diversity"] for row in rows[1:]], "s-", label="diversity, real = 1")
    axes.axhline(rows[0]["hit"], color="C0", linestyle=":", label="hit-rate of real test images")
    axes.axhline(1.0, color="C1", linestyle=":")
    axes.set(xlabel="guidance scale", ylim=(0, 1.25))
    axes.legend(fontsize=8, loc="lower right")
    figure.savefig(PICTURES / "guidance.png")
    return rows


def spread(rows: np.ndarray, labels: np.ndarray) -> float:
    """Mean distance of two items of one class, over the classes."""
    found = []
    for label in np.unique(labels):
        mine = rows[labels == label]
        away = np.linalg.norm(mine[:, None] - mine[None], axis=-1)
        found.append(away.sum() / (len(mine) * (len(mine) - 1)))
    return float(np.mean(found))


def main(data: pathlib.Path, runs: pathlib.Path, only: str | None = None) -> None:
    """Pictures, and the figures beside them in figures.json, from which the page is written."""
    figures = PICTURES / "figures.json"
    told: dict[str, Any] = json.loads(figures.read_text()) if figures.exists() else {}
    work = pathlib.Path(tempfile.mkdtemp(prefix="gallery"))
    try:
        for name, other in (("fashion", "8"), ("cifar", "ship"), ("flowers", "sunflower")):
            if only not in (None, name):
                continue
            run = fitted(name, data, runs)
            desk = Desk(name, run, held_out(name, data, work / name), work)
            mine: dict[str, object] = {}
            mine["inpaint"] = completed(desk)
            mine["restore"] = restored(desk)
            grown_out(desk)
            varied(desk, other)
            mine["round_trip"] = between(desk)
            told[name] = mine
            if name == "fashion":
                told["guidance"] = guidance(run, data / SETS[name][0])
            figures.write_text(json.dumps(told, indent=1) + "\n")
        (HERE / "gallery.md").write_text(page(told, COUNT), encoding="utf-8")
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main(*(pathlib.Path(word) for word in sys.argv[1:3]), *sys.argv[3:4])
