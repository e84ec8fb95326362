"""Filling holes beside imputers: `python -m benchmarks.tables.fill`, on the seven tables of the
suite `tables`.

Of every table the rows without empty cells are used: four fifths to learn from, and of the last
fifth (at most `--rows`, without levels that the others lack) a share of the cells is hidden, at
random or by their own value ("own"): the higher a number or the rarer a category, the likelier,
from 0 to twice the share. That is missing not at random, which no method here is told. Numbers that
are codes are written as words, for everybody. All fill the same cells with as many draws, from the
same rows; a method learns once, in the same CPU-seconds, and fills both patterns.

A record is kept of every turn in benchmarks/results/fill.json, and not made again (`--fresh` does).
Prints markdown tables.
"""

from __future__ import annotations

import argparse
import functools
import os
import pathlib
import tempfile
from collections.abc import Iterable

import numpy as np
import pandas as pd

from benchmarks.__main__ import RESULTS, default
from benchmarks.environments import ROOT, Home
from benchmarks.figures import markdown, said
from benchmarks.judges import fill as judge
from benchmarks.suites.tables import SEVEN, SOURCES
from benchmarks.turns import THREADS, Book, Record, Turn, rotated, run

METHODS = {  # name -> module, environment, request
    "unfog": ("fill_unfog", "unfog", {}),
    "ForestDiffusion": ("fill_forest", "forest", {}),
    "HyperImpute": ("fill_hyper", "hyperimpute", {}),
    "IterativeImputer": ("fill_sklearn", "unfog", {"method": "chained"}),
    "KNNImputer": ("fill_sklearn", "unfog", {"method": "neighbours"}),
    "marginal": ("fill_sklearn", "unfog", {"method": "marginal"}),
    "mean and mode": ("fill_sklearn", "unfog", {"method": "middle"}),
}
PATTERNS = {"random": "missing at random", "own": "missing not at random"}
FIGURES = {"crps": "CRPS", "log_loss": "Log loss"}
COVERS = ("coverage", "calibrated")
BEATEN = ("IterativeImputer", "KNNImputer", "mean and mode")


def dealt(name: str, folder: pathlib.Path, rows: int, share: float, seed: int) -> judge.Case:
    """The table, shuffled, cut and holed by the seed."""
    source, rng = SOURCES[name], np.random.default_rng(seed)
    frame = pd.read_csv(folder / source.file, na_values=[" "]).dropna()
    frame = frame.drop(columns=list(source.numbering))
    frame = frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)
    numbers = [n for n in frame.select_dtypes("number").columns if n not in source.codes]
    categories = tuple(n for n in frame.columns if n not in numbers)
    for column in categories:
        word = "c" if column in source.codes else ""
        frame[column] = (word + frame[column].astype(str)).astype(object)
    cut = len(frame) * 4 // 5
    train, truth = frame[:cut], frame[cut:]
    for column in categories:
        truth = truth[truth[column].isin(train[column].unique())]
    truth = truth[:rows].reset_index(drop=True)
    likelier = np.empty(truth.shape)
    for place, column in enumerate(truth):
        cells = truth[column]
        if column in categories:
            cells = -cells.map(train[column].value_counts())
        likelier[:, place] = cells.rank(pct=True)
    drawn = {pattern: rng.random(truth.shape) for pattern in PATTERNS}
    hidden = {"random": drawn["random"] < share, "own": drawn["own"] < 2 * share * likelier}
    return judge.Case(train, truth, hidden, categories)


def play(asked: argparse.Namespace, home: Home, book: Book) -> None:
    for seed in range(asked.first, asked.first + asked.seeds):
        for name in asked.cases:
            case = dealt(name, asked.data / "tables", asked.rows, asked.share, seed)
            with tempfile.TemporaryDirectory(prefix="bench-fill-") as kept:
                request = written(case, pathlib.Path(kept)) | {"draws": asked.draws}
                if asked.keep is not None:
                    request["keep"] = str(asked.keep.resolve() / f"{name}-{seed}")
                key = {"case": name, "seed": seed, "budget": asked.budget, "rows": asked.rows}
                turns = [
                    Turn(method, module, place, key, {**request, **own})
                    for method in rotated(asked.methods, seed)
                    for module, place, own in [METHODS[method]]
                ]
                run(turns, book, home, functools.partial(look, case))


def written(case: judge.Case, folder: pathlib.Path) -> Record:
    """The tables as files, and what a contestant has to know of them."""
    case.train.to_csv(folder / "train.csv", index=False)
    asked = {}
    for pattern in case.hidden:
        asked[pattern] = str(folder / f"{pattern}.csv")
        case.asked(pattern).to_csv(asked[pattern], index=False)
    return {"train": str(folder / "train.csv"), "asked": asked, "levels": case.levels}


