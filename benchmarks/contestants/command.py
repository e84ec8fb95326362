"""Any command, timed: a Python with the asked arguments, in this environment."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.contestants.child import Child

child = Child()
with child.phase("command"):
    done = subprocess.run(
        [sys.executable, *child.asked["arguments"]], capture_output=True, text=True, check=False
    )
if done.returncode:
    sys.stderr.write(done.stderr)
    sys.exit(done.returncode)
child.answer(*child.asked.get("packages", []))
