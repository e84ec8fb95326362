"""Load a trained model from its folder: JSON and safetensors only, every file checked first."""

from __future__ import annotations

import pathlib

from unfog.kinds.splits import Splits
from unfog.model import files
from unfog.tasks.assemble import device_of
from unfog.tasks.calibrate import read as read_marginals
from unfog.tasks.rehearse import rehearse
from unfog.tasks.runfolder import check, read_borders, read_config
from unfog.tasks.trained import Trained
from unfog.tasks.tuning import read as read_tunings


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
    net = rehearse(folder, config, borders, weights)
    files.fill_module(net, weights, folder / "model.safetensors")
    splits = Splits.from_json(files.read_json(folder / "splits.json"))
    trained = Trained(folder, config, net, borders, splits, device=device_of(device))
    trained.tunings = read_tunings(folder)
    trained.marginals = read_marginals(folder, net.path, trained.device, config.plain_steps)
    return trained
