"""Writing so that a file or a folder is there whole, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unfog.errors import ArgumentError, ResourceError
from unfog.failpoints import at

OURS = {".png", ".tif", ".npy", ".npz", ".csv", ".tsv", ".parquet"}


@contextmanager
def whole(out: Path, *, folder: bool, overwrite: bool) -> Iterator[Path]:
    """A temporary sibling of `out` to write to; it takes the name `out` when the block ends well.

    Raises: ArgumentError if `out` is there already (an empty folder may be), unless `overwrite`; a
    folder
        that holds anything but data files is never replaced. ResourceError if the disk is full.
    """
    out = Path(out)
    _check_free(out, folder, overwrite)
    temporary: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        inner = temporary / out.name
        if folder:
            inner.mkdir()
        yield inner
        at("samples.write")
        if folder and out.exists():
            os.replace(out, temporary / ".old")
        os.replace(inner, out)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ResourceError(
                f"{out}: the disk is full; nothing was left behind: free some space, or choose "
                "another place"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            raise ArgumentError(
                f"{out}: can't be written ({error.strerror}); choose another place"
            ) from error
        raise
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _check_free(out: Path, folder: bool, overwrite: bool) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if out.is_dir() != folder:
        what = "a folder" if out.is_dir() else "a file"
        raise ArgumentError(f"{out}: is {what} already; choose another name")
    if folder and not any(out.iterdir()):
        return
    if not overwrite:
        raise ArgumentError(f"{out}: exists already; choose another name, or ask to overwrite it")
    if folder:
        for path in out.rglob("*"):
            if path.is_symlink() or (not path.is_dir() and path.suffix.lower() not in OURS):
                raise ArgumentError(
                    f"{out}: holds {path.relative_to(out)}, which unfog did not write, so it is "
                    "not overwritten; choose another name"
                )
