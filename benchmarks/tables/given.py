"""Rows drawn as asked beside the real rows that are so: one line per set of conditions.

    python benchmarks/tables/given.py RUN SOURCE.csv --given "age=30..40" --given "sex=F"

Conditions of one set are joined by " & ". Per column the distance of drawn rows from the real
rows that meet the conditions: Kolmogorov-Smirnov of numbers, total variation of categories. Beside
it the same of two random halves of these real rows, thinned to as many (what chance alone makes),
and of all real rows (what conditions that are ignored would leave).
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
from scipy import stats

import unfog
from unfog.kinds.asking import read, split
from unfog.kinds.table.allowed import plain_cells
from unfog.tasks.constrain import nameable


def distance(a: pd.Series, b: pd.Series) -> float:
    """KS of numbers, total variation of anything else; missing is a level."""
    if pd.api.types.is_numeric_dtype(a) and a.nunique() > 20:
        return float(stats.ks_2samp(a.dropna(), b.dropna()).statistic)
    shares = [one.astype(str).value_counts(normalize=True) for one in (a, b)]
    return float(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)


def far(a: pd.DataFrame, b: pd.DataFrame) -> tuple[float, float, str]:
    """Mean and largest distance over the columns, and the column of the largest."""
    found = {name: distance(a[name], b[name]) for name in a.columns}
    worst = max(found, key=lambda name: found[name])
    return float(np.mean(list(found.values()))), found[worst], worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("source")
    parser.add_argument("--given", action="append", required=True)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    model = unfog.load(args.run)
    names = nameable(model)
    table = pd.read_csv(args.source)
    items = model.borders.codec.check(
        unfog.kinds.kinds["table"].read(args.source, **model.config.data.reading).data
    )
    rng = np.random.default_rng(args.seed)
    print(
        "| conditions | real rows | met | candidates that count | drawn | halves | all rows | s |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for text in args.given:
        given = dict(split(part.strip(), names) for part in text.split("&"))
        asked = read(given, names, 0)
        hit = np.ones(len(table), dtype=bool)
        for name, condition in asked.conditions.items():
            hit &= condition.met(plain_cells(items.columns[name]))
        real = table[hit]
        begun = time.perf_counter()
        samples = model.sample(args.count, given=given, seed=args.seed, show=False)
        took = time.perf_counter() - begun
        few = min(args.count, len(real) // 2)
        halves = real.sample(frac=1, random_state=int(rng.integers(1 << 31)))
        ours, floor, nothing = (
            far(samples.data, real),
            far(halves.iloc[:few], halves.iloc[few : 2 * few]) if few else (float("nan"), 0, ""),
            far(table, real),
        )
        met = min(samples.satisfied.values())
        ess = "exact" if samples.ess is None else f"{samples.ess:.1f} of {samples.met.candidates}"
        cells = (f"{mean:.3f} ({most:.2f} {worst})" for mean, most, worst in (ours, floor, nothing))
        shown = text.replace("|", "\\|")
        print(f"| `{shown}` | {len(real)} | {met:.1%} | {ess} | {' | '.join(cells)} | {took:.0f} |")
        for line in samples.met.notes:
            print(f"<!-- {line} -->")


if __name__ == "__main__":
    main()
