"""The main job on real data that comes with a library: handwritten digits, from a folder of PNGs to
a report.
"""

from __future__ import annotations

import pathlib
import time
from typing import Any

import numpy as np

from unfog.errors import ArgumentError
from unfog.tasks.fit import fit
from unfog.tasks.show import note

CPU_SECONDS = 90


def write_digits(folder: pathlib.Path) -> int:
    """Write scikit-learn's 1797 digits as 8x8 grey PNGs in class folders; returns how many.

    Source: UCI Optical Recognition of Handwritten Digits, test part, CC BY 4.0, as bundled with
    scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ArgumentError("the demo needs scikit-learn: pip install 'unfog[demo]'") from error
    from PIL import Image

    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    for number, (image, label) in enumerate(zip(pixels, digits.target, strict=True)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number:04d}.png")
    return len(pixels)


def independent_hits(model: Any, samples: Any, items: Any) -> tuple[float, float]:
    """(share of samples given the asked class, held-out accuracy) by a support-vector classifier.

    It is trained on the real training digits only, and shares nothing with unfog.
    """
    from sklearn.svm import SVC

    def flat(data: np.ndarray) -> np.ndarray:
        return data.reshape(len(data), -1) / 255.0

    train, test = items.take(model.splits.train), items.take(model.splits.test)
    known = SVC(C=10, gamma="scale").fit(flat(train.data), [str(v) for v in train.columns["label"]])
    right = known.predict(flat(samples.raw)) == np.array([str(v) for v in samples.given["label"]])
    real = known.score(flat(test.data), [str(v) for v in test.columns["label"]])
    return float(right.mean()), float(real)


def demo(
    out: str | pathlib.Path = "demo",
    *,
    budget: str = "40s",
    show: bool | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Learn the digits class by class, sample a grid, judge it, and write a report; returns the
    facts.
    """
    out = pathlib.Path(out)
    source, run = out / "digits", out / "run"
    if not source.exists():
        count = write_digits(source)
        note(f"wrote {count} handwritten digits as PNGs to {source}", quiet=quiet)
    begun, wall = time.process_time(), time.monotonic()
    model = fit(
        source,
        out=run,
        given="label",
        budget=budget,
        overwrite=(run / "config.json").exists(),
        show=show,
        quiet=quiet,
    )
    spent, wall = time.process_time() - begun, time.monotonic() - wall
    note(f"learnt in {spent:.0f} CPU-seconds ({wall:.0f} s)", quiet=quiet)
    asked = [str(i % 10) for i in range(500)]
    samples = model.sample(500, given={"label": asked}, show=show)
    grid = out / "samples.png"
    samples.look(grid)
    hits, real = independent_hits(model, samples, model.items)
    note(
        f"{100 * hits:.1f} % of 500 samples get the asked class from a classifier trained on real "
        f"digits only (real held-out digits: {100 * real:.1f} %)",
        quiet=quiet,
    )
    evaluation = model.evaluate(show=show)
    note(str(evaluation), quiet=quiet)
    page = model.report(show=show)
    note(f"pictures: {grid}\nreport:   {page}", quiet=quiet)
    return {
        "cpu_seconds": round(spent, 1),
        "asked_class": hits,
        "real_accuracy": real,
        "evaluation": evaluation.to_json(),
        "samples": str(grid),
        "report": str(page),
        "run": str(run),
    }
