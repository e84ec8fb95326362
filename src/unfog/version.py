"""The version of unfog and of the run-folder format that it writes."""

__version__ = "0.1.0"

FORMAT = 1
"""Run folders of a higher format are refused with one sentence."""
