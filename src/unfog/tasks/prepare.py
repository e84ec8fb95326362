"""From a source and a few wishes to everything that training needs: splits first, then what is
fitted.
"""

from __future__ import annotations

import inspect
import math
import pathlib
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unfog.errors import ArgumentError, DataError
from unfog.kinds import kinds
from unfog.kinds.given import GivenCodec
from unfog.kinds.infer import infer
from unfog.kinds.items import Items
from unfog.kinds.splits import Splits, split
from unfog.maths.paths import Linear, paths
from unfog.maths.randomness import mix
from unfog.maths.states import State, lead
from unfog.maths.targets import targets
from unfog.model import spaces
from unfog.model.spaces.fields import Fields
from unfog.nets import nets
from unfog.nets.outline import outline
from unfog.tasks.assemble import (
    build_objective,
    build_sampling,
    build_schedule,
)
from unfog.tasks.brief import Brief, brief_of
from unfog.tasks.changes import augment_spec, augmented, crop_spec
from unfog.tasks.config import Config, FillingConfig, TrainConfig, override, resolved
from unfog.tasks.few import grant
from unfog.tasks.flowmap import tell_both_times
from unfog.tasks.reading import fitted_codec, known_reading, read
from unfog.tasks.recipes import recipes
from unfog.tasks.runfolder import Borders
from unfog.tasks.schedule import fitted_to
from unfog.tasks.settings import SAMPLED, check_settings
from unfog.tasks.stable import stabilise
from unfog.tasks.start import Start, adopt, shared_space
from unfog.tasks.stored import States, Stored, training_states
from unfog.tasks.tell import tell_known

NUMBERS = 2**27
"""That a space is fitted on at most."""


@dataclass(frozen=True)
class Prepared:
    """A configuration with the data it is for, encoded.

    Attributes:
        states: of the training items; of some, where `store` has all.
        source: the noise that belongs to each state, where a coupling is paired.     start: weights
            to begin with instead of fresh ones.
        store: all training items, where memory does not hold their states.
        brief: what a run of few updates is made with.
    """

    config: Config
    items: Items
    splits: Splits
    borders: Borders
    states: States
    source: State | None = None
    start: dict[str, Tensor] | None = None
    store: Stored | None = None
    brief: Brief | None = None

    @property
    def count(self) -> int:
        """Training items."""
        return len(lead(self.states[0])) if self.store is None else len(self.store)

    def with_config(self, config: Config) -> Prepared:
        return replace(self, config=config)


