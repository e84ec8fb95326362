"""Damaged, altered and forged run folders: exit 4 with the file's name, nothing run, no memory."""

from __future__ import annotations

import json
import pathlib
import shutil
import sys
import time

import numpy as np
import pytest
from faults_mutations import golden, mutation, peak, put, refused, sign

import unfog
from unfog.cli import run as cli
from unfog.errors import RunError, UnfogError
from unfog.model import files
from unfog.tasks.trained import Trained
from unfog.train import checkpoint

KINDS = ("array", "table", "image")
READ = ("config.json", "model.safetensors", "codec.json", "codec.safetensors", "splits.json")
SETTINGS = {"net": "mlp", "net.width": 16, "net.depth": 1}


def loaded(run: pathlib.Path) -> Trained | None:
    """The model, or None where it is refused, in one line."""
    try:
        return unfog.load(run)
    except RunError as error:
        said = str(error).strip()
    assert "\n" not in said
    return None


def damages(body: bytes) -> dict[str, bytes]:
    places = [0, 1, len(body) // 3, len(body) // 2, len(body) - 2, len(body) - 1]
    flipped = {
        f"bit at {at}": body[:at] + bytes([body[at] ^ 1 << at % 8]) + body[at + 1 :]
        for at in places
        if 0 <= at < len(body)
    }
    return flipped | {
        "empty": b"",
        "cut": body[: len(body) // 2],
        "cut by one": body[:-1],
        "a byte more": body + b"\0",
        "twice": body + body,
        "zeros": bytes(len(body)),
    }


# Row 5: bits, cuts and additions, in every file of every kind.


@pytest.mark.parametrize("kind", KINDS)
def test_every_damage_of_every_file_names_the_file(tmp_path: pathlib.Path, kind: str) -> None:
    run = golden(kind, tmp_path)
    for name in READ:
        body = (run / name).read_bytes()
        for what, damaged in damages(body).items():
            (run / name).write_bytes(damaged)
            assert name in refused(run), what
        (run / name).unlink()
        assert name in refused(run) or name == "config.json"
        (run / name).write_bytes(body)
    for damaged in damages((run / "manifest.json").read_bytes()).values():
        (run / "manifest.json").write_bytes(damaged)
        if loaded(run) is not None:  # a space more or less says the same
            assert json.loads(damaged)["files"].keys() == set(READ)


def test_the_command_line_ends_with_4(tmp_path: pathlib.Path, capsys) -> None:
    run = golden("table", tmp_path)
    weights = run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-7])
    for verb in (["sample", str(run), "-n", "2", "-o", str(tmp_path / "o.csv")],
                 ["fill", str(run), str(run / "samples.csv"), "-o", str(tmp_path / "o.csv")],
                 ["score", str(run), str(run / "samples.csv"), "-o", str(tmp_path / "o.csv")],
                 ["evaluate", str(run)], ["report", str(run)]):  # fmt: skip
        assert cli(verb) == 4
        said = capsys.readouterr().err
        assert "model.safetensors" in said
        assert "Traceback" not in said
    assert not (tmp_path / "o.csv").exists()


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, np.ndarray]:
    """A run whose last two checkpoints are kept, finished at step 6."""
    home = tmp_path_factory.mktemp("begun")
    x = np.random.default_rng(0).normal(size=(40, 3))
    np.save(home / "x.npy", x)
    settings = SETTINGS | {"train.checkpoint_seconds": 1e-6}
    unfog.fit(home / "x.npy", out=home / "run", steps=6, batch=8, settings=settings, quiet=True)
    assert len(checkpoint.found(home / "run")) == 2
    return home / "run", x


@pytest.mark.parametrize("damage", ["cut", "a byte more", "zeros", "gone"])
@pytest.mark.parametrize(
    "name",
    ["model.safetensors", "ema.safetensors", "optimiser.safetensors", "state.json", files.MANIFEST],
)
def test_resume_falls_back_to_the_checkpoint_before(
    begun, tmp_path: pathlib.Path, capsys, name: str, damage: str
) -> None:
    straight = (begun[0] / "model.safetensors").read_bytes()
    run = pathlib.Path(shutil.copytree(begun[0], tmp_path / "run"))
    last = checkpoint.found(run)[-1]
    path = last.folder / name
    body = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(damages(body)[damage])
    if (name, damage) == (files.MANIFEST, "a byte more"):
        path.write_bytes(body + b"}")
    unfog.fit(out=run, source=None, resume=True)
    said = capsys.readouterr().err
    assert "going back to the checkpoint before" in " ".join(said.split())
    assert (run / "model.safetensors").read_bytes() == straight  # the straight run's, bit for bit
    assert unfog.load(run).config.train.steps == 6


@pytest.mark.parametrize("name", ["codec.json", "codec.safetensors", "splits.json"])
def test_resume_does_not_sign_what_was_altered(begun, tmp_path: pathlib.Path, name: str) -> None:
    run = pathlib.Path(shutil.copytree(begun[0], tmp_path / "run"))
    body = bytearray((run / name).read_bytes())
    if name == "splits.json":
        body = bytearray(body.replace(b'"duplicates": 0', b'"duplicates": 1'))
    elif name == "codec.json":
        body += b"\n"
    else:
        body[-1] ^= 1  # the highest bits of a scale
    (run / name).write_bytes(body)
    with pytest.raises(RunError, match=name):
        unfog.fit(out=run, source=None, resume=True, quiet=True)
    refused(run, name)


