"""The shell: help, exit codes, JSON, and one sentence for every bad input."""

import json
import os
import pathlib
import pickle
import re
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from unfog.cli import run as cli

VERBS = [
    "fit", "sample", "fill", "score", "evaluate", "report", "inspect", "demo", "augment", "recipes", "solvers"
]  # fmt: skip
TINY = ["--set", "net=mlp", "--set", "net.width=16", "--set", "net.depth=1", "--batch", "8"]


@pytest.fixture(scope="module")
def array(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "x.npy"
    np.save(path, np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32))
    return str(path)


@pytest.fixture(scope="module")
def trained(array, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    assert cli(["fit", array, "-o", str(out), "--steps", "4", *TINY]) == 0
    return str(out)


def fails(capsys, arguments, code, *words):
    """The command fails with this code and one sentence that has these words."""
    capsys.readouterr()
    assert cli(arguments) == code
    out, err = capsys.readouterr()
    last = err.strip().splitlines()[-1]
    assert out == ""
    assert "Traceback" not in err
    assert last.startswith("unfog: ")
    for word in words:
        assert word in last, last


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_a_worked_example(verb, capsys):
    assert cli([verb, "--help"]) == 0
    assert f"Example: unfog {verb}" in capsys.readouterr().out


def test_help_lists_the_verbs_and_version(capsys):
    assert cli(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(verb in out for verb in VERBS)
    assert cli(["--version"]) == 0
    assert capsys.readouterr().out.strip() == "0.1.0"


def test_the_main_job(array, trained, tmp_path, capsys):
    for arguments in (
        ["inspect", array],
        ["inspect", trained],
        ["sample", trained, "-n", "5", "-o", str(tmp_path / "s.npy"), "--steps", "3"],
        ["evaluate", trained, "--steps", "2", "-n", "40"],
        ["report", trained, "-o", str(tmp_path / "report.html")],
        ["solvers"],
    ):
        capsys.readouterr()
        assert cli([*arguments, "--json"]) == 0
        out = capsys.readouterr().out
        assert out.count("\n") == 1
        assert isinstance(json.loads(out), dict)
    assert np.load(tmp_path / "s.npy").shape == (5, 3)
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64") == 3  # samples, real items, nearest ones
    assert not re.search(r"(src|href)=.?https?:", page)


def test_json_is_alone_on_standard_output(array, tmp_path):
    command = [
        sys.executable,
        "-m",
        "unfog",
        "fit",
        array,
        "-o",
        str(tmp_path / "r"),
        "--steps",
        "2",
        *TINY,
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["config"]["train"]["steps"] == 2
    assert "plan:" in done.stderr


def test_wrong_words(array, trained, tmp_path, capsys):
    out = str(tmp_path / "o")
    fails(capsys, ["fitt"], 2, "fit")
    fails(capsys, ["fit", array], 2, "--out")
    fails(capsys, ["fit", array, "-o", out, "--recip", "flow"], 2, "--recipe")
    fails(
        capsys,
        ["fit", array, "-o", out, "--recipe", "flwo"],
        2,
        "unknown recipe 'flwo'",
        "did you mean 'flow'",
    )
    fails(
        capsys,
        ["fit", array, "-o", out, "--kind", "imag"],
        2,
        "unknown kind",
        "did you mean 'image'",
    )
    fails(capsys, ["fit", array, "-o", out, "--budget", "ten"], 2, "90s, 10m or 2h")
    fails(capsys, ["fit", array, "-o", out, "--steps", "3", "--budget", "1m"], 2, "not both")
    fails(capsys, ["fit", array, "-o", out, "--set", "net.widht=3"], 2, "did you mean 'width'")
    fails(capsys, ["fit", array, "-o", out, "--set", "sedd=3"], 2, "did you mean 'seed'")
    fails(capsys, ["fit", array, "-o", out, "--device", "tpu"], 2, "unknown device 'tpu'")
    fails(capsys, ["fit", array, "-o", out, "--given", "label"], 2, "no columns")
    fails(capsys, ["fit", array, "-o", trained], 2, "--resume", "--overwrite")
    fails(capsys, ["sample", trained, "-o", out, "--solver", "heunn"], 2, "did you mean 'heun'")
    fails(capsys, ["sample", trained, "-o", out, "--given", "label=1"], 2, "without given")
    fails(capsys, ["sample", trained, "-o", out, "-n", "0"], 2, "1 or more")
    fails(capsys, ["sample", str(tmp_path), "-o", out], 4, "not a run folder")
    assert not pathlib.Path(out).exists() or not os.listdir(out)


def chunk(kind, content):
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def corpus(root):
    """name -> (a bad source, words of its sentence)."""
    made = {}

    def folder(name):
        (root / name).mkdir()
        return root / name

    made["nowhere"] = (root / "nowhere", ["is not there"])
    made["empty"] = (folder("empty"), ["is empty", "put images"])
    one = folder("one")
    Image.new("L", (8, 8)).save(one / "a.png")
    made["one"] = (one, ["give at least two"])
    cut = folder("cut")
    for i in range(5):
        Image.fromarray(
            np.random.default_rng(i).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        ).save(cut / f"{i}.jpg")
    (cut / "2.jpg").write_bytes((cut / "2.jpg").read_bytes()[:200])
    made["cut"] = (cut, ["2.jpg"])
    bomb = folder("bomb")
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    content = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )
    for name in ("a.png", "b.png"):
        (bomb / name).write_bytes(content)
    made["bomb"] = (bomb, ["a.png"])

    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(root / "canary"),))

    np.save(root / "objects.npy", np.array([Evil(), Evil()], dtype=object), allow_pickle=True)
    made["objects"] = (root / "objects.npy", ["objects.npy"])
    with (root / "forged.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 3)}
        )
        file.write(b"\0" * 64)
    made["forged"] = (root / "forged.npy", ["forged.npy"])
    np.save(root / "nan.npy", np.full((20, 3), np.nan))
    made["nan"] = (root / "nan.npy", ["NaN"])
    np.save(root / "single.npy", np.zeros((1, 3)))
    made["single"] = (root / "single.npy", ["give at least two"])
    (root / "notes.xyz").write_text("hello")
    made["type"] = (root / "notes.xyz", ["allowed"])
    (root / "model.pkl").write_bytes(pickle.dumps([1]))
    made["pickle"] = (root / "model.pkl", ["can't be read"])
    return made


