"""Many samples in several goes: shard i of n in a folder of its own, there whole or not at all.

A shard holds the rows that one process would have drawn in that place, byte for byte, because
batches are the same in both; a shard that is done is not drawn again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from unfog.errors import ArgumentError, DataError, ResourceError, RunError, UnfogError
from unfog.failpoints import at
from unfog.model import files
from unfog.tasks.generate import generate, shard_rows
from unfog.tasks.lock import Taken, only

if TYPE_CHECKING:
    from unfog.tasks.trained import Trained

REQUEST, FACTS = "request.json", "shard.json"
FILES = (".npy", ".npz", ".csv", ".tsv", ".parquet", ".zip")


class Busy(UnfogError):
    """Another worker draws this shard right now."""

    exit_code = 75


@dataclass(frozen=True)
class Shard:
    """A shard on disk: its folder, which samples it holds, and whether it was there already."""

    folder: pathlib.Path
    first: int
    count: int
    sha256: str
    found: bool


def draw_shard(
    model: Trained,
    out: str | pathlib.Path,
    count: int,
    part: int,
    parts: int,
    *,
    given: dict[str, Any] | None = None,
    scale: float | None = None,
    autoguidance: float | None = None,
    interval: tuple[float, float] | None = None,
    steps: int | None = None,
    solver: str | None = None,
    grid: str | None = None,
    eta: float | None = None,
    corrector: str | None = None,
    reveal: str | None = None,
    tol: float | None = None,
    seed: int = 0,
    batch: int | None = None,
    constraints: list[str] | None = None,
    show: bool | None = None,
) -> Shard:
    """Draw shard `part`, 0 … `parts` - 1, of `count` samples into a folder inside `out`.

    The same bytes as without shards, on the same device, threads and batch size. All shards of
    `out` have to be asked for alike.

    Raises: ArgumentError for another request than that of `out`; Busy while another worker is at
    this shard; RunError for a finished shard that was altered.
    """
    home = pathlib.Path(out)
    if home.suffix.lower() in FILES or (home.exists() and not home.is_dir()):
        raise ArgumentError(f"{home}: shards are folders inside a folder; name a folder")
    rows = shard_rows(model, count, batch, part, parts)
    how: dict[str, Any] = {
        "given": given,
        "scale": scale,
        "steps": steps,
        "solver": solver,
        "grid": grid,
        "eta": eta,
        "corrector": corrector,
        **{
            name: value
            for name, value in (
                ("autoguidance", autoguidance),
                ("interval", interval),
                ("reveal", reveal),
                ("tol", tol),
                ("constraints", constraints),
            )
            if value is not None
        },
        "seed": seed,
        "batch": batch,
    }
    weights = files.digest(model.folder / "model.safetensors")["sha256"]
    _agree(home, {"model": weights, "count": count, "shards": parts, **_plain(how)})
    folder = home / f"shard-{part:05d}-of-{parts:05d}"
    with _only(home / f".{folder.name}.lock", folder.name):
        if folder.exists():
            return _found(folder)
        for left in home.glob(f".{folder.name}-draft-*"):  # of a worker that was killed
            shutil.rmtree(left, ignore_errors=True)
        samples = generate(model, count, **how, rows=rows, show=show)
        draft = home / f".{folder.name}-draft-{_worker()}"
        try:
            _write(samples, draft, rows)
            facts: dict[str, Any] = {"first": rows.start, "count": len(rows), "seed": seed}
            facts |= {"given": _plain(how)["given"], "device": str(model.device)}
            facts |= {"threads": torch.get_num_threads(), "torch": torch.__version__}
            _commit(draft, folder, facts)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    shard = _found(folder)
    return Shard(shard.folder, shard.first, shard.count, shard.sha256, found=False)


def parse_part(text: str) -> tuple[int, int]:
    """The i and n of "i/n", i counted from 0."""
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if not match:
        raise ArgumentError(f"--shard takes i/n, for example 0/4; got {text!r}")
    return int(match[1]), int(match[2])


def _worker() -> str:
    """A name that no other living process has."""
    return f"{os.getpid()}-{re.sub('[^0-9A-Za-z]', '-', socket.gethostname())}"


def _plain(how: dict[str, Any]) -> dict[str, Any]:
    """A request as JSON; long lists of conditions by their SHA-256."""
    plain = json.loads(json.dumps(how, default=str))
    for name, value in (plain["given"] or {}).items():
        text = json.dumps(value)
        if len(text) > 1000:
            plain["given"][name] = f"sha256 {hashlib.sha256(text.encode()).hexdigest()}"
    return plain


def _agree(home: pathlib.Path, request: dict[str, Any]) -> None:
    """Leave the request in `out`, or raise ArgumentError where another one is there."""
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"{home}: can't be made ({error.strerror}); name another") from error
    path = home / REQUEST
    if not path.exists():
        if any(not entry.name.startswith(".") for entry in home.iterdir()) and not path.exists():
            raise ArgumentError(f"{home} holds other files; name an empty or new folder")
        mine = home / f".request-{_worker()}"
        files.write_json(mine, request)
        with contextlib.suppress(FileExistsError):  # another worker was first: what it says counts
            os.link(mine, path)
        mine.unlink()
    there = files.read_json(path)
    for name, wanted in request.items():
        if there.get(name) != wanted:
            raise ArgumentError(
                f"{home} was begun with {name} = {there.get(name)}, not {wanted}; ask for the "
                "same, or name another folder"
            )


@contextlib.contextmanager
def _only(path: pathlib.Path, name: str) -> Iterator[None]:
    """Be the only worker at a shard of this folder. The lock dies with its holder."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(only(path))
        except Taken as error:
            raise Busy(
                f"{name} is being drawn by {error}; leave it to that one, or try again when it has "
                "ended"
            ) from error
        yield


