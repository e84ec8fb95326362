"""All that makes few calls enough on one picture: a run as it is, with fitted times, with tuned
solvers, a flow map of it, and the best of diffusers' and k-diffusion's solvers on its net.

    python benchmarks/levers.py RUN MAP --source HELDOUT --peers PYTHON --picture levers.png

RUN is a tuned run of images, MAP is distilled from it. Ours is what `unfog curve RUN MAP` measures.
The peers get the same net, guided as the run is, and the same noise; of every library, solver and
grid (see `tuned.py`) that with the least error counts, anew for each number of calls.
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
from typing import Any

import solvers as peers
import torch
import tuned

import unfog
from unfog.tasks.curve import Curve, Line, Point
from unfog.tasks.generate import samples_of
from unfog.tasks.levers import COUNTS, Quality, lines_of
from unfog.tasks.pick import like_of


def best(quality: Quality, entrant: tuned.Entrant, library: str, calls: int) -> Point | None:
    """The library's solver and grid that end nearest to where the flow does."""
    model, found = quality.model, []
    for name in tuned.NAMES[library]:
        for way in tuned.WAYS:
            state = entrant.ended(library, name, way, calls)
            error = math.inf if state is None else quality.ends.error(state)
            if math.isfinite(error):
                found.append((error, name, way, state))
    if not found:
        return None
    error, name, way, state = min(found, key=lambda one: one[0])
    print(f"{library}, {calls} calls: {name} on {way}, error {error:.3g}", flush=True)
    nets = like_of(model, {}, quality.count).times
    return quality.point(model, calls * nets, samples_of(model, state, {}, 0))


def measured(asked: argparse.Namespace) -> Curve:
    """Our lines, and one for each library."""
    model, jumps = (unfog.load(one, device="cpu") for one in (asked.run, asked.map))
    quality = Quality(model, asked.source, count=asked.count)
    if quality.given is not None:
        raise SystemExit("the peers' part is for runs without conditions")
    lines = lines_of(quality, [model, jumps], asked.calls, budget=asked.budget)
    with torch.no_grad():
        entrant = tuned.Entrant(model, quality.count, quality.seed)
        for library in tuned.NAMES:
            points = [best(quality, entrant, library, n) for n in asked.calls]
            there = tuple(point for point in points if point is not None)
            lines.append(Line(f"{library}: its best", there, peer=True))
    return quality.curve(lines)


def markdown(found: Curve) -> str:
    """A table of each measure."""
    said: list[str] = []
    for title, value in (
        (found.metric, lambda p: p.figure and p.figure.value),
        ("error", lambda p: p.error),
    ):
        calls = sorted({p.calls for line in found.lines for p in line.points})
        said += [f"{title}:\n", "| calls | " + " | ".join(map(str, calls)) + " |"]
        said.append("|---|" + "---|" * len(calls))
        for line in found.lines:
            cells: dict[int, Any] = {p.calls: value(p) for p in line.points}
            row = [f"{cells[n]:.3g}" if cells.get(n) is not None else "" for n in calls]
            said.append(f"| {line.name} | " + " | ".join(row) + " |")
        said.append("")
    return "\n".join(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("map", type=pathlib.Path)
    parser.add_argument("--source", help="held-out data; the run's own test split where left out")
    parser.add_argument("--peers", help="a python that has diffusers and k-diffusion")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--calls", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--budget", type=float, default=300.0, help="seconds for fitted times")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("levers.json"))
    parser.add_argument("--picture", type=pathlib.Path)
    asked = parser.parse_args()
    peers.handed_over(asked.peers)
    torch.set_num_threads(1)
    found = measured(asked)
    asked.out.write_text(json.dumps(found.to_json(), indent=1), encoding="utf-8")
    print(markdown(found))
    if asked.picture:
        found.look(asked.picture)


if __name__ == "__main__":
    main()
