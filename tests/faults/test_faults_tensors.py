"""Tensors that are missing, extra, misshapen or of another type: refused, never left as they were
drawn. (Row 6.)"""

import pathlib
import shutil

import pytest
import torch

import unfog
from unfog.errors import RunError
from unfog.model import files
from unfog.tasks.fit import fit as learn

CHANGES = {
    "missing": lambda tensors, name: tensors.pop(name),
    "extra": lambda tensors, name: tensors.update(spare=torch.zeros(3)),
    "misshapen": lambda tensors, name: tensors.update({name: tensors[name].repeat(2, 1)}),
    "of another type": lambda tensors, name: tensors.update({name: tensors[name].to(torch.int32)}),
}


def altered(folder, file, change):
    """A file of tensors changed, and signed again in the manifest beside it."""
    tensors = files.read_tensors(folder / file)
    name = next(n for n, v in sorted(tensors.items()) if v.ndim == 2)
    CHANGES[change](tensors, name)
    files.write_tensors(folder / file, tensors)
    files.write_manifest(folder, list(files.read_json(folder / "manifest.json")["files"]))


@pytest.mark.parametrize("change", CHANGES)
def test_of_a_finished_run(straight, tmp_path, change):
    run = pathlib.Path(shutil.copytree(straight, tmp_path / "run"))
    altered(run, "model.safetensors", change)
    with pytest.raises(RunError, match="does not fit the configuration") as caught:
        unfog.load(run)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("part", ["model", "ema", "optimiser", "good-model", "good-optimiser"])
def test_of_a_checkpoint(stopped, tmp_path, part, change):
    run = pathlib.Path(shutil.copytree(stopped, tmp_path / "run"))
    [last] = (run / "checkpoints").glob("step-*")
    altered(last, f"{part}.safetensors", change)
    if (part, change) == ("good-optimiser", "missing"):
        pytest.skip("a copy may be older than a parameter's first gradient")
    with pytest.raises(RunError, match=r"does not fit|another model") as caught:
        learn(out=run, resume=True, quiet=True)
    assert caught.value.exit_code == 4


@pytest.fixture(scope="module")
def stopped(source, tmp_path_factory):
    """A run stopped at step 101, just after its copy of step 100."""
    from unfog.errors import Stopped
    from unfog.failpoints import arm

    run = tmp_path_factory.mktemp("runs") / "stopped"
    settings = {"net.width": 16, "net.depth": 1}
    with arm("train.step@101=term"), pytest.raises(Stopped):
        learn(source, out=run, steps=120, batch=32, settings=settings, quiet=True)
    return run


def test_the_stopped_run_itself_goes_on(stopped, tmp_path):
    run = pathlib.Path(shutil.copytree(stopped, tmp_path / "run"))
    assert learn(out=run, resume=True, quiet=True).config.train.steps == 120


def test_a_checkpoint_of_before_copies_were_kept_goes_on(stopped, tmp_path):
    """Without the files and facts that version 0.1 did not write."""
    run = pathlib.Path(shutil.copytree(stopped, tmp_path / "run"))
    [last] = (run / "checkpoints").glob("step-*")
    for path in last.glob("good-*"):
        path.unlink()
    facts = files.read_json(last / "state.json")
    facts = {n: v for n, v in facts.items() if n not in ("rescue", "micro", "moments")}
    files.write_json(last / "state.json", facts)
    names = ["model.safetensors", "ema.safetensors", "optimiser.safetensors", "state.json"]
    files.write_manifest(last, names)
    assert learn(out=run, resume=True, quiet=True).config.train.steps == 120
