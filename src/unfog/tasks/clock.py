"""A watcher: the memorisation clock. Generalisation comes first and copying later; it says when."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.judge.classifier import train_judge
from unfog.judge.clock import CERTAIN, Reading, Rule, copies, nearer
from unfog.judge.copies import ENOUGH, Control, control
from unfog.judge.finders import Vectors
from unfog.judge.novelty import nearest
from unfog.judge.table.features import Rows, encode
from unfog.judge.table.finders import Records
from unfog.judge.table.records import nearer as nearer_rows
from unfog.maths.randomness import mix
from unfog.maths.shuffle import shuffled
from unfog.tasks.config import Config
from unfog.tasks.evaluate import table_roles
from unfog.tasks.generate import Samples, generate
from unfog.tasks.looks import Seen, Sight, Watcher
from unfog.tasks.prepare import Prepared

SHARE = 0.02
"""Of a run's work, what all samples of the clock may take."""
UPDATE = 200
"""An update costs about three net evaluations an item, and so many for the optimiser."""
DRAWING = 10
"""Sampling steps, at most."""
EPOCHS = 8
"""Passes over the data before the first look."""
FIRST = 8
"""Updates before the first look: 30 images on their principal components are copied after 40."""
EARLIEST = 4
"""The first look comes in the first of so many parts of the run, however many items there are."""
SHORT, BRIEF = 25, 10.0
"""Updates of a run below which it is not watched; seconds of a budget, where it does not stop."""
MOST, ROWS, SOME = 400, 2000, 64
"""Samples a look: at most, of tables at most, and at least."""
PAIRS = 20_000_000
"""Pairs of rows compared at a look."""
LONG, JUDGE = 60.0, 0.01
"""Seconds of a budget from which features are compared too; its share that the judge net takes."""
LEAST = 8
"""Training items below which no clock is kept."""
DENSE = 2 ** (1 / 6)
"""Few items: the distance of looks as a ratio."""
CALM = ((0.1, 1.9), (1 / 3, 1.35))
"""The same at least, where a smaller share of samples is nearer than half of real items come."""
FULL, PURSE = 8, 0.1
"""Few items: looks at all samples, at most, and the share of a run's work that these may take."""
RARE = 1.4
"""The distance of these as a ratio, but for looks whose first samples are a sign themselves."""


KNOWN, NUMBERS = 40_000, 2**25
"""Training rows, and numbers of training items, that samples are compared with at most."""


@dataclass(frozen=True)
class Moments:
    """When the clock looks, and at how many samples.

    Attributes:
        steps: of the looks, ascending; the last step of the run comes on top.
        pilot: samples drawn first.      more: drawn in their place where these show something.
        purse: of the latter, in all looks.     fresh: samples that an alarm must be shown by again.
    """

    steps: tuple[int, ...]
    pilot: int
    more: int = 0
    purse: int = 0
    fresh: int = MOST


