"""A doctor: measure a run once, name the fault and the fix."""

from unfog.tasks.doctor.diagnose import FILE, diagnose
from unfog.tasks.doctor.gather import gather

__all__ = ["FILE", "diagnose", "gather"]