def prepare(
    source: Any,
    *,
    kind: str | None,
    given: list[str],
    recipe: str,
    batch: int | None,
    lr: float | None,
    settings: dict[str, Any],
    reading: dict[str, Any],
    seed: int,
    device: str,
    items: Items | None = None,
    held: float = 0.1,
    start: Start | None = None,
    shown: int | None = None,
) -> Prepared:
    """Read, split, fit codec, conditions and space on the training part, and resolve the
    configuration. `items`, where given, are what reading the source gave; `held` is the share of
    them that validates, and as much that tests; `start` is a run whose net and space are taken,
    where the user has not chosen others, and whose weights are to follow (`started`); `shown` is
    how many items the run can come to, at most.
    """
    check_settings(settings)
    chosen = recipes[recipe]
    name = infer(source, kind, key=reading.get("key"))
    room = kinds[name]
    known_reading(room, reading)
    if items is None:
        items = read(room, source, given, reading)
    splits = split(items, seed=seed, validation=held, test=held)
    training = items.take(splits.train)
    codec = fitted_codec(room, items, training, splits, given)
    columns = training.columns
    if items.rest is not None:
        columns = items.rest.columns(columns, given)
    cond = GivenCodec.fit(columns, given)
    fields = getattr(codec, "fields", {})
    hints = {"rings": True} if getattr(codec, "periodic", ()) else {}
    offered = room.defaults(fields or codec.state_shape, len(training), **hints)
    content = resolve(
        name,
        items,
        offered,
        chosen.over(offered),
        recipe,
        given,
        batch,
        lr,
        seed,
        device,
        source,
        reading,
    )
    if start is not None:
        free = [name for name, asked in (("lr", lr), ("batch", batch)) if asked is None]
        adopt(content, start, settings, free)
    if SAMPLED & {key.split(".")[0] for key in settings}:  # then all draws are made so
        content["plain"] = None
    content = override(content, {k: v for k, v in settings.items() if not k.startswith("net.")})
    if start is None and any(key.split(".")[0] in ("net", "space") for key in settings):
        content["reasons"] = ["net and space as asked for"]
    content["reasons"] += [*getattr(codec, "notes", []), *offered["warnings"]]
    if (
        "autoguidance" in settings
        and content["autoguidance"] != 1
        and not content["train"]["weaker"]
    ):
        raise ArgumentError(
            f"autoguidance={content['autoguidance']!r} turns away from early weights, and this run "
            "keeps none: say from when, --set train.weaker=0.2 for a fifth of the steps"
        )
    content["fields"] = fields
    content["data"]["shown"] = shown if items.rest is not None else None
    content["reasons"] += grant(content, chosen.wishes, settings, room)
    _refuse(content, recipe)
    if not any(key.split(".")[0] == "space" for key in settings):
        _keep_grid(content)
    held_out = items.take(splits.validation)
    changed = augmented(room, content["train"], seed)
    space = _space(content, codec, training, held_out, changed, start)
    if not space.lossless and len(splits.validation):
        content["reasons"].append(
            f"the {content['space']['name']} space keeps {math.prod(space.shape)} numbers an item "
            f"and loses {100 * space.error:.1f} % of the variance of held-out items"
        )
    content["shape"] = list(space.shape)
    content["sigma_data"] = space.std
    if not content["sigma_data"] > 0:
        raise DataError("all items have the same single value; there is nothing to learn")
    content = override(content, {k: v for k, v in settings.items() if k.startswith("net.")})
    _close_rings(content, codec, space)
    tell_known(content, settings, offered)
    tell_both_times(content, settings)
    stabilise(content, settings, offered)
    described: dict[str, Any] = {"fields": fields} if fields else {"shape": content["shape"]}
    target = _target(content)
    if target.parts > 1:
        described["out_channels"] = target.parts * content["shape"][0]
    specs = cond.specs | augment_spec(room, content["train"], given)
    specs |= crop_spec(content, given)
    content["net"] = _net(content["net"], described, specs)
    own = {*settings, *(f"train.{k}" for k, v in (("batch", batch), ("lr", lr)) if v is not None)}
    brief = brief_of(offered, chosen, own, content["train"]) if start is None else None
    if brief is not None:
        brief = replace(brief, net=_net(brief.net, described, specs))
    config = resolved(content)
    for build in (build_objective, build_schedule, build_sampling):
        build(config)  # a wrong name is refused now, not after the training
    borders = Borders(codec, cond, space)
    states, store, notes = training_states(items, splits, borders, shown)
    config = config.model_copy(update={"reasons": [*config.reasons, *notes]})
    config = fitted_to(config, states[0])
    return Prepared(config, items, splits, borders, states, store=store, brief=brief)


def _target(content: dict[str, Any]) -> Any:
    """The target, with what it takes from the rest of the configuration put in."""
    for name, option, value in (
        ("edm", "sigma_data", content["sigma_data"]),
        ("learned_variance", "steps", content["sampling_steps"]),
    ):
        if content["target"]["name"] == name:
            content["target"].setdefault(option, value)
    return targets.build(content["target"])


def _refuse(content: dict[str, Any], recipe: str) -> None:
    """Raises ArgumentError for a recipe that can't learn states of this form, before any work."""
    whole = content["reflow"] is not None or targets.build(content["target"]).parts > 1
    if content["fields"] and whole:
        raise ArgumentError(
            f"recipe {recipe!r} takes states of one tensor; this data has the fields "
            f"{', '.join(content['fields'])}: take recipe flow, ddpm or edm"
        )
    if content["reflow"] is not None and not isinstance(paths.build(content["path"]), Linear):
        raise ArgumentError(
            f"recipe {recipe!r} straightens the paths of a flow, so it needs path linear; got "
            f"{content['path']['name']!r}"
        )


