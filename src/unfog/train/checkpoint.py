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
from unfog.failpoints import at
from unfog.model import files
from unfog.model.ema import Ema
from unfog.model.model import Model
from unfog.train.importance import Importance
from unfog.train.parallel import full, sliced, whole

KEPT = 2
GOOD = "good-"
"""Before the names of files with the copy that a broken loss makes a run go back to."""
OLD = ".old-"
"""Before the step of a checkpoint that a newer one of the same step replaces."""


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
    good: dict[str, Tensor] | None = None,
    write: bool = True,
    **facts: Any,
) -> Checkpoint:
    """Write checkpoints/step-N and drop all but the newest two. Raises ResourceError when the disk
    is full.

    A model in slices is put together first, by all processes; `write` is for one of them.

    Args:
        good: the copy that a `Rescue` goes back to, by part and name; a run's last has none.
    """
    parts = {"model": whole(dict(model.state_dict())), "ema": whole(ema.tensors())}
    names, parts["optimiser"] = _optimiser_state(optimiser)
    if memory is not None:
        parts["memory"] = memory.tensors()
    for name, value in (good or {}).items():
        part, rest = name.split(".", 1)
        parts.setdefault(f"{GOOD}{part}", {})[rest] = full(value)
    held = sorted({int(name.split(".")[0]) for name in parts["optimiser"]})
    home = run / "checkpoints"
    final = home / f"step-{step:08d}"
    if not write:
        return Checkpoint(final, step)
    home.mkdir(exist_ok=True)
    draft = home / f".draft-{step:08d}-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir()
        for part, tensors in parts.items():
            files.write_tensors(draft / f"{part}.safetensors", tensors)
            at("checkpoint.between")
        state = {"step": step, "optimiser": names, "moments": held, **facts}
        files.write_json(draft / "state.json", state)
        files.write_manifest(draft, [*(f"{part}.safetensors" for part in parts), "state.json"])
        at("checkpoint.after_tmp")
        if final.exists():  # of the same step; out of the way first, so that one is always there
            final.rename(home / f"{OLD}{step:08d}")
        draft.rename(final)
    except (OSError, ResourceError) as error:
        shutil.rmtree(draft, ignore_errors=True)
        if isinstance(error, ResourceError):
            raise
        raise ResourceError(f"could not write a checkpoint in {home} ({error.strerror})") from error
    files.sync_folder(home)
    at("checkpoint.after_rename")
    for old in [*(c.folder for c in found(run)[:-KEPT]), *home.glob(f"{OLD}*")]:
        shutil.rmtree(old, ignore_errors=True)
    return Checkpoint(final, step)


def found(run: pathlib.Path) -> list[Checkpoint]:
    """All checkpoints, oldest first."""
    home = run / "checkpoints"
    whole = [f for f in sorted(home.glob("step-*")) if f.name[5:].isdigit()]
    return [Checkpoint(folder, int(folder.name.split("-")[1])) for folder in whole]


def tidy(run: pathlib.Path) -> None:
    """Remove what a crash left half-written; give back its name to what was to be replaced."""
    for old in (run / "checkpoints").glob(f"{OLD}*"):
        name = old.with_name(f"step-{old.name.removeprefix(OLD)}")
        shutil.rmtree(old) if name.exists() else old.rename(name)
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
    state = _moments(folder / "optimiser.safetensors", facts, optimiser)
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
    if memory is not None:
        memory.load(files.read_tensors(folder / "memory.safetensors"))
    return facts


def good(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The copy that a broken loss makes a run go back to, by part and name; empty if there is
    none.
    """
    found: dict[str, Tensor] = {}
    for path in sorted(checkpoint.folder.glob(f"{GOOD}*.safetensors")):
        part = path.stem.removeprefix(GOOD)
        found |= {f"{part}.{name}": v for name, v in files.read_tensors(path).items()}
    return found


def _moments(
    path: pathlib.Path, facts: dict[str, Any], optimiser: torch.optim.Optimizer
) -> dict[int, dict[str, Any]]:
    """The optimiser's state on disk by parameter. Raises RunError unless it fits, all of it."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    wrong = []
    for key, value in files.read_tensors(path).items():
        number, _, name = key.partition(".")
        at_home = number.isdigit() and int(number) < len(parameters)
        like = parameters[int(number)] if at_home else None
        if like is None or value.shape not in (like.shape, torch.Size()):
            wrong.append(f"{key}: {tuple(value.shape)}")
        elif not value.is_floating_point() or name not in facts["optimiser"]:
            wrong.append(f"{key}: {value.dtype}")
        else:
            state.setdefault(int(number), {})[name] = sliced(value, like)
    whole = [n for n, entry in state.items() if sorted(entry) == facts["optimiser"]]
    missing = sorted(set(facts.get("moments", state)) - set(whole)) or sorted(state.keys() - whole)
    if wrong or missing:
        raise RunError(
            f"{path} does not fit the configuration: misshapen or unexpected {wrong[:5]}, "
            f"incomplete for parameters {missing[:5]}; it was altered"
        )
    return state


def _optimiser_state(optimiser: torch.optim.Optimizer) -> tuple[list[str], dict[str, Tensor]]:
    """Names and tensors of the optimiser's state; everything AdamW keeps is a tensor."""
    tensors = {}
    for number, entry in optimiser.state_dict()["state"].items():
        for name, value in entry.items():
            tensors[f"{number}.{name}"] = full(torch.as_tensor(value))
    return sorted({key.split(".", 1)[1] for key in tensors}), tensors
