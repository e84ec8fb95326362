"""A run folder altered by somebody who can also sign the manifest: refused, whatever it says."""

import json
import pathlib
import shutil

import numpy as np
import pytest

import unfog
from unfog.errors import RunError
from unfog.model import files

TINY = {"net": "mlp", "net.width": 16, "net.depth": 1}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    x = np.random.default_rng(0).normal(size=(40, 3))
    np.savez(folder / "x.npz", x=x, label=np.array(["cat", "dog"] * 20))
    unfog.fit(
        folder / "x.npz",
        out=folder / "run",
        given="label",
        steps=3,
        batch=8,
        settings=TINY,
        quiet=True,
    )
    return folder / "run"


def put(*way, value):
    """A change of one nested entry."""

    def change(content):
        for part in way[:-1]:
            content = content[part]
        content[way[-1]] = value

    return change


CHANGES = {
    "a negative width": ("config.json", put("net", "width", value=-1)),
    "no width": ("config.json", put("net", "width", value=0)),
    "a width in words": ("config.json", put("net", "width", value="wide")),
    "a net larger than memory": ("config.json", put("net", "width", value=10**12)),
    "a net by class path": ("config.json", put("net", "name", value="os.system")),
    "a net by list": ("config.json", put("net", "name", value=[1])),
    "a solver by class path": ("config.json", put("solver", "name", value="os.system")),
    "a grid of words": ("config.json", put("grid", value={"name": "linear", "start": "now"})),
    "a grid without a name": ("config.json", put("grid", value={})),
    "an unknown option": ("config.json", put("path", "exec", value="1")),
    "an endless sampling": ("config.json", put("sampling_steps", value=10**12)),
    "another shape": ("config.json", put("shape", value=[7])),
    "an infinite scale": ("config.json", put("sigma_data", value=1e999)),
    "an unknown precision": ("config.json", put("train", "precision", value="load")),
    "a space scaled in words": ("codec.json", put("space", "scale", value="a")),
    "other items": ("config.json", put("data", "item", value=[4])),
    "a kind that is a way out": ("config.json", put("kind", value="../../etc/passwd")),
    "an unknown space": ("codec.json", put("space", "name", value="os.system")),
    "an unknown condition": ("codec.json", put("given", "label", "type", value="eval")),
    "a codec of something else": ("codec.json", put("codec", value={"shell": "true"})),
    "overlapping splits": ("splits.json", put("train", value=[0, 0, 1])),
    "nested splits": ("splits.json", put("train", value=[[0], [1]])),
    "splits of words": ("splits.json", put("train", value="all")),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_what_an_altered_file_asks_for_is_refused(good, tmp_path, name):
    file, change = CHANGES[name]
    run = pathlib.Path(shutil.copytree(good, tmp_path / "run"))
    content = json.loads((run / file).read_text())
    change(content)
    (run / file).write_text(json.dumps(content))
    files.write_manifest(run, list(json.loads((run / "manifest.json").read_text())["files"]))
    with pytest.raises(RunError) as caught:
        unfog.load(run)
    assert "\n" not in str(caught.value).strip()


def test_weights_of_another_model_are_refused(good, tmp_path):
    import torch

    run = pathlib.Path(shutil.copytree(good, tmp_path / "run"))
    tensors = files.read_tensors(run / "model.safetensors")
    tensors["net.spare"] = torch.zeros(3)
    files.write_tensors(run / "model.safetensors", tensors)
    files.write_manifest(run, list(json.loads((run / "manifest.json").read_text())["files"]))
    with pytest.raises(RunError, match=r"model\.safetensors does not fit .*net\.spare"):
        unfog.load(run)


def test_the_signed_original_still_loads(good):
    assert unfog.load(good).sample(2, steps=1, given={"label": "cat"}).raw.shape == (2, 3)
