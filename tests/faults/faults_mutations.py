"""Seeded alterations of JSON files, run folders signed again after them, and what both must cost."""

from __future__ import annotations

import copy
import json
import pathlib
import random
import resource
import shutil
from typing import Any

import pytest

import unfog
from unfog.errors import RunError
from unfog.model import files

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
FILES = ("config.json", "config.json", "codec.json", "codec.json", "splits.json")
NAMES = ("exec", "__class__", "name", "type", "size", "shape", "path")
VALUES: list[Any] = [
    None, True, -1, 0, 1, 3, 10**9, 10**12, 10**30, 1.5, 1e308, float("nan"), float("inf"),
    "", "a", "\x00", "NaN", "os.system", "builtins.eval", "../../etc/passwd", "__import__('os')",
    [], {}, [10**9], [-1], [1, 1, 1, 1], ["a"], [None], [[1]],
    {"name": "x"}, {"name": None}, {"name": "mlp", "shape": [10**9]},
    {"type": "class", "size": 10**9}, {"type": "number", "size": 10**9},
]  # fmt: skip


def golden(kind: str, place: pathlib.Path, version: str = "format-1") -> pathlib.Path:
    """A copy of a golden run that a test may damage."""
    return pathlib.Path(shutil.copytree(GOLDEN / version / kind, place / kind))


def sign(run: pathlib.Path) -> None:
    """Write the manifest anew, as a careful attacker would."""
    names = json.loads((GOLDEN / "format-1" / "array" / "manifest.json").read_text())["files"]
    signed = {"files": {name: files.digest(run / name) for name in names}}
    (run / "manifest.json").write_text(json.dumps(signed))


def spots(content: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every entry of nested dicts and lists."""
    entries: Any = ()
    if isinstance(content, dict):
        entries = content.items()
    elif isinstance(content, list):
        entries = enumerate(content)
    return [s for k, v in entries for s in ((*way, k), *spots(v, (*way, k)))]


def put(content: Any, way: tuple[Any, ...], value: Any) -> None:
    """Set one nested entry."""
    for part in way[:-1]:
        content = content[part]
    content[way[-1]] = value


def mutation(number: int, texts: dict[str, str]) -> tuple[str, str, str]:
    """The file that mutation `number` alters, its new text, and what was done."""
    rng = random.Random(number)
    name = rng.choice(FILES)
    content = json.loads(texts[name])
    way = rng.choice(spots(content))
    home = content
    for part in way[:-1]:
        home = home[part]
    key, value = way[-1], copy.deepcopy(rng.choice(VALUES))
    what = rng.choice(["value", "value", "value", "drop", "add", "scale", "rename"])
    if what == "drop":
        del home[key]
    elif what == "add" and isinstance(home, dict):
        home[rng.choice(NAMES)] = value
    elif what == "scale" and type(home[key]) in (int, float):
        home[key] *= rng.choice([10, 1000, 10**6, -1])
    elif what == "rename" and isinstance(home, dict):
        home[f"{key}_"] = home.pop(key)
    else:
        home[key] = value
    return name, json.dumps(content), f"{what} {way} {value!r}"


def refused(run: pathlib.Path, match: str | None = None) -> str:
    with pytest.raises(RunError, match=match) as caught:
        unfog.load(run)
    said = str(caught.value).strip()
    assert "\n" not in said
    assert caught.value.exit_code == 4
    return said


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB
