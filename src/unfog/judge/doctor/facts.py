"""What a doctor measures of a run: plain numbers, None where something could not be measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Course:
    """How training went, from the log.

    Attributes:
        first, last: mean training loss of the first and the last lines.
        late: share of the whole fall that came in the last third of the steps.
        rising: the last loss above the lowest, as a share of the whole fall.
        skipped: updates left out since they were not finite, as a share.
    """

    first: float
    last: float
    late: float
    rising: float
    skipped: float = 0.0


@dataclass(frozen=True)
class Fit:
    """Squared errors of the restored data by noise level, from little noise to much, in units of
    the reference: the better of a Gaussian and a kernel denoiser of the training data.

    Attributes:
        train, held: of the averaged weights.     raw_train, raw_held: of the last weights.
        linear_gap: held-out over training error of the Gaussian denoiser, mean over levels.
        error: standard error of the mean over levels, of held-out items where there are some.
    """

    train: tuple[float, ...]
    held: tuple[float, ...] | None
    raw_train: tuple[float, ...] | None = None
    raw_held: tuple[float, ...] | None = None
    linear_gap: float | None = None
    error: float = 0.0


@dataclass(frozen=True)
class Scale:
    """Of the training states, in units of their overall deviation.

    Attributes:
        offset: distance of the mean from 0.     outlier: the largest share of an entry's variance
            that 1 % of the items hold.     where, item: its entry, and the item furthest out.
        source_offset, source_spread: of a further source, against the training part.
    """

    offset: float
    outlier: float
    where: str = ""
    item: int | None = None
    source_offset: float | None = None
    source_spread: float | None = None


@dataclass(frozen=True)
class Aim:
    """What the objective asks for.

    Attributes:
        densest: largest share of the expected loss that one twentieth of the drawn times has.
        at: the middle of those times.     uncovered: share of the sampling grid's range, by angle,
            where training draws no times.     left: signal to noise at t = 1.
        recipe: whose path, target, weight and times they are; None where they were put together.
    """

    densest: float
    at: float
    uncovered: float
    left: float
    recipe: str | None = None


@dataclass(frozen=True)
class Condition:
    """One condition.

    Attributes:
        says: share by which it lowers the error of simple predictions of held-out data: of a
            linear fit, or of a kernel denoiser at the noise level where it says most.
        most: the largest such share of any one entry.     entry: which.
        rise, error: of the held-out error when the condition is shuffled, at the noise level where
            it rises most, and its standard error; as shares.
        repeats: items a distinct value.     number: whether it is a real number or tensor.
        without: rise of the held-out error when the condition is left out, likewise; None where the
            net never learnt to do without it.
    """

    says: float
    most: float
    entry: str
    rise: float
    error: float
    repeats: float
    number: bool = False
    without: float | None = None


@dataclass(frozen=True)
class Drawn:
    """Samples beside data.

    Attributes:
        outside, plain_outside: share of numbers outside the data's range, at the run's scale and
            at scale 1.     spread, plain_spread: deviation of samples of one condition,
            likewise, in units of the data's.     narrow: share of entries whose samples
            hardly vary.     scale: the run's.
    """

    outside: float
    spread: float
    plain_outside: float
    plain_spread: float
    narrow: float
    scale: float = 1.0


@dataclass(frozen=True)
class Copies:
    """Held-out items that nearly repeat a training item.

    Attributes:
        share: of the held-out items.     chance: what smooth data of as many directions has.
        looked: held-out items that were looked at.
        exact: share of a further source that are training items.
    """

    share: float
    chance: float
    looked: int = 0
    exact: float = 0.0


@dataclass(frozen=True)
class Trial:
    """Short fresh trainings at other step sizes.

    Attributes:
        factors: of the run's step size.     errors: of items that they restored at the end, in
            units of the reference.     steps: updates each.
    """

    factors: tuple[float, ...]
    errors: tuple[float, ...]
    steps: int


@dataclass(frozen=True)
class More:
    """What some more updates would bring, from the run's last weights.

    Attributes:
        updates: how many were tried.     train, held: share by which they lower the error of
            training and held-out items; negative where it rises.
    """

    updates: int
    train: float
    held: float | None


@dataclass(frozen=True)
class Clock:
    """What the memorisation clock saw.

    Attributes:
        step: at which samples were first seen to copy training items; None where they never were.
        kept: the earlier step whose weights the run has for that; None where it has its last.
    """

    step: int | None
    kept: int | None = None


@dataclass(frozen=True)
class Facts:
    """Everything measured once.

    Attributes:
        usual_lr: what the kind would take for this net.     epochs: times that each item was seen.
        width: of the net, None where it has none.     entries: numbers and categories an item.
        dead: share of the entries whose answer does not depend on the state.
        spanned: directions that the answers for the other entries span, as a share of those that
            they could.
    """

    items: int
    entries: int
    steps: int
    batch: int
    lr: float
    usual_lr: float
    ema: float
    epochs: float
    parameters: int
    width: int | None
    dropout: float
    seconds: float | None = None
    course: Course | None = None
    fit: Fit | None = None
    scale: Scale | None = None
    aim: Aim | None = None
    conditions: dict[str, Condition] = field(default_factory=dict)
    drawn: Drawn | None = None
    copies: Copies | None = None
    trial: Trial | None = None
    more: More | None = None
    dead: float = 0.0
    spanned: float = 1.0
    heldout: tuple[float, ...] = ()
    clock: Clock | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Facts:
        """The inverse of `to_json`."""
        parts: dict[str, Any] = dict(told)
        for name, part in PARTS.items():
            if parts.get(name) is not None:
                parts[name] = part(**{k: _tuple(v) for k, v in parts[name].items()})
        parts["conditions"] = {n: Condition(**c) for n, c in told["conditions"].items()}
        parts["heldout"] = _tuple(told["heldout"])
        return cls(**parts)


PARTS: dict[str, Any] = {
    "course": Course,
    "fit": Fit,
    "scale": Scale,
    "aim": Aim,
    "drawn": Drawn,
    "copies": Copies,
    "trial": Trial,
    "more": More,
    "clock": Clock,
}


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
