"""One self-contained HTML file: data, training, samples, figures, novelty, cost."""

from __future__ import annotations

import html
import json
import pathlib
from typing import TYPE_CHECKING, Any

from unfog.model import files
from unfog.tasks.evaluate import FILE, evaluate, training_data
from unfog.tasks.gallery import asked, neighbours, pair, picture, shown
from unfog.train.log import read as read_log

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c2430; background: #fff }
h1 { font-size: 1.7rem; margin-bottom: 0 }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #dde2e8 }
table { border-collapse: collapse; width: 100%; font-size: .93rem }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #eef1f4;
  vertical-align: top }
th { color: #5a6675; font-weight: 600 }
td { overflow-wrap: break-word }
td:first-child { white-space: nowrap }
img { max-width: 100% }
.wide { overflow-x: auto }
pre { overflow-x: auto; font-size: .8rem }
.note { color: #5a6675 } .good { color: #1a7f4b } .bad { color: #b3441e }
.pair { display: flex; gap: 2rem; flex-wrap: wrap } .pair figure { margin: 0; flex: 1 1 22rem }
figcaption { color: #5a6675; font-size: .9rem }
"""


def report(
    model: Trained,
    out: str | pathlib.Path | None = None,
    *,
    seed: int = 0,
    fresh: bool = False,
    show: bool | None = None,
) -> pathlib.Path:
    """Write the report of a run; returns its path.

    Args:
        out: the HTML file; RUN/report.html where None.
        fresh: judge anew even if RUN/evaluation.json is there.
    """
    out = pathlib.Path(out) if out is not None else model.folder / "report.html"
    items = training_data(model)
    done = model.folder / FILE
    if fresh or not done.exists():
        judged = evaluate(model, seed=seed, show=show).to_json()
    else:
        judged = files.read_json(done)
    samples = model.sample(shown(model), given=asked(model), seed=seed, show=show)
    train = items.take(model.splits.train)
    body = [
        _heading(model),
        _section("Samples", pair(model, samples, train)),
        _section("Is it good, and is it new?", _figures(judged)),
        _section("Nearest training items", neighbours(model, samples, train)),
        _section("Training", _curve(model) + _facts(model)),
        _section("Data", _data(model)),
        _section(
            "Configuration",
            f"<pre>{html.escape(json.dumps(model.config.to_json(), indent=1))}</pre>",
        ),
    ]
    page = (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
        "content='width=device-width'><title>unfog report: "
        f"{html.escape(model.folder.name)}</title><style>{STYLE}</style>{''.join(body)}</html>"
    )
    files.write_bytes(out, page.encode())
    return out


def _section(title: str, content: str) -> str:
    return f"<h2>{title}</h2>{content}"


def _heading(model: Trained) -> str:
    c = model.config
    given = f", given {', '.join(c.given)}" if c.given else ""
    return (
        f"<h1>{html.escape(model.folder.name)}</h1><p class=note>{c.kind} "
        f"{tuple(c.data.item)}{given} · recipe {c.recipe} · unfog {c.version}</p>"
    )


def _figures(judged: dict[str, Any]) -> str:
    def cell(value: float, low: float, high: float, mark: str = "") -> str:
        span = f"<span class=note>{low:.3g} to {high:.3g}</span>"
        return f"<td class='{mark}'>{value:.3g}<br>{span}</td>"

    rows, alarms = [], []
    for figure in judged["figures"]:
        good, words = figure["at_floor"], html.escape(figure["verdict"])
        notes = html.escape("; ".join(figure["notes"]))
        if figure["name"].startswith("novelty") and not good:
            alarms.append(words)
        rows.append(
            f"<tr><td>{html.escape(figure['name'])}</td>"
            + cell(figure["value"], figure["low"], figure["high"], "good" if good else "bad")
            + cell(figure["floor"], figure["floor_low"], figure["floor_high"])
            + f"<td>{words}<br><span class=note>{notes}</span></td></tr>"
        )
    alarm = f"<p class=bad><b>Not new:</b> {'; '.join(alarms)}.</p>" if alarms else ""
    return (
        f"{alarm}<p>{judged['count']} samples against {html.escape(judged['heldout'])}. Intervals "
        "are 95 % bootstrap; the floor is what real data itself scores against held-out data of "
        "the same "
        f"size.</p><table><tr><th>figure<th>samples<th>floor<th>verdict</tr>{''.join(rows)}</table>"
        + _baselines(judged)
    )


def _baselines(judged: dict[str, Any]) -> str:
    """Our figures beside those of generators that cost nothing, and the verdict."""
    if not judged.get("baselines"):
        return ""
    columns = {"this model": judged["figures"], **judged["baselines"]}
    names = [figure["name"] for figure in judged["figures"]]
    head = "".join(f"<th>{html.escape(name)}" for name in columns)
    rows = []
    for name in names:
        found = [next((f for f in fs if f["name"] == name), None) for fs in columns.values()]
        cells = "".join("<td>" if f is None else f"<td>{f['value']:.3g}" for f in found)
        rows.append(f"<tr><td>{html.escape(name)}{cells}</tr>")
    return (
        f"<h3>Beside generators that cost nothing</h3><p>{html.escape(judged['verdict'])}</p>"
        f"<table><tr><th>figure{head}</tr>{''.join(rows)}</table>"
    )


def _curve(model: Trained) -> str:
    from matplotlib.figure import Figure

    lines = read_log(model.folder / "metrics.jsonl")
    if not lines:
        return "<p>No metrics were logged.</p>"
    steps = [line["step"] for line in lines]
    figure = Figure(figsize=(9, 2.8))
    left, right = figure.subplots(1, 2)
    left.plot(steps, [float(line["loss"]) for line in lines], color="#2a6fbb", lw=1)
    left.set(xlabel="step", ylabel="training loss", yscale="log")
    right.plot(steps, [line["lr"] for line in lines], color="#888", lw=1)
    right.set(xlabel="step", ylabel="step size")
    for axis in (left, right):
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    return picture(figure)


def _facts(model: Trained) -> str:
    lines = read_log(model.folder / "metrics.jsonl")
    parameters = sum(p.numel() for p in model.net.parameters())
    t = model.config.train
    facts = {
        "parameters": f"{parameters:,}",
        "steps": f"{t.steps} of {t.batch}, {t.precision}",
        "items per second": lines[-1]["items_per_second"] if lines else "?",
        "skipped updates": lines[-1]["skipped"] if lines else "?",
        "network calls per sample": model.config.sampling_steps,
    }
    return _table(facts)


def _data(model: Trained) -> str:
    data, splits = model.config.data, model.splits
    facts = {
        "source": data.source or "in memory",
        "items": data.count,
        "train / validation / test": f"{len(splits.train)} / {len(splits.validation)} / "
        f"{len(splits.test)}",
        "exact duplicates": splits.duplicates,
        "notes": " ".join([*data.notes, *model.config.reasons]) or "none",
    }
    return _table(facts)


def _table(facts: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(name)}<td>{html.escape(str(value))}</tr>"
        for name, value in facts.items()
    )
    return f"<table>{rows}</table>"
