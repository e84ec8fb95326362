"""Shards: the bytes of one go, whole or not there, one winner, nothing drawn twice."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from unfog.errors import ArgumentError, RunError
from unfog.tasks import shards
from unfog.tasks.fit import fit
from unfog.tasks.generate import shard_rows
from unfog.tasks.shards import Busy, draw_shard, parse_part


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    x = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    out = tmp_path_factory.mktemp("runs") / "run"
    return fit(x, out=out, steps=20, batch=32, settings={"net.width": 32}, quiet=True)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    x = np.random.default_rng(0).integers(0, 256, (120, 8, 8, 3)).astype(np.uint8)
    out = tmp_path_factory.mktemp("runs") / "images"
    labels = {"images": x, "labels": np.arange(120) % 2}
    path = out.parent / "x.npz"
    np.savez(path, **labels)
    settings = {"net": "mlp", "net.width": 32}
    return fit(path, out=out, given="labels", steps=10, batch=32, settings=settings, quiet=True)


def joined(out):
    return b"".join(np.load(p).tobytes() for p in sorted(out.glob("shard-*/samples.npy")))


@pytest.mark.parametrize(
    ("count", "parts", "batch"), [(100, 4, 8), (100, 3, None), (7, 7, 3), (1030, 2, None)]
)
def test_shards_together_are_the_samples_of_one_go(model, tmp_path, count, parts, batch):
    whole = model.sample(count, seed=3, steps=4, batch=batch).raw
    for part in reversed(range(parts)):
        shard = draw_shard(model, tmp_path, count, part, parts, seed=3, steps=4, batch=batch)
        assert shard.count == len(np.load(shard.folder / "samples.npy"))
    assert joined(tmp_path) == whole.tobytes()


def test_shards_end_with_batches_where_there_are_enough(model):
    ends = [shard_rows(model, 1000, 64, part, 4) for part in range(4)]
    assert [i for rows in ends for i in rows] == list(range(1000))
    assert all(rows.start % 64 == 0 for rows in ends)


def test_pictures_carry_their_number_among_all_and_have_the_same_bytes(pictures, tmp_path):
    given = {"labels": [0, 1] * 5}
    whole = pictures.sample(10, seed=1, steps=3, given=given)
    whole.save(tmp_path / "whole")
    for part in range(2):
        draw_shard(pictures, tmp_path / "parts", 10, part, 2, seed=1, steps=3, given=given)

    def bytes_by_number(folder):
        return {int(p.stem): (p.parent.name, p.read_bytes()) for p in folder.rglob("*.png")}

    assert len(bytes_by_number(tmp_path / "whole")) == 10
    assert bytes_by_number(tmp_path / "whole") == bytes_by_number(tmp_path / "parts")
    facts = json.loads((tmp_path / "parts/shard-00001-of-00002/shard.json").read_text())
    assert (facts["first"], facts["count"], facts["seed"]) == (5, 5, 1)


def test_a_finished_shard_is_skipped_and_an_altered_one_is_refused(model, tmp_path, monkeypatch):
    first = draw_shard(model, tmp_path, 10, 0, 2, steps=2)
    monkeypatch.setattr(shards, "generate", None)  # drawing again would fail
    again = draw_shard(model, tmp_path, 10, 0, 2, steps=2)
    assert again.found
    assert not first.found
    assert again.sha256 == first.sha256
    path = first.folder / "samples.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="was altered; remove it and ask again"):
        draw_shard(model, tmp_path, 10, 0, 2, steps=2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 2}, "seed = 0, not 2"),
        ({"steps": 3}, "steps = 2, not 3"),
        ({"count": 11}, "count"),
        ({"corrector": "langevin"}, "corrector = None, not langevin"),
    ],
)
def test_another_request_in_the_same_folder_is_refused(model, tmp_path, change, said):
    draw_shard(model, tmp_path, 10, 0, 2, steps=2)
    asked = {"count": 10, "part": 1, "parts": 2, "steps": 2, **change}
    with pytest.raises(ArgumentError, match=said):
        draw_shard(model, tmp_path, **asked)
    assert len(list(tmp_path.iterdir())) == 2


def test_wrong_shards_and_places_are_refused(model, tmp_path):
    assert parse_part("0/4") == (0, 4)
    for text in ("1", "a/b", "1/2/3", "-1/2"):
        with pytest.raises(ArgumentError, match="takes i/n"):
            parse_part(text)
    for part, parts in ((4, 4), (0, 0), (0, 11)):
        with pytest.raises(ArgumentError, match="10 samples have shards"):
            draw_shard(model, tmp_path, 10, part, parts)
    with pytest.raises(ArgumentError, match="name a folder"):
        draw_shard(model, tmp_path / "x.npy", 10, 0, 2)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="holds other files"):
        draw_shard(model, tmp_path, 10, 0, 2)


def test_two_workers_at_one_shard_have_one_winner(model, tmp_path, monkeypatch):
    name = "shard-00000-of-00002"
    draw_shard(model, tmp_path, 10, 1, 2, steps=2)
    with shards._only(tmp_path / f".{name}.lock", name):
        with pytest.raises(Busy, match=f"is being drawn by process {os.getpid()} on "):
            draw_shard(model, tmp_path, 10, 0, 2, steps=2)
        # where a file system has no locks, both draw, and the last rename decides
        monkeypatch.setattr(shards, "_only", lambda *_: shards.contextlib.nullcontext())
        draw = shards.generate

        def slower(*args, **choices):
            monkeypatch.setattr(shards, "generate", draw)
            other = draw_shard(model, tmp_path, 10, 0, 2, steps=2)
            assert not other.found
            return draw(*args, **choices)

        monkeypatch.setattr(shards, "generate", slower)
        draw_shard(model, tmp_path, 10, 0, 2, steps=2)
    assert joined(tmp_path) == model.sample(10, steps=2).raw.tobytes()
    assert not list(tmp_path.glob(".*draft*"))


def test_shards_on_the_command_line(model, tmp_path, capsys):
    from unfog.cli import run

    asked = ["sample", str(model.folder), "-n", "9", "-o", str(tmp_path), "--steps", "2"]
    for part in range(2):
        assert run([*asked, "--shard", f"{part}/2", "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert (facts["first"], facts["count"]) == [(0, 4), (4, 5)][part]
    assert run([*asked, "--shard", "1/2"]) == 0
    assert "samples 4 to 8 are in" in capsys.readouterr().err
    assert joined(tmp_path) == model.sample(9, steps=2).raw.tobytes()
    assert run([*asked, "--shard", "0/3"]) == 2
    assert "was begun with shards = 2, not 3" in capsys.readouterr().err
    assert run([*asked, "--shard", "0/2", "--overwrite"]) == 2
    assert "never replaced" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_worker_leaves_no_shard_and_the_next_one_makes_the_same_bytes(model, tmp_path):
    out = tmp_path / "out"

    def command(part):
        return [
            sys.executable, "-m", "unfog", "sample", str(model.folder), "-n", "600", "-o", str(out),
            "--shard", f"{part}/2", "--batch", "100", "--steps", "100", "--device", "cpu",
        ]  # fmt: skip

    subprocess.run(command(0), check=True, capture_output=True)
    killed = subprocess.Popen(command(1), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(out.glob(".shard-00001*.lock")) and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    (out / ".shard-00001-of-00002-draft-1-gone").mkdir()  # as a kill while writing leaves it
    assert not (out / "shard-00001-of-00002").exists()
    subprocess.run(command(1), check=True, capture_output=True)
    assert sorted(p.name for p in out.iterdir()) == [
        "request.json", "shard-00000-of-00002", "shard-00001-of-00002",
    ]  # fmt: skip
    whole = model.sample(600, batch=100, steps=100).raw.tobytes()
    assert hashlib.sha256(joined(out)).digest() == hashlib.sha256(whole).digest()
