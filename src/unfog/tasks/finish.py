"""The end of a run: everything that makes its folder whole."""

from __future__ import annotations

import pathlib

import torch

from unfog.failpoints import at
from unfog.model import files
from unfog.model.model import Model
from unfog.tasks import calibrate, runfolder
from unfog.tasks.card import write_card
from unfog.tasks.prepare import Prepared
from unfog.tasks.trained import Trained
from unfog.train.dist import World


def finish(
    folder: pathlib.Path,
    prepared: Prepared,
    averaged: Model,
    device: torch.device,
    spent: float,
    world: World,
    show: bool | None = None,
) -> Trained:
    """Write weights, model card, and last the manifest that makes the folder whole."""
    config = prepared.config

    trained = Trained(
        folder,
        config,
        averaged,
        prepared.borders,
        prepared.splits,
        items=prepared.items,
        device=device,
    )

    def write() -> None:
        files.write_json(folder / "config.json", config.to_json())  # with the steps as they came
        at("finish.between")
        files.write_tensors(folder / "model.safetensors", dict(averaged.state_dict()))
        write_card(folder, config, prepared.splits, spent)
        (folder / calibrate.FILE).unlink(missing_ok=True)
        if config.train.calibrate:
            found = calibrate.calibrate(trained, prepared.states[0], show=show)
            calibrate.write(folder, found, config.plain_steps)
        runfolder.sign(folder)

    world.lead(write)
    trained.marginals = calibrate.read(folder, averaged.path, device, config.plain_steps)
    return trained
