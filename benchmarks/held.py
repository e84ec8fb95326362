"""The most memory that another process holds.

What the system tells of a process that has ended begins, on Linux, at what its parent held when it
started it. So the high-water mark is read while the process lives.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
import threading
from typing import Any

EVERY = 0.02
"""Seconds between two looks; the mark itself misses nothing between them."""


class Held:
    """Looks at a child until `ended`.

    Attributes: bytes: its high-water mark so far.
    """

    def __init__(self, child: subprocess.Popen[Any]):
        self.status = pathlib.Path(f"/proc/{child.pid}/status")
        self.bytes, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(EVERY):
            try:
                lines = self.status.read_text().splitlines()
                self.bytes = next(int(x.split()[1]) * 1024 for x in lines if x.startswith("VmHWM"))
            except (OSError, ValueError, StopIteration):  # over, or another system
                continue

    def ended(self, used: Any) -> int:
        """Bytes; of a system without such marks what `used`, of os.wait4, says."""
        self._over.set()
        self._thread.join()
        return self.bytes or used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
