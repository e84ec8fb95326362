"""The run folder: everything loading needs, checked before it is believed, never executed."""

from __future__ import annotations

import os
import pathlib
import shutil
from dataclasses import dataclass
from typing import Any

from unfog.errors import ArgumentError, ResourceError, RunError
from unfog.failpoints import at
from unfog.kinds import kinds
from unfog.kinds.given import GivenCodec
from unfog.kinds.splits import Splits
from unfog.model import files
from unfog.model.spaces import build as build_space
from unfog.model.spaces.fields import Fields
from unfog.tasks.config import Config, parse
from unfog.tasks.lock import NAME

STARTED = ("splits.json", "codec.json", "codec.safetensors")
"""Written at a run's start, before config.json."""
READ = ("config.json", "model.safetensors", "codec.json", "codec.safetensors", "splits.json")
WEAKER, TUNED, MARGINALS = "weaker.safetensors", "tuned.json", "marginals.safetensors"
MORE = (WEAKER, TUNED, MARGINALS)
"""What a run may have besides."""


@dataclass(frozen=True)
class Borders:
    """What lies between the user's data and the net: codec, conditions, space."""

    codec: Any
    given: GivenCodec
    space: Any


def claim(folder: pathlib.Path, *, resume: bool = False, overwrite: bool = False) -> None:
    """Make `folder` ready to be written. Raises ArgumentError for a run that is there already."""
    if resume and overwrite:
        raise ArgumentError("--resume and --overwrite exclude each other; choose one")
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"{folder} is a file; name a folder for the run")
    held = folder.is_dir() and not all(_leftover(entry) for entry in folder.iterdir())
    if resume:
        if not (folder / "config.json").exists():
            raise ArgumentError(
                f"there is no run to resume in {folder}; leave out --resume to start one"
            )
    elif held and not overwrite:
        raise ArgumentError(
            f"{folder} holds files already; go on with --resume, replace it with --overwrite, or "
            "name another"
        )
    elif held and not (folder / "config.json").exists():
        raise ArgumentError(
            f"{folder} is not a run folder, so --overwrite won't delete it; name another"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}.tmp"
        probe.write_bytes(b"unfog")
        probe.unlink()
    except OSError as error:
        raise ArgumentError(
            f"can't write into {folder} ({error.strerror}); choose another folder"
        ) from error


def _leftover(entry: pathlib.Path) -> bool:
    """Whether this is what a crash at a run's very start leaves; config.json comes after it."""
    begun = entry.parent / "config.json"
    lost = entry.name in STARTED and not begun.exists()
    return lost or entry.name == NAME or (entry.name.startswith(".") and entry.suffix == ".tmp")


def clear(folder: pathlib.Path) -> None:
    """Empty a run folder that --overwrite names; what tells that it is one goes last."""
    entries = [entry for entry in folder.iterdir() if entry.name != NAME]
    for entry in sorted(entries, key=lambda entry: entry.name == "config.json"):
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def room(folder: pathlib.Path, needed: int) -> None:
    """Raises ResourceError if the disk lacks `needed` bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ResourceError(
            f"{folder} has {free / 1e6:.0f} MB free and this run needs about {needed / 1e6:.0f} "
            "MB; free some disk space or choose another folder"
        )


def write_borders(folder: pathlib.Path, config: Config, borders: Borders, splits: Splits) -> None:
    """Write all but the weights, at the start of a run."""
    files.write_json(folder / "splits.json", splits.to_json())
    at("fit.founded")
    files.write_json(
        folder / "codec.json",
        {
            "kind": config.kind,
            "codec": borders.codec.to_json(),
            "given": borders.given.to_json(),
            "space": borders.space.config(),
        },
    )
    tensors = {f"codec.{name}": value for name, value in borders.codec.tensors().items()}
    tensors |= {f"space.{name}": value for name, value in borders.space.tensors().items()}
    files.write_tensors(folder / "codec.safetensors", tensors)
    files.write_json(folder / "config.json", config.to_json())


def read_borders(folder: pathlib.Path, config: Config) -> Borders:
    """Codec, conditions and space of a run."""
    content = files.read_json(folder / "codec.json")
    tensors = files.read_tensors(folder / "codec.safetensors")
    try:
        for part in ("codec", "given", "space"):
            if not isinstance(content[part], dict):
                raise ValueError(f"{part} is {content[part]!r}")
        codec = kinds[config.kind].codec.from_json(content["codec"], _under("codec.", tensors))
        given = GivenCodec.from_json(content["given"])
        if content["space"].get("name") == "fields":
            space: Any = Fields.from_config(content["space"], {})
        else:
            space = build_space(content["space"], _under("space.", tensors))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise RunError(f"{folder / 'codec.json'} does not fit this version ({error})") from error
    return Borders(codec, given, space)


def _under(prefix: str, tensors: dict[str, Any]) -> dict[str, Any]:
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}


def read_config(folder: pathlib.Path) -> Config:
    """The configuration of a run folder. Raises RunError when it is not one."""
    if not folder.is_dir():
        raise RunError(f"{folder} is not a folder; name a run folder that `unfog fit` wrote")
    if not (folder / "config.json").exists():
        loose = [
            p.name for p in folder.iterdir() if p.suffix in (".pt", ".pth", ".pkl", ".bin", ".ckpt")
        ]
        if loose:
            raise RunError(
                f"{folder} has {loose[0]} but no config.json: pickled models are never loaded, "
                "since that can run any code; convert the weights to safetensors"
            )
        raise RunError(f"{folder} has no config.json, so it is not a run folder")
    return parse(files.read_json(folder / "config.json"), str(folder / "config.json"))


def check_borders(folder: pathlib.Path) -> None:
    """Raises RunError where a finished run's codec or splits were altered, so that going on with it
    does not sign them anew. A run that was not finished has no manifest to compare with.
    """
    if (folder / files.MANIFEST).exists():
        files.check_manifest(folder, only=("codec.json", "codec.safetensors", "splits.json"))


def sign(folder: pathlib.Path) -> None:
    """Write the manifest of all that loading reads, which makes the folder whole."""
    more = [name for name in MORE if (folder / name).exists()]
    files.write_manifest(folder, [*READ, *more])


def check(folder: pathlib.Path) -> None:
    """Raises RunError unless every file that loading reads is there and unaltered."""
    if not (folder / files.MANIFEST).exists():
        state = (
            "has checkpoints; finish it with --resume"
            if (folder / "checkpoints").is_dir()
            else "is empty"
        )
        raise RunError(f"{folder} was not finished (no {files.MANIFEST}): it {state}")
    listed = files.check_manifest(folder)
    missing = [name for name in READ if name not in listed]
    if missing:
        raise RunError(
            f"{folder / files.MANIFEST} does not list {', '.join(missing)}; it was altered"
        )
