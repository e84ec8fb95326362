"""The sections of a report, each an HTML fragment."""

from __future__ import annotations

import html
import json
from typing import Any

from unfog.tasks.report.commands import again, ended
from unfog.tasks.report.cost import WATTS_CORE, WATTS_GPU, duration
from unfog.tasks.report.facts import Facts
from unfog.tasks.weaker import autoguided

ICONS = {"good": "✓", "warn": "!", "bad": "✗", "note": "·"}
GRAVE = 0.75
"""Severity of a finding, from 1/2 at its limit to 1, from which it is shown as bad."""


def text(value: Any) -> str:
    return html.escape(str(value))


def section(title: str, *content: str) -> str:
    """A heading and what stands under it; nothing where there is nothing."""
    inside = "".join(content)
    return f"<section><h2>{text(title)}</h2>{inside}</section>" if inside else ""


def table(facts: dict[str, Any]) -> str:
    rows = "".join(f"<tr><th>{text(n)}<td>{text(v)}</tr>" for n, v in facts.items())
    return f"<table>{rows}</table>"


def heading(facts: Facts) -> str:
    """Name, what it is, and three answers: is it good, is it new, is the run sound?"""
    c = facts.model.config
    given = f", given {', '.join(c.given)}" if c.given else ""
    shape = " × ".join(map(str, c.data.item)) + (" columns" if c.kind == "table" else "")
    took = f", learnt in {duration(facts.cost.clock)}" if facts.cost else ""
    cards = "".join(
        f"<div class=card><b class={mark}>{ICONS[mark]} {text(title)}</b><p>{text(words)}</p></div>"
        for title, mark, words in answers(facts)
    )
    return (
        f"<h1>{text(facts.model.folder.name)}</h1><p class=note>A generative model of "
        f"{c.data.count:,} items of kind {text(c.kind)} ({shape}){text(given)}{took}. Recipe "
        f"{text(c.recipe)}, unfog {text(c.version)}.</p><div class=cards>{cards}</div>"
    )


def answers(facts: Facts) -> list[tuple[str, str, str]]:
    """(question, mark, answer): what somebody reads who reads nothing else."""
    figures = facts.judged["figures"]
    quality = [f for f in figures if not _of_novelty(f)]
    copies = [f for f in figures if _of_novelty(f)]
    reached = sum(f["at_floor"] for f in quality)
    found = [("Is it good?", "good" if reached == len(quality) else "warn", "")]
    count = facts.judged["count"]
    said = (
        f"At {count:,} samples {reached} of {len(quality)} figures are where real data is against "
        "real data."
    )
    verdict = facts.judged.get("verdict", "").removesuffix(".").rpartition(". ")[2]
    verdict = verdict and f"{verdict}."  # the last sentence is the advice
    found[0] = (*found[0][:2], f"{said} {verdict}".strip())
    bad = [f for f in copies if not f["at_floor"]]
    words = _newness((bad or copies)[0]) if copies else "Novelty was not measured."
    found.append(("Is it new?", "bad" if bad else "good" if copies else "note", words))
    names = [_words(finding["name"]) for finding in facts.diagnosis["findings"]]
    sound = "No fault was found." if not names else f"Found: {', '.join(names)}."
    found.append(("Is the run sound?", "warn" if names else "good", sound))
    return found


def _newness(figure: dict[str, Any]) -> str:
    """A figure of novelty for somebody who reads nothing else."""
    words: str = figure["verdict"]
    if figure["name"] != "closest_record":
        return words[:1].upper() + words[1:]
    seen = "No sign of copying" if figure["at_floor"] else "Some rows may be copies"
    return (
        f"{seen}: {100 * figure['value']:.0f} % of samples "
        f"({100 * figure['low']:.0f} to {100 * figure['high']:.0f}) are nearer to a training row "
        f"than to a held-out one; by chance {100 * figure['floor']:.0f} % would be."
    )


def _of_novelty(figure: dict[str, Any]) -> bool:
    return figure["name"].startswith("novelty") or figure["name"] == "closest_record"


def quality(facts: Facts) -> str:
    """How good the samples are, figure by figure, and the baselines beside them."""
    judged = facts.judged
    return (
        f"<p>{judged['count']:,} samples against {text(judged['heldout'])}. Intervals are 95 % "
        "bootstrap; the floor is what real data itself scores against held-out data of the same "
        "size, so that no model can be asked for more.</p>"
        + _figures([f for f in judged["figures"] if not _of_novelty(f)])
        + _baselines(judged)
    )


def copies(facts: Facts) -> str:
    """How near samples are to training items, figure by figure."""
    return _figures([f for f in facts.judged["figures"] if _of_novelty(f)])


def _figures(shown: list[dict[str, Any]]) -> str:
    if not shown:
        return ""

    def cell(value: float, low: float, high: float, mark: str = "") -> str:
        span = f"<span class=note>{low:.3g} to {high:.3g}</span>"
        return f"<td class='{mark}'>{value:.3g}<br>{span}"

    rows = []
    for figure in shown:
        mark = "good" if figure["at_floor"] else "warn"
        notes = text("; ".join(figure["notes"]))
        rows.append(
            f"<tr><th>{ICONS[mark]} {text(figure['name'])}"
            + cell(figure["value"], figure["low"], figure["high"], mark)
            + cell(figure["floor"], figure["floor_low"], figure["floor_high"])
            + f"<td>{text(figure['verdict'])}<br><span class=note>{notes}</span></tr>"
        )
    head = "<tr><th>figure<th>samples<th>floor<th>in words</tr>"
    return f"<div class='wide figures'><table>{head}{''.join(rows)}</table></div>"


