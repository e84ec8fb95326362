"""Diagnose: measure a run, name its faults, and keep the result in the run folder."""

from __future__ import annotations

from typing import Any

from unfog.judge.doctor import Diagnosis, diagnosed
from unfog.model import files
from unfog.tasks.doctor.gather import gather
from unfog.tasks.trained import Trained

FILE = "doctor.json"


def diagnose(model: Trained, source: Any = None) -> Diagnosis:
    """Name the faults of a run, root causes first, with evidence and fix.

    The result is also written to RUN/doctor.json.

    Args:
        source: further data of the run's form, to be compared with what it learnt from.
    Raises: DataError where the run's own data is gone or has changed.
    """
    found = diagnosed(gather(model, source))
    files.write_json(model.folder / FILE, found.to_json())
    return found
