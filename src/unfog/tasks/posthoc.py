"""The average of the weights over any length, made after the training from stored averages."""

from __future__ import annotations

import copy
import pathlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.model import files
from unfog.model.profiles import Profile, shares
from unfog.tasks import runfolder
from unfog.tasks.card import write_card
from unfog.tasks.evaluate import FILE as EVALUATION
from unfog.tasks.snapshots import stored
from unfog.train.log import read as read_log

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

FAR = 0.3
"""Distance of the profiles beyond which the average is another than was asked for."""


def reconstruct(folder: pathlib.Path, length: float) -> tuple[dict[str, Tensor], float]:
    """The parameters' average over `length` at the end of a run, and the profiles' distance.

    Raises: RunError where no averages were stored; ArgumentError for a length that those stored
    can't give.
    """
    found = stored(folder)
    end = max(profile.step for profile, _, _ in found)
    factors, misfit = shares([profile for profile, _, _ in found], Profile(length, end))
    if misfit > FAR:
        raise ArgumentError(
            f"{len(found)} stored averages can't be made into one of length {length}: it would be "
            f"off by {100 * misfit:.0f} %; take a longer one, or fit with more --snapshots"
        )
    sums: dict[str, Tensor] = {}
    for path in dict.fromkeys(path for _, path, _ in found):
        tensors = files.read_tensors(path)
        for factor, (_, own, prefix) in zip(factors.tolist(), found):
            if own != path:
                continue
            for name, value in tensors.items():
                if name.startswith(prefix):
                    key = name.removeprefix(prefix)
                    sums[key] = sums.get(key, torch.zeros((), dtype=torch.float64))
                    sums[key] = sums[key] + factor * value.double()
    return {name: value.float() for name, value in sums.items()}, misfit


def averaged(model: Trained, length: float) -> Trained:
    """The model with its weights averaged over `length`, a share of the training; the run folder
    stays as it is.
    """
    from unfog.tasks.trained import Trained

    found, _ = reconstruct(model.folder, length)
    net = copy.deepcopy(model.net).cpu()
    own = dict(net.state_dict())
    files.fill_module(net, {**own, **found}, model.folder)
    train = model.config.train.model_copy(update={"ema": length})
    return Trained(
        model.folder,
        model.config.model_copy(update={"train": train}),
        net,
        model.borders,
        model.splits,
        items=model.items,
        device=model.device,
    )


def rewrite(model: Trained, length: float) -> dict[str, Any]:
    """Make the average over `length` the run's own: weights, configuration, card, manifest.

    Until the manifest is there again the run counts as not finished. What was judged before goes.
    """
    folder = model.folder
    found, misfit = reconstruct(folder, length)
    files.fill_module(model.net, {**dict(model.net.state_dict()), **found}, folder)
    said = f"weights averaged afterwards over a length of {length}, not {model.config.train.ema}"
    config = model.config
    train = config.train.model_copy(update={"ema": length})
    config = config.model_copy(update={"train": train, "reasons": [*config.reasons, said]})
    (folder / files.MANIFEST).unlink()
    (folder / EVALUATION).unlink(missing_ok=True)
    files.write_tensors(folder / "model.safetensors", dict(model.net.state_dict()))
    files.write_json(folder / "config.json", config.to_json())
    lines = read_log(folder / "metrics.jsonl")
    write_card(folder, config, model.splits, lines[-1]["seconds"] if lines else 0.0)
    runfolder.sign(folder)
    return {"run": str(folder), "length": length, "misfit": misfit}
