"""How well a net restores noised items, level by level, beside what simple denoisers reach."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unfog.judge.doctor.denoisers import Reference
from unfog.maths.paths import Affine, Noised
from unfog.maths.randomness import BatchRng
from unfog.maths.states import State, each, lead
from unfog.model.model import Model

Cond = dict[str, Tensor] | None
DEAD = 0.01
"""An answer that varies less than this share of what it should at every level is dead."""
ROUNDING = 1e-4
"""Share of the widest direction from which another one is real, in single precision."""


class Noisings:
    """Some items, noised at every level with noise of their own, for any number of nets.

    Args:
        x: N states, in the model's space.     cond: their conditions.     times: (L,) rising.
        train: states that the reference learns from.     labels, known: classes of both, or None.
    """

    def __init__(
        self,
        model: Model,
        x: State,
        cond: Cond,
        times: Tensor,
        *,
        train: State,
        labels: Tensor | None = None,
        known: Tensor | None = None,
        seed: int = 0,
    ):
        self.path, self.target, self.x, self.cond, self.times = (
            model.path,
            model.target,
            x,
            cond or None,
            times.float(),
        )
        self.noised: list[Noised] = [
            model.path.corrupt(x, t, rng=BatchRng(seed, 47, number, 0))
            for number, t in enumerate(self.times)
        ]
        self.units: list[dict[str, float]] = [{} for _ in self.noised]
        self.linear: list[dict[str, float]] = [{} for _ in self.noised]
        self.simple: list[dict[str, Tensor]] = [{} for _ in self.noised]
        for name, field, path, _ in self._fields():
            base = _named(train)[name]
            if isinstance(path, Affine):
                reference = Reference(base.flatten(1), labels)
                for level, noised in enumerate(self.noised):
                    x_t = _named(noised.x_t)[name].flatten(1)
                    best, linear = reference.errors(
                        path, field.flatten(1), x_t, self.times[level], known
                    )
                    self.simple[level][name] = best
                    self.units[level][name] = max(float(best.mean()), 1e-12)
                    self.linear[level][name] = linear
            else:
                for level, noised in enumerate(self.noised):
                    lost = _surprise(base, field) * _named(noised.z)[name]
                    self.simple[level][name] = lost.double().mean(1)
                    self.units[level][name] = max(float(lost.mean()), 1e-12)

    def _fields(self) -> list[tuple[str, Tensor, Any, Any]]:
        x = _named(self.x)
        if isinstance(self.x, Tensor):
            return [("", x[""], self.path, self.target)]
        return [(n, v, self.path.fields[n], self.target.fields[n]) for n, v in x.items()]

    def errors(
        self,
        model: Model,
        levels: list[int] | None = None,
        cond: Cond = None,
        counted: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """(L, N) errors in units of the reference; fields count by their columns.

        Args:
            levels: which; all where None.     cond: instead of the items' own.
            counted: of each field, which columns (bool) count; all where None.
        """
        rows = []
        for level in range(len(self.times)) if levels is None else levels:
            noised = self.noised[level]
            t = self.times[level].expand(len(lead(self.x)))
            x_hat = _named(model.predict(noised.x_t, t, self.cond if cond is None else cond))
            total = torch.zeros(len(t), dtype=torch.float64)
            weight = 0
            for name, field, path, _ in self._fields():
                guess = x_hat[name]
                if isinstance(path, Affine):
                    lost = (guess - field).square().flatten(1)
                else:
                    picked = guess.gather(-1, field.unsqueeze(-1)).squeeze(-1)
                    lost = -picked.clamp_min(1e-12).log() * _named(noised.z)[name]
                if counted is not None:
                    lost = lost[:, counted[name]]
                total += lost.double().sum(1) / self.units[level][name]
                weight += lost.shape[1]
            rows.append(total / max(1, weight))
        return torch.stack(rows)

    def standard_error(self, errors: Tensor) -> float:
        """Of the mean of (L, N) errors of a net in units of the reference, over the choice of items
        and their noise, which net and reference share.
        """
        columns = {name: field[0].numel() for name, field, _, _ in self._fields()}
        simple = torch.zeros_like(errors)
        for level, own in enumerate(self.simple):
            for name, count in columns.items():
                share = count / sum(columns.values())
                simple[level] += share * own[name] / self.units[level][name]
        away = (errors - errors.mean(1, keepdim=True) * simple).mean(0)
        return float(away.std()) / max(1, len(away)) ** 0.5

    def linear_errors(self) -> list[float] | None:
        """Of the plain Gaussian denoiser, mean over fields of numbers; None without any."""
        if not any(self.linear):
            return None
        return [sum(level.values()) / len(level) for level in self.linear]

    def outputs(self, model: Model) -> tuple[float, float]:
        """Of entries of numbers: the share whose answer does not vary with the state, at any level;
        and how many directions the answers for the others span, as a share of those that they
        could, at the level where that is most.
        """
        fields = {name: field for name, field, path, _ in self._fields() if _real(path)}
        alive = {n: torch.zeros(v[0].numel(), dtype=torch.bool) for n, v in fields.items()}
        answers: dict[str, list[Tensor]] = {name: [] for name in fields}
        for level, noised in enumerate(self.noised):
            t = self.times[level].expand(len(lead(self.x)))
            told = _named(model.answer(noised.x_t, t, self.cond))
            for name, field, path, target in self._fields():
                if not _real(path):
                    continue
                y, z = told[name].flatten(1), _named(noised.z)[name]
                wanted = target.encode(path, field, z, t).flatten(1)
                if target.parts > 1:  # the first part is the noise, the others are not regressed
                    y, wanted = y[:, : field[0].numel()], z.flatten(1)
                alive[name] |= y.std(0) > DEAD * wanted.std(0)
                answers[name].append(y)
        dead = sum(int((~v).sum()) for v in alive.values())
        shares = [
            max(_spanned(y[:, some]) for y in answers[name])
            for name, some in alive.items()
            if bool(some.any())
        ]
        return dead / max(1, sum(len(v) for v in alive.values())), min(shares, default=1.0)


def _real(path: Any) -> bool:
    return isinstance(path, Affine)


def _spanned(y: Tensor) -> float:
    """Directions beyond rounding that rows (N, D) span about their mean, over min(N - 1, D)."""
    y = (y - y.mean(0)).double()
    squares = torch.linalg.eigvalsh(y @ y.T if len(y) < y.shape[1] else y.T @ y)
    most = max(1, min(len(y) - 1, y.shape[1]))
    return min(1.0, int((squares > ROUNDING**2 * squares.max()).sum()) / most)


def _named(state: Any) -> dict[str, Tensor]:
    return state if isinstance(state, dict) else {"": state}


def _surprise(train: Tensor, x: Tensor) -> Tensor:
    """-log of every category's frequency in training, (N, C)."""
    columns = []
    for column, values in enumerate(x.T):
        most = int(max(train[:, column].max(), values.max())) + 1
        counts = torch.bincount(train[:, column], minlength=most).double() + 0.5
        columns.append(-(counts / counts.sum()).log()[values])
    return torch.stack(columns, 1)


def numbers(state: State) -> Tensor:
    """(N, D) all real numbers of the states; categories left out."""
    parts = [v.flatten(1) for v in _named(state).values() if v.is_floating_point()]
    return torch.cat(parts, 1) if parts else torch.zeros(len(lead(state)), 0)


def first(state: State, count: int) -> State:
    """The first `count` of the states."""
    picked: State = each(lambda v: v[:count], state)
    return picked
