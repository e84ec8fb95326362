"""A watcher: a few samples now and then, judged against held-out items, with a picture of them."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from unfog.judge.sliced import sliced
from unfog.judge.states import rng
from unfog.judge.table.columns import distances
from unfog.judge.table.features import encode
from unfog.kinds import kinds
from unfog.maths.randomness import mix
from unfog.tasks.evaluate import table_roles
from unfog.tasks.generate import Samples, generate
from unfog.tasks.looking import DRAWING, SHARE, Looking
from unfog.tasks.looks import PICTURES, Seen, Sight
from unfog.tasks.prepare import Prepared

SHOWN = 36
"""Samples in a picture; of a table all rows."""
DEALS = 20
"""How often real rows are dealt for the floor of a table."""


class Quality:
    """A metric of the kind, beside what real items score: for tables the mean distance of single
    columns, for others the sliced Wasserstein distance of states.

    Samples are drawn as the run itself samples, with at most ten steps, always from the same noise
    and under the same conditions, those of held-out items: two looks differ by the weights alone.
    """

    name = "quality"

    def __init__(self, prepared: Prepared, how: Looking):
        self.prepared, self.how = prepared, how
        self.count, self.spent = 0, 0.0
        rows = np.random.default_rng(mix(prepared.config.seed, 53))
        splits = prepared.splits
        most = min(how.samples, len(splits.validation), len(splits.train))
        parts = (rows.permutation(part)[:most] for part in (splits.validation, splits.train))
        self.held, self.learnt = (prepared.items.take(np.sort(part)) for part in parts)

    def look(self, sight: Sight) -> Seen | None:
        """Draw, judge, write the picture; None at looks in between."""
        self.count += 1
        last = sight.share >= 1
        if not last and (self.count % self.how.every or self._dear()):
            return None
        begun = time.monotonic()
        drawn = self._draw(sight)
        facts = self._judged(drawn)
        picture = sight.folder / PICTURES / f"step-{sight.step}.png"
        picture.parent.mkdir(exist_ok=True)
        self._picture(drawn, picture)
        self.spent += time.monotonic() - begun
        return Seen(facts, picture=picture)

    def _dear(self) -> bool:
        """Whether another look would take more of the budget than is for it."""
        budget = self.prepared.config.train.budget
        if budget is None or self.count == self.how.every:
            return False
        return self.spent * (1 + self.how.every / self.count) > SHARE * budget

    def _draw(self, sight: Sight) -> Samples:
        p = self.prepared
        given = {n: list(v) for n, v in p.borders.given.pick(self.held.columns).items()}
        return generate(
            sight.trained,
            len(self.held),
            given=given or None,
            steps=min(DRAWING, p.config.sampling_steps),
            seed=p.config.seed,
            obeying=False,
            show=False,
        )

    def _judged(self, drawn: Samples) -> dict[str, Any]:
        config, codec = self.prepared.config, self.prepared.borders.codec
        about = {"samples": len(drawn), "sampling_steps": min(DRAWING, config.sampling_steps)}
        if config.kind == "table":
            return {"metric": "columns", **self._columns(drawn, codec), **about}
        held = codec.encode(self.held.data)
        value, floor = (
            sliced(one, held, generator=rng(config.seed, "sliced"))
            for one in (codec.encode(drawn.raw), codec.encode(self.learnt.data))
        )
        return {"metric": "sliced_wasserstein", "value": value, "floor": floor, **about}

    def _columns(self, drawn: Samples, codec: Any) -> dict[str, float]:
        """Mean distance of single columns, and that of real rows."""
        real, other = (codec.check(part.data) for part in (self.held, self.learnt))
        held, learnt, ours = encode([real, other, drawn.raw], table_roles(codec, other))
        found = distances(ours, held, learnt, seed=self.prepared.config.seed, draws=DEALS)
        return {
            "value": float(np.mean([one.value for one in found])),
            "floor": float(np.mean([one.floor for one in found])),
        }

    def _picture(self, drawn: Samples, path: Any) -> None:
        kind = kinds[self.prepared.config.kind]
        if kind.name == "table":
            kind.look(drawn.raw, path=path, beside=self.held.data)
            return
        label = next(iter(drawn.given.values()), None)
        few = label is not None and len({str(v) for v in label}) <= 32
        raw, shown = drawn.raw[:SHOWN], label[:SHOWN] if few and label is not None else None
        kind.look(raw, shown, path)

    def prefer(self) -> str | None:
        """Never: samples of ten steps are no ground to choose weights on."""
        return None

    def facts(self) -> dict[str, Any]:
        """How often it was asked to look."""
        return {"count": self.count}

    def restore(self, facts: dict[str, Any]) -> None:
        """The inverse of `facts`."""
        self.count = facts["count"]
