"""benchmarks/solvers.py as a contestant: overhead per call and errors of three libraries at once.

They are in one environment, because that script takes them in turns within one process.
"""

from __future__ import annotations

from benchmarks import solvers
from benchmarks.contestants.child import Child

child = Child()
solvers.torch.set_num_threads(child.asked["threads"])
overhead = solvers.overhead(child.asked["turns"])
found = {}
if child.asked["errors"]:
    found = {
        f"{title}, {grid} grid": solvers.errors(truth, grid)
        for title, truth in solvers.problems().items()
        for grid in ("karras", "angle")
    }
child.answer("torch", "diffusers", "k-diffusion", overhead=overhead, errors=found)
