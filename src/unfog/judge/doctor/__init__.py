"""A doctor: from what was measured of a run to the fault's name, its evidence and the fix."""

from unfog.judge.doctor.diagnosis import Diagnosis, Finding, diagnosed
from unfog.judge.doctor.facts import Facts
from unfog.judge.doctor.signs import signs

__all__ = ["Diagnosis", "Facts", "Finding", "diagnosed", "signs"]
