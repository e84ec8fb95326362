"""One thread and no stray randomness, so that every test says the same thing twice."""

import os
import pathlib

import pytest
import torch

os.environ.setdefault("UNFOG_STRICT", "1")  # a watcher's fault fails a test


@pytest.fixture(autouse=True)
def _still():
    torch.manual_seed(0)
    torch.set_num_threads(int(os.environ.get("UNFOG_TEST_THREADS", "1")))


@pytest.fixture(scope="session")
def real_data():
    """The folder of real data sets; tests that need it skip where it is absent."""
    root = pathlib.Path(__file__).resolve().parents[1]
    folder = pathlib.Path(os.environ.get("UNFOG_DATA", root.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("the real data sets are not here")
    return folder
