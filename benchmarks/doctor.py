"""Planted faults and healthy runs, and what `unfog doctor` calls them.

    python benchmarks/doctor.py --group third --tables FOLDER --out doctor.json

Limits were tuned on the groups `tune`, `first` and `second` (other data sets and seeds than those
of `third`; the last two need `--tables`); only figures from before a group was tuned on are to be
quoted. "Named right" means that the planted fault is among the first two findings; a false alarm is
any finding on a healthy run. A run that can't be made or measured counts as not named, or as a
false alarm. A run that is to over-fit is checked before the doctor is asked: if its held-out loss
has not risen by a twentieth, it is made again with twice the updates, then with other data.
`--again FILE` judges facts that were measured before.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import doctor_data
import numpy as np
import torch
from doctor_data import GROUPS
from doctor_faults import Case, cases
from scipy.stats import beta

import unfog
from unfog.judge.doctor import diagnosed
from unfog.judge.doctor.facts import Facts
from unfog.model import model as models
from unfog.tasks import learn as learning
from unfog.tasks.doctor import diagnose
from unfog.tasks.looks import seen

SMALL = {"net.width": 96, "net.depth": 2, "train.checkpoint_seconds": 1e9}


def _deadened(share: float) -> Callable[[Any], Any]:
    """build_model, with the first `share` of the outputs held at zero all through training."""
    plain = learning.build_model

    def build(config: Any) -> models.Model:
        model = plain(config)
        last = [m for m in model.modules() if isinstance(m, torch.nn.Linear)][-1]
        count = max(1, round(share * last.out_features))
        for parameter in last.parameters():
            hide = torch.ones_like(parameter)
            hide[:count] = 0
            parameter.register_hook(lambda grad, hide=hide: grad * hide)
        return model

    return build


LONGER = (1, 2)
"""Times the updates of a plan, one after the other, until its fault has taken."""


def fitted(case: Case, source: pathlib.Path, run: pathlib.Path, longer: int) -> Any:
    """The run of a case, with so many times its updates."""
    plain = learning.build_model
    if case.mask:
        learning.build_model = _deadened(case.mask)
    try:
        return unfog.fit(
            source,
            out=run,
            kind=case.data.kind,
            given=case.data.given or (),
            recipe=case.recipe,
            steps=longer * (case.steps or case.data.steps),
            batch=128,
            settings={**SMALL, **case.data.settings, **case.settings, "train.batch": 128},
            seed=case.seed,
            device="cpu",
            quiet=True,
            show=False,
        )
    finally:
        learning.build_model = plain


def risen(run: pathlib.Path) -> float:
    """The held-out loss at the end of a run over its lowest."""
    losses = [line["validation_mean"] for line in seen(run, "heldout")]
    return float(losses[-1] / min(losses))


def planted(case: Case, home: pathlib.Path) -> tuple[Any, Case, str]:
    """The run of a case, the case that it was made by, and how. Whether a fault has taken is
    decided here, before the doctor is asked; where it has not, the run is made again longer, and
    then with other data.
    """
    for longer in LONGER:
        room = home / f"{case.data.name} {longer}"
        room.mkdir()
        model = fitted(case, case.data.write(room), room / "run", longer)
        if case.rise is None:
            return model, case, case.how
        rise = risen(model.folder)
        how = f"{case.how}: {model.config.train.steps} steps, held-out loss x {rise:.2f}"
        if rise >= case.rise:
            return model, case, how
    return (model, case, how) if case.other is None else planted(case.other, home)


def measure(case: Case) -> dict[str, Any]:
    """A row of the results: facts of one case as JSON, what was planted, and CPU-seconds of the fit
    and of the doctor.
    """
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        model, case, how = planted(case, home)
        done = time.process_time()
        further = None
        if case.source is not None:
            (home / "further").mkdir()
            further = case.source.write(home / "further")
        facts = diagnose(model, further).facts.to_json()
    return {
        "fault": case.fault,
        "data": case.data.name,
        "how": how,
        "fit": done - begun,
        "doctor": time.process_time() - done,
        "facts": facts,
    }


def interval(hits: int, count: int) -> tuple[float, float]:
    """95 % Clopper-Pearson."""
    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, count - hits + 1))
    high = 1.0 if hits == count else float(beta.ppf(0.975, hits + 1, count - hits))
    return low, high


def named(row: dict[str, Any]) -> list[str]:
    """The findings of a row, anew."""
    if row["facts"] is None:
        return ["not measured"]
    return [found.name for found in diagnosed(Facts.from_json(row["facts"])).findings]


def judged(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Shares and the confusion table, printed."""
    table: dict[str, Counter[str]] = {}
    right = first = planted = false = healthy = 0
    for row in rows:
        row["findings"] = named(row)
        top = row["findings"][:2]
        table.setdefault(row["fault"] or "healthy", Counter())[top[0] if top else "-"] += 1
        if row["fault"] is None:
            healthy, false = healthy + 1, false + bool(row["findings"])
        else:
            planted, right = planted + 1, right + (row["fault"] in top)
            first += bool(top) and row["fault"] == top[0]
        wrong = bool(top) if row["fault"] is None else row["fault"] not in top
        if wrong:
            print(f"  missed: {row['fault'] or 'healthy'} on {row['data']} ({row['how']}): {top}")
    for name, found in table.items():
        said = ", ".join(f"{other} {count}" for other, count in found.most_common())
        print(f"{name:20} first finding: {said}")
    result = {
        "planted": planted,
        "named_right": right,
        "named_first": first,
        "named_right_interval": interval(right, planted) if planted else None,
        "healthy": healthy,
        "false_alarms": false,
        "false_alarm_interval": interval(false, healthy) if healthy else None,
        "confusion": {name: dict(found) for name, found in table.items()},
        "fit_seconds": sum(row["fit"] for row in rows),
        "doctor_seconds": sum(row["doctor"] for row in rows),
    }
    print(json.dumps({k: v for k, v in result.items() if k != "confusion"}))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--group", choices=list(GROUPS), default="third")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("doctor.json"))
    parser.add_argument("--again", type=pathlib.Path)
    parser.add_argument("--only", help="one fault, or healthy")
    parser.add_argument("--tables", type=pathlib.Path, help="a folder of abalone.csv and others")
    options = parser.parse_args()
    doctor_data.TABLES = options.tables
    torch.set_num_threads(1)
    if options.again:
        rows = json.loads(options.again.read_text())["rows"]
        judged(rows)
        return
    rows = []
    plan = cases(options.group)
    first = sum(case.fault is not None for case in plan) + 20
    order = np.random.default_rng(0).permutation(len(plan))  # so that a part is telling
    for number in sorted(order, key=lambda number: number >= first):
        case = plan[number]
        if options.only and (case.fault or "healthy") not in options.only.split(","):
            continue
        try:
            row = measure(case)
        except Exception as error:  # counts as missed
            print(f"{case.fault} on {case.data.name}: not measured: {error!r}"[:300], flush=True)
            row = {"fault": case.fault, "data": case.data.name, "how": case.how}
            row |= {"fit": 0.0, "doctor": 0.0, "facts": None}
        rows.append({"number": int(number), **row})
        print(
            f"{row['fault'] or 'healthy':20} {row['data']:14} {row['how']:32} "
            f"fit {row['fit']:.1f} s, doctor {row['doctor']:.1f} s: {named(row)}",
            flush=True,
        )
        options.out.write_text(json.dumps({"rows": rows}))
    options.out.write_text(json.dumps({**judged(rows), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
