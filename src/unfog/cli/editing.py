"""Verbs that change data: edit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from unfog.cli.app import Flag, Json, Many, app
from unfog.errors import ArgumentError


@app.command
def edit(
    run: Path,
    source: Path,
    /,
    *,
    task: str,
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
    given: Many = None,
    strength: float | None = None,
    keep: str | None = None,
    frames: int | None = None,
    grow: str | None = None,
    width: float | None = None,
    noise: float | None = None,
    draws: int | None = None,
    method: str | None = None,
    scale: float | None = None,
    steps: int | None = None,
    solver: str | None = None,
    eta: float | None = None,
    seed: int | None = None,
    batch: int | None = None,
    overwrite: Flag = False,
    device: str = "auto",
    json: Json = False,
) -> dict[str, Any] | None:
    """Edit images or arrays with a trained run.

    Example: unfog edit runs/photos cat.png -o cats --task vary --strength 0.4 --draws 8

    Parameters
    ----------
    run
        A run folder of images or arrays.
    source
        An image file, a folder, .zip, .npz or .npy; images of any size.
    task
        vary, translate, interpolate, inpaint, outpaint, enlarge, deblur, denoise, encode, decode;
            see `unfog edits`.
    out
        A folder of PNGs, a .png for a single one, .npz or .npy.
    given
        What to condition on: --given label=cat. Left out, an item's own class folder or column.
    strength
        vary: 0 unchanged, 1 anew. Default 0.5.
    keep
        inpaint: what is known. Of images left, right, top, bottom (left:0.3), center, random:0.5,
            box:TOP,LEFT,HEIGHT,WIDTH, checks:4, lines:2; of arrays first:0.5, last, random,
            entries:0,2; not:WORD for the rest; or a mask .png (white is known), .npy, .npz.
    frames
        interpolate: pictures from one item to the next, both included. Default 8.
    grow
        outpaint: added at each side as a share of it: 0.25, or left:0.5,top:0.5
    width
        deblur: the blur's standard deviation in pixels of the run's size. Default 1.5.
    noise
        Of the source, for pixels from -1 to 1: how closely tasks that restore or complete meet it.
    draws
        Results per item. Default 1.
    method
        How known parts are met: mmps, dps, pigdm, diffpir; see docs.
    scale
        Guidance: 1 leaves the conditional model unchanged.
    steps
        Sampling steps; of translate, interpolate, encode and decode steps of order 4.
    solver
        See `unfog solvers`.
    eta
        Share of fresh noise, 0 deterministic, 1 ancestral.
    seed
        Same seed, same result.
    batch
        How many at once; changes speed, not results.
    overwrite
        Replace what is in OUT.
    device
        auto, cpu, cuda, mps.
    json
        One JSON object on standard output.
    """
    from unfog.tasks.load import load

    if out.exists() and not overwrite and (out.is_file() or any(out.iterdir())):
        raise ArgumentError(f"{out} is there already; add --overwrite or name another")
    model = load(run, device=device)
    asked: dict[str, Any] = {
        "strength": strength,
        "keep": keep,
        "frames": frames,
        "grow": grow,
        "width": width,
        "noise": noise,
        "draws": draws,
        "method": method,
        "scale": scale,
        "steps": steps,
        "solver": solver,
        "eta": eta,
        "seed": seed,
        "batch": batch,
        "given": _given(model, given or []),
    }
    edited = model.edit(source, task, **{k: v for k, v in asked.items() if v is not None})
    return _told(edited, task, edited.save(out, overwrite=overwrite), json)


def complete(
    model: Any,
    source: str,
    out: Path,
    keep: str | None,
    mask: str | None,
    given: list[str] | None,
    overwrite: bool,
    json: bool,
    common: dict[str, Any],
) -> dict[str, Any] | None:
    """`unfog fill` of images and arrays."""
    if keep is not None and mask is not None:
        raise ArgumentError("--keep says what is known, --mask what is drawn; give one of them")
    if mask is not None:
        keep = mask.removeprefix("not:") if mask.startswith("not:") else f"not:{mask}"
    edited = model.fill(source, keep=keep, given=_given(model, given or []), **common)
    return _told(edited, "inpaint", edited.save(out, overwrite=overwrite), json)


def _told(edited: Any, task: str, where: Path, json: bool) -> dict[str, Any] | None:
    facts = {"out": str(where), "task": task, "count": len(edited), **edited.facts}
    if json:
        return facts
    told = ", ".join(f"{name} {value:.4g}" for name, value in edited.facts.items())
    print(f"{len(edited)} items in {where}" + (f" ({told})" if told else ""), file=sys.stderr)
    return None


def _given(model: Any, texts: list[str]) -> dict[str, Any] | None:
    """--given key=value: one value for all items, as the model knows it."""
    import numpy as np

    from unfog.cli.asking import conditions
    from unfog.kinds.asking import plain
    from unfog.kinds.given import resolve

    for text in texts:
        if text.endswith("=*"):
            raise ArgumentError(f"--given {text} runs through classes; edit takes one value")
    specs = model.borders.given.specs
    found: dict[str, Any] = {}
    for name, value in (conditions(model, texts, 1) or {}).items():
        if specs[resolve(name, specs)]["type"] == "number":
            value = plain(value, np.dtype(float), name)
        found[name] = value
    return found or None
