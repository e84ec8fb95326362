"""What a training loop of a peer is timed with: the same bytes, batch, EMA and counting for all."""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.contestants.child import Child, cpu

Loss = Callable[[nn.Module, Tensor], Tensor]


def absent(name: str) -> Any:
    """What a stand-in has under any name but those that Python itself asks for."""
    if name.startswith("__"):
        raise AttributeError(name)
    return lambda *args: None


def without_torchvision() -> None:
    """A stand-in for torchvision, which some peers import for reading files and never use here."""
    module: Any = types.ModuleType("torchvision")
    module.transforms = module.utils = part = types.ModuleType("torchvision.transforms")
    part.__getattr__ = absent  # type: ignore[method-assign]
    sys.modules["torchvision"], sys.modules["torchvision.transforms"] = module, part


def peak(seconds: float = 2.0) -> float:
    """GFLOP/s of a 3x3 convolution of 256 channels at 8 x 8 in bf16, channels last: the peak."""
    conv = nn.Conv2d(256, 256, 3, padding=1).bfloat16().to(memory_format=torch.channels_last)
    x = torch.randn(64, 256, 8, 8).bfloat16().to(memory_format=torch.channels_last)
    with torch.no_grad():
        conv(x)
        begun, times = time.perf_counter(), []
        while time.perf_counter() - begun < seconds:
            used = cpu_now()
            for _ in range(4):
                conv(x)
            times.append((cpu_now() - used) / 4)
    return 2 * 9 * 256 * 256 * 64 * 64 / min(times) / 1e9


def cpu_now() -> float:
    """CPU-seconds by the fine clock: `os.times` ticks a hundred times a second."""
    return time.process_time()


def flops(net: nn.Module, loss: Loss, x: Tensor) -> float:
    """GFLOP of forward and backward per image."""
    with FlopCounterMode(display=False) as counter:
        loss(net, x).backward()
    net.zero_grad()
    return float(counter.get_total_flops() / len(x) / 1e9)


def timed(
    child: Child, net: nn.Module, loss: Loss, optimiser: torch.optim.Optimizer, *packages: str
) -> None:
    """Updates in float32 or autocast bf16, for so many CPU-seconds; answers with images/s."""
    asked = child.asked
    torch.set_num_threads(asked["threads"])
    half = asked["precision"] == "bfloat16"
    batch = asked["batch"]
    data = torch.randint(0, 256, (2048, 1, 32, 32), dtype=torch.uint8)
    ema = [p.detach().clone() for p in net.parameters()]

    def update() -> None:
        x = data[torch.randint(len(data), (batch,))].float() / 127.5 - 1
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            value = loss(net, x)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        for mean, p in zip(ema, net.parameters(), strict=True):
            mean.lerp_(p.detach(), 0.001)

    net.train()
    work = flops(net, loss, data[:2].float() / 127.5 - 1)
    update()
    begun, wall, count, updates = cpu(), time.perf_counter(), 0, []
    while cpu() - begun < asked["seconds"]:
        used = cpu_now()
        update()
        updates.append(cpu_now() - used)
        count += batch
    spent, taken = cpu() - begun, time.perf_counter() - wall
    child.answer(
        "torch",
        *packages,
        parameters=sum(p.numel() for p in net.parameters()),
        gflop=work,
        images_per_cpu=count / spent,
        images_per_second=count / taken,
        gflops=work * count / spent,
        peak_gflops=peak(),
    )
