"""The end of a run: everything that makes its folder whole."""

from __future__ import annotations

import pathlib

import torch

from unfog.failpoints import at
from unfog.model import files
from unfog.model.model import Model
from unfog.tasks import runfolder
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
) -> Trained:
    """Write weights, model card, and last the manifest that makes the folder whole."""
    config = prepared.config

    def write() -> None:
        files.write_json(folder / "config.json", config.to_json())  # with the steps as they came
        at("finish.between")
        files.write_tensors(folder / "model.safetensors", dict(averaged.state_dict()))
        write_card(folder, config, prepared.splits, spent)
        runfolder.sign(folder)

    world.lead(write)
    return Trained(
        folder,
        config,
        averaged,
        prepared.borders,
        prepared.splits,
        items=prepared.items,
        device=device,
    )
