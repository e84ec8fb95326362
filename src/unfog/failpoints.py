"""Named places where a test can make a run fail; they cost one look at a dict when nothing is set.

    UNFOG_FAILPOINTS="checkpoint.after_tmp=kill,train.step@7=nan" unfog fit …

An entry is `place=action`, `place@N=action` or `place@N-M=action` (`N-` without an end). N is the
number that the place names (the step of an update, counted from 1; the rows of a piece of a batch),
else how often it was passed. A single N happens once; a range, or no number, happens every time.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

from unfog.errors import ArgumentError

VARIABLE = "UNFOG_FAILPOINTS"
PLACES = {
    "fit.prepare": "before the source is read",
    "fit.plan": "before sizes are tried",
    "fit.founded": "between two files at the start of a run folder",
    "train.step": "before an update of a training, not of a trial; its number",
    "train.rows": "before a forward pass; how many rows",
    "log.write": "before a line of metrics.jsonl",
    "board.write": "before a TensorBoard event",
    "file.write": "before a file that was written is flushed to disk",
    "checkpoint.between": "between two files of a checkpoint",
    "checkpoint.after_tmp": "a checkpoint is written, and not yet renamed",
    "checkpoint.after_rename": "a checkpoint is there; older ones are not yet dropped",
    "finish.between": "between two files that end a run",
    "sample.step": "before a sampling step; its number",
    "samples.write": "samples are written, and not yet renamed",
    "pour.piece": "a piece of many rows is written; how many rows are by now",
    "shard.after_tmp": "a shard is written, and not yet renamed",
    "shard.after_rename": "a shard is there; its lock is still held",
    "evaluate.judge": "samples are drawn, and not yet judged",
}
ACTIONS = {
    "kill": "SIGKILL to this process",
    "term": "SIGTERM to this process",
    "int": "Ctrl-C for this process",
    "exit": "end at once with this code: exit:7",
    "full": "OSError: no space left on device",
    "denied": "OSError: permission denied",
    "oom": "MemoryError",
    "nan": "the place spoils its numbers (train.step only)",
    "sleep": "wait so many seconds: sleep:0.5",
}
_ENTRY = re.compile(r"([\w.]+)(?:@(\d+)(-(\d*))?)?=(\w+)(?::([\d.]+))?")


@dataclass
class Fault:
    """What happens at a place, at which of its numbers, and whether it has happened."""

    action: str
    value: float | None = None
    first: int | None = None
    last: int | None = None
    once: bool = False
    over: bool = False

    def due(self, number: int) -> bool:
        if self.over or (self.first is not None and number < self.first):
            return False
        if self.last is not None and number > self.last:
            return False
        self.over = self.once
        return True


_faults: dict[str, list[Fault]] | None = None
_passed: dict[str, int] = {}


def parse(text: str) -> dict[str, list[Fault]]:
    """place -> faults. Raises ArgumentError for an unknown place or action, or a bad entry."""
    found: dict[str, list[Fault]] = {}
    for entry in (part.strip() for part in text.split(",")):
        if not entry:
            continue
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise ArgumentError(
                f"{VARIABLE} takes place=action, place@N=action or place@N-M=action, separated by "
                f"commas; got {entry!r}"
            )
        place, first, span, last, action, value = match.groups()
        _known("place", place, PLACES)
        _known("action", action, ACTIONS)
        if (action in ("sleep", "exit")) != (value is not None):
            raise ArgumentError(f"{VARIABLE}: {action!r} is {ACTIONS[action]}; got {entry!r}")
        if action == "nan" and place != "train.step":
            raise ArgumentError(f"{VARIABLE}: 'nan' is for train.step; got {entry!r}")
        found.setdefault(place, []).append(
            Fault(
                action,
                None if value is None else float(value),
                None if first is None else int(first),
                int(first) if first and span is None else int(last) if last else None,
                once=first is not None and span is None,
            )
        )
    return found


def _known(what: str, name: str, names: dict[str, str]) -> None:
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ArgumentError(f"{VARIABLE}: unknown {what} {name!r}; known: {', '.join(names)}{hint}")


def armed() -> dict[str, list[Fault]]:
    """The faults that the environment names, read once. Raises ArgumentError as `parse` does."""
    global _faults
    if _faults is None:
        _faults = parse(os.environ.get(VARIABLE, ""))
    return _faults


@contextlib.contextmanager
def arm(text: str) -> Iterator[None]:
    """These faults instead of the environment's, for as long as the block is open."""
    global _faults
    before = armed()
    _faults = parse(text)
    _passed.clear()
    try:
        yield
    finally:
        _faults = before


def at(place: str, number: int | None = None) -> bool:
    """Let what is set for this place happen; True where the place shall spoil its numbers.

    Args:
        number: what `@N` is compared with; how often the place was passed where None.
    """
    faults = armed()
    if not faults:
        return False
    if place not in PLACES:
        raise KeyError(f"{place} is not in failpoints.PLACES")
    _passed[place] = _passed.get(place, 0) + 1
    here = _passed[place] if number is None else number
    spoil = False
    for fault in faults.get(place, []):
        if fault.due(here):
            spoil |= _happen(fault, place)
    return spoil


def _happen(fault: Fault, place: str) -> bool:
    if fault.action == "sleep":
        time.sleep(fault.value or 0.0)
    elif fault.action == "exit":
        os._exit(int(fault.value or 0))
    elif fault.action == "oom":
        raise MemoryError(f"failpoint {place}")
    elif fault.action in ("full", "denied"):
        number = errno.ENOSPC if fault.action == "full" else errno.EACCES
        raise OSError(number, os.strerror(number))
    elif fault.action in ("kill", "term", "int"):
        sent = {"kill": "SIGKILL", "term": "SIGTERM", "int": "SIGINT"}[fault.action]
        signal.raise_signal(getattr(signal, sent))
    return fault.action == "nan"
