"""Everything that `--resume` needs, in folders that appear whole or not at all."""

from __future__ import annotations

import os
import pathlib
import shutil
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ResourceError, RunError
from unfog.model import files
from unfog.model.ema import Ema
from unfog.model.model import Model
from unfog.train.importance import Importance
from unfog.train.parallel import full, sliced, whole

KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk."""

    folder: pathlib.Path
    step: int


def save(
    run: pathlib.Path,
    step: int,
    model: Model,
    ema: Ema,
    optimiser: torch.optim.Optimizer,
    memory: Importance | None = None,
    *,
    write: bool = True,
    **facts: Any,
) -> Checkpoint:
    """Write checkpoints/step-N and drop all but the newest two. Raises ResourceError when the disk
    is full.

    A model in slices is put together first, by all processes; `write` is for one of them.
    """
    weights, average = whole(dict(model.state_dict())), whole(ema.tensors())
    numbers, tensors = _optimiser_state(optimiser)
    home = run / "checkpoints"
    final = home / f"step-{step:08d}"
    if not write:
        return Checkpoint(final, step)
    home.mkdir(exist_ok=True)
    draft = home / f".draft-{step:08d}-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir()
        files.write_tensors(draft / "model.safetensors", weights)
        files.write_tensors(draft / "ema.safetensors", average)
        files.write_tensors(draft / "optimiser.safetensors", tensors)
        files.write_json(draft / "state.json", {"step": step, "optimiser": numbers, **facts})
        names = ["model.safetensors", "ema.safetensors", "optimiser.safetensors", "state.json"]
        if memory is not None:
            files.write_tensors(draft / "memory.safetensors", memory.tensors())
            names.append("memory.safetensors")
        files.write_manifest(draft, names)
        if final.exists():
            shutil.rmtree(final)
        draft.rename(final)
    except (OSError, ResourceError) as error:
        shutil.rmtree(draft, ignore_errors=True)
        if isinstance(error, ResourceError):
            raise
        raise ResourceError(f"could not write a checkpoint in {home} ({error.strerror})") from error
    files.sync_folder(home)
    for old in found(run)[:-KEPT]:
        shutil.rmtree(old.folder, ignore_errors=True)
    return Checkpoint(final, step)


def found(run: pathlib.Path) -> list[Checkpoint]:
    """All checkpoints, oldest first."""
    home = run / "checkpoints"
    whole = [f for f in sorted(home.glob("step-*")) if f.name[5:].isdigit()]
    return [Checkpoint(folder, int(folder.name.split("-")[1])) for folder in whole]


def tidy(run: pathlib.Path) -> None:
    """Remove what a crash left half-written."""
    for orphan in [*(run / "checkpoints").glob(".draft-*"), *run.glob(".*.tmp")]:
        shutil.rmtree(orphan) if orphan.is_dir() else orphan.unlink()


def newest(run: pathlib.Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole, and a sentence on every newer one that is not."""
    complaints: list[str] = []
    for checkpoint in reversed(found(run)):
        try:
            files.check_manifest(checkpoint.folder)
            return checkpoint, complaints
        except RunError as error:
            complaints.append(f"{error}; going back to the checkpoint before")
    return None, complaints


def restore(
    checkpoint: Checkpoint,
    model: Model,
    ema: Ema,
    optimiser: torch.optim.Optimizer,
    memory: Importance | None = None,
) -> dict[str, Any]:
    """Fill model, average, optimiser and memory in place; returns the facts saved with them."""
    folder = checkpoint.folder
    for module, name in ((model, "model"), (ema.model, "ema")):
        read = files.read_tensors(folder / f"{name}.safetensors")
        own = module.state_dict()
        read = {n: sliced(v, own[n]) if n in own else v for n, v in read.items()}
        files.fill_module(module, read, folder)
    facts = files.read_json(folder / "state.json")
    tensors = files.read_tensors(folder / "optimiser.safetensors")
    state: dict[int, dict[str, Any]] = {}
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = sliced(value, parameters[int(number)])
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
    if memory is not None:
        memory.load(files.read_tensors(folder / "memory.safetensors"))
    return facts


def _optimiser_state(optimiser: torch.optim.Optimizer) -> tuple[list[str], dict[str, Tensor]]:
    """Names and tensors of the optimiser's state; everything AdamW keeps is a tensor."""
    tensors = {}
    for number, entry in optimiser.state_dict()["state"].items():
        for name, value in entry.items():
            tensors[f"{number}.{name}"] = full(torch.as_tensor(value))
    return sorted({key.split(".", 1)[1] for key in tensors}), tensors
