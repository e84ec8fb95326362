"""Files that survive a crash and are checked before they are believed."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save
from torch import nn

from unfog.errors import ResourceError, RunError
from unfog.model import files


@pytest.fixture
def folder(tmp_path):
    files.write_json(tmp_path / "a.json", {"x": 1})
    files.write_tensors(tmp_path / "w.safetensors", {"w": torch.arange(4.0)})
    files.write_manifest(tmp_path, ["a.json", "w.safetensors"])
    return tmp_path


def test_what_is_written_is_read(folder):
    assert files.read_json(folder / "a.json") == {"x": 1}
    assert torch.equal(files.read_tensors(folder / "w.safetensors")["w"], torch.arange(4.0))
    assert files.check_manifest(folder) == ["a.json", "w.safetensors"]
    assert not list(folder.glob(".*"))


def test_killed_between_writing_and_renaming_the_old_file_stays(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"old": True})
    script = (
        "import os, pathlib, signal, sys\n"
        "from unfog.model import files\n"
        "pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_json(pathlib.Path(sys.argv[1]), {'new': True})\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -9
    assert files.read_json(path) == {"old": True}
    assert len(list(tmp_path.glob(".a.json.*.tmp"))) == 1  # what `checkpoint.tidy` removes


def test_a_full_disk_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    files.write_json(path, {"old": True})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match=r"a\.json \(No space left on device\).*--resume"):
        files.write_json(path, {"new": True})
    assert files.read_json(path) == {"old": True}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_nan_never_gets_into_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"x": 1', "not JSON"),
        (b'{"x": \xff}', "not JSON"),
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"x": 1, "x": 2}', "key twice"),
        (b'{"x": {"y": 1, "y": 1}}', "key twice"),
    ],
)
def test_damaged_json_is_named(tmp_path, body, said):
    (tmp_path / "a.json").write_bytes(body)
    with pytest.raises(RunError, match=rf"a\.json .*{said}|a\.json has a {said}"):
        files.read_json(tmp_path / "a.json")


def test_a_missing_file_is_named(tmp_path):
    for read in (files.read_json, files.read_tensors, files.digest):
        with pytest.raises(RunError, match=r"gone\.json can't be read"):
            read(tmp_path / "gone.json")


def faults():
    whole = save({"w": torch.arange(4.0), "v": torch.zeros(2, 2)})
    size = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + size])
    header["w"]["data_offsets"][1] += 64
    text = json.dumps(header).encode()
    return {
        "empty": b"",
        "header cut": whole[: 8 + size // 2],
        "data cut": whole[:-1],
        "data added": whole + b"\0",
        "length huge": (2**60).to_bytes(8, "little") + whole[8:],
        "offsets beyond": len(text).to_bytes(8, "little") + text + whole[8 + size :],
        "no json": whole[:8] + b"\xff" * size + whole[8 + size :],
        "a pickle": b"\x80\x04cposix\nsystem\n(Vtouch hacked\ntR.",
    }


@pytest.mark.parametrize("fault", faults())
def test_damaged_tensors_are_named(tmp_path, fault):
    (tmp_path / "w.safetensors").write_bytes(faults()[fault])
    with pytest.raises(RunError, match=r"w\.safetensors is damaged"):
        files.read_tensors(tmp_path / "w.safetensors")


@pytest.mark.parametrize("name", ["a.json", "w.safetensors"])
def test_a_flipped_bit_a_cut_and_a_missing_file_are_named(folder, name):
    path = folder / name
    whole = path.read_bytes()
    for place in (0, len(whole) // 2, len(whole) - 1):
        body = bytearray(whole)
        body[place] ^= 4
        path.write_bytes(body)
        with pytest.raises(RunError, match=rf"{name} was altered"):
            files.check_manifest(folder)
    path.write_bytes(whole[:-1])
    with pytest.raises(RunError, match=rf"{name} has {len(whole) - 1} bytes where .* truncated"):
        files.check_manifest(folder)
    path.unlink()
    with pytest.raises(RunError, match=rf"{name} can't be read"):
        files.check_manifest(folder)


@pytest.mark.parametrize("name", ["../a.json", "/etc/passwd", "sub/a.json", "..", ""])
def test_a_manifest_stays_in_its_folder(folder, name):
    inner = folder / "run"
    inner.mkdir()
    files.write_json(inner / files.MANIFEST, {"files": {name: {"bytes": 1, "sha256": "0"}}})
    with pytest.raises(RunError, match=r"manifest\.json names .* outside the folder"):
        files.check_manifest(inner)


@pytest.mark.parametrize(
    "content", [[], {}, {"files": {}}, {"files": []}, {"files": {"a.json": 3}}, 7, None]
)
def test_a_manifest_that_is_none_is_refused(folder, content):
    files.write_json(folder / files.MANIFEST, content)
    with pytest.raises(RunError, match=str(pathlib.Path(folder).name)):
        files.check_manifest(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("bias"), r"missing \['bias'\]"),
        (lambda t: t.update(spare=torch.ones(1)), r"unexpected \['spare'\]"),
        (lambda t: t.update(bias=torch.ones(3)), r"bias: \(3,\) torch.float32, expected \(2,\)"),
        (lambda t: t.update(bias=torch.ones(2).double()), r"torch\.float64, expected \(2,\)"),
    ],
)
def test_weights_that_do_not_fit_fill_nothing(tmp_path, change, said):
    module = nn.Linear(3, 2)
    tensors = {name: value.clone() + 1 for name, value in module.state_dict().items()}
    before = {name: value.clone() for name, value in module.state_dict().items()}
    change(tensors)
    with pytest.raises(RunError, match=said) as caught:
        files.fill_module(module, tensors, tmp_path / "model.safetensors")
    assert "model.safetensors" in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