# Row 7: files that somebody edited, signed or not.


@pytest.mark.parametrize("kind", KINDS)
def test_unsigned_edits_never_load(tmp_path: pathlib.Path, kind: str) -> None:
    run = golden(kind, tmp_path)
    texts = {n: (run / n).read_text() for n in ("config.json", "codec.json", "splits.json")}
    for number in range(200):
        name, text, what = mutation(number, texts)
        (run / name).write_text(text)
        assert refused(run), what
        (run / name).write_text(texts[name])


@pytest.mark.parametrize(("kind", "first"), [("array", 0), ("table", 1000), ("image", 2000)])
@pytest.mark.filterwarnings("ignore")
def test_signed_edits_load_or_are_refused(tmp_path: pathlib.Path, kind: str, first: int) -> None:
    """170 of 510: no other error, no foreign module, no memory, and no second spent on any."""
    run = golden(kind, tmp_path)
    texts = {n: (run / n).read_text() for n in ("config.json", "codec.json", "splits.json")}
    assert unfog.load(run).sample(2, steps=1).data is not None
    modules, memory, count = set(sys.modules), peak(), 0
    for number in range(first, first + 170):
        name, text, what = mutation(number, texts)
        (run / name).write_text(text)
        sign(run)
        begun = time.process_time()
        model = loaded(run)
        if model is not None:
            count += 1
            try:
                assert model.sample(2, steps=1).data is not None
            except UnfogError as error:
                pytest.fail(f"{what} loaded, and then could not draw: {error}")
        assert time.process_time() - begun < 2, what
        (run / name).write_text(texts[name])
    assert 10 < count < 160  # notes and the like may change; most else may not
    fresh = {m.partition(".")[0] for m in set(sys.modules) - modules}
    assert not fresh & {"antigravity", "subprocess", "webbrowser", "ftplib", "pdb", "x", "a"}
    assert peak() - memory < 100


HUGE = {
    "a wide net": [("config.json", ("net", "width"), 10**9)],
    "a wide net that could be": [("config.json", ("net", "width"), 40_000)],
    "a deep net": [("config.json", ("net", "depth"), 10**9)],
    "a long vector": [("config.json", ("net", "vector"), 10**9)],
    "large states": [
        ("config.json", ("shape",), [10**9]),
        ("config.json", ("net", "shape"), [10**9]),
        ("config.json", ("data", "item"), [10**9]),
        ("codec.json", ("codec", "shape"), [10**9]),
        ("codec.json", ("space", "data_shape"), [10**9]),
        ("codec.json", ("space", "shape"), [10**9]),
    ],
    "large items": [("codec.json", ("codec", "shape"), [10**9])],
    "an item of ten axes": [("codec.json", ("codec", "shape"), [100] * 10)],
    "another dtype to give back": [("config.json", ("data", "origin", "dtype"), "S1000000000")],
    "an attribute of torch": [("config.json", ("data", "origin", "tensor_dtype"), "load")],
    "a condition": [
        ("config.json", ("net", "given"), {"a": {"type": "tensor", "shape": [10**9]}}),
        ("codec.json", ("given",), {"a": {"type": "tensor", "shape": [10**9]}}),
    ],
}


@pytest.mark.parametrize("name", HUGE)
def test_forged_sizes_cost_no_memory(tmp_path: pathlib.Path, name: str) -> None:
    run = golden("array", tmp_path)
    for file, way, value in HUGE[name]:
        content = json.loads((run / file).read_text())
        if way[0] in content and (way[0] != "space" or way[1] in content["space"]):
            put(content, way, value)
        (run / file).write_text(json.dumps(content))
    sign(run)
    memory, begun = peak(), time.process_time()
    refused(run)
    assert peak() - memory < 30
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("image", [("config.json", ("net", "blocks"), 10**9)]),
        ("image", [("config.json", ("net", "mult"), [1] * 10**5)]),
        (
            "image",  # a net that convolves takes any grid, so its weights don't tell
            [
                ("config.json", ("shape",), [1, 10**5, 10**5]),
                ("config.json", ("net", "shape"), [1, 10**5, 10**5]),
                ("config.json", ("data", "item"), [10**5, 10**5, 1]),
                ("codec.json", ("codec", "shape"), [10**5, 10**5, 1]),
                ("codec.json", ("space", "data_shape"), [1, 10**5, 10**5]),
                ("codec.json", ("space", "shape"), [1, 10**5, 10**5]),
            ],
        ),
        ("table", [("config.json", ("fields", "cat", "sizes", 0), 10**9)]),
        (
            "table",
            [
                ("config.json", ("fields", "cat", "sizes", 0), 10**9),
                ("config.json", ("net", "fields", "cat", "sizes", 0), 10**9),
            ],
        ),
        ("table", [("config.json", ("net", "fields", "num", "size"), 10**9)]),
        ("table", [("config.json", ("net", "waves"), 10**9)]),
    ],
)
def test_forged_sizes_of_other_kinds(tmp_path: pathlib.Path, kind: str, changes: list) -> None:
    run = golden(kind, tmp_path)
    for file, way, value in changes:
        content = json.loads((run / file).read_text())
        put(content, way, value)
        (run / file).write_text(json.dumps(content))
    sign(run)
    memory, begun = peak(), time.process_time()
    refused(run)
    assert peak() - memory < 30
    assert time.process_time() - begun < 2
