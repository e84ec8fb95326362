"""Solvers beside those of diffusers and k-diffusion: error by network calls, overhead per call.

    python benchmarks/solvers.py --peers PYTHON --out solvers.json

Every solver is asked for the same thing: from the same noise, on the same grid of noise levels,
with the same exact predictor of a Gaussian mixture, follow the flow to data. The error is the
median distance from the flow's own end (Dormand-Prince, 400 steps). All in float64. Solvers with
several calls a step get as many steps as fit into the calls.

Theirs live in the variance exploding space (k-diffusion, diffusers' Heun) or in that of constant
variance (diffusers), on sigma / alpha; both are a scaling of ours, and the predictor is handed
over as data, or as noise where they ask for it. Our velocity is noise - data, minus theirs; none
is used. diffusers' schedulers lay out their own grids: their `sigmas` are set to the common one.

Overhead: a predictor that returns a tensor made before, states 64 x 1 x 32 x 32 in float32, 20
steps; CPU time on one thread, library by library in turns, median over the turns.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from unfog.maths.grids import grids
from unfog.maths.paths import paths
from unfog.maths.randomness import BatchRng
from unfog.maths.truth import Mixture
from unfog.sample.loop import sample
from unfog.sample.solvers import solvers

CALLS = (4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)
PATH = paths.make("ve")  # sigma is sigma / alpha; start at 80, as EDM
Run = Callable[[Callable[[Tensor, Tensor], Tensor], Tensor, Tensor], Tensor]


class Spent(Exception):
    """The predictor was asked more often than it may be."""


def counted(predict: Any, most: int) -> tuple[Any, list[int]]:
    """The predictor of data by sigma, and how often it was asked."""
    spent = [0]

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        spent[0] += 1
        if spent[0] > most:
            raise Spent
        return predict(x, sigma)

    return denoise, spent


def ours(name: str, **options: Any) -> Run:
    """unfog's: the loop on times at those sigmas."""
    solver = solvers.make(name, **options)

    def run(denoise: Any, x: Tensor, cut: Tensor) -> Tensor:
        def predict(x_t: Any, t: Any, s: Any = None) -> Any:
            return denoise(x_t, t)

        for step in sample(predict, PATH, solver, x, cut, rng=RNG):
            x = step.x
        return x

    return run


RNG = BatchRng(0)


def k_diffusion(name: str, **options: Any) -> Run:
    """k-diffusion's, which take `model(x, sigma (B,)) -> data`."""
    take = getattr(SAMPLING, name)

    def run(denoise: Any, x: Tensor, cut: Tensor) -> Tensor:
        sigmas = PATH.sigma(cut).to(x)
        return take(lambda x, s, **_: denoise(x, s[0]), x, sigmas, disable=True, **options)

    return run


def diffusers(name: str, noise: bool = False, exploding: bool = False, **options: Any) -> Run:
    """A scheduler of diffusers, its grid replaced by the common one."""
    import diffusers as library

    make = getattr(library, name)

    def run(denoise: Any, x: Tensor, cut: Tensor) -> Tensor:
        steps = len(cut) - 1
        sigmas = PATH.sigma(cut).to(x)
        scheduler = make(prediction_type="epsilon" if noise else "sample", **options)
        scheduler.set_timesteps(steps)
        if name == "HeunDiscreteScheduler":
            scheduler.sigmas = torch.cat(
                [sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]]
            )
            count = 2 * steps - 1
        else:
            scheduler.sigmas, count = sigmas, steps
        scheduler.timesteps = torch.arange(count, 0, -1).float()
        state = x if exploding else x / (1 + sigmas[0] ** 2).sqrt()
        BEGUN.append(time.process_time())
        for i, t in enumerate(scheduler.timesteps):
            sigma = scheduler.sigmas[i]
            scale = 1.0 if exploding else (1 + sigma**2).sqrt()
            data = denoise(state * scale, sigma)
            answer = (state * scale - data) / sigma if noise else data
            state = scheduler.step(answer, t, state, return_dict=False)[0]
        return state

    return run


