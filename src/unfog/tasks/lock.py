"""One worker at a time: a lock that dies with its holder, and says who that is."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import socket
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import IO, ParamSpec, TypeVar

from unfog.errors import ArgumentError

P = ParamSpec("P")
R = TypeVar("R")
NAME = ".lock"
"""Of the lock of a run folder."""

_held: ContextVar[contextlib.ExitStack] = ContextVar("held")


class Taken(Exception):
    """Somebody else has it; the message says who."""


def worker() -> str:
    """This process, as others can find it."""
    return f"process {os.getpid()} on {socket.gethostname()}"


@contextlib.contextmanager
def only(path: pathlib.Path) -> Iterator[None]:
    """Hold the lock at `path` while the block runs; the file is there only then.

    The operating system's lock, which ends with its process however that ends. Where there is none
    (Windows, some network file systems), a file that is made only once: one of a process on this
    machine that has ended is taken over.

    Raises: Taken.
    """
    file = _locked(path)
    made = file is None and _made(path)
    try:
        yield
    finally:
        if file is not None or made:
            path.unlink(missing_ok=True)
        if file is not None:
            file.close()


def _locked(path: pathlib.Path) -> IO[str] | None:
    """The open, locked file; None where the system has no locks."""
    try:
        import fcntl
    except ImportError:
        return None
    while True:
        file = path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise Taken(holder) from error
        except OSError:  # a file system without locks
            file.close()
            return None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                file.truncate(0)
                file.write(worker())
                file.flush()
                return file
        file.close()  # its last holder removed it between our two looks


def _made(path: pathlib.Path) -> bool:
    """Make the file, once it is free."""
    for _ in range(2):
        try:
            with path.open("x") as file:
                file.write(worker())
            return True
        except FileExistsError:
            holder = path.read_text(errors="replace").strip()
            if holder and not _ended(holder):
                raise Taken(f"{holder} (if that has ended, remove {path})") from None
            path.unlink(missing_ok=True)
    raise Taken("another process")


def _ended(holder: str) -> bool:
    """Whether `holder` is a process of this machine that is no more."""
    words = holder.split()
    here = len(words) == 4 and words[3] == socket.gethostname() and words[1].isdigit()
    if not here or os.name != "posix":
        return False
    try:
        os.kill(int(words[1]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def hold(folder: pathlib.Path) -> None:
    """Keep a run folder to this process until the `released` function around this call returns.

    Raises: ArgumentError where another training has it.
    """
    stack = _held.get()
    stack.enter_context(_stopped(folder))
    try:
        stack.enter_context(only(folder / NAME))
    except Taken as error:
        raise ArgumentError(
            f"{folder} is being trained by {error}; wait for it, stop it, or name another folder"
        ) from error


def released(function: Callable[P, R]) -> Callable[P, R]:
    """A function that gives back at its end what it held."""

    @functools.wraps(function)
    def run(*args: P.args, **options: P.kwargs) -> R:
        with contextlib.ExitStack() as stack:
            token = _held.set(stack)
            try:
                return function(*args, **options)
            finally:
                _held.reset(token)

    return run


@contextlib.contextmanager
def _stopped(folder: pathlib.Path) -> Iterator[None]:
    """An interruption says whether there is anything to go on with."""
    try:
        yield
    except KeyboardInterrupt as error:
        begun = (folder / "config.json").exists()
        error.args = (
            f"stopped; go on with: --resume -o {folder}"
            if begun
            else f"stopped before training began; nothing was left in {folder}",
        )
        raise
