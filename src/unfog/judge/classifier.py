"""The judge net: a small classifier trained on the training split, apart from any generator."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from unfog.errors import ArgumentError, DataError, RunError
from unfog.judge.pseudo import Clusters, clusters
from unfog.judge.states import alike, labelled, rng, states

FEATURES = 64
BATCH = 64
FORMAT = 1
# The number of steps is planned from the budget by this cost model and not by the clock, so that
# the same seed trains the same judge on a busy machine. Fitted on one core of a small CPU.
MACS_PER_SECOND = 3.5e10
SECONDS_PER_STEP = 2e-3


class JudgeNet(nn.Module):
    """Features, classes and accuracy of items of one shape.

    Small grids and long sequences get convolutions, everything else a perceptron on the flat item.

    Args:
        shape: (*D) of an item: (D,), (C, L), (C, H, W) or any other.
        classes: the integer labels that the net answers with.
        pseudo: the clusters that stood in for labels, or None when real labels were given.
    """

    def __init__(self, shape: tuple[int, ...], classes: tuple[int, ...], pseudo: Clusters | None):
        super().__init__()
        self.shape, self.classes, self.pseudo = tuple(shape), tuple(classes), pseudo
        self.convolves = len(shape) in (2, 3) and min(shape[1:]) >= 8
        per = (shape[0], *[1] * (len(shape) - 1)) if self.convolves else shape
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.zeros(per))
        self.register_buffer("std", torch.ones(per))
        self.trunk = _convolutions(self.shape) if self.convolves else _perceptron(self.shape)
        self.head = nn.Linear(FEATURES, len(classes))
        self.notes: tuple[str, ...] = ()
        if len(shape) == 3:  # a fifth faster on a CPU
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(features (B, 64), logits (B, classes)) of states x (B, *D)."""
        f = self.trunk((x - self.mean) / self.std)
        return f, self.head(F.silu(f))

    @property
    def cost(self) -> float:
        """Multiply-adds of one training item (a forward and a twice as dear backward pass)."""
        seen = []
        hooks = [
            m.register_forward_hook(
                lambda m, _, out: seen.append(m.weight[0].numel() * out.numel())
            )
            for m in self.modules()
            if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)
        ]
        training = self.training
        self.eval()(torch.zeros(1, *self.shape))
        self.train(training)
        for hook in hooks:
            hook.remove()
        return 3.0 * sum(seen)

    def features(self, x: Any) -> Tensor:
        """Features (N, 64) of states x (N, *D); unbounded, before the last activation."""
        return self._run(x)[0]

    def predict(self, x: Any) -> Tensor:
        """The class (N,) that the judge sees in each of x (N, *D)."""
        return torch.tensor(self.classes)[self._run(x)[1].argmax(1)]

    def accuracy(self, x: Any, labels: Any = None) -> float:
        """Share of items x (N, *D) that get their class; without labels, their cluster."""
        x = states(x)
        if labels is None and self.pseudo is None:
            raise ArgumentError("this judge was trained on labels; accuracy needs labels too")
        truth = self.pseudo.assign(x) if self.pseudo else labelled(labels, x)
        return float((self.predict(x) == truth).double().mean())

    @torch.no_grad()
    def _run(self, x: Any) -> tuple[Tensor, Tensor]:
        x = states(x)
        alike(x, torch.empty(1, *self.shape))
        self.eval()
        parts = [self(chunk) for chunk in x.split(512)]
        return torch.cat([f for f, _ in parts]), torch.cat([logit for _, logit in parts])

    def save(self, folder: str | Path) -> None:
        """Write judge.safetensors and judge.json into the folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"net.{k}": v.contiguous() for k, v in self.state_dict().items()}
        if self.pseudo:
            tensors |= {f"pseudo.{k}": v.contiguous() for k, v in self.pseudo.tensors().items()}
        save_file(tensors, folder / "judge.safetensors")
        said = {
            "format": FORMAT,
            "shape": list(self.shape),
            "classes": list(self.classes),
            "pseudo": self.pseudo is not None,
            "notes": list(self.notes),
        }
        (folder / "judge.json").write_text(json.dumps(said, indent=2) + "\n")

    @classmethod
    def load(cls, folder: str | Path) -> JudgeNet:
        """The judge that `save` wrote. Raises RunError for a missing, damaged or newer file."""
        folder = Path(folder)
        try:
            said = json.loads((folder / "judge.json").read_text())
            tensors = load_file(folder / "judge.safetensors")
            if said["format"] > FORMAT:
                raise RunError(
                    f"{folder}/judge.json has format {said['format']}, this version reads up to "
                    f"{FORMAT}: update unfog"
                )
            held = {
                part: {k.removeprefix(part): v for k, v in tensors.items() if k.startswith(part)}
                for part in ("net.", "pseudo.")
            }
            pseudo = Clusters.of(held["pseudo."]) if said["pseudo"] else None
            net = cls(tuple(said["shape"]), tuple(said["classes"]), pseudo)
            net.load_state_dict(held["net."])
            net.notes = tuple(said["notes"])
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise RunError(f"can't load the judge net from {folder}: {error}") from error
        return net.eval()


def train_judge(
    x: Any, labels: Any = None, *, seed: int = 0, budget: float = 20.0, subset: int = 30_000
) -> JudgeNet:
    """Train a judge net on the training split.

    Args:
        x: (N, *D) training states.      labels: (N,) integer classes; None, or one class only:
            clusters of principal components stand in.
        budget: CPU-seconds; turned into a number of steps by a cost model, so the result depends on
            the seed only. If the machine is four times slower than the model says, training stops
            there and the notes say so.
        subset: the most items that are learnt from.
    Raises: DataError for fewer than 8 items; ArgumentError for a budget that is not positive.
    """
    x = states(x, "train")
    if len(x) < 8:
        raise DataError(f"{len(x)} training items; a judge net needs at least 8")
    if not budget > 0:
        raise ArgumentError(f"budget={budget}; give a positive number of CPU-seconds")
    labels = None if labels is None else labelled(labels, x)
    generator = rng(seed, "judge net")
    if len(x) > subset:
        kept = torch.randperm(len(x), generator=generator)[:subset]
        x, labels = x[kept], None if labels is None else labels[kept]
    notes, pseudo = [], None
    if labels is None or len(labels.unique()) < 2:
        pseudo = clusters(x, generator=generator)
        labels = pseudo.assign(x)
        notes.append(
            f"no labels: the judge net learnt {len(labels.unique())} k-means clusters of "
            "principal components"
        )
    classes, index = labels.unique(return_inverse=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator.initial_seed() % 2**63)
        net = JudgeNet(tuple(x.shape[1:]), tuple(classes.tolist()), pseudo)
    axes = [0, *range(2, x.ndim)] if net.convolves else [0]
    std = x.std(dim=axes, correction=0)
    net.mean.copy_(x.mean(dim=axes).view_as(net.mean))
    net.std.copy_(torch.where(std > 1e-6, std, torch.ones_like(std)).view_as(net.std))
    batch = min(BATCH, len(x))
    affordable = budget / (net.cost * batch / MACS_PER_SECOND + SECONDS_PER_STEP)
    steps = max(1, int(min(affordable, max(200, 15 * len(x) / batch))))
    done = _learn(net, x, index, batch, steps, generator, limit=4 * budget)
    if done < steps:
        notes.append(f"stopped by the clock after {done} of {steps} steps: not reproducible")
    net.notes = tuple(notes)
    return net.eval()


def _learn(
    net: JudgeNet,
    x: Tensor,
    index: Tensor,
    batch: int,
    steps: int,
    generator: torch.Generator,
    limit: float,
) -> int:
    """One-cycle AdamW on shuffled batches; returns how many steps were done."""
    net.train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.05)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=6e-3, total_steps=steps + 1)
    end = time.process_time() + limit
    order = torch.empty(0, dtype=torch.long)
    for step in range(steps):
        if len(order) < batch:
            order = torch.randperm(len(x), generator=generator)
        rows, order = order[:batch], order[batch:]
        _, logits = net(_shifted(x[rows], generator) if net.convolves else x[rows])
        loss = F.cross_entropy(logits, index[rows], label_smoothing=0.05)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        cycle.step()
        if time.process_time() > end:
            return step + 1
    return steps


def _shifted(x: Tensor, generator: torch.Generator) -> Tensor:
    """The batch moved by up to a sixteenth of its side, edges repeated: a shift is no new item."""
    for axis in range(2, x.ndim):
        side = x.shape[axis]
        most = side // 16
        by = int(torch.randint(-most, most + 1, (), generator=generator))
        x = x.index_select(axis, (torch.arange(side) + by).clamp(0, side - 1))
    return x


def _perceptron(shape: tuple[int, ...]) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(shape), 128),
        nn.BatchNorm1d(128),
        nn.SiLU(),
        nn.Linear(128, FEATURES),
        nn.BatchNorm1d(FEATURES),
    )


def _convolutions(shape: tuple[int, ...]) -> nn.Module:
    flat = len(shape) == 3
    conv, norm = (nn.Conv2d, nn.BatchNorm2d) if flat else (nn.Conv1d, nn.BatchNorm1d)
    pool = nn.AdaptiveAvgPool2d(2) if flat else nn.AdaptiveAvgPool1d(4)
    stride = math.ceil(max(shape[1:]) / (16 if flat else 64))  # one cost for every image size
    kernel, padding = (3, 1) if stride == 1 else (2 * stride, stride // 2)
    return nn.Sequential(
        *(conv(shape[0], 24, kernel, stride, padding), norm(24), nn.ReLU()),
        *(conv(24, 48, 3, 2, 1), norm(48), nn.ReLU()),
        *(conv(48, 64, 3, 1, 1), norm(64), nn.ReLU()),
        *(pool, nn.Flatten(), nn.Linear(64 * 4, FEATURES), nn.BatchNorm1d(FEATURES)),
    )
