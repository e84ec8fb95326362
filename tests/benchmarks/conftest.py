"""The benchmarks are no part of the package: they are imported from the repository's root."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
