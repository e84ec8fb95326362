"""`--nproc`: the same command line in several processes, through torchrun's own agent."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import uuid
from collections.abc import Sequence

from unfog.errors import ArgumentError, UnfogError

EXPLAINED = (2, 3, 4, 5, 6, 75, 130, 143)
"""Exit codes of processes that have said why they end."""


class Fallen(UnfogError):
    """A process of a run ended badly; no message where it gave its own."""


def inside() -> bool:
    """Whether this process was started by torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def launch(arguments: Sequence[str], processes: int) -> None:
    """Run `unfog` with these arguments in so many processes on this machine; none is left behind.

    SIGTERM and Ctrl-C are passed on, and all processes stop together with a checkpoint. Raises
    Fallen, with the exit code of the process that ended first, unless all end well.
    """
    if processes < 1:
        raise ArgumentError(f"--nproc is a number of processes, 1 or more; got {processes}")
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    _silence()
    cores = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    os.environ["OMP_NUM_THREADS"] = str(max(1, cores // processes))
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # stack traces of closed connections
    with tempfile.TemporaryDirectory(prefix="unfog-") as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id=str(uuid.uuid4()),
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        try:
            elastic_launch(config, sys.executable)("-m", "unfog", *arguments)
        except SignalException as error:
            raise _fallen("", 128 + int(error.sigval)) from error
        except ChildFailedError as error:
            rank, failure = next(iter(error.failures.items()))
            code = failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
            said = f"process {rank} of {processes} ended with exit code {code}"
            if failure.exitcode < 0:
                said = f"process {rank} of {processes} was killed by signal {-failure.exitcode}"
            said += "; the others were stopped; go on with --resume"
            raise _fallen("" if failure.exitcode in EXPLAINED else said, code) from error


def _fallen(message: str, code: int) -> Fallen:
    fallen = Fallen(message)
    fallen.exit_code = code
    return fallen


def _silence() -> None:
    """What the agent logs about processes that end is said by `launch` in one sentence."""
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("torch.distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