def resolve(
    kind: str,
    items: Items,
    offered: dict[str, Any],
    chosen: dict[str, Any],
    recipe: str,
    given: list[str],
    batch: int | None,
    lr: float | None,
    seed: int,
    device: str,
    source: Any,
    reading: dict[str, Any],
) -> dict[str, Any]:
    """The configuration as a dict: the recipe's choices over the kind's, the user's over both."""
    own = offered if recipe == offered["recipe"] else {}  # a paper's system samples as it does
    own = {**own, **own.get("when_given", {})} if given else own
    named = str(pathlib.Path(source).resolve()) if isinstance(source, (str, pathlib.Path)) else None
    return {
        **Config.model_construct().model_dump(exclude_unset=False),
        "kind": kind,
        "given": given,
        "recipe": recipe,
        "seed": seed,
        "device": device,
        **chosen,
        "reveal": offered.get("reveal", {"name": "ancestral"}),
        "filling": offered.get("filling", FillingConfig().model_dump()),
        "sampling_steps": max(
            chosen["sampling_steps"],
            1 if chosen["flowmap"] else offered.get("sampling_steps", 1),
        ),
        "plain": own.get("plain"),
        "scale": own.get("scale", offered["scale"]) if given else 1.0,
        "autoguidance": own.get("autoguidance", 1.0),
        "interval": own.get("interval", (0.0, 1.0)),
        "sigma_data": 1.0,
        "shape": [],
        "train": TrainConfig.model_construct(
            **{
                "steps": 1,
                "dropout": 0.1 if given else 0.0,
                "weaker": own.get("weaker", 0.0),
                "calibrate": own.get("calibrate", 0),
                **chosen["train"],
                **({} if batch is None else {"batch": batch}),
                **({} if lr is None else {"lr": lr}),
            }
        ).model_dump(),
        "data": {
            "source": named,
            "reading": reading,
            "count": len(items if items.rest is None else items.rest),
            "item": list(items.data.shape[1:]),
            "notes": list(items.notes),
            "origin": items.origin,
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
        "reasons": [
            f"net {chosen['net']['name']} on the {chosen['space']['name']} space, by recipe"
        ]
        if chosen["net"] != offered["net"]
        else list(offered["reasons"]),
    }


def _close_rings(content: dict[str, Any], codec: Any, space: Any) -> None:
    """Tell the net which axes of the grid are closed to a ring; say so where it can't know."""
    rings = list(getattr(codec, "periodic", ()))
    if not rings:
        return
    net, grid = content["net"], content["space"]["name"] == "identity"
    if grid and "periodic" in inspect.signature(nets[net["name"]]).parameters:
        net.setdefault("periodic", rings)
    else:
        content["reasons"].append(
            f"the periodic axes make no difference to the net {net['name']!r} in the "
            f"{content['space']['name']} space; --set net=unet --set space=identity closes them"
        )


def _keep_grid(content: dict[str, Any]) -> None:
    """A net that convolves can't read principal components, which the user has not asked for."""
    if getattr(nets[content["net"]["name"]], "grid", False) and content["space"]["name"] == "pca":
        content["space"] = {"name": "identity"}


def _net(
    content: dict[str, Any], described: dict[str, Any], specs: dict[str, Any]
) -> dict[str, Any]:
    """The net's full options, as the net itself resolves them."""
    options = {k: v for k, v in content.items() if k != "name"}
    with outline():  # nothing is allocated, whatever the size
        net = nets.make(content["name"], **{**options, **described}, given=specs)
    return {"name": content["name"], **net.options}


def _space(
    content: dict[str, Any],
    codec: Any,
    training: Items,
    held: Items,
    changed: Callable[[Tensor], Tensor] | None,
    start: Start | None,
) -> Any:
    """The space, fitted on at most 20 000 training items and, where they are augmented, copies of
    them, or shared with the run to start from; its error is measured on the validation part.
    """
    name, seed = content["space"]["name"], content["seed"]
    if getattr(codec, "fields", {}):
        if name != "fields":
            raise ArgumentError(
                f"space {name!r} takes states of one tensor; this data has the fields "
                f"{', '.join(codec.fields)}: leave the space out"
            )
        return Fields()
    options = {key: value for key, value in content["space"].items() if key != "name"}
    options.setdefault("seed", seed)
    shown = codec.encode(_some(training, seed).data)
    held_out = codec.encode(_some(held, seed).data) if len(held) else None
    shown = shown if changed is None else changed(shown)
    if start is not None:
        shared = shared_space(start, content, shown, held_out)
        if shared is not None:
            return shared
    return spaces.fit(name, shown, held_out=held_out, **options)


def _some(items: Items, seed: int) -> Items:
    """At most 20 000 of the items at random, and of large ones fewer."""
    most = max(1000, min(20_000, NUMBERS // math.prod(items.data.shape[1:])))
    if len(items) <= most:
        return items
    return items.take(np.random.default_rng(mix(seed, 23)).permutation(len(items))[:most])


def reread(source: Any, config: Config, splits: Splits) -> Items:
    """A run's data, read as it was read for the run. Raises DataError if it has changed since."""
    items = read(kinds[config.kind], source, config.given, config.data.reading)
    splits.check(items)
    return items