def ddim() -> Run:
    """diffusers' DDIM, its table of alphas made of the common grid."""
    import diffusers as library

    def run(denoise: Any, x: Tensor, cut: Tensor) -> Tensor:
        steps = len(cut) - 1
        sigmas = PATH.sigma(cut).to(x)
        scheduler = library.DDIMScheduler(
            num_train_timesteps=steps, prediction_type="sample", clip_sample=False
        )
        scheduler.set_timesteps(steps)
        scheduler.alphas_cumprod = (1 / (1 + sigmas**2))[:-1].flip(0)
        state = x / (1 + sigmas[0] ** 2).sqrt()
        BEGUN.append(time.process_time())
        for i, t in enumerate(scheduler.timesteps):
            data = denoise(state * (1 + sigmas[i] ** 2).sqrt(), sigmas[i])
            state = scheduler.step(data, t, state, return_dict=False)[0]
        return state

    return run


BEGUN: list[float] = []  # when a scheduler's loop began: making the scheduler is not timed


def load_sampling() -> Any:
    """k-diffusion's samplers without the rest of its package, which needs torchvision."""
    found = importlib.util.find_spec("k_diffusion")
    if found is None or not found.submodule_search_locations:
        return None
    package = types.ModuleType("k_diffusion")
    package.__path__ = list(found.submodule_search_locations)
    helpers = types.ModuleType("k_diffusion.utils")
    helpers.append_dims = lambda x, n: x[(...,) + (None,) * (n - x.ndim)]  # type: ignore[attr-defined]
    package.utils = helpers  # type: ignore[attr-defined]
    sys.modules["k_diffusion"], sys.modules["k_diffusion.utils"] = package, helpers
    return importlib.import_module("k_diffusion.sampling")


SAMPLING = load_sampling()


def entrants() -> dict[str, dict[str, Run]]:
    """library -> name -> run."""
    still = {"noise_sampler": lambda *_: 0.0, "eta": 0.0}
    multi = "DPMSolverMultistepScheduler"
    mine = {
        row.name: ours(row.name)
        for row in solvers
        if row.name not in ("multistep_sde", "euler", "tuned")
    }
    mine = {"euler (ddim)": ours("euler"), **mine, "unipc:order=4": ours("unipc", order=4)}
    mine["adams_bashforth:order=2"] = ours("adams_bashforth", order=2)
    for points, power in ((4, 1.0), (3, 0.5), (4, 0.5)):
        mine[f"lms:points={points},power={power}"] = ours("lms", points=points, power=power)
    theirs = {
        "euler": k_diffusion("sample_euler"),
        "heun": k_diffusion("sample_heun"),
        "dpm_2": k_diffusion("sample_dpm_2"),
        "lms": k_diffusion("sample_lms"),
        "dpmpp_2m": k_diffusion("sample_dpmpp_2m"),
        "dpmpp_2m_sde, eta 0": k_diffusion("sample_dpmpp_2m_sde", **still),
        "dpmpp_3m_sde, eta 0": k_diffusion("sample_dpmpp_3m_sde", **still),
    }
    schedulers = {
        "DDIM": ddim(),
        "Heun": diffusers("HeunDiscreteScheduler", noise=True, exploding=True),
        "DPM-Solver++ 2M": diffusers(multi, solver_order=2),
        "DPM-Solver++ 3M": diffusers(multi, solver_order=3),
        "UniPC 2": diffusers("UniPCMultistepScheduler", solver_order=2, final_sigmas_type="zero"),
        "UniPC 3": diffusers("UniPCMultistepScheduler", solver_order=3, final_sigmas_type="zero"),
        "DEIS 2": diffusers("DEISMultistepScheduler", solver_order=2),
        "DEIS 3": diffusers("DEISMultistepScheduler", solver_order=3),
    }
    return {"unfog": mine, "k-diffusion": theirs, "diffusers": schedulers}


def problems() -> dict[str, Mixture]:
    """Mixtures: three blobs in the plane, ten sharper ones in 16 dimensions."""
    rng = BatchRng(5)
    means = rng.normal(torch.empty(10, 16, dtype=torch.float64))
    plane = torch.tensor([[-1.5, 0.5], [1.0, 1.0], [0.5, -1.5]], dtype=torch.float64)
    wide = torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64)
    even = torch.full((10,), 0.1, dtype=torch.float64)
    return {
        "3 blobs in 2-D": Mixture(plane, wide, wide),
        "10 blobs in 16-D": Mixture(means, even, even),
    }