def look(case: judge.Case, turn: Turn, folder: pathlib.Path, record: Record) -> Record:
    """The judge's figures of every pattern, as PATTERN_FIGURE."""
    found = {}
    for pattern in case.hidden:
        with np.load(folder / f"{pattern}.npz") as made:
            figures = judge.judged(case, pattern, made)
        found |= {f"{pattern}_{name}": round(value, 5) for name, value in figures.items()}
    return found


def told(records: Iterable[Record]) -> str:
    """Medians over seeds, and on how many tables unfog is ahead."""
    rows = [{"method": r["contestant"], "table": r["key"]["case"], **r} for r in records]
    failed = [f"{r['method']} on {r['table']}: {r['error']}" for r in rows if "error" in r]
    frame = pd.DataFrame([r for r in rows if "error" not in r])
    frame["fill_cpu"] = (frame["fill_random_cpu"] + frame["fill_own_cpu"]) / 2
    every = frame.set_index(["table", "method"]).sort_index()
    frame = frame.groupby(["table", "method"]).median(numeric_only=True)
    parts = []
    for pattern, title in PATTERNS.items():
        for figure, name in FIGURES.items():
            parts.append(f"**{name}, {title}**\n\n{wide(frame[f'{pattern}_{figure}'])}")
        parts.append(verdict(frame, pattern))
    covers = [f"{pattern}_{figure}" for pattern in PATTERNS for figure in COVERS]
    lines = [
        [table, *(said((100 * every.loc[[(table, "unfog")], name]).tolist()) for name in covers)]
        for table in SEVEN
        if (table, "unfog") in frame.index
    ]
    heads = [f"{title}{more}" for title in PATTERNS.values() for more in ("", ", ties in shares")]
    parts.append("**Coverage of 90 %, unfog, in percent**\n\n" + markdown(["table", *heads], lines))
    for phase, name in (("fit_cpu", "learning"), ("fill_cpu", "filling one pattern")):
        parts.append(f"**CPU-seconds of {name}**\n\n{wide(frame[phase], '.0f')}")
    return "\n\n".join([*parts, *failed])


def wide(column: pd.Series, form: str = ".3f") -> str:
    """Tables below each other, methods side by side."""
    cells = column.unstack("method")
    methods = [method for method in METHODS if method in cells]
    lines = [
        [table, *("–" if np.isnan(v) else format(v, form) for v in cells.loc[table, methods])]
        for table in SEVEN
        if table in cells.index
    ]
    return markdown(["table", *methods], lines)


def verdict(frame: pd.DataFrame, pattern: str) -> str:
    """The bar: on how many tables unfog is ahead of each rival, and the means beside the forest."""
    parts = []
    for figure, name in FIGURES.items():
        column = f"{pattern}_{figure}"
        found = frame[column].unstack("method").dropna(how="all")
        if "unfog" not in found:
            continue
        mine = found["unfog"]
        rivals = [method for method in BEATEN if method in found]
        won = int((found[rivals].gt(mine, axis=0)).all(axis=1).sum())
        text = f"{name}: ahead of {', '.join(rivals)} on {won} of {int(mine.notna().sum())}"
        if "ForestDiffusion" in found:
            both = found[["unfog", "ForestDiffusion"]].dropna()
            ours, theirs = both.mean()
            text += f"; mean {ours:.3f}, ForestDiffusion's {theirs:.3f} on the same {len(both)}"
        parts.append(text)
    return ". ".join(parts) + "."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    shared = ROOT.parent / "shared" / "data"
    for name, variable, value in (
        ("cache", "BENCH_CACHE", ROOT / ".bench"),
        ("data", "BENCH_DATA", shared),
    ):
        parser.add_argument(f"--{name}", type=pathlib.Path, default=default(variable, value))
    parser.add_argument("--torch-from", type=pathlib.Path)
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS / "fill.json")
    parser.add_argument("--budget", type=float, default=45.0, help="CPU-seconds to learn in")
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cases", nargs="+", default=list(SEVEN), choices=[*SOURCES])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=[*METHODS])
    parser.add_argument("--keep", type=pathlib.Path, help="a folder for unfog's runs")
    parser.add_argument("--fresh", action="store_true", help="forget the results first")
    parser.add_argument("--report", action="store_true", help="only tell of the records")
    asked = parser.parse_args()
    for name in THREADS:
        os.environ.setdefault(name, "1")
    if asked.fresh:
        asked.results.unlink(missing_ok=True)
    book = Book(asked.results)
    if not asked.report:
        play(asked, Home(asked.cache.resolve(), asked.torch_from), book)
    print(told(book.records))


if __name__ == "__main__":
    main()