def _write(samples: Any, draft: pathlib.Path, rows: range) -> None:
    """Samples in the kind's own files; images are named by their number among all samples."""
    if samples.kind != "image":
        samples.save(draft)
        return
    try:
        samples.save(draft, names=[f"{i:09d}.png" for i in rows])
    except DataError:  # pixels that no picture file can hold
        draft.mkdir(exist_ok=True)
        samples.save(draft / "samples.npz")


def _commit(draft: pathlib.Path, folder: pathlib.Path, facts: dict[str, Any]) -> None:
    """Make everything durable, then give the draft its name in one move."""
    written = [p for p in sorted(draft.rglob("*")) if p.is_file()]
    try:
        for path in written:
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        listed = {p.relative_to(draft).as_posix(): files.digest(p) for p in written}
        content = {**facts, "files": listed, "sha256": _sum(listed)}
        files.write_json(draft / FACTS, content)
        for path in [p for p in draft.rglob("*") if p.is_dir()] + [draft]:
            files.sync_folder(path)
        at("shard.after_tmp")
        with contextlib.suppress(FileExistsError):  # another worker won; its bytes are the same
            draft.rename(folder)
    except OSError as error:
        if folder.exists():
            return
        raise ResourceError(
            f"could not write {folder} ({error.strerror}); nothing was left behind: ask again when "
            "there is room"
        ) from error
    files.sync_folder(folder.parent)
    at("shard.after_rename")


def _found(folder: pathlib.Path) -> Shard:
    """A finished shard, checked against its own list. Raises RunError if it was altered."""
    facts = files.read_json(folder / FACTS)
    try:
        listed, wanted = facts["files"], facts["sha256"]
        shard = Shard(folder, facts["first"], facts["count"], wanted, found=True)
        there = {name: files.digest(folder / name) for name in listed}
    except (KeyError, TypeError) as error:
        raise RunError(f"{folder / FACTS} was altered; remove {folder} and ask again") from error
    if there != listed or _sum(there) != wanted:
        raise RunError(f"{folder} was altered; remove it and ask again")
    return shard


def _sum(listed: dict[str, Any]) -> str:
    """One SHA-256 for all files of a shard: of their names and their own."""
    text = "".join(f"{name} {entry['sha256']}\n" for name, entry in sorted(listed.items()))
    return hashlib.sha256(text.encode()).hexdigest()
