"""Named recipes: each a full set of choices that trains end to end; a user's --set goes on top."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from unfog.registry import Registry

recipes: Registry[Any] = Registry("recipe")


@dataclass(frozen=True)
class Recipe:
    """Corruption, target, training and sampling choices, as configuration dicts.

    Attributes:
        net, space: instead of the kind's own, where the recipe is about them; None = the kind's.
        train: settings of the training that the recipe changes, such as {"lr": 1e-3}.
        wishes: dotted settings that are taken where kind, net and space have them; see `grant`.
        reflow: shares of a run that straightens its own paths, see `unfog.tasks.reflow`.
        flowmap: the objective that connects two times; the net is then told both.
    """

    path: dict[str, Any]
    target: dict[str, Any]
    times: dict[str, Any]
    grid: dict[str, Any]
    solver: dict[str, Any]
    sampling_steps: int
    weight: dict[str, Any]
    schedule: dict[str, Any]
    eta: float = 0.0
    corrector: dict[str, Any] = field(default_factory=lambda: {"name": "none"})
    net: dict[str, Any] | None = None
    space: dict[str, Any] | None = None
    train: dict[str, Any] = field(default_factory=dict)
    wishes: dict[str, Any] = field(default_factory=dict)
    reflow: dict[str, Any] | None = None
    flowmap: dict[str, Any] | None = None

    def over(self, offered: dict[str, Any]) -> dict[str, Any]:
        """The recipe's choices, with the kind's where it has none.

        Args:
            offered: what the kind's `defaults` return.
        """
        content = asdict(self)
        del content["wishes"]  # granted one by one
        for part in ("net", "space"):
            content[part] = offered[part] if content[part] is None else content[part]
        content["train"] = {"batch": offered["batch"], "lr": offered["lr"], **self.train}
        return content


recipes.add(
    "flow",
    aliases=("flow_matching",),
    reference="Lipman et al. 2023, Flow Matching; solver: Zhao et al. 2023, UniPC, on any path",
    summary="straight paths, velocity target, predictor-corrector in 20 calls: the default",
)(
    Recipe(
        path={"name": "linear"},
        target={"name": "velocity"},
        times={"name": "logit_normal"},
        grid={"name": "shifted", "shift": 1.5},
        solver={"name": "unipc"},
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
recipes.add(
    "iddpm",
    aliases=("improved_ddpm",),
    reference="Nichol & Dhariwal 2021, Improved Denoising Diffusion Probabilistic Models",
    summary="cosine path, noise target with a learned variance, hybrid loss, times drawn by their "
    "loss, ancestral sampling in 100 calls",
)(
    Recipe(
        path={"name": "cosine"},
        target={"name": "learned_variance"},
        times={"name": "loss_aware", "low": 1e-3, "high": 0.995},
        grid={"name": "linear"},
        solver={"name": "euler"},
        sampling_steps=100,
        weight={"name": "unit"},
        schedule={"name": "constant"},
        eta=1.0,
    )
)
recipes.add(
    "score_sde",
    aliases=("score-sde", "score_sde_ve", "ncsnpp"),
    reference="Song et al. 2021, Score-Based Generative Modeling through Stochastic Differential "
    "Equations",
    summary="exploding variance, score matching weighted by its variance, predictor-corrector "
    "sampling in 100 steps (200 calls)",
)(
    Recipe(
        path={"name": "ve", "sigma_max": 50.0},
        # the paper's net answers score = -z / sigma and its loss weighs by sigma^2: the noise, at 1
        target={"name": "noise"},
        times={"name": "log_uniform", "sigma_min": 0.01, "sigma_max": 50.0},
        grid={"name": "log_snr", "sigma_min": 0.01, "sigma_max": 50.0},
        solver={"name": "euler"},
        sampling_steps=100,
        weight={"name": "unit"},
        schedule={"name": "constant"},
        eta=1.0,
        corrector={"name": "langevin", "snr": 0.16},
    )
)
recipes.add(
    "score_sde_vp",
    aliases=("score-sde-vp", "ddpmpp"),
    reference="Song et al. 2021, Score-Based Generative Modeling through Stochastic Differential "
    "Equations",
    summary="linear betas in continuous time, score matching, predictor-corrector sampling in 100 "
    "steps (200 calls)",
)(
    Recipe(
        path={"name": "vp"},
        target={"name": "noise"},
        times={"name": "uniform", "low": 1e-3},
        grid={"name": "linear"},
        solver={"name": "euler"},
        sampling_steps=100,
        weight={"name": "unit"},
        schedule={"name": "constant"},
        eta=1.0,
        corrector={"name": "langevin", "snr": 0.16},
    )
)
recipes.add(
    "rectified",
    aliases=("reflow", "rectified_flow"),
    reference="Liu et al. 2023, Flow Straight and Fast",
    summary="a flow trained twice: on the data, then on pairs of noise and sample that it drew "
    "itself, which straightens its paths; 4 calls",
)(
    Recipe(
        path={"name": "linear"},
        target={"name": "velocity"},
        times={"name": "uniform"},
        grid={"name": "linear"},
        solver={"name": "euler"},
        sampling_steps=4,
        weight={"name": "unit"},
        schedule={"name": "cosine"},
        reflow={},
    )
)
recipes.add(
    "dit",
    aliases=("diffusion_transformer",),
    reference="Peebles & Xie 2023, Scalable Diffusion Models with Transformers",
    summary="a transformer on patches, linear betas, learned variance, ancestral sampling in 100 "
    "calls",
)(
    Recipe(
        path={"name": "vp"},
        target={"name": "learned_variance"},
        times={"name": "uniform", "low": 1e-3},
        grid={"name": "linear"},
        solver={"name": "euler"},
        sampling_steps=100,
        weight={"name": "unit"},
        schedule={"name": "constant"},
        eta=1.0,
        net={"name": "dit", "patch": None, "width": 128, "depth": 4},
        space={"name": "identity"},
        train={"lr": 1e-3, "weight_decay": 0.0},
    )
)
recipes.add(
    "few",
    aliases=("few_shot", "low_data"),
    reference="Karras et al. 2022, EDM, appendix F.2 (augmentation that the net is told of); "
    "Srivastava et al. 2014 (dropout); Wang et al. 2023, Patch Diffusion (train.crop)",
    summary="for tens to hundreds of items: the default's flow, with augmentation that the net is "
    "told of, so that samples show none, and dropout",
)(
    replace(
        recipes["flow"],
        wishes={
            "train.crop": 0.5,
            "train.augment": 0.5,
            "train.augmentations": ["mirror", "brightness", "contrast"],
            "net.dropout": 0.1,
        },
    )
)
recipes.add(
    "flowmap",
    aliases=("flow_map", "few_steps"),
    reference="Boffi et al. 2025, How to Build a Consistency Model; see `unfog flowmaps`",
    summary="a flow that learns to jump from any time to any other, from its own short jumps; 4 "
    "calls",
)(
    Recipe(
        path={"name": "linear"},
        target={"name": "velocity"},
        times={"name": "angle"},
        grid={"name": "angle"},
        solver={"name": "euler"},
        sampling_steps=4,
        weight={"name": "unit"},
        schedule={"name": "cosine"},
        flowmap={"name": "progressive", "middle": True},
    )
)