def test_bad_sources_get_one_sentence_and_leave_no_run(tmp_path, capsys):
    for name, (source, words) in corpus(tmp_path).items():
        out = tmp_path / "runs" / name
        fails(capsys, ["fit", str(source), "-o", str(out), "--steps", "1"], 3, *words)
        assert not out.exists() or not any(out.iterdir()), name
    assert not (tmp_path / "canary").exists()


def test_one_bad_file_among_many_is_skipped_and_counted_unless_strict(tmp_path, capsys):
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(120):
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (8, 8), dtype=np.uint8)).save(
            folder / f"{i:03}.png"
        )
    (folder / "007.png").write_bytes(b"not a picture")
    assert cli(["fit", str(folder), "-o", str(tmp_path / "run"), "--steps", "1", *TINY]) == 0
    assert "007.png" in capsys.readouterr().err
    fails(
        capsys,
        ["fit", str(folder), "-o", str(tmp_path / "strict"), "--steps", "1", "--strict"],
        3,
        "007.png",
    )


def test_an_altered_run_ends_with_4(trained, tmp_path, capsys):
    import shutil

    run = pathlib.Path(shutil.copytree(trained, tmp_path / "run"))
    with (run / "model.safetensors").open("ab") as file:
        file.write(b"x")
    fails(capsys, ["sample", str(run), "-o", str(tmp_path / "s.npy")], 4, "model.safetensors")
    fails(capsys, ["inspect", str(run)], 4, "model.safetensors")


def test_no_disk_space_ends_with_5(array, tmp_path, capsys, monkeypatch):
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    fails(capsys, ["fit", array, "-o", str(tmp_path / "run"), "--steps", "1", *TINY], 5, "MB free")


def test_a_bug_shows_its_traceback_and_ends_with_1(array, tmp_path, capsys, monkeypatch):
    import unfog.tasks.inspect

    monkeypatch.setattr(unfog.tasks.inspect, "split", lambda *a, **k: 1 / 0)
    assert cli(["inspect", array]) == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err
    assert "bug in unfog" in err


def test_debug_shows_where_an_error_came_from(tmp_path, capsys):
    assert cli(["inspect", str(tmp_path / "nowhere"), "--debug"]) == 3
    assert "Traceback" in capsys.readouterr().err