def _baselines(judged: dict[str, Any]) -> str:
    if not judged.get("baselines"):
        return ""
    columns = {"this model": judged["figures"], **judged["baselines"]}
    head = "".join(f"<th>{text(name)}" for name in columns)
    rows = []
    for name in [figure["name"] for figure in judged["figures"]]:
        found = [next((f for f in fs if f["name"] == name), None) for fs in columns.values()]
        cells = "".join("<td>" if f is None else f"<td>{f['value']:.3g}" for f in found)
        rows.append(f"<tr><th>{text(name)}{cells}</tr>")
    return (
        f"<h3>Beside generators that cost nothing</h3><p>{text(judged['verdict'])}</p>"
        f"<div class=wide><table><tr><th>figure{head}</tr>{''.join(rows)}</table></div>"
    )


def findings(facts: Facts) -> str:
    """What the doctor found, with evidence and fix, or how far every sign is from its limit."""
    rows = []
    for finding in facts.diagnosis["findings"]:
        mark = "bad" if finding["severity"] > GRAVE else "warn"
        said = f"{text(finding['evidence'])}<p class=note>{text(finding['cause'])}</p>"
        rows.append(
            f"<tr><th class={mark}>{ICONS[mark]} {text(_words(finding['name']))}<td>{said}"
            f"<td>{text(finding['fix'])}</tr>"
        )
    head = "<tr><th>finding<th>evidence<th>what to do</tr>"
    table = f"<div class='wide findings'><table>{head}{''.join(rows)}</table></div>"
    also = ", ".join(_words(one["name"]) for one in facts.diagnosis["explained"])
    told = table if rows else "<p class=good>✓ No fault was found.</p>"
    if also:
        told += f"<p class=note>Also seen, and likely a consequence: {text(also)}.</p>"
    return told + _margins(facts.diagnosis)


def _margins(diagnosis: dict[str, Any]) -> str:
    """Every sign that was read beside its limit, folded away."""
    rows = [
        f"<tr><th>{text(_words(name))}<td>{one['measured']:.3g}<td>{one['limit']:.3g}</tr>"
        for name, one in diagnosis["margins"].items()
    ]
    unread = ", ".join(_words(name) for name in diagnosis["not_read"])
    last = f"<p class=note>Not read here: {text(unread)}.</p>" if unread else ""
    return (
        "<details><summary>Every sign beside its limit</summary><div class=wide><table>"
        f"<tr><th>sign<th>measured<th>limit</tr>{''.join(rows)}</table></div>{last}</details>"
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def learnt(facts: Facts) -> str:
    """Net, steps, step size, as a table."""
    model, last = facts.model, (facts.log or [{}])[-1]
    c, t = model.config, model.config.train
    passes = t.steps * t.batch / max(1, len(model.splits.train))
    parameters = sum(p.numel() for p in model.net.parameters())
    return table(
        {
            "recipe": f"{c.recipe}: path {c.path['name']}, target {c.target['name']}",
            "net": f"{c.net['name']}, {parameters:,} parameters",
            "space": c.space["name"],
            "updates": f"{t.steps:,} of {t.batch} items, {passes:.3g} passes over the data",
            "precision": t.precision,
            "items per second": last.get("items_per_second", "?"),
            "skipped updates": last.get("skipped", "?"),
            "sampling": f"{c.solver['name']}, {c.steps_said}, eta {c.eta:g}, guidance "
            f"scale {c.scale:g}, autoguidance {autoguided(c)}",
        }
    )


def data(facts: Facts) -> str:
    """Where the data came from, its parts, what was noticed."""
    d, splits = facts.model.config.data, facts.model.splits
    notes = "".join(
        f"<li>{text(n)}" for n in dict.fromkeys([*d.notes, *facts.model.config.reasons])
    )
    return table(
        {
            "source": d.source or "in memory",
            "items": f"{d.count:,}",
            "train / validation / test": f"{len(splits.train):,} / {len(splits.validation):,} / "
            f"{len(splits.test):,}",
            "exact duplicates": splits.duplicates,
        }
    ) + (f"<h3>Noticed</h3><ul>{notes}</ul>" if notes else "")


def cost(facts: Facts) -> str:
    if facts.cost is None:
        return ""
    c = facts.cost
    rows = {"time": duration(c.clock), "processor time": duration(c.processor)}
    if c.gpu:
        rows["GPU time"] = duration(c.gpu)
    rows["energy, estimated"] = (
        f"{c.watt_hours:.2g} Wh, taking {WATTS_CORE:g} W for a busy core"
        + (f" and {WATTS_GPU:g} W for a GPU" if c.gpu else "")
    )
    return table(rows)


def _planned(facts: Facts) -> int | None:
    """The steps that a run set out for, if a watcher ended it before these."""
    plans = [int(row["steps"]) for row in facts.log if "steps" in row]
    return max(plans[-2:]) if ended(facts.model.config) and plans else None


def commands(facts: Facts) -> str:
    """How to make the run again."""
    c = facts.model.config
    lines = "\n".join(again(c, facts.model.folder.name, steps=_planned(facts)))
    versions = ", ".join(f"{name} {version}" for name, version in c.versions.items())
    exact = (
        "This run was timed, and its schedule moved on the way: the same updates come out alike, "
        "not bit-equal."
        if c.train.budget is not None
        else "The same build of torch gives the same weights bit for bit."
    )
    return (
        f"<pre>{text(lines)}</pre><p class=note>{exact} Made with {text(versions)}; the data's "
        "fingerprint is in splits.json and is checked on reading.</p><details><summary>Full "
        f"configuration</summary><pre>{text(json.dumps(c.to_json(), indent=1))}</pre></details>"
    )
