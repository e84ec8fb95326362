"""What contestants that fill share: the rows they are asked for, and how they hand back draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from benchmarks.contestants.child import Child


@dataclass
class Work:
    """A child's tables: `train` without holes, `asked` of each pattern with holes.

    Attributes:
        levels: column -> its levels, of the columns that are no numbers.     made: what is handed
            back of one pattern, see `benchmarks.judges.fill.judged`.
    """

    child: Child
    train: pd.DataFrame = field(init=False)
    asked: dict[str, pd.DataFrame] = field(init=False)

    def __post_init__(self) -> None:
        request = self.child.asked
        self.levels: dict[str, list[str]] = request["levels"]
        self.draws: int = request["draws"]
        self.train = self.read(request["train"])
        self.asked = {name: self.read(path) for name, path in request["asked"].items()}

    def read(self, path: str) -> pd.DataFrame:
        words = dict.fromkeys(self.levels, object)
        return pd.read_csv(path, dtype=words, keep_default_na=False, na_values=[""])

    @property
    def numbers(self) -> list[str]:
        return [name for name in self.train.columns if name not in self.levels]

    def codes(self, name: str, values: np.ndarray) -> np.ndarray:
        """Places of levels, of any shape."""
        found = pd.Index(self.levels[name]).get_indexer(np.asarray(values, object).ravel())
        return found.reshape(np.shape(values))

    def answer(self, fill: Callable[[pd.DataFrame], dict[str, np.ndarray]]) -> None:
        """Fill every pattern, each as a phase of its own, and keep what was made."""
        for pattern, rows in self.asked.items():
            with self.child.phase(f"fill_{pattern}"):
                made = fill(rows)
            np.savez(self.child.folder / f"{pattern}.npz", **made)
