"""Reading arrays, good and bad, and telling kinds apart."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from kinds_corpus import npy_of, zip_of

from unfog.errors import ArgumentError, DataError, UnknownName
from unfog.kinds import kinds
from unfog.kinds.infer import infer

read = kinds["array"].read
rng = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", ">f8", "i4", ">i2", "u1", "bool", "i8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_files_come_back_as_given(tmp_path: Path, dtype: str, order: str) -> None:
    array = np.asarray(rng.normal(0, 50, (7, 2, 3)).astype(dtype), order=order)
    np.save(tmp_path / "a.npy", array)
    items = read(tmp_path / "a.npy")
    assert np.array_equal(items.data, array)
    assert items.data.dtype.isnative
    back = kinds["array"].give_back(items.data, items.origin)
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_tensors_come_back_as_tensors(dtype: torch.dtype) -> None:
    tensor = torch.randn(6, 3).mul(3).to(dtype)
    items = read(tensor)
    back = kinds["array"].give_back(items.data, items.origin)
    assert back.dtype == dtype
    assert torch.equal(back, tensor)


def test_npz_chooses_its_data_and_keeps_columns(tmp_path: Path) -> None:
    x, y, pose = rng.normal(size=(9, 4)), np.arange(9), rng.normal(size=(9, 2, 2))
    np.savez_compressed(tmp_path / "a.npz", x=x, y=y, names=np.array(list("abcdefghi")))
    items = read(tmp_path / "a.npz", given=["y"])
    assert np.array_equal(items.data, x)
    assert set(items.columns) == {"y", "names"}
    np.savez(tmp_path / "b.npz", first=x, pose=pose)
    with pytest.raises(DataError, match=r"first \(9, 4\), pose \(9, 2, 2\); choose one with key="):
        read(tmp_path / "b.npz")
    items = read(tmp_path / "b.npz", key="first")
    assert np.array_equal(items.columns["pose"], pose)
    with pytest.raises(ArgumentError, match="no array 'z'"):
        read(tmp_path / "b.npz", key="z")
    with pytest.raises(UnknownName, match="known: pose"):
        read(tmp_path / "b.npz", key="first", given=["poise"])


class Evil:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self):
        return (Path.touch, (self.canary,))


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    array = np.array([Evil(canary), Evil(canary)], dtype=object)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    np.savez(tmp_path / "b.npz", x=array, allow_pickle=True)
    (tmp_path / "c.npy").write_bytes(pickle.dumps(Evil(canary)))
    for name in ("a.npy", "b.npz", "c.npy"):
        for ask in (read, infer, kinds["image"].read):
            with pytest.raises(DataError, match=r"pickle|not a readable") as error:
                ask(tmp_path / name)
            assert "\n" not in str(error.value)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("(1000000000, 1000)", "declares"),
        ("(17,)", "declares"),
        ("(15,)", "declares"),
        ("(-1, 4)", "damaged"),
        ("(4, 'x')", "not a readable"),
        ("(" * 60, "not a readable"),
    ],
)
def test_forged_headers_allocate_nothing(tmp_path: Path, shape: str, said: str) -> None:
    (tmp_path / "a.npy").write_bytes(npy_of(shape))
    zip_of(tmp_path / "b.npz", {"x.npy": npy_of(shape)})
    for name in ("a.npy", "b.npz"):
        with pytest.raises(DataError, match=said) as error:
            read(tmp_path / name)
        assert "\n" not in str(error.value)


def test_an_npz_that_forges_both_sizes(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "b.npz", {"x.npy": npy_of("(1000000000, 1000)")})
    body = bytearray(path.read_bytes())
    at = body.rfind(b"PK\x01\x02")
    body[at + 24 : at + 28] = (0xFFFFFFF0).to_bytes(4, "little")
    path.write_bytes(body)
    with pytest.raises(DataError, match="forged"):
        read(path)


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, rng.normal(size=(50, 3)))
    whole = path.read_bytes()
    for body in (b"", whole[:5], whole[:60], whole[:-1], whole + b"x", b"garbage" * 20):
        path.write_bytes(body)
        with pytest.raises(DataError, match=str(path)):
            read(path)
    stream = io.BytesIO()
    np.savez_compressed(stream, x=rng.normal(size=(50, 3)))
    packed = bytearray(stream.getvalue())
    packed[300] ^= 255
    (tmp_path / "b.npz").write_bytes(packed)
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path / "b.npz")
    with zipfile.ZipFile(tmp_path / "c.npz", "w"):
        pass
    with pytest.raises(DataError, match="no array"):
        read(tmp_path / "c.npz")


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.full((5, 2), np.nan), "all values are NaN"),
        (np.full((5, 2), np.inf), "all values are NaN or infinite"),
        (np.array([[1, 2], [np.nan, 1], [3, np.inf]]), r"infinite values \(1, .*\(2, 1\)"),
        (np.ones((1, 4)), "at least two"),
        (np.ones((0, 4)), "at least two"),
        (np.ones(7), r"reshape\(-1, 1\)"),
        (np.ones(()), "items first"),
        (np.ones((4, 0)), "empty"),
        (np.ones((4, 2), complex), r"numpy\.stack"),
        (np.array([["a", "b"]] * 3), "<U1"),
        (np.array([[None, 1]] * 3), "Python objects"),
        (np.zeros((4, 2), "datetime64[s]"), "datetime64"),
    ],
)
def test_unusable_values_get_one_sentence(array: np.ndarray, said: str) -> None:
    with pytest.raises(DataError, match=said) as error:
        read(array)
    assert "\n" not in str(error.value)


def test_ragged_lists_are_refused() -> None:
    with pytest.raises(DataError, match="different shapes"):
        read([[1.0, 2.0], [3.0]])
    assert read([[1.0, 2.0], [3.0, 4.0]]).data.shape == (2, 2)


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.zeros((5, 8, 8), np.uint8), "image"),
        (np.zeros((5, 8, 8, 3), np.uint8), "image"),
        (np.zeros((5, 8, 8, 2), np.uint8), "array"),
        (np.zeros((5, 8), np.uint8), "array"),
        (np.zeros((5, 8, 8), np.float32), "array"),
        (np.zeros((5, 4, 16, 16), np.float32), "array"),
    ],
)
def test_kinds_are_told_apart(tmp_path: Path, array: np.ndarray, kind: str) -> None:
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", x=array, label=np.zeros(5))
    for source in (
        array,
        torch.from_numpy(array),
        list(array),
        tmp_path / "a.npy",
        tmp_path / "a.npz",
    ):
        assert infer(source) == kind
    assert infer(array, kind="array") == "array"
    assert infer(array, kind="images") == "image"


def test_unknown_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'image'"):
        infer(tmp_path, kind="imge")
    with pytest.raises(DataError, match="is not there"):
        infer(tmp_path / "gone.npy")
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"'\.wav' can't be read; allowed: .*\.npz"):
        infer(tmp_path / "a.wav")
    with pytest.raises(DataError, match="a list of str"):
        infer(["a", "b"])
    with pytest.raises(DataError, match="empty"):
        infer([])
    with pytest.raises(DataError, match=r"a set can't be read"):
        infer({1, 2})


def test_paths_that_are_not_there(tmp_path: Path) -> None:
    for name in ("a.npy", "a.npz"):
        with pytest.raises(DataError, match="can't be read"):
            read(tmp_path / name)
    with pytest.raises(DataError, match="is not there"):
        kinds["image"].read(tmp_path / "a.zip")
    with pytest.raises(DataError, match=r"from \.npy or \.npz"):
        read(tmp_path)


def test_the_kinds_load_without_the_heavy_libraries() -> None:
    heavy = ("PIL", "matplotlib", "pandas", "sklearn", "scipy")
    code = f"import sys, unfog.kinds.infer; print([m for m in {heavy} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_an_array_that_is_given_is_not_the_data(tmp_path):
    x, theta = np.arange(12.0).reshape(6, 2), np.arange(18.0).reshape(6, 3)
    np.savez(tmp_path / "a.npz", x=x, data=theta)
    items = read(tmp_path / "a.npz", given=["x"])
    np.testing.assert_array_equal(items.data, theta)
    np.testing.assert_array_equal(items.columns["x"], x)
    np.testing.assert_array_equal(read(tmp_path / "a.npz").data, x)