def moments(config: Config, count: int, held: int | None = None) -> Moments:
    """Looks at geometric distances, as copying takes a time in proportion to the data.

    The first comes when every item was seen eight times, or after a quarter of the run; so many
    samples are drawn as a fiftieth of the run's work allows. Runs of fewer than 25 updates are not
    watched at all, and neither are runs of seconds that it would not stop.

    Few items are copied for certain, and in a short time: looks lie closer together, at few
    samples, and at more where these show something. There copying is the end of the run, so
    knowing when may take a tenth of the work.

    Args:
        count: training items.      held: validation items; as many as are enough where not given.
    """
    t = config.train
    moment = t.budget is not None and t.budget < BRIEF and not _stops(config)
    if t.steps < SHORT or moment:
        return Moments((), 0)
    begin = max(FIRST, math.ceil(min(EPOCHS * count / t.batch, t.steps / EARLIEST)))
    work = t.steps * (3 * t.batch + UPDATE) / min(DRAWING, config.sampling_steps)
    if held is not None and held < ENOUGH and held + count / 2 < CERTAIN and _stops(config):
        return Moments(
            _geometric(begin, t.steps, DENSE), SOME, MOST, int(min(FULL * MOST, PURSE * work))
        )
    most = min(ROWS, max(SOME, PAIRS // count)) if config.kind == "table" else MOST
    for ratio in (math.sqrt(2), 2.0, 4.0):
        steps = _geometric(begin, t.steps, ratio)
        samples = int(SHARE * work / (1 + sum(step < t.steps for step in steps)))
        if samples >= SOME:
            break
    return Moments(steps, min(most, max(SOME, samples)), fresh=most)


def _geometric(begin: int, steps: int, ratio: float) -> tuple[int, ...]:
    """Steps from `begin` on; a budget's steps may come out as twice as many as were planned."""
    far = max(0, math.floor(math.log(2 * steps / begin, ratio)) + 1)
    return tuple(sorted({round(begin * ratio**i) for i in range(far)}))


def _stops(config: Config) -> bool:
    return config.train.stop_at == "copying"


class Clock:
    """Are samples nearer to training items than unseen real items are? Two measures, in pixels or
    cells and, in longer runs, in judge features; see `unfog.judge.clock`.

    Samples are drawn from the same noise at every look, under the conditions of training items.
    """

    name = "clock"

    def __init__(self, prepared: Prepared, when: Moments):
        self.prepared, self.when = prepared, when
        self.stops = _stops(prepared.config)
        self.kept: int | None = None
        self.why: str | None = None
        self.purse = when.purse
        self.wait = self.again = 0.0
        self.certain = False
        self._known: Any = None

    def due(self, step: int, steps: int) -> bool:
        """At the moments planned, and at the end."""
        return step >= steps or step in self.when.steps

    def look(self, sight: Sight) -> Seen | None:
        """Draw, compare, and say whether copying has begun; passes while that is far away."""
        if sight.step < self.wait and sight.share < 1:
            return None
        readings = first = self._readings(sight)
        loud = _alarms(first)
        if loud and not self.certain and not any(first[name].cautious for name in loud):
            readings = self._fresh(sight)
            loud = _alarms(readings)
        self.certain = self.certain or bool(loud)
        quiet = all(Rule().quiet(one) for one in _counted(readings).values()) and not loud
        facts = {
            **readings["copies"].to_json(),
            "readings": _told(readings),
            "copying": loud,
            "quiet": quiet,
            **({} if readings is first else {"doubted": _told(first)}),
        }
        if quiet:
            self.kept = sight.step
        if not loud or not self.stops or self.why is not None:
            return Seen(facts, keep=quiet)
        self.why = self._said(sight.step, readings[loud[0]], loud[0])
        return Seen(facts, stop=self.why if sight.share < 1 else None)

    def _readings(self, sight: Sight) -> dict[str, Reading]:
        """Of the first samples, or of all where these show something and more may be drawn."""
        when = self.when
        looks = len(when.steps) + 1
        if self._known is None:
            known = _Cells if self.prepared.config.kind == "table" else _States
            self._known = known(self.prepared)
        readings: dict[str, Reading] = self._known.readings(
            self._draw(sight, when.pilot, 71), looks
        )
        shares = [one for one in _counted(readings).values() if one.half is not None]
        near = max((one.half or 0.0 for one in shares), default=1.0)
        calm = next((far for share, far in CALM if near < share), 0.0)
        self.wait = calm * sight.step if when.more else 0.0
        sign = any(one.rate > one.control / 2 for one in shares)
        loud = not all(Rule().quiet(one) for one in shares)
        if 0 < when.more <= self.purse and (loud or (sign and sight.step >= self.again)):
            self.purse -= when.more
            self.again = RARE * sight.step
            readings = self._known.readings(self._draw(sight, when.more, 72), looks)
        return readings

    def _fresh(self, sight: Sight) -> dict[str, Reading]:
        """Looks share their noise and their held-out items, so that one odd draw is odd in them
        all: samples of other noise, and of tables more of them, decide.
        """
        found: dict[str, Reading] = self._known.readings(self._draw(sight, self.when.fresh, 73), 1)
        return found

    def _said(self, step: int, reading: Reading, name: str) -> str:
        place = "judge features" if name.endswith("features") else "values"
        said = f"stopped at step {step}: copying began ({reading.said()}, in {place}); "
        if self.kept is None:
            return said + "no earlier look was free of it; --stop-at never to go on"
        return said + f"weights from step {self.kept} are kept; --stop-at never to go on"

    def _draw(self, sight: Sight, count: int, salt: int) -> Samples:
        p = self.prepared
        seed = mix(p.config.seed, salt)
        asked = np.random.default_rng(seed).choice(p.splits.train, count)
        given = {n: list(v) for n, v in p.borders.given.pick(p.items.columns).items()}
        return generate(
            sight.trained,
            count,
            given={n: [v[i] for i in asked] for n, v in given.items()} or None,
            scale=1.0,
            steps=min(DRAWING, p.config.sampling_steps),
            seed=seed % 2**31,
            obeying=False,
            show=False,
        )

    def prefer(self) -> str | None:
        """The weights from before copying began, where it did."""
        return self.why if self.kept is not None else None

    def facts(self) -> dict[str, Any]:
        """Which step is kept, why the run was ended, and what decides on further looks."""
        further = {
            "purse": self.purse, "wait": self.wait, "again": self.again, "certain": self.certain
        }  # fmt: skip
        return {"kept": self.kept, "why": self.why, **further}

    def restore(self, facts: dict[str, Any]) -> None:
        """The inverse of `facts`."""
        self.kept, self.why = facts["kept"], facts["why"]
        self.purse = facts.get("purse", self.purse)
        self.wait, self.again = facts.get("wait", 0.0), facts.get("again", 0.0)
        self.certain = facts.get("certain", False)


class _States:
    """Training and held-out items of a tensor's states, in values and in judge features."""

    def __init__(self, prepared: Prepared):
        p, config = prepared, prepared.config
        self.codec = p.borders.codec
        most = max(1000, NUMBERS // math.prod(p.items.data.shape[1:]))
        train = self.codec.encode(p.items.take(_distinct(p, most)).data)
        held = _held(p)
        unseen = self.codec.encode(p.items.take(held).data) if len(held) else None
        budget = config.train.budget
        self.net = None
        if budget is not None and budget >= LONG:
            self.net = train_judge(train, seed=config.seed, budget=min(20.0, JUDGE * budget))
        # samples of a lossy space lie in what training items span, where unseen ones do not
        fair = p.borders.space.lossless
        self.spaces = {"": _Space(train, unseen, fair)}
        if self.net is not None:
            seen = None if unseen is None else self.net.features(unseen)
            self.spaces["_features"] = _Space(self.net.features(train), seen, fair)

    def readings(self, drawn: Samples, looks: int) -> dict[str, Reading]:
        states = self.codec.encode(drawn.raw)
        found: dict[str, Reading] = {}
        for place, space in self.spaces.items():
            x = self.net.features(states) if place and self.net is not None else states
            found |= {f"{name}{place}": one for name, one in space.readings(x, looks).items()}
        return found


class _Space:
    """Training items, unseen ones, and the control that both make."""

    def __init__(self, train: Tensor, unseen: Tensor | None, fair: bool):
        self.finder = Vectors(train)
        self.control: Control = control(self.finder, unseen if fair else None)
        self.unseen = unseen if fair else None

    def readings(self, x: Tensor, looks: int) -> dict[str, Reading]:
        near = self.finder.near(x)
        found = {"copies": copies(near, self.control, looks)}
        if self.unseen is not None:
            train, held = self.finder.count, len(self.unseen)
            gaps, index = nearest(x, self.unseen)
            side = torch.where(near.distance == gaps[:, 0], 0.5, (near.distance < gaps[:, 0]) * 1.0)
            where = torch.where(side >= 0.5, near.index, index[:, 0] + train)
            found["nearer"] = nearer(side, where, train, held, looks)
        return found


class _Cells:
    """Training and held-out rows of a table."""

    def __init__(self, prepared: Prepared):
        p, codec = prepared, prepared.borders.codec
        self.train = codec.check(p.items.take(_some(p.splits.train, KNOWN)).data)
        self.held = codec.check(p.items.take(_held(p)).data)
        self.roles = table_roles(codec, self.train)
        rows, unseen = encode([self.train, self.held], self.roles)
        self.control = control(Records(rows), unseen)

    def readings(self, drawn: Samples, looks: int) -> dict[str, Reading]:
        parts: list[Rows] = encode([self.train, self.held, drawn.raw], self.roles)
        rows, unseen, x = parts
        found = {"copies": copies(Records(rows).near(x), self.control, looks)}
        if len(unseen):
            sides = nearer_rows(x, rows, unseen)
            side, index = torch.from_numpy(sides.near), torch.from_numpy(sides.index)
            found["nearer"] = nearer(side, index, len(rows), len(unseen), looks)
        return found


def _counted(readings: dict[str, Reading]) -> dict[str, Reading]:
    """The readings that decide. A judge net that learnt a few dozen items puts all noise near one
    of them: its features then say how unlike images samples are, and not whose copies.
    """
    return {
        name: one
        for name, one in readings.items()
        if not (one.cautious and name.endswith("features"))
    }


def _alarms(readings: dict[str, Reading]) -> list[str]:
    """The measures by which copying has begun."""
    rule = Rule(len(readings))
    return [name for name, one in _counted(readings).items() if rule.alarms(one)]


def _told(readings: dict[str, Reading]) -> dict[str, Any]:
    return {name: one.to_json() for name, one in readings.items()}


def _held(prepared: Prepared) -> np.ndarray:
    """Validation items: what the run is stopped by must not be what it is judged by."""
    return prepared.splits.validation


def _some(part: np.ndarray, most: int) -> np.ndarray:
    """At most so many of a part, at random."""
    if len(part) <= most:
        return part
    return np.sort(part[shuffled(np.arange(most), len(part), 3)])


def _distinct(prepared: Prepared, most: int) -> np.ndarray:
    """Training items without exact repeats, each of which would be a copy among the left-out; at
    most so many, at random.
    """
    seen: dict[bytes, int] = {}
    part = _some(prepared.splits.train, most)
    for place, key in zip(part, prepared.items.take(part).keys()):
        seen.setdefault(key, int(place))
    return np.array(list(seen.values()), dtype=np.int64)


def clock_of(prepared: Prepared) -> list[Watcher]:
    """The clock of a run, or none where there is too little to look at."""
    count = len(prepared.splits.train)
    when = moments(prepared.config, count, len(_held(prepared)))
    return [Clock(prepared, when)] if when.pilot and count >= LEAST else []
