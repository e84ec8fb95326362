"""Follow a training run: log, look, save now and then, and stop when asked."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from unfog.errors import Stopped
from unfog.tasks.config import Config
from unfog.tasks.looks import Looks
from unfog.tasks.show import note
from unfog.train.dist import World, here
from unfog.train.log import Log
from unfog.train.loop import Progress
from unfog.train.plan import Pace
from unfog.train.schedule import Horizon


@dataclass
class Course:
    """Where a run stands: what a checkpoint keeps beside weights.

    Attributes:
        start: the step it goes on from.     spent: seconds of training before that.
        worked: processor seconds before that.
        pending: losses since the last log line, so that a resumed run logs the same means.
        micro: rows of a batch at once, at most.
        looked: seconds of looks, of this part.
    """

    horizon: Horizon
    start: int = 0
    spent: float = 0.0
    pending: list[float] = field(default_factory=list)
    worked: float = 0.0
    micro: int | None = None
    begun: float = field(default_factory=time.monotonic)
    clocked: float = field(default_factory=time.process_time)
    looked: float = 0.0

    def processor(self) -> float:
        """Processor seconds of training so far, of this process's threads together."""
        return self.worked + time.process_time() - self.clocked

    def seconds(self) -> float:
        """Seconds of training so far, all parts together."""
        return self.spent + time.monotonic() - self.begun


def follow(
    loop: Iterator[Progress],
    course: Course,
    pace: Pace | None,
    config: Config,
    log: Log | None,
    line: Any,
    save: Callable[[int], None],
    asked: list[int],
    world: World,
    looks: Looks,
    after: Callable[[int], None],
    *,
    quiet: bool,
) -> None:
    """Log, look and save now and then, and stop when asked: any process may be, all do."""
    launcher = os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else None
    every, saved, horizon = config.train.log_every, time.monotonic(), course.horizon
    smooth = None
    for progress in loop:
        loss = float(progress.loss)
        course.pending.append(loss)
        course.micro = progress.micro
        for text in progress.said if world.chief else ():
            note(f"note: {text}", quiet=quiet)
        if math.isfinite(loss):
            smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
        now = time.monotonic()
        moved = (pace is not None and pace.check(progress.step, now)) or bool(progress.said)
        if launcher is not None and os.getppid() != launcher:
            asked.append(signal.SIGTERM)  # nobody is left who could end this process
        late = now - saved > config.train.checkpoint_seconds
        stop, changed, due, horizon.steps = world.vote(
            asked[0] if asked else 0,
            moved,
            late and world.chief,
            horizon.steps if world.chief else 0,
        )
        trained = now - course.begun - course.looked
        after(progress.step)
        if changed or progress.step % every == 0 or progress.step == horizon.steps:
            speed = (progress.step - course.start) * config.train.batch / trained
            if log is not None:
                ahead = looks.ahead(progress.step, horizon.steps)
                left = ahead + (horizon.steps - progress.step) * config.train.batch / speed
                _write(log, progress, course, loss, speed, left)
            course.pending.clear()
            said = "no loss yet" if smooth is None else f"loss {smooth:.4f}"
            said = f"{said}  {speed:.0f} items/s{_held(looks)}"
            line.to(progress.step / horizon.steps, said)
        if stop:
            save(progress.step)
            _stop(stop, progress.step, horizon.steps)
        if due:
            save(progress.step)
            saved = now
    save(horizon.steps)


def _held(looks: Looks) -> str:
    """The last look's held-out loss, for the progress line."""
    mean = looks.latest.get("heldout", {}).get("validation_mean")
    return "" if mean is None else f"  held-out {mean:.4f}"


def _write(
    log: Log, progress: Progress, course: Course, loss: float, speed: float, left: float
) -> None:
    log.write(
        progress.step,
        loss=sum(course.pending) / len(course.pending),
        last_loss=loss,
        lr=progress.rate,
        gradient=progress.gradient,
        skipped=progress.skipped,
        halvings=progress.halvings,
        **({"said": " ".join(progress.said)} if progress.said else {}),
        items_per_second=round(speed, 1),
        steps=course.horizon.steps,
        seconds=round(course.seconds(), 2),
        cpu_seconds=round(course.processor(), 2),
        left=round(left, 1),
    )


def _stop(number: int, step: int, steps: int) -> None:
    stopped = Stopped(f"stopped at step {step} of {steps}; go on with --resume")
    stopped.exit_code = 130 if number == signal.SIGINT else 143
    raise stopped


@contextlib.contextmanager
def signals() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM are noted: the loop stops after its step; a later one at once.

    Among several processes, within a second it is the same request: a scheduler signals a process
    and its launcher, which passes it on.
    """
    asked: list[int] = []
    first = 0.0
    same = 1.0 if here().size > 1 else 0.1
    before: dict[int, Any] = {}

    def noted(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if asked and time.monotonic() - first > same:
            if callable(before.get(number)):
                before[number](number, frame)
            raise KeyboardInterrupt
        if not asked:
            first = time.monotonic()
            asked.append(number)

    with contextlib.suppress(ValueError):  # not the main thread: the caller's handlers stay
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, noted)
    try:
        yield asked
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)
