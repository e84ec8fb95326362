"""Named recipes: each a full set of choices that trains end to end; a user's --set goes on top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unfog.registry import Registry

recipes: Registry[Any] = Registry("recipe")


@dataclass(frozen=True)
class Recipe:
    """Corruption, target, training and sampling choices, as configuration dicts."""

    path: dict[str, Any]
    target: dict[str, Any]
    times: dict[str, Any]
    grid: dict[str, Any]
    solver: dict[str, Any]
    sampling_steps: int
    weight: dict[str, Any]
    schedule: dict[str, Any]
    eta: float = 0.0


recipes.add(
    "flow",
    aliases=("flow_matching",),
    reference="Lipman et al. 2023, Flow Matching; solver: Lu et al. 2022, DPM-Solver++ 2M, on any "
    "path",
    summary="straight paths, velocity target, two-step solver in 20 calls: the default",
)(
    Recipe(
        path={"name": "linear"},
        target={"name": "velocity"},
        times={"name": "logit_normal"},
        grid={"name": "angle"},
        solver={"name": "multistep"},
        sampling_steps=20,
        weight={"name": "unit"},
        schedule={"name": "cosine"},
    )
)
recipes.add(
    "ddpm",
    reference="Ho et al. 2020, Denoising Diffusion Probabilistic Models",
    summary="linear betas, noise target, unit weight, constant step size, ancestral sampling in "
    "250 calls",
)(
    Recipe(
        path={"name": "vp"},
        target={"name": "noise"},
        times={"name": "uniform", "low": 1e-3},
        grid={"name": "linear"},
        solver={"name": "euler"},
        sampling_steps=250,
        weight={"name": "unit"},
        schedule={"name": "constant"},
        eta=1.0,
    )
)
recipes.add(
    "edm",
    reference="Karras et al. 2022, Elucidating the Design Space of Diffusion-Based Generative "
    "Models",
    summary="exploding variance, EDM's preconditioning, log-normal noise levels, Heun in 18 steps "
    "(35 calls)",
)(
    Recipe(
        path={"name": "ve"},
        target={"name": "edm"},
        times={"name": "log_normal"},
        grid={"name": "karras"},
        solver={"name": "heun"},
        sampling_steps=18,
        weight={"name": "unit"},
        schedule={"name": "cosine"},
    )
)
