"""Tables: equal CPU time per method, its own defaults; open tables, a quarter of each held out.

Every seed deals the rows anew. Columns that only number the rows are left out for everybody. The
race is 25 CPU-seconds on 6 366 rows (`fair`, from statsmodels), beside TabDDPM's 25 and 117.
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import subprocess
import tempfile
from dataclasses import dataclass

import pandas as pd

from benchmarks.environments import Home
from benchmarks.judges import tables as judge
from benchmarks.turns import Book, Record, Turn, rotated, run

NAME = "tables"
ABOUT = "rows of mixed columns: quality at equal CPU time, rows per CPU-second, the race to 0.60"


@dataclass(frozen=True)
class Source:
    """One open table: its file, target, columns that are no numbers although they look like it."""

    file: str
    target: str
    codes: tuple[str, ...] = ()
    numbering: tuple[str, ...] = ()
    log: bool = False


SOURCES = {
    "insurance": Source("insurance.csv", "charges"),
    "abalone": Source("abalone.csv", "rings"),
    "telco": Source("telco_churn.csv", "Churn", ("SeniorCitizen",), ("customerID",)),
    "shoppers": Source(
        "online_shoppers.csv",
        "Revenue",
        ("OperatingSystems", "Browser", "Region", "TrafficType"),
    ),
    "california": Source("california_housing.csv", "median_house_value"),
    "adult": Source("adult_train.csv", "income"),
    "beijing": Source("beijing_pm25.csv", "pm2.5", (), ("no",), log=True),
    "penguins": Source("penguins.csv", "body_mass_g"),
    "fair": Source("fair.csv", "affair"),
}
SEVEN = ("insurance", "abalone", "telco", "shoppers", "california", "adult", "beijing")

METHODS = {  # name -> module, environment, request
    "unfog": ("unfog_table", "unfog", {}),
    "TabDDPM": ("tabddpm", "tabddpm", {}),
    "CTGAN": ("sdv_table", "sdv", {"method": "ctgan"}),
    "TVAE": ("sdv_table", "sdv", {"method": "tvae"}),
    "copula (SDV)": ("sdv_table", "sdv", {"method": "copula"}),
    "copula (empirical)": ("copula", "unfog", {}),
    "ForestDiffusion": ("forest_table", "forest", {}),
}
RACE = (("unfog", 25), ("TabDDPM", 25), ("TabDDPM", 117))
BULK = 5_000
"""Rows that are drawn for the rate alone, by those that draw quickly; others' rate is that of `rows`."""
REAL = "real rows (floor)"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--budget", type=float, default=300.0, help="CPU-seconds to learn in")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--rows", type=int, default=2000, help="most rows that are drawn and judged"
    )
    parser.add_argument("--cases", nargs="+", default=list(SEVEN), choices=[*SOURCES])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=[*METHODS])
    parser.add_argument("--race", action=argparse.BooleanOptionalAction, default=True)


def play(asked: argparse.Namespace, home: Home, book: Book) -> None:
    folder = asked.data / "tables"
    with tempfile.TemporaryDirectory(prefix="bench-tables-") as kept:
        for seed in range(asked.seeds):
            for case in asked.cases:
                turns = [
                    turn_of(name, case, seed, asked.budget, asked.rows)
                    for name in rotated(asked.methods, seed)
                ]
                compete(case, seed, turns, folder, pathlib.Path(kept), home, book, asked.rows)
            if asked.race:
                race(seed, asked.rows, home, book, pathlib.Path(kept))


def race(seed: int, rows: int, home: Home, book: Book, kept: pathlib.Path) -> None:
    path = fair(home)
    turns = [turn_of(name, "fair", seed, budget, rows) for name, budget in rotated([*RACE], seed)]
    compete("fair", seed, turns, path.parent, kept, home, book, rows)


def fair(home: Home) -> pathlib.Path:
    """The table of the race, out of statsmodels' package."""
    path = home.cache / "statsmodels" / "fair.csv"
    if not path.exists():
        code = (
            "import sys, statsmodels.api as sm;"
            "rows = sm.datasets.fair.load_pandas().data;"
            "rows['affair'] = (rows.pop('affairs') > 0).map({True: 'yes', False: 'no'});"
            "rows.to_csv(sys.argv[1], index=False)"
        )
        subprocess.run([home.python("statsmodels"), "-c", code, str(path)], check=True)
    return path


def turn_of(name: str, case: str, seed: int, budget: float, rows: int) -> Turn:
    module, environment, request = METHODS[name]
    key = {"case": case, "seed": seed, "budget": budget, "rows": rows}
    return Turn(name, module, environment, key, dict(request), limit=20 * budget + 1800)


def compete(
    case: str,
    seed: int,
    turns: list[Turn],
    source: pathlib.Path,
    kept: pathlib.Path,
    home: Home,
    book: Book,
    rows: int,
) -> None:
    """All contestants on one deal of one table, and what real rows score."""
    if all(book.find(turn) is not None for turn in turns):
        return
    table = dealt(case, seed, source)
    train = kept / f"{case}-{seed}.csv"
    table.train.to_csv(train, index=False)
    floor = Turn(REAL, "", "unfog", {"case": case, "seed": seed, "rows": rows})
    if book.find(floor) is None:
        figures = judge.floors(table, most=rows, seed=seed)
        book.add({"contestant": REAL, "key": floor.key, **figures})
    for turn in turns:
        turn.request.update(
            train=str(train),
            target=table.target,
            categories=list(table.categories),
            rows=min(rows, len(table.held)),
            bulk=BULK,
        )
    run(turns, book, home, functools.partial(look, table))


def dealt(case: str, seed: int, folder: pathlib.Path) -> judge.Table:
    """Three quarters to learn from and a quarter held out, by this seed."""
    source = SOURCES[case]
    rows = pd.read_csv(folder / source.file).drop(columns=list(source.numbering))
    rows = rows.sample(frac=1.0, random_state=seed).reset_index(drop=True)
    quarter = len(rows) // 4
    categories = tuple(
        name
        for name in rows.columns
        if name in source.codes or not pd.api.types.is_numeric_dtype(rows[name]) or rows[name].dtype == bool
    )  # fmt: skip
    return judge.Table(
        rows.iloc[quarter:].reset_index(drop=True),
        rows.iloc[:quarter].reset_index(drop=True),
        source.target,
        categories,
        source.log,
    )


def look(table: judge.Table, turn: Turn, folder: pathlib.Path, record: Record) -> Record:
    """The judge's figures, and rows per CPU-second."""
    drawn = pd.read_csv(folder / "drawn.csv")
    most, seed = turn.key["rows"], turn.key["seed"]
    figures = judge.judged(table, drawn, most=most, seed=seed)
    count, spent = len(drawn), record["sample_cpu"]
    if "bulk_cpu" in record:
        count, spent = BULK, record["bulk_cpu"]
    return {**figures, "rows_per_cpu": round(count / max(spent, 1e-3), 1)}
