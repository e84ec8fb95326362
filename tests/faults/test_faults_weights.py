"""Weights that are no weights: pickles, and headers that ask for memory or contradict themselves."""

from __future__ import annotations

import os
import pathlib
import pickle
import struct
import time
import zipfile

import numpy as np
import pytest
import torch
from faults_mutations import golden, peak, refused, sign

import unfog
from unfog.cli import run as cli
from unfog.errors import DataError, RunError
from unfog.model import files

# Row 8: pickles, with a canary.


class Evil:
    """Makes the folder `canary` when it is unpickled."""

    def __init__(self, canary: pathlib.Path):
        self.canary = canary

    def __reduce__(self):
        return (os.mkdir, (str(self.canary),))


def zipped(path: pathlib.Path, evil: Evil) -> bytes:
    """A pickle in a zip archive, as torch.save writes it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(evil))
        archive.writestr("archive/version", "3\n")
    return path.read_bytes()


@pytest.mark.parametrize("form", ["plain", "zipped", "protocol 0"])
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pkl", ".bin", ".ckpt"])
def test_a_folder_of_pickles_explains_itself(
    tmp_path: pathlib.Path, suffix: str, form: str
) -> None:
    evil = Evil(tmp_path / "canary")
    body = pickle.dumps(evil, protocol=0 if form == "protocol 0" else 5)
    folder = tmp_path / "theirs"
    folder.mkdir()
    if form == "zipped":
        body = zipped(tmp_path / "z", evil)
    (folder / f"model{suffix}").write_bytes(body)
    refused(folder, "never loaded.*convert the weights to safetensors")
    with pytest.raises(DataError, match="can't be read"):
        unfog.fit(folder / f"model{suffix}", out=tmp_path / "run", steps=1, quiet=True)
    assert not evil.canary.exists()
    if form == "plain":  # the canary sings
        pickle.loads(body)
        assert evil.canary.exists()


@pytest.mark.parametrize("name", ["model.safetensors", "codec.safetensors", "config.json"])
def test_a_pickle_in_the_place_of_a_file(tmp_path: pathlib.Path, name: str) -> None:
    run = golden("array", tmp_path)
    evil = Evil(tmp_path / "canary")
    for body in (pickle.dumps(evil), zipped(tmp_path / "z", evil), pickle.dumps(evil, protocol=0)):
        (run / name).write_bytes(body)
        sign(run)
        refused(run, name)
    assert not evil.canary.exists()


def test_pickled_arrays_are_never_opened(tmp_path: pathlib.Path, capsys) -> None:
    evil = Evil(tmp_path / "canary")
    array = np.array([evil, evil], dtype=object)
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    np.savez(tmp_path / "x.npz", x=array)
    for name in ("x.npy", "x.npz"):
        assert cli(["fit", str(tmp_path / name), "-o", str(tmp_path / "run")]) == 3
        assert "Python objects (a pickle)" in " ".join(capsys.readouterr().err.split())
    assert not evil.canary.exists()
    assert not (tmp_path / "run" / "config.json").exists()


# Row 9: headers of safetensors.


def tensors_of(header: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + body


def entry(name: str, shape: object, start: int, end: int, dtype: str = "F32") -> str:
    return f'"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}'


BOMBS = {
    "a header of 8 EiB": tensors_of(b"{}", length=2**63 - 1),
    "a header longer than its file": tensors_of(b"{}", length=10**6),
    "a header of blanks": tensors_of(b" " * 40_000_000),
    "a million names": tensors_of(
        ("{" + ",".join(entry(f"n{i}", [], 0, 0) for i in range(10**6)) + "}").encode()
    ),
    "deep lists": tensors_of(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "the same name twice": tensors_of(
        ("{" + entry("w", [1], 0, 4) + "," + entry("w", [1], 4, 8) + "}").encode(), bytes(8)
    ),
    "the same key twice": tensors_of(
        b'{"w":{"dtype":"F32","dtype":"F64","shape":[1],"data_offsets":[0,4]}}', bytes(4)
    ),
    "metadata twice": tensors_of(b'{"__metadata__":{"a":"b"},"__metadata__":{"a":"c"}}'),
    "a shape beyond its bytes": tensors_of(
        ("{" + entry("w", [10**9], 0, 4) + "}").encode(), bytes(4)
    ),
    "a shape that overflows": tensors_of(("{" + entry("w", [2**32, 2**32], 0, 0) + "}").encode()),
    "a negative shape": tensors_of(("{" + entry("w", [-1], 0, 4) + "}").encode(), bytes(4)),
    "overlapping tensors": tensors_of(
        ("{" + entry("v", [2], 0, 8) + "," + entry("w", [2], 4, 12) + "}").encode(), bytes(12)
    ),
    "a hole between tensors": tensors_of(
        ("{" + entry("v", [1], 0, 4) + "," + entry("w", [1], 8, 12) + "}").encode(), bytes(12)
    ),
    "offsets that turn back": tensors_of(("{" + entry("w", [1], 4, 0) + "}").encode(), bytes(4)),
    "an unknown dtype": tensors_of(("{" + entry("w", [1], 0, 4, "OBJ") + "}").encode(), bytes(4)),
    "a list": tensors_of(b"[]"),
    "not a number": tensors_of(("{" + entry("w", "[NaN]", 0, 4) + "}").encode(), bytes(4)),
    "bytes after the end": tensors_of(("{" + entry("w", [1], 0, 4) + "}").encode(), bytes(8)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_headers_of_tensors(tmp_path: pathlib.Path, name: str) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(BOMBS[name])
    memory, begun = peak(), time.process_time()
    with pytest.raises(RunError, match=r"w\.safetensors (is damaged|has a key twice)") as caught:
        files.read_tensors(path)
    assert "\n" not in str(caught.value).strip()
    assert len(str(caught.value)) < 600
    assert peak() - memory < 150
    assert time.process_time() - begun < 2


def test_a_well_formed_file_of_our_own_making_is_read(tmp_path: pathlib.Path) -> None:
    """The corpus is refused for its faults, not for how it is put together."""
    header = ("{" + '"__metadata__":{"a":"b"},' + entry("w", [2], 0, 8) + "}").encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(tensors_of(header, struct.pack("<2f", 1.5, -2.0)))
    assert torch.equal(files.read_tensors(path)["w"], torch.tensor([1.5, -2.0]))
