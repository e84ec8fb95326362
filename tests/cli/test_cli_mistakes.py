"""Every mistake on the command line: its exit code, one sentence that names it, and nothing lost."""

import io
import json
import os
import pathlib
import pickle
import shutil
import struct

import numpy as np
import pytest

from unfog.cli import run

TINY = ["--set", "net=mlp", "--set", "net.width=16", "--set", "net.depth=1", "--batch", "8"]


@pytest.fixture
def say(capsys):
    """Run a command line in this process; returns (exit code, standard output, standard error)."""

    def typed(*arguments):
        capsys.readouterr()
        code = run([str(a) for a in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return typed


def one_sentence(said, code, *parts):
    """A refusal: this exit code, one line on standard error that names `parts`, nothing else."""
    got, out, err = said
    assert got == code, err
    assert out == ""
    assert err.startswith("unfog: "), err
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    for part in parts:
        assert str(part) in err, err


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "x.npy"
    np.save(path, np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def good(vectors, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "good"
    assert run(["fit", str(vectors), "-o", str(folder), "--steps", "3", *TINY]) == 0
    return folder


# --- wrong arguments: 2


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["fitt", "x"], ["fitt", 'Did you mean "fit"']),
        (["fit", "SOURCE", "-o", "OUT", "--kindd", "image"], ["--kindd", "--kind"]),
        (["fit", "SOURCE", "-o", "OUT", "--steps", "many"], ["--steps", "many"]),
        (["fit", "-o", "OUT"], ["needs a source"]),
        (["fit", "SOURCE", "-o", "OUT", "--recipe", "dppm"], ["'dppm'", "did you mean 'ddpm'"]),
        (["fit", "SOURCE", "-o", "OUT", "--set", "net=mpl"], ["net 'mpl'", "did you mean 'mlp'"]),
        (["fit", "SOURCE", "-o", "OUT", "--set", "train.lrr=1"], ["did you mean 'train.lr'"]),
        (["fit", "SOURCE", "-o", "OUT", "--set", "train.clip=-1"], ["train.clip", "got -1"]),
        (["fit", "SOURCE", "-o", "OUT", "--set", "solver=heunn"], ["did you mean 'heun'"]),
        (["fit", "SOURCE", "-o", "OUT", "--set", "grid=angel"], ["did you mean 'angle'"]),
        (["fit", "SOURCE", "-o", "OUT", "--set", "schedule=cosin"], ["did you mean 'cosine'"]),
        (["fit", "SOURCE", "-o", "OUT", "--set", "times=unifrom"], ["did you mean 'uniform'"]),
        (["fit", "SOURCE", "-o", "OUT", "--set", "path=liner"], ["did you mean 'linear'"]),
        (["fit", "SOURCE", "-o", "OUT", "--set", "solver.speed=3"], ["'speed'", "unipc"]),
        (["fit", "SOURCE", "-o", "OUT", "--set", "nonsense"], ["key=value"]),
        (["fit", "SOURCE", "-o", "OUT", "--steps", "0"], ["steps", "got 0"]),
        (["fit", "SOURCE", "-o", "OUT", "--batch", "0"], ["train.batch", "got 0"]),
        (["fit", "SOURCE", "-o", "OUT", "--lr", "0"], ["train.lr", "got 0"]),
        (["fit", "SOURCE", "-o", "OUT", "--precision", "half"], ["'half'", "bfloat16"]),
        (["fit", "SOURCE", "-o", "OUT", "--resume"], ["no run to resume"]),
        (["fit", "SOURCE", "-o", "OUT", "--resume", "--overwrite"], ["exclude each other"]),
        (["fit", "SOURCE", "-o", "SOURCE"], ["is a file"]),
        (["sample", "GOOD", "-o", "OUT", "--grid", "angel"], ["did you mean 'angle'"]),
        (["sample", "GOOD", "-o", "OUT", "--steps", "0"], ["steps", "got 0"]),
        (["sample", "GOOD", "-o", "OUT", "--eta", "2"], ["eta", "got 2"]),
        (["sample", "GOOD", "-o", "SOURCE"], ["x.npy"]),
    ],
)
def test_a_wrong_argument_is_named_with_its_mend(say, vectors, good, tmp_path, arguments, parts):
    places = {"SOURCE": vectors, "OUT": tmp_path / "out", "GOOD": good}
    before = vectors.read_bytes()
    one_sentence(say(*(places.get(a, a) for a in arguments)), 2, *parts)
    assert not (tmp_path / "out" / "config.json").exists()
    assert vectors.read_bytes() == before


@pytest.mark.parametrize(
    "wrong",
    [["--steps", 0], ["--kind", "imag"], ["--set", "net.widht=3"], ["--set", "solver=heunn"]],
)
def test_a_wrong_argument_never_costs_the_run_it_would_replace(say, vectors, good, tmp_path, wrong):
    folder = shutil.copytree(good, tmp_path / "run")
    code, _, _ = say("fit", vectors, "-o", folder, "--overwrite", *TINY, *wrong)
    assert code == 2
    assert say("sample", folder, "-n", 1, "-o", tmp_path / "s.npy", "--steps", 1)[0] == 0


def test_no_room_never_costs_the_run_it_would_replace(say, vectors, good, tmp_path, monkeypatch):
    folder = shutil.copytree(good, tmp_path / "run")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    code, _, err = say("fit", vectors, "-o", folder, "--overwrite", "--steps", 2, *TINY)
    assert code == 5
    assert "MB free" in err.splitlines()[-1]
    assert say("sample", folder, "-n", 1, "-o", tmp_path / "s.npy", "--steps", 1)[0] == 0


# --- bad data: 3


class Canary:
    def __reduce__(self):
        return os.mkdir, ("hacked",)


def header(text):
    text = text.ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def whole_npy():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((50, 3)))
    return buffer.getvalue()


