"""An environment for every peer, made on first use in the cache folder.

What a peer needs is one row of ENVIRONMENTS. `--torch-from FOLDER` lends every environment the
packages of another site-packages folder, so that torch is installed once; on a fresh clone each
gets its own. `--source NAME=REPOSITORY` takes a peer's source from another place than its home.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parents[1]
OURS = "unfog"


@dataclass(frozen=True)
class Environment:
    """What a peer needs.

    Args:
        packages: with what they depend on.     bare: without (torchvision does not load beside a
            CPU torch of another index, and the parts that are measured don't need it).
        source: a git repository and its commit, for what is on no index; it goes on the path.
    """

    packages: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    source: tuple[str, str] | None = None
    torch: bool = True

    def said(self) -> str:
        return repr((self.packages, self.bare, self.source, self.torch))


ENVIRONMENTS: dict[str, Environment] = {
    "sdv": Environment(("sdv==2.0.0",)),
    "forest": Environment(("ForestDiffusion==1.0.6", "pandas<3"), torch=False),
    "hyperimpute": Environment(("hyperimpute==0.1.17", "scikit-learn<1.7", "pandas<3")),
    "tabddpm": Environment(
        ("numpy", "pandas", "scikit-learn"),
        source=(
            "https://github.com/yandex-research/tab-ddpm",
            "b476257dd460b778ba09eb97f7a51d6490fa17f8",
        ),
    ),
    "statsmodels": Environment(("statsmodels",), torch=False),
    "diffusers": Environment(("diffusers==0.42.1",)),
    "torchcfm": Environment(
        ("torchdiffeq", "pot", "scipy", "numpy", "absl-py"), bare=("torchcfm==1.0.7",)
    ),
    "denoising_diffusion_pytorch": Environment(
        ("einops", "ema-pytorch", "tqdm", "pillow", "scipy", "accelerate"),
        bare=("denoising-diffusion-pytorch==2.3.4",),
    ),
    "smalldiffusion": Environment(
        ("einops", "tqdm", "numpy", "accelerate"), bare=("smalldiffusion==0.5.0",)
    ),
    "solvers": Environment(
        ("diffusers==0.42.1", "torchdiffeq", "torchsde", "einops", "tqdm", "safetensors",
         "pydantic"),
        bare=("k-diffusion==0.1.1.post1",),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Home:
    """Where environments are kept, and where torch and sources come from."""

    cache: pathlib.Path
    torch_from: pathlib.Path | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def made(self, name: str) -> str | None:
        """Make an environment if need be; why it can't be made, tried once, or None."""
        if name not in self.failed:
            try:
                self.python(name)
            except (subprocess.CalledProcessError, OSError) as error:
                self.failed[name] = f"its environment was not made: {error}"
        return self.failed.get(name)

    def python(self, name: str) -> str:
        """The interpreter of an environment, which is made if need be; ours is this one.

        Raises: subprocess.CalledProcessError where pip or git fails.
        """
        if name == OURS:
            return sys.executable
        wanted, folder = ENVIRONMENTS[name], self.cache / name
        python, mark = folder / "bin" / "python", folder / ".made"
        if mark.exists() and mark.read_text(encoding="utf-8") == wanted.said():
            return str(python)
        print(f"making the environment {name} in {folder}", flush=True)
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        self._lend(folder)
        self._install(python, wanted)
        if wanted.source is not None:
            self._clone(name, wanted.source, folder / "source")
        mark.write_text(wanted.said(), encoding="utf-8")
        return str(python)

    def path(self, name: str) -> str:
        """What goes on PYTHONPATH for a contestant in that environment."""
        parts = [str(ROOT), str(ROOT / "src")]
        if name != OURS and ENVIRONMENTS[name].source is not None:
            parts.append(str(self.cache / name / "source"))
        return os.pathsep.join(parts)

    def ours(self) -> dict[str, str]:
        """What a process of ours is started with."""
        return {**os.environ, "PYTHONPATH": self.path(OURS)}

    def _lend(self, folder: pathlib.Path) -> None:
        if self.torch_from is None:
            return
        (packages,) = folder.glob("lib/python3*/site-packages")
        (packages / "lent.pth").write_text(f"{self.torch_from}\n", encoding="utf-8")

    def _install(self, python: pathlib.Path, wanted: Environment) -> None:
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        if wanted.torch and subprocess.run([python, "-c", "import torch"], check=False).returncode:
            subprocess.run([*pip, pinned_torch()], check=True)
        if wanted.packages:
            subprocess.run([*pip, *wanted.packages], check=True)
        if wanted.bare:
            subprocess.run([*pip, "--no-deps", *wanted.bare], check=True)

    def _clone(self, name: str, source: tuple[str, str], folder: pathlib.Path) -> None:
        home, commit = source
        if not folder.exists():
            where = self.sources.get(name, home)
            subprocess.run(["git", "clone", "-q", where, str(folder)], check=True)
        subprocess.run(["git", "-C", str(folder), "checkout", "-q", commit], check=True)


def there(*paths: pathlib.Path) -> bool:
    """Whether what a suite reads is there; what is not is said."""
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        print(f"left out: {', '.join(missing)} not found; --data and --judge say where to look")
    return not missing


def pinned_torch() -> str:
    """The line of constraints.txt that pins torch."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    found = re.search(r"^torch==\S+", text, flags=re.MULTILINE)
    if found is None:
        raise SystemExit("constraints.txt pins no torch; add a line torch==VERSION")
    return found.group()
