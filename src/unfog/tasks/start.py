"""Start from another run's weights: which fit the new net, and which are new, said plainly."""

from __future__ import annotations

import hashlib
import pathlib
import re
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from unfog.errors import ArgumentError
from unfog.model import files
from unfog.model.model import Model
from unfog.model.spaces.space import lost
from unfog.tasks import runfolder
from unfog.tasks.config import Config
from unfog.tasks.runfolder import Borders

DESCRIBED = ("shape", "fields", "given", "out_channels", "dropout")
"""Options of a net that follow from the new data and recipe, not from the other run."""
LEAST = 0.5
"""Of the new net's numbers that have to come from the other run for it to be a start."""
CONDITION = re.compile(r"(net\.conditions\.(?:parts|nulls)\.)(\d+)(.*)")
OUTER = re.compile(r"net\.(first|last|table|known|frequencies)\b")
"""Where a table's columns enter and leave a net."""


@dataclass(frozen=True)
class Start:
    """A finished run to start from, checked as `load` checks it.

    Attributes:
        weights: name → tensor, as sampling uses them (averaged).     manifest: SHA-256 of the run's
            manifest, which holds that of every file.
    """

    folder: pathlib.Path
    config: Config
    borders: Borders
    weights: dict[str, Tensor]
    manifest: str


@dataclass(frozen=True)
class Taken:
    """What was taken: weights for the whole net, and the names of tensors.

    Attributes:
        share: of the net's numbers that came from the other run.
    """

    weights: dict[str, Tensor]
    taken: list[str]
    new: list[str]
    share: float


def read_start(folder: str | pathlib.Path) -> Start:
    """Raises RunError where the folder is no finished, unaltered run."""
    folder = pathlib.Path(folder)
    config = runfolder.read_config(folder)
    runfolder.check(folder)
    return Start(
        folder,
        config,
        runfolder.read_borders(folder, config),
        files.read_tensors(folder / "model.safetensors"),
        hashlib.sha256((folder / files.MANIFEST).read_bytes()).hexdigest(),
    )


def adopt(content: dict[str, Any], start: Start, settings: dict[str, Any], free: list[str]) -> None:
    """Put the other run's net and space into a configuration, where the user has chosen no other.

    Args:
        free: which of lr and batch the user has left open; they go with the net, where that is not
            the one that would have been taken.
    Raises: ArgumentError for data of another kind.
    """
    other = start.config
    if other.kind != content["kind"]:
        raise ArgumentError(
            f"{start.folder} learnt {other.kind}s and this data are {content['kind']}s; start from "
            f"a run of {content['kind']}s, or leave --from out"
        )
    asked = {key.split(".")[0] for key in settings if key in ("net", "space", "net.name")}
    asked |= {"space" for key in settings if key.split(".")[0] == "space"}
    if "net" not in asked:
        kept = {k: v for k, v in other.net.items() if k not in DESCRIBED}
        kept.update({k: v for k, v in content["net"].items() if k == "dropout"})
        if content["net"]["name"] != other.net["name"]:
            own = other.train.model_dump(include=set(free))
            content["train"].update(own)
        content["net"] = kept
    if "space" not in asked:
        content["space"] = dict(other.space)
    if "net" not in asked or "space" not in asked:
        content["reasons"] = [f"net and space of {start.folder}, whose weights it starts from"]


def shared_space(
    start: Start, content: dict[str, Any], shown: Tensor, held_out: Tensor | None
) -> Any:
    """The other run's own space where weights mean something in no other; else None: fit it anew.

    Principal components are directions that were fitted on that run's data: in others, the weights
    that read the first component would read something else. So they stay, and what they miss of the
    new data comes after them. Pixels and wavelets are no directions of data, only their units are
    fitted.

    Args:
        shown, held_out: (N, *D) states to fit it to, and to measure its error on.
    Raises: ArgumentError for another space, or one that can't take items of this shape.
    """
    if content["space"] != start.config.space:
        raise ArgumentError(
            f"{start.folder} works in the space {start.config.space}, this run in "
            f"{content['space']}, where its weights mean nothing; leave --set space (and net) out"
        )
    if content["space"]["name"] != "pca":
        return None
    space, shape = start.borders.space, tuple(shown.shape[1:])
    if tuple(space.data_shape) != shape:
        raise ArgumentError(
            f"{start.folder} works on principal components of items of {tuple(space.data_shape)}, "
            f"and these are {shape}: bring them to that size (--size for images), or start "
            "from a run with a U-Net"
        )
    options = {k: v for k, v in content["space"].items() if k in ("explained", "components")}
    space = space.extended(shown, **options)
    return space if held_out is None else replace(space, error=lost(space, held_out))


