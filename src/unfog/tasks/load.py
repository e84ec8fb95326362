"""Load a trained model from its folder: JSON and safetensors only, every file checked first."""

from __future__ import annotations

import pathlib

import torch

from unfog.errors import RunError
from unfog.kinds.splits import Splits
from unfog.model import files
from unfog.tasks.assemble import blank, build_model, build_sampling, device_of
from unfog.tasks.config import Config
from unfog.tasks.runfolder import Borders, check, read_borders, read_config
from unfog.tasks.trained import Trained


def load(folder: str | pathlib.Path, *, device: str = "auto") -> Trained:
    """Read a run folder. Needs nothing but the folder, and runs nothing from it.

    Raises: RunError if the folder is not a run, unfinished, truncated, altered, or of a newer
    format.
    """
    folder = pathlib.Path(folder)
    config = read_config(folder)
    check(folder)
    borders = read_borders(folder, config)
    weights = files.read_tensors(folder / "model.safetensors")
    try:
        net = build_model(config)
        build_sampling(config)  # a solver that is not there is the folder's fault, not the caller's
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        raise RunError(
            f"{folder / 'config.json'} describes a model that can't be built: {error}"
        ) from error
    if list(borders.space.shape) != config.shape:
        raise RunError(
            f"{folder / 'config.json'} says that states have the shape {config.shape}, and "
            f"codec.json says {list(borders.space.shape)}; one of them was altered"
        )
    _rehearse(folder, config, borders)
    files.fill_module(net, weights, folder / "model.safetensors")
    splits = Splits.from_json(files.read_json(folder / "splits.json"))
    return Trained(folder, config, net, borders, splits, device=device_of(device))


def _rehearse(folder: pathlib.Path, config: Config, borders: Borders) -> None:
    """One state through every border: a codec that can't be used is refused here."""
    try:
        data = borders.codec.decode(borders.space.back(blank(config, 1)))
        if list(data.shape[1:]) != config.data.item:
            raise ValueError(f"items have the shape {list(data.shape[1:])}, not {config.data.item}")
        for name, spec in borders.given.specs.items():
            borders.given.encode(None, 1)
            if spec["type"] == "number":
                borders.given.decode({name: torch.zeros(1, spec["size"])})
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        raise RunError(
            f"{folder / 'codec.json'} describes a codec that can't be used: {error}; it was altered"
        ) from error
