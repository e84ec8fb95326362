"""Files that survive a crash: whole or not there, checked by size and SHA-256, never executed."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
from collections.abc import Collection
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from unfog.errors import ResourceError, RunError
from unfog.failpoints import at

MANIFEST = "manifest.json"
HEADER = 2**25  # bytes of names and shapes in a file of tensors
PICKLES = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Write by temporary name, fsync and rename. Raises ResourceError when the disk is full."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            at("file.write")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ResourceError(
            f"could not write {path} ({error.strerror}); what was saved before is intact: free "
            "some disk space or choose another folder, and go on with --resume"
        ) from error
    sync_folder(path.parent)


def sync_folder(folder: pathlib.Path) -> None:
    """Make renames inside `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: pathlib.Path, content: Any) -> None:
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    write_bytes(path, text.encode() + b"\n")


def write_tensors(path: pathlib.Path, tensors: dict[str, Tensor]) -> None:
    whole = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_bytes(path, save(whole))


def read_json(path: pathlib.Path) -> Any:
    """Raises RunError for a missing, cut-off or duplicate-keyed file."""
    return _parsed(path, _content(path))


def _parsed(path: pathlib.Path, text: bytes) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise RunError(f"{path} has a key twice; the file was altered")
        return dict(pairs)

    try:
        return json.loads(text.decode(), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise RunError(
            f"{path} is damaged (not JSON: {error}); restore it or train again"
        ) from error


def read_tensors(path: pathlib.Path) -> dict[str, Tensor]:
    """Raises RunError for a missing, cut-off or malformed file, and for one of two tensors of the
    same name, of which safetensors itself would keep the last.
    """
    content = _content(path)
    size = int.from_bytes(content[:8], "little")
    try:
        if size > HEADER:
            raise ValueError(f"it claims a header of {size} bytes; at most {HEADER} are read")
        tensors = load(content)
        if tensors.keys() != _parsed(path, content[8 : 8 + size]).keys() - {"__metadata__"}:
            raise ValueError("its header and its tensors disagree")
        return tensors
    except (SafetensorError, ValueError, KeyError) as error:
        pickled = content[:4] == b"PK\x03\x04" or content[:2] in PICKLES
        said = "it is a pickle, which could run any code and is never opened" if pickled else error
        raise RunError(f"{path} is damaged ({said}); restore it or train again") from error


def _content(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(
            f"{path} can't be read ({error.strerror}); the run folder is not whole"
        ) from error


def digest(path: pathlib.Path) -> dict[str, Any]:
    """Size and SHA-256 of one file."""
    content = _content(path)
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def write_manifest(folder: pathlib.Path, names: list[str]) -> None:
    write_json(folder / MANIFEST, {"files": {name: digest(folder / name) for name in names}})


def listed(folder: pathlib.Path) -> list[str]:
    """The files that a folder's manifest names; none where there is no manifest."""
    path = folder / MANIFEST
    content = read_json(path) if path.exists() else {}
    found = content.get("files") if isinstance(content, dict) else None
    return list(found) if isinstance(found, dict) else []


def check_manifest(folder: pathlib.Path, only: Collection[str] | None = None) -> list[str]:
    """Compare every listed file, or those of them in `only`, with its size and SHA-256. Raises
    RunError naming the first that differs.
    """
    manifest = read_json(folder / MANIFEST)
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or not files:
        raise RunError(f"{folder / MANIFEST} lists no files; the file was altered")
    for name, wanted in files.items():
        if pathlib.PurePath(name).name != name or name in ("", ".."):
            raise RunError(
                f"{folder / MANIFEST} names {name!r}, outside the folder; it was altered"
            )
        if only is not None and name not in only:
            continue
        found = digest(folder / name)
        if not isinstance(wanted, dict) or found["bytes"] != wanted.get("bytes"):
            raise RunError(
                f"{folder / name} has {found['bytes']} bytes where the manifest says "
                f"{wanted.get('bytes') if isinstance(wanted, dict) else wanted}: it is truncated "
                "or altered"
            )
        if found["sha256"] != wanted.get("sha256"):
            raise RunError(f"{folder / name} was altered: its SHA-256 is not the manifest's")
    return list(files)


def fill_module(module: torch.nn.Module, tensors: dict[str, Tensor], source: pathlib.Path) -> None:
    """Load weights that must fit exactly, as `check_fit` says."""
    check_fit(module, tensors, source)
    module.load_state_dict(tensors)


def check_fit(module: torch.nn.Module, tensors: dict[str, Tensor], source: pathlib.Path) -> None:
    """Raises RunError listing which weights are missing, extra or misshapen."""
    own = module.state_dict()
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    wrong = [
        f"{name}: {tuple(tensors[name].shape)} {tensors[name].dtype}, expected "
        f"{tuple(value.shape)} {value.dtype}"
        for name, value in own.items()
        if name in tensors
        and (tensors[name].shape, tensors[name].dtype) != (value.shape, value.dtype)
    ]
    if missing or extra or wrong:
        raise RunError(
            f"{source} does not fit the configuration: missing {missing[:5]}, unexpected "
            f"{extra[:5]}, misshapen {wrong[:5]}; it belongs to another model"
        )
