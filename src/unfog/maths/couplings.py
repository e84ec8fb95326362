"""How data and noise are paired in training. A coupling only re-pairs a batch; it draws no noise.

Closer pairs make straighter paths, which take fewer steps. What a pairing must not do is tell the
noise about the condition: at sampling time noise is drawn without it, and a model would meet pairs
that it never saw. So conditions take part in every choice here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from unfog.errors import ArgumentError, ShapeError
from unfog.maths.randomness import Rng
from unfog.maths.states import State, each, lead
from unfog.registry import Registry

couplings: Registry[type] = Registry("coupling")
Cond = Mapping[str, Tensor | None] | None


@dataclass(frozen=True)
class Coupling:
    """Base of all couplings."""

    @property
    def needs_source(self) -> bool:
        """Whether z must come with the data instead of being drawn from the prior."""
        return False

    def pair(self, x: State, z: State, cond: Cond = None, *, rng: Rng) -> State:
        """The same z in another order, so that z[i] goes with x[i]; (B, *D) or a dict of these.

        Args:
            cond: the encoded conditions, (B, …) each, that belong to x.
        """
        raise TypeError(f"{type(self).__name__} must define pair")


@couplings.add("independent", aliases=("none",), reference="Lipman et al. 2023, Flow Matching")
@dataclass(frozen=True)
class Independent(Coupling):
    """z as it was drawn."""

    def pair(self, x: State, z: State, cond: Cond = None, *, rng: Rng) -> State:
        _check(x, z, cond)
        return z


@couplings.add("paired", aliases=("data",), reference="Albergo et al. 2023; Liu et al. 2023, I2SB")
@dataclass(frozen=True)
class Paired(Coupling):
    """z comes with the data, sample by sample (a blurred picture, yesterday's map), and stays."""

    @property
    def needs_source(self) -> bool:
        return True

    def pair(self, x: State, z: State, cond: Cond = None, *, rng: Rng) -> State:
        _check(x, z, cond)
        return z


@dataclass(frozen=True)
class _Transport(Coupling):
    """Base of those that lower the squared distance, among samples of one class.

    Whole-number conditions (B, …) are classes, and z never crosses from one to another: each class
    keeps the noise it was drawn with, so noise says nothing about the class. Missing conditions
    (-1, or NaN among real ones) form classes of their own. Real conditions c add
    cond_weight ||c - c'||^2 to the cost of giving c the noise drawn with c': 0 ignores
    them, and the larger, the less noise can tell about them.

    Args:
        cond_weight: in squared units of the state per squared unit of the condition.
    Ref: Cheng & Schwing 2025, The Curse of Conditions (C2OT), sec. 4.
    """

    cond_weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.cond_weight < float("inf"):
            raise ArgumentError(f"cond_weight must be 0 or more, finite; got {self.cond_weight}")

    def pair(self, x: State, z: State, cond: Cond = None, *, rng: Rng) -> State:
        _check(x, z, cond)
        gain = self._gain(_flat(x), _flat(z), cond)
        order = torch.arange(len(lead(x)))
        for rows in classes(cond, len(order)):
            if len(rows) > 1:
                order[rows] = rows[self.assign(gain[rows][:, rows], rng=rng)]
        return each(lambda v: v[order.to(v.device)], z)

    def assign(self, gain: Tensor, *, rng: Rng) -> Tensor:
        """A permutation (n,): which column each row gets, where `gain` (n, n) is large."""
        raise TypeError(f"{type(self).__name__} must define assign")

    def _gain(self, x: Tensor, z: Tensor, cond: Cond) -> Tensor:
        """(B, B): minus the cost, less what every pairing pays alike, ||x||^2 and ||z||^2."""
        gain = 2 * (x @ z.mT)
        for value in (cond or {}).values():
            if value is not None and value.is_floating_point():
                c = value.detach().reshape(len(x), -1).cpu().double()
                c = torch.where(c.isnan().any(1, keepdim=True), 0.0, c)
                gain = gain + 2 * self.cond_weight * (c @ c.mT)
        return gain


@couplings.add(
    "optimal_transport",
    aliases=("ot", "c2ot", "minibatch_ot"),
    reference="Pooladian et al. 2023; Tong et al. 2024, OT-CFM; Cheng & Schwing 2025, C2OT",
)
@dataclass(frozen=True)
class OptimalTransport(_Transport):
    """The pairing of the batch with the least total squared distance, exactly."""

    def assign(self, gain: Tensor, *, rng: Rng) -> Tensor:
        from scipy.optimize import linear_sum_assignment

        return torch.from_numpy(linear_sum_assignment(gain.numpy(), maximize=True)[1])


@couplings.add("sinkhorn", reference="Cuturi 2013, Sinkhorn Distances; Schmitzer 2019, sec. 3")
@dataclass(frozen=True)
class Sinkhorn(_Transport):
    """A random pairing drawn from the entropic plan: close pairs likely, none certain.

    Rows take turns in random order, each draws a column from its row of the plan among those
    still free: every z is used once, at the price that late rows follow the plan less closely.

    Args:
        epsilon: entropy's price, as a share of how much a pair costs above the best one, on
            average; towards 0 optimal transport, towards infinity independent.
        iterations: of balancing rows and columns, at every price on the way down.
    """

    epsilon: float = 0.05
    iterations: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.epsilon > 0 or self.iterations < 1:
            raise ArgumentError(
                f"sinkhorn needs epsilon > 0 and iterations >= 1; got {self.epsilon}, "
                f"{self.iterations}; for epsilon 0 take optimal_transport"
            )

    def assign(self, gain: Tensor, *, rng: Rng) -> Tensor:
        log_plan = sinkhorn(gain, self.epsilon, self.iterations)
        count = len(gain)
        # largest log p + Gumbel noise is a draw from p, also when p is cut to the free columns
        u = rng.uniform(torch.empty(count, count, dtype=torch.float64)).clamp_min(1e-300)
        scores = log_plan - (-u.log()).log()
        order = torch.empty(count, dtype=torch.long)
        for row in rng.uniform(torch.empty(count)).argsort().tolist():
            order[row] = scores[row].argmax()
            scores[:, order[row]] = -torch.inf
        return order


def sinkhorn(gain: Tensor, epsilon: float, iterations: int) -> Tensor:
    """log of the doubly stochastic plan (n, n): exp(gain / price) times row and column factors.

    Args:
        gain: (n, n).     epsilon: the price, in units of a pair's mean shortfall from the best.
    """
    gain = gain - gain.amax(1, keepdim=True)
    gain = gain - gain.amax(0)
    unit = -gain.mean()
    if not unit > 0:
        return torch.full_like(gain, -math.log(len(gain)))  # all pairs are equally good
    # from a high price down by halves: at a low one, balancing from scratch hardly moves
    halvings = max(0, math.ceil(-math.log2(epsilon)))
    log_plan = gain / (epsilon * unit) / 2**halvings
    for stage in range(halvings + 1):
        log_plan = log_plan * 2 if stage else log_plan
        for _ in range(iterations):
            log_plan = log_plan - log_plan.logsumexp(1, keepdim=True)
            log_plan = log_plan - log_plan.logsumexp(0)
    return log_plan


def classes(cond: Cond, count: int) -> Iterator[Tensor]:
    """The rows (long, CPU) of each combination of whole-number and missing real conditions."""
    keys = [torch.zeros(count, 1, dtype=torch.long)]
    for value in (cond or {}).values():
        if value is None:
            continue
        flat = value.detach().reshape(count, -1)
        if flat.is_floating_point():
            flat = flat.isnan().any(1, keepdim=True)
        keys.append(flat.long().cpu())
    names = torch.cat(keys, 1).unique(dim=0, return_inverse=True)[1]
    for name in range(int(names.max()) + 1):
        yield (names == name).nonzero()[:, 0]


def _flat(state: State) -> Tensor:
    """(B, D) float64 on the CPU, where the assignment is solved, of all real-number fields."""
    fields = state.values() if isinstance(state, dict) else [state]
    flat = [v.detach().reshape(len(v), -1) for v in fields if v.is_floating_point()]
    if not flat:
        raise ArgumentError(
            "optimal transport needs a state of real numbers; pair categories independently"
        )
    return torch.cat(flat, 1).cpu().double()


def _check(x: State, z: State, cond: Cond) -> None:
    shapes = [
        {name: tuple(v.shape) for name, v in (s if isinstance(s, dict) else {"": s}).items()}
        for s in (x, z)
    ]
    if shapes[0] != shapes[1]:
        raise ShapeError(f"x and z must have the same shapes; got {shapes[0]} and {shapes[1]}")
    for name, value in (cond or {}).items():
        if value is not None and len(value) != len(lead(x)):
            raise ShapeError(
                f"condition {name!r} has {len(value)} rows for a batch of {len(lead(x))}"
            )
