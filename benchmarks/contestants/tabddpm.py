"""TabDDPM: the authors' code at a fixed commit, driven as their scripts drive it.

Diffusion, net and losses are theirs. The rest of their pipeline (files of arrays, data transforms
of a fork of other projects) is this file, after their `scripts/train.py`, `sample.py` and
`lib/data.py`: quantile-normalised numbers, ordinal categories, a class label as condition and a
number to predict as one more number, AdamW with a step size that falls linearly to 0, samples of
the last weights, numbers of at most 32 whole values rounded to these. The hyper-parameters are
their defaults (`scripts/train.py`: 1000 times, cosine, batch 1024, step size 0.002, decay 1e-4;
nets of two layers of 256 as in `exp/*/config.toml`), as many updates as the CPU-seconds allow.

It has no missing numbers. Here each column with such gets a category that says "missing", which is
more than their own policy (the mean) does.
"""

from __future__ import annotations

import contextlib
import io
import warnings

from benchmarks.contestants.child import Child, cpu

child = Child()
warnings.filterwarnings("ignore")
with child.phase("import"):
    import numpy as np
    import pandas as pd
    import torch
    from sklearn.preprocessing import QuantileTransformer
    from tab_ddpm import GaussianMultinomialDiffusion
    from tab_ddpm.modules import MLPDiffusion

BATCH, RATE, DECAY, TIMES, LAYERS = 1024, 0.002, 1e-4, 1000, (256, 256)
PILOT = 20  # updates that are timed to know how many will fit


class Coder:
    """Rows to arrays and back."""

    def __init__(self, rows: pd.DataFrame, categories: list[str], target: str, seed: int):
        self.columns, self.label = list(rows.columns), target if target in categories else None
        self.numbers = [c for c in self.columns if c not in categories]
        self.categories = [c for c in categories if c != self.label]
        self.gaps = [c for c in self.numbers if rows[c].isna().any()]
        self.levels = {c: list(pd.unique(rows[c].astype(object))) for c in categories}
        values = rows[self.numbers].to_numpy(float)
        self.means = np.nanmean(values, 0)
        self.quantiles = QuantileTransformer(
            output_distribution="normal", n_quantiles=max(min(len(rows) // 30, 1000), 10),
            subsample=int(1e9), random_state=seed,
        ).fit(self.filled(values))  # fmt: skip
        self.whole = {
            c: u for c in self.numbers
            if len(u := np.unique(rows[c].dropna())) <= 32 and (u == np.round(u)).all()
        }  # fmt: skip

    def filled(self, values: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(values), self.means, values)

    @property
    def sizes(self) -> np.ndarray:
        sizes = [len(self.levels[c]) for c in self.categories] + [2] * len(self.gaps)
        return np.array(sizes or [0])

    def encode(self, rows: pd.DataFrame) -> tuple[torch.Tensor, torch.Tensor]:
        numbers = self.quantiles.transform(self.filled(rows[self.numbers].to_numpy(float)))
        codes = [self.code(rows, c) for c in self.categories]
        gaps = [rows[c].isna().to_numpy(int) for c in self.gaps]
        x = np.column_stack([numbers, *codes, *gaps])
        y = self.code(rows, self.label) if self.label else np.zeros(len(rows), int)
        return torch.from_numpy(x).float(), torch.from_numpy(y)

    def code(self, rows: pd.DataFrame, name: str) -> np.ndarray:
        return pd.Index(self.levels[name]).get_indexer(rows[name].astype(object))

    def decode(self, x: np.ndarray, y: np.ndarray) -> pd.DataFrame:
        count = len(self.numbers)
        values = pd.DataFrame(self.quantiles.inverse_transform(x[:, :count]), columns=self.numbers)
        for name, known in self.whole.items():
            column = values[name].to_numpy()
            values[name] = known[np.abs(column[:, None] - known).argmin(1)]
        names = self.categories + self.gaps
        codes = dict(zip(names, x[:, count:].round().astype(int).T, strict=bool(names)))
        for name in self.gaps:
            values.loc[codes[name] == 1, name] = np.nan
        for name in self.categories:
            values[name] = np.array(self.levels[name], object)[codes[name]]
        if self.label:
            values[self.label] = np.array(self.levels[self.label], object)[y]
        return values[self.columns]


class Training:
    """Their trainer: one update after another at a step size that falls to 0."""

    def __init__(self, diffusion: torch.nn.Module, x: torch.Tensor, y: torch.Tensor):
        self.diffusion, self.x, self.y = diffusion, x, y
        self.optimiser = torch.optim.AdamW(diffusion.parameters(), lr=RATE, weight_decay=DECAY)
        self.order = torch.randperm(len(x))
        self.at = 0

    def batch(self) -> torch.Tensor:
        if self.at >= len(self.x):
            self.order, self.at = torch.randperm(len(self.x)), 0
        self.at += BATCH
        return self.order[self.at - BATCH : self.at]

    def update(self, share: float) -> None:
        rows = self.batch()
        self.optimiser.zero_grad()
        discrete, gauss = self.diffusion.mixed_loss(self.x[rows], {"y": self.y[rows]})
        (discrete + gauss).backward()
        self.optimiser.step()
        for group in self.optimiser.param_groups:
            group["lr"] = RATE * (1 - share)


def fit(
    coder: Coder, rows: pd.DataFrame, budget: float
) -> tuple[torch.nn.Module, torch.Tensor, int]:
    """The diffusion, the class shares, and how many updates it got."""
    begun = cpu()
    x, y = coder.encode(rows)
    classes = len(coder.levels[coder.label]) if coder.label else 0
    width = int(coder.sizes.sum()) + len(coder.numbers)
    net = MLPDiffusion(width, classes, classes > 0, {"d_layers": list(LAYERS), "dropout": 0.0})
    diffusion = GaussianMultinomialDiffusion(
        coder.sizes, len(coder.numbers), net, num_timesteps=TIMES, scheduler="cosine"
    )
    training = Training(diffusion.train(), x, y)
    for _ in range(PILOT):
        training.update(0.0)
    first = cpu()
    for _ in range(PILOT):
        training.update(0.0)
    each = (cpu() - first) / PILOT
    total = max(2 * PILOT + 1, int((budget - (first - begun)) / each) + PILOT)
    done = 2 * PILOT
    while done < total and cpu() - begun < budget:
        training.update(max(done / total, (cpu() - begun) / budget))
        done += 1
    return diffusion.eval(), torch.bincount(y).float(), done


torch.set_num_threads(child.asked["threads"])
torch.manual_seed(child.asked["seed"])
np.random.seed(child.asked["seed"])
rows = pd.read_csv(child.asked["train"])
with child.phase("fit"):
    coder = Coder(rows, child.asked["categories"], child.asked["target"], child.asked["seed"])
    diffusion, shares, updates = fit(coder, rows, child.asked["budget"])
with child.phase("sample"), contextlib.redirect_stdout(io.StringIO()):
    count = child.asked["rows"]
    x, y = diffusion.sample_all(count, min(count, 2000), shares)
    drawn = coder.decode(x.numpy(), y.numpy().ravel())
drawn.to_csv(f"{child.asked['folder']}/drawn.csv", index=False)
child.answer("torch", updates=updates)
