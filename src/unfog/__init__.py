"""unfog: diffusion and flow matching on any data.

    import unfog
    model = unfog.fit("photos/", budget="10m")
    model.sample(16).save("out/")

Public names are imported on first use, so that `import unfog` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from unfog.errors import UnfogError
from unfog.version import __version__

if TYPE_CHECKING:
    from unfog.tasks.distill import distill
    from unfog.tasks.evaluate import evaluate
    from unfog.tasks.filled import Filled
    from unfog.tasks.fit import fit
    from unfog.tasks.generate import Samples
    from unfog.tasks.inspect import inspect
    from unfog.tasks.load import load
    from unfog.tasks.report import report
    from unfog.tasks.score import score
    from unfog.tasks.trained import Trained

_HOMES = {
    "fit": "unfog.tasks.fit",
    "load": "unfog.tasks.load",
    "distill": "unfog.tasks.distill",
    "evaluate": "unfog.tasks.evaluate",
    "inspect": "unfog.tasks.inspect",
    "report": "unfog.tasks.report",
    "score": "unfog.tasks.score",
    "Filled": "unfog.tasks.filled",
    "Trained": "unfog.tasks.trained",
    "Samples": "unfog.tasks.generate",
}

__all__ = [
    "Filled",
    "Samples",
    "Trained",
    "UnfogError",
    "__version__",
    "distill",
    "evaluate",
    "fit",
    "inspect",
    "load",
    "report",
    "score",
]


def __getattr__(name: str) -> Any:
    if name == "sklearn":
        return importlib.import_module("unfog.sklearn")
    if name not in _HOMES:
        raise AttributeError(f"module 'unfog' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES))
