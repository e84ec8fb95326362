"""The judge of CIFAR-10: a small classifier, trained once on the training images with a fixed seed,
kept in the cache and the same for every contestant. Nothing of unfog's in it.

Samples are scored by Fréchet's distance of its 128 features to those of the real test images and
by the sliced Wasserstein distance in pixels; `judges.images` does the same for Fashion-MNIST with a
judge that is a file.
"""

from __future__ import annotations

import io
import pathlib
import zipfile
from typing import Any

import numpy as np

from benchmarks.judges.points import frechet

EPOCHS, BATCH, DIRECTIONS = 5, 128, 256


def read(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """(N, 32, 32, 3) uint8 images and (N,) classes of a zip of class folders."""
    from PIL import Image

    images, names = [], []
    with zipfile.ZipFile(path) as file:
        for name in sorted(n for n in file.namelist() if not n.endswith("/")):
            images.append(np.asarray(Image.open(io.BytesIO(file.read(name))).convert("RGB")))
            names.append(pathlib.PurePosixPath(name).parent.name)
    return np.stack(images), np.unique(names, return_inverse=True)[1]


def tensor(images: np.ndarray) -> Any:
    """(N, 3, 32, 32) in [-1, 1] of (N, 32, 32, 3), uint8 or floats in [0, 1]."""
    import torch

    scale = 255 if images.dtype == np.uint8 else 1
    x = torch.from_numpy(images.astype("float32") / scale)
    return (x.permute(0, 3, 1, 2) * 2 - 1).clamp(-1, 1)


def net() -> Any:
    """Six convolutions, then features, then ten classes."""
    from torch import nn

    def block(wide: int, wider: int) -> Any:
        convolution = nn.Conv2d(wide, wider, 3, 1, 1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(wider), nn.ReLU())

    body = nn.Sequential(
        *(block(3, 32), block(32, 32), nn.MaxPool2d(2)),
        *(block(32, 64), block(64, 64), nn.MaxPool2d(2)),
        *(block(64, 128), block(128, 128), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *(nn.Linear(128, 128), nn.ReLU()),
    )
    return nn.Sequential(body, nn.Linear(128, 10))


def judge(cache: pathlib.Path, train: tuple[np.ndarray, np.ndarray]) -> Any:
    """The trained judge, from the cache or learnt now (some minutes of one thread)."""
    import torch
    from safetensors.torch import load_file, save_file

    path, model = cache / "judges" / "cifar10.safetensors", net()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(_learnt(model, tensor(train[0]), torch.from_numpy(train[1])), path)
    model.load_state_dict(load_file(path))
    return model.eval()


def _learnt(model: Any, x: Any, y: Any) -> dict[str, Any]:
    import torch
    from torch.nn import functional

    rng, steps = torch.Generator().manual_seed(0), EPOCHS * len(x) // BATCH
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for part in model.modules():
            if hasattr(part, "reset_parameters"):
                part.reset_parameters()
    model, x = (v.to(memory_format=torch.channels_last) for v in (model, x))
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    turns = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(steps):
        index = torch.randint(len(x), (BATCH,), generator=rng)
        down, right = torch.randint(9, (2,), generator=rng).tolist()
        batch = functional.pad(x[index], (4,) * 4, mode="reflect")
        batch = batch[:, :, down : down + 32, right : right + 32]
        flip = torch.rand(BATCH, 1, 1, 1, generator=rng) < 0.5
        loss = functional.cross_entropy(model(torch.where(flip, batch.flip(3), batch)), y[index])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        turns.step()
    return {name: value.contiguous() for name, value in model.state_dict().items()}


def scored(model: Any, images: np.ndarray, real: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    """frechet and sliced of drawn images against real ones, and how well the judge knows those."""
    x, truth = tensor(images), tensor(real[0])
    (a, _), (b, said) = _seen(model, x), _seen(model, truth)
    return {
        "n": len(x),
        "frechet": frechet(a, b),
        "sliced": sliced(x, truth),
        "accuracy": float((said == real[1]).mean()),
    }


def _seen(model: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    import torch

    with torch.no_grad():
        seen = torch.cat([model[0](part) for part in x.split(500)])
        return seen.double().numpy(), model[1](seen).argmax(1).numpy()


def sliced(a: Any, b: Any) -> float:
    """Root mean square over random directions of the distance between the sorted shadows."""
    import torch

    rng = torch.Generator().manual_seed(0)
    a, b = a.flatten(1), b.flatten(1)
    least = min(len(a), len(b))
    way = torch.nn.functional.normalize(torch.randn(a.shape[1], DIRECTIONS, generator=rng), dim=0)
    shadows = [(v[:least] @ way).sort(0)[0] for v in (a, b)]
    return float((shadows[0] - shadows[1]).square().mean().sqrt())
