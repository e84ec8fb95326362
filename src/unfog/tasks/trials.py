"""Trial updates: what every size costs here in seconds and bytes, each tried once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from unfog.errors import ResourceError
from unfog.nets.outline import outline
from unfog.tasks.assemble import build_model, build_objective
from unfog.tasks.config import Config
from unfog.tasks.learn import batches_of
from unfog.tasks.prepare import Prepared
from unfog.tasks.sizes import Size
from unfog.tasks.teach import learning
from unfog.tasks.within import LATER, SHARE, Arrangement, arrange, beyond, smaller, too_large
from unfog.train import memory
from unfog.train.batches import Batches
from unfog.train.dist import here
from unfog.train.plan import Cost, Need, cheapest, measure, need

COMPUTING = 0.7
"""Share of their time that threads compute in, below which one thread is tried at once."""


@dataclass
class Trials:
    """Measured costs by size, each tried once.

    Args:
        threads: at most, or, where `fixed`, exactly.
    """

    prepared: Prepared
    device: torch.device
    precision: str
    threads: int
    fixed: bool = False
    seconds: float = 1.0
    known: dict[str, Cost] = field(default_factory=dict)
    needs: dict[str, Need] = field(default_factory=dict)
    ways: dict[str, Arrangement] = field(default_factory=dict)
    begun: int = field(default_factory=memory.resident)
    tried: list[dict[str, Any]] = field(default_factory=list)

    def config(self, size: Size) -> Config:
        config = self.prepared.config
        made = {"batch": size.batch, **({} if size.lr is None else {"lr": size.lr})}
        train = config.train.model_copy(update=made)
        return config.model_copy(update={"net": size.net, "train": train})

    def need(self, size: Size) -> Need:
        """Memory by arithmetic. Raises ResourceError if that is more than there is."""
        key = json.dumps(size.net, sort_keys=True)
        if key not in self.needs:
            config = self.config(size)
            with outline():  # nothing is allocated
                alone = Need(memory.weights(build_model(config)), 0.0)
            free = memory.available(self.device)
            if free is not None and alone.training(1) > SHARE * free:
                raise too_large(alone.training(1), free, alone, 1)
            batches = batches_of(self.prepared.with_config(config))
            model = build_model(config).to(self.device)
            self.needs[key] = need(model, batches, build_objective(config))
        return self.needs[key]

    def check(self, size: Size) -> None:
        """Raises ResourceError where a size takes more memory than there is, before it is tried."""
        if self.prepared.config.train.memory is not None:
            self.way(size)
            return
        wanted, free = self.need(size).training(size.batch), memory.available(self.device)
        if free is not None and wanted > SHARE * free:
            raise too_large(wanted, free, self.need(size), size.batch)

    def way(self, size: Size) -> Arrangement:
        """How an update is made within the memory that is stated. Raises ResourceError."""
        limit, key = self.prepared.config.train.memory, self._key(size)
        if limit is None:
            train = self.prepared.config.train
            return Arrangement(train.micro, train.recompute)
        if key not in self.ways:
            peak = memory.peak()
            if self.device.type == "cpu" and peak > limit:
                raise beyond(limit, peak, self.need(size))
            held = self.begun + LATER
            self.ways[key] = arrange(self.need(size), size.batch, limit, held, self.device)
        return self.ways[key]

    @staticmethod
    def _key(size: Size) -> str:
        return json.dumps([size.net, size.batch], sort_keys=True)

    def fits(self, size: Size, *, whole: bool = False) -> bool:
        """True where `check` has nothing against it; with `whole`, with a batch at once."""
        try:
            self.check(size)
            if whole and self.way(size) != Arrangement():
                return False
        except ResourceError:
            return False
        return True

    def cost(self, size: Size, *, once: bool = False) -> Cost:
        """The cheapest precision and threads at this size; `once` tries only the plain ones."""
        self.check(size)

        def trial(precision: str, threads: int) -> Cost:
            return self.trial(size, precision, threads)

        if once:
            return trial("float32" if self.precision == "auto" else self.precision, self.threads)
        most = self.plain(size).threads
        return cheapest(trial, self.device, self.precision, most, fewer=not self.fixed)

    def plain(self, size: Size) -> Cost:
        """At the first precision; with one thread too where several wait for a machine that others
        use: they wait for each other then, up to forty times as long as an update takes.
        """
        cost = self.cost(size, once=True)
        if (
            self.fixed
            or self.device.type != "cpu"
            or cost.threads == 1
            or cost.computing > COMPUTING
        ):
            return cost
        alone = self.trial(size, cost.precision, 1)
        return alone if alone.seconds < cost.seconds else cost

    def trial(self, size: Size, precision: str, threads: int, compiled: str = "no") -> Cost:
        """What an update costs in this way; each is measured once."""
        key = json.dumps([size.net, size.batch, precision, threads, compiled], sort_keys=True)
        if key in self.known:
            return self.known[key]
        config = self.config(size)
        while True:
            way = self.way(size)
            cost = self.known[key] = measure(
                build_model(config).to(self.device),
                _share(batches_of(self.prepared.with_config(config))),
                learning(config, self.device),
                precision=precision,
                threads=threads,
                budget=self.seconds,
                micro=way.micro,
                recomputed=way.recomputed,
                compiled=compiled,
            )
            if not self._over(size, cost):
                break
        about = {"size": size.words, "batch": size.batch, "precision": precision}
        facts = {"threads": threads, "seconds": cost.seconds, "compiled": compiled}
        facts |= {"compiling": round(cost.compiling, 3)} if compiled != "no" else {}
        self.tried.append({**about, **facts})
        return cost

    def _over(self, size: Size, cost: Cost) -> bool:
        """Whether an update took more than is stated, so that less is to be tried at once."""
        limit = self.prepared.config.train.memory
        spare = memory.SPARE * self.need(size).weights if self.device.type == "cpu" else 0
        if limit is None or cost.peak + spare <= limit:
            return False
        less = smaller(self.way(size), size.batch)
        if less is None:
            raise beyond(limit, self.begun, self.need(size))
        self.ways[self._key(size)] = less
        return True


def _share(batches: Batches) -> Batches:
    """What this process takes of every batch, where several train together."""
    rows = here().share(batches.size)
    return replace(batches, size=rows.stop - rows.start)