BYTES = {
    "a bare pickle": pickle.dumps(Canary()),
    "a header that runs code": header(b"__import__('os').mkdir('hacked')") + bytes(64),
    "a negative shape": header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 3), }"),
    "cut": whole_npy()[:-100],
    "cut in the header": whole_npy()[:40],
    "empty": b"",
}
ARRAYS = {
    "0 items": np.zeros((0, 3)),
    "same": np.ones((20, 3)),
    "values": np.array(["a", "b"]),
    "complex": np.ones((20, 3), complex),
    "shape": np.zeros(20),
    "infinite": np.full((20, 3), np.inf),
}


@pytest.mark.parametrize("fault", [*BYTES, *ARRAYS])
def test_a_bad_npy_is_one_sentence_and_no_run(say, tmp_path, monkeypatch, fault):
    monkeypatch.chdir(tmp_path)
    source, out = tmp_path / "bad.npy", tmp_path / "run"
    if fault in BYTES:
        source.write_bytes(BYTES[fault])
    else:
        np.save(source, ARRAYS[fault])
    word = fault if fault in ARRAYS else "bad.npy"
    one_sentence(say("fit", source, "-o", out, "--steps", 2), 3, word)
    assert not out.exists() or not any(out.iterdir())
    one_sentence(say("inspect", source), 3, word)
    assert not (tmp_path / "hacked").exists()


# --- bad run folders: 4


@pytest.mark.parametrize(
    "fault", ["missing", "foreign", "pickled", "truncated", "altered", "newer", "unfinished", "key"]
)
def test_a_bad_run_folder_is_named(say, good, tmp_path, monkeypatch, fault):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    if fault in ("foreign", "pickled"):
        folder.mkdir()
        if fault == "pickled":
            (folder / "model.pt").write_bytes(pickle.dumps(Canary()))
    elif fault != "missing":
        shutil.copytree(good, folder)
    weights, config = folder / "model.safetensors", folder / "config.json"
    if fault == "truncated":
        weights.write_bytes(weights.read_bytes()[:-7])
    elif fault == "altered":
        weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    elif fault == "newer":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"format": 999}))
    elif fault == "unfinished":
        (folder / "manifest.json").unlink()
    elif fault == "key":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"load": "os.system"}))
    word = {
        "missing": "not a folder",
        "foreign": "not a run folder",
        "pickled": "never loaded",
        "newer": "update unfog",
        "unfinished": "not finished",
        "key": "load",
    }.get(fault, "model.safetensors")
    one_sentence(say("sample", folder, "-o", tmp_path / "s.npy"), 4, word)
    one_sentence(say("evaluate", folder), 4, word)
    assert not (tmp_path / "s.npy").exists()
    assert not (tmp_path / "hacked").exists()


# --- resources: 5; Ctrl-C: 130


def test_a_disk_that_fills_up_midway_is_resumable(say, vectors, tmp_path, monkeypatch):
    """The net's weights no longer fit; what was written stays, and with room the run goes on."""
    real = pathlib.Path.open

    class Full(io.BytesIO):
        def write(self, content):
            raise OSError(28, "No space left on device")

    def opened(path, mode="r", *more, **options):
        if mode == "wb" and "model.safetensors" in path.name:
            return Full()
        return real(path, mode, *more, **options)

    out = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(pathlib.Path, "open", opened)
        code, _, err = say("fit", vectors, "-o", out, "--steps", 3, *TINY)
    assert code == 5
    assert "No space left on device" in err.splitlines()[-1]
    assert "Traceback" not in err
    json.loads((out / "config.json").read_text())
    assert not [p for p in out.rglob("*") if p.name.startswith(".")]
    one_sentence(say("sample", out, "-o", tmp_path / "s.npy"), 4, "--resume")
    code, _, err = say("fit", "-o", out, "--resume")
    assert code == 0, err
    assert say("sample", out, "-n", 2, "-o", tmp_path / "s.npy")[0] == 0


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (KeyboardInterrupt(), 130, "stopped"),
        (MemoryError(), 5, "--batch"),
        (OSError(28, "No space left on device", "/x"), 5, "/x"),
        (OSError(122, "Disk quota exceeded", "/x"), 5, "/x"),
        (PermissionError(13, "Permission denied", "/x"), 2, "/x"),
    ],
)
def test_what_comes_from_outside_has_its_exit_code(say, monkeypatch, tmp_path, error, code, word):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr("unfog.tasks.inspect.inspect", broken)
    one_sentence(say("inspect", tmp_path), code, word)