def errors(truth: Mixture, grid: str) -> dict[str, dict[str, list[float | None]]]:
    """library -> solver -> error for each of CALLS; None where it needs more calls or fails."""
    exact = truth.predictor(PATH)
    size = truth.means.shape[1]
    z = PATH.prior(torch.empty(128, size, dtype=torch.float64), rng=BatchRng(1))
    fine = grids.make("angle")(PATH, 400)

    def by_time(x: Tensor, t: Tensor) -> Tensor:
        return exact(x, t)

    def by_sigma(x: Tensor, sigma: Tensor) -> Tensor:
        return exact(x, (sigma / PATH.sigma_max).pow(1 / PATH.rho).clamp(0, 1))

    end = ours("dormand_prince")(by_time, z, fine)
    table: dict[str, dict[str, list[float | None]]] = {}
    for library, runs in entrants().items():
        predict = by_time if library == "unfog" else by_sigma
        table[library] = {
            name: [within(run, predict, z, end, grid, most) for most in CALLS]
            for name, run in runs.items()
        }
    return table


def within(run: Run, predict: Any, z: Tensor, end: Tensor, grid: str, most: int) -> float | None:
    """The error with as many steps as `most` calls allow."""
    for steps in range(most, 0, -1):
        denoise, _ = counted(predict, most)
        try:
            got = run(denoise, z, grids.make(grid)(PATH, steps))
        except Spent:
            continue
        away = float((got - end).norm(dim=1).median())
        return away if away == away and away < 1e6 else None
    return None


def overhead(turns: int) -> dict[str, dict[str, float]]:
    """library -> solver -> microseconds per call beyond the predictor's, in turns."""
    torch.set_num_threads(1)
    x = torch.randn(64, 1, 32, 32) * 80
    answer = torch.randn(64, 1, 32, 32)
    cut = grids.make("karras")(PATH, 20)
    runs = {
        (lib, name): run for lib, members in entrants().items() for name, run in members.items()
    }
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    for turn in range(turns + 1):
        for key, run in runs.items():
            denoise, spent = counted(lambda *_: answer, 10_000)
            BEGUN.clear()
            begun = time.process_time()
            run(denoise, x, cut)
            begun = BEGUN[-1] if BEGUN else begun
            if turn:  # the first turn warms up
                seconds[key].append((time.process_time() - begun) / spent[0])
    table: dict[str, dict[str, float]] = {}
    for (library, name), values in seconds.items():
        table.setdefault(library, {})[name] = 1e6 * statistics.median(values)
    return table


def markdown(result: dict[str, Any]) -> str:
    """Tables of the result."""
    lines = []
    for title, table in result["errors"].items():
        lines += [f"### {title}", "", "| solver | " + " | ".join(map(str, CALLS)) + " |"]
        lines += ["|---|" + "---|" * len(CALLS)]
        for library, members in table.items():
            for name, values in members.items():
                cells = ["–" if v is None else f"{v:.1e}" for v in values]
                lines.append(f"| {library}: {name} | " + " | ".join(cells) + " |")
        best = {lib: [least(m, i) for i in range(len(CALLS))] for lib, m in table.items()}
        for library, values in best.items():
            lines.append(
                f"| **best of {library}** | " + " | ".join(f"{v:.1e}" for v in values) + " |"
            )
        lines.append("")
    lines += ["### Overhead, microseconds a call", "", "| solver | µs |", "|---|---|"]
    for library, members in result["overhead"].items():
        lines += [f"| {library}: {name} | {value:.0f} |" for name, value in members.items()]
    return "\n".join(lines) + "\n"


def least(members: dict[str, list[float | None]], i: int) -> float:
    return min((v[i] for v in members.values() if v[i] is not None), default=float("inf"))


def handed_over(python: str | None) -> None:
    """Run this script again by that python, which has the peers, and end as it does; nothing where
    it is None, or already at work.
    """
    if python and os.environ.get("UNFOG_PEERS") is None:
        home = str(pathlib.Path(__file__).resolve().parents[1] / "src")
        env = {**os.environ, "UNFOG_PEERS": "1", "PYTHONPATH": home}
        sys.exit(subprocess.call([python, *sys.argv], env=env))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="a python that has diffusers and k-diffusion")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("solvers.json"))
    parser.add_argument("--turns", type=int, default=15)
    asked = parser.parse_args()
    handed_over(asked.peers)
    torch.set_num_threads(1)
    result = {
        "calls": CALLS,
        "errors": {
            f"{title}, {grid} grid": errors(truth, grid)
            for title, truth in problems().items()
            for grid in ("karras", "angle")
        },
        "overhead": overhead(asked.turns),
    }
    asked.out.write_text(json.dumps(result, indent=1), encoding="utf-8")
    text = markdown(result)
    asked.out.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
