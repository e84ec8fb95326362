"""What a run cost: time, processor time, and an estimate of the energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WATTS_CORE = 10.0
"""Of a busy processor core, with its share of memory and power supply: laptops and servers lie
between 5 and 15."""
WATTS_GPU = 350.0
"""Of a busy data-centre GPU; a laptop's takes a third of it."""


@dataclass(frozen=True)
class Cost:
    """Seconds of training on the clock, of the processor, and of a GPU (0 without one)."""

    clock: float
    processor: float
    gpu: float

    @property
    def watt_hours(self) -> float:
        """An estimate, see WATTS_CORE and WATTS_GPU."""
        return (self.processor * WATTS_CORE + self.gpu * WATTS_GPU) / 3600


def cost_of(lines: list[dict[str, Any]], device: str) -> Cost | None:
    """From the lines of metrics.jsonl; None where nothing was logged."""
    if not lines:
        return None
    last = lines[-1]
    clock = float(last["seconds"])
    on_gpu = device.startswith(("cuda", "mps"))
    return Cost(clock, float(last.get("cpu_seconds", clock)), clock if on_gpu else 0.0)


def duration(seconds: float) -> str:
    """12.3 s, 4 min 10 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
