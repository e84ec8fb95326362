"""Every error a user can meet: one sentence that names the value, what is allowed, and the fix.

Each class carries the exit code that the command line ends with, so that Python and shell agree.
"""

from __future__ import annotations


class UnfogError(Exception):
    """Base of all errors raised on purpose by unfog."""

    exit_code = 1


class ArgumentError(UnfogError, ValueError):
    """A wrong argument or configuration value."""

    exit_code = 2


class UnknownName(ArgumentError, KeyError):
    """A name that no registry row has; the message suggests the nearest one."""

    def __str__(self) -> str:  # KeyError would show the repr
        return str(self.args[0])


class TimeError(ArgumentError):
    """A time outside [0, 1], or a move that does not go towards the data."""


class TargetError(ArgumentError):
    """A net's answer that does not determine the data at this time on this path."""


class ShapeError(ArgumentError):
    """Tensors whose shapes do not fit each other or the model."""


class DataError(UnfogError, ValueError):
    """Data that can't be used as it is."""

    exit_code = 3


class RunError(UnfogError):
    """A run folder that is damaged, altered, foreign or newer than this version."""

    exit_code = 4


class ResourceError(UnfogError):
    """Not enough memory or disk."""

    exit_code = 5


class QualityError(UnfogError):
    """A quality or privacy gate failed."""

    exit_code = 6


class Stopped(UnfogError):
    """Training ended early on request, with a checkpoint that `--resume` continues from."""

    exit_code = 75


def out_of_memory(error: BaseException) -> bool:
    """Whether an error, of whatever library, says that memory ran out on a device or a CPU."""
    if isinstance(error, MemoryError):
        return True
    if any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True  # torch's, on any device; known by its name so that torch need not be here
    said = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in said or "not enough memory" in said
    )
