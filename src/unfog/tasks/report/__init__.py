"""One self-contained HTML file that a manager can read and an engineer can trust."""

from __future__ import annotations

import html
import pathlib
from typing import TYPE_CHECKING

from unfog.model import files
from unfog.tasks.card import write_card
from unfog.tasks.report import curves, sections
from unfog.tasks.report.facts import gather
from unfog.tasks.report.gallery import asked, neighbours, pair, shown
from unfog.tasks.report.sections import section
from unfog.tasks.report.style import STYLE

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained


def report(
    model: Trained,
    out: str | pathlib.Path | None = None,
    *,
    seed: int = 0,
    fresh: bool = False,
    show: bool | None = None,
) -> pathlib.Path:
    """Write the report of a run, and its model card from the same facts; returns its path.

    Args:
        out: the HTML file; RUN/report.html where None.
        fresh: judge anew even if RUN/evaluation.json is there.
    """
    out = pathlib.Path(out) if out is not None else model.folder / "report.html"
    facts = gather(model, seed=seed, fresh=fresh, show=show)
    samples = model.sample(shown(model), given=asked(model), seed=seed, show=show)
    train = facts.items.take(model.splits.train)
    body = [
        sections.heading(facts),
        section("Samples", pair(model, samples, train)),
        section("Is it good?", sections.quality(facts)),
        section(
            "Is it new?",
            sections.copies(facts),
            curves.clock(facts),
            neighbours(model, samples, train),
        ),
        section("How it learnt", curves.training(facts), sections.learnt(facts)),
        section("What the doctor says", sections.findings(facts)),
        section("Data", sections.data(facts)),
        section("Cost", sections.cost(facts)),
        section("Do it again", sections.commands(facts)),
    ]
    title = f"unfog report: {html.escape(model.folder.name)}"
    page = (
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport "
        f"content='width=device-width, initial-scale=1'><title>{title}</title><style>{STYLE}"
        f"</style></head><body><main>{''.join(body)}</main></body></html>"
    )
    files.write_bytes(out, page.encode())
    spent = 0.0 if facts.cost is None else facts.cost.clock
    write_card(model.folder, model.config, model.splits, spent, facts.judged)
    return out