def take(model: Model, config: Config, borders: Borders, start: Start) -> Taken:
    """Weights for a freshly built `model`: the other run's where they mean the same here.

    A tensor is taken where name, shape and type agree. A condition's go by its name and are taken
    where it has the same form and, for classes and texts, the same vocabulary. What reads and
    writes principal components is taken for the old ones, and fresh for those that were added. What
    reads and writes a table's columns is taken where both tables have the same columns and levels.
    Raises: ArgumentError where so little fits that it would be another net.
    """
    own = {name: value.clone() for name, value in model.state_dict().items()}
    theirs = _renamed(start, config, borders)
    if config.fields and not _same_columns(start.borders.codec, borders.codec):
        theirs = {name: v for name, v in theirs.items() if not OUTER.match(name)}
    if config.space["name"] == "pca" and len(config.shape) == 1:
        theirs.update(_widened(own, theirs))
    theirs.update(_with_second_time(own, theirs))
    fits = [
        name
        for name, value in own.items()
        if name in theirs and (theirs[name].shape, theirs[name].dtype) == (value.shape, value.dtype)
    ]
    new = [name for name in own if name not in fits]
    share = sum(own[name].numel() for name in fits) / sum(v.numel() for v in own.values())
    if share < LEAST or config.net["name"] != start.config.net["name"]:
        raise ArgumentError(
            f"{start.folder} has the net {_words(start.config)}, this run has {_words(config)}: "
            f"only {100 * share:.0f} % of its weights would fit; leave --set net and space out to "
            "take the other run's, or leave --from out"
        )
    own.update({name: theirs[name] for name in fits})
    return Taken(own, fits, new, share)


def lineage(start: Start, taken: Taken) -> dict[str, Any]:
    """What a configuration says of where its weights began."""
    return {
        "run": str(start.folder.resolve()),
        "manifest": start.manifest,
        "source": start.config.data.source,
        "taken": len(taken.taken),
        "new": taken.new,
        "share": round(taken.share, 4),
    }


def said(start: Start, taken: Taken, config: Config) -> str:
    """What was taken and what is new, in one sentence or two."""
    of = len(taken.taken) + len(taken.new)
    text = (
        f"starts from {start.folder} (manifest {start.manifest[:12]}): {len(taken.taken)} of {of} "
        f"tensors taken, {100 * taken.share:.1f} % of all weights"
    )
    if taken.new:
        parts = dict.fromkeys(name.removeprefix("net.").split(".")[0] for name in taken.new)
        text += f"; new: {len(taken.new)} of {', '.join(parts)}"
    other = start.config
    if (other.target, other.path["name"]) != (config.target, config.path["name"]):
        text += (
            f"; it answered {other.target['name']} on the path {other.path['name']}, which this "
            "run has to learn anew"
        )
    return text


def begun(start: dict[str, Any]) -> Start:
    """The run that a configuration says it starts from, to resume before its first checkpoint.

    Raises: ArgumentError where that run is another one by now.
    """
    found = read_start(start["run"])
    if found.manifest != start["manifest"]:
        raise ArgumentError(
            f"{start['run']} is no longer the run that this one starts from (its manifest differs);"
            " restore it, or begin anew with --overwrite"
        )
    return found


def _renamed(start: Start, config: Config, borders: Borders) -> dict[str, Tensor]:
    """The other run's tensors under the names that they have here; nets number conditions."""
    before, now = list(start.config.net.get("given", {})), list(config.net.get("given", {}))
    old, new = start.borders.given.to_json(), borders.given.to_json()
    found = {}
    for name, value in start.weights.items():
        match = CONDITION.fullmatch(name)
        if match is None:
            found[name] = value
            continue
        title = before[int(match[2])]
        if title not in now:
            continue
        spec = config.net["given"][title]
        worded = spec["type"] in ("class", "classes", "text") and old.get(title) != new.get(title)
        if spec == start.config.net["given"][title] and not worded:
            found[f"{match[1]}{now.index(title)}{match[3]}"] = value
    return found


def _widened(own: dict[str, Tensor], theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """What reads and writes the components; for those added at the end it is the fresh net's own.

    That reads them and answers zero. Zeros on both sides would be a saddle that training leaves
    slowly.
    """
    found = {}
    for name, axis in (("net.first.weight", 1), ("net.last.weight", 0), ("net.last.bias", 0)):
        if name not in own or name not in theirs:
            continue
        wide, old = own[name], theirs[name]
        kept = old.shape[axis] if wide.ndim == old.ndim else 0
        if 0 < kept < wide.shape[axis] and wide.narrow(axis, 0, kept).shape == old.shape:
            rest = wide.narrow(axis, kept, wide.shape[axis] - kept)
            found[name] = torch.cat([old, rest], dim=axis)
    return found


def _with_second_time(own: dict[str, Tensor], theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """What reads the times, for a net that is told two from one that was told one: the same answer
    wherever it is to go.
    """
    name = "net.time.inner.weight"
    if name not in own or name not in theirs or own[name].shape[1] != 2 * theirs[name].shape[1]:
        return {}
    return {name: torch.cat([theirs[name], torch.zeros_like(theirs[name])], 1)}


def _same_columns(one: Any, other: Any) -> bool:
    """Whether two tables' codecs have the same columns, with the same levels."""
    told = [
        [(entry["name"], entry["mark"], entry["levels"]) for entry in codec.to_json()["columns"]]
        for codec in (one, other)
    ]
    return bool(told[0] == told[1])


def _words(config: Config) -> str:
    width = f" of width {config.net['width']}" if "width" in config.net else ""
    return f"{config.net['name']!r}{width} in the {config.space['name']} space"
