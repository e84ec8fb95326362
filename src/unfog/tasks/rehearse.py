"""What a run folder asks for, tried out before it is believed: nothing larger than its files."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules

from unfog.errors import RunError
from unfog.kinds.origin import check_origin
from unfog.model import files
from unfog.model.model import Model
from unfog.nets.outline import outline
from unfog.tasks.assemble import blank, build_model, build_sampling
from unfog.tasks.config import Config
from unfog.tasks.runfolder import Borders

MOST = 2**28
"""Numbers in one state or one condition: a gibibyte of float32."""

FOREIGN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What code raises when it is handed values that no run folder of ours would hold."""


@contextmanager
def blamed(path: pathlib.Path, what: str) -> Iterator[None]:
    """Whatever goes wrong inside is the file's fault. Raises RunError, in one line."""
    try:
        yield
    except FOREIGN as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise RunError(f"{path} describes {what}: {lines[0]}; it was altered") from error


def rehearse(
    folder: pathlib.Path, config: Config, borders: Borders, weights: dict[str, Tensor]
) -> Model:
    """The model, empty, once all parts of the folder are known to fit each other. Raises RunError.

    Sizes are compared with what the files really hold before any memory is asked for.
    """
    said = folder / "config.json"
    with blamed(said, "data that can't be"):
        _agree(said, config, borders)
        check_origin(config.data.origin)
    with blamed(said, "a model that can't be built"):
        with outline(), _at_most(len(weights), said):
            empty = build_model(config)
        files.check_fit(empty, weights, folder / "model.safetensors")
        net = build_model(config)
        build_sampling(config)  # a solver that is not there is the folder's fault, not the caller's
    with blamed(folder / "codec.json", "a codec that can't be used"):
        _round(config, borders)
    return net


def _agree(said: pathlib.Path, config: Config, borders: Borders) -> None:
    """Raise RunError unless config.json and codec.json speak of the same states and conditions."""
    shape, fields = list(borders.space.shape), dict(getattr(borders.codec, "fields", {}))
    item = config.data.item
    told = config.net.get("given", {}).items()
    given = {name: spec for name, spec in told if spec["type"] != "augment"}
    for what, one, other in (
        ("states have the shape", config.shape, shape),
        ("states have the fields", config.fields, fields),
        ("the net's states have the shape", config.net.get("shape", shape), shape),
        ("the net's states have the fields", config.net.get("fields", fields), fields),
        ("the net's conditions are", given, borders.given.specs),
        ("items have the shape", config.data.item, list(getattr(borders.codec, "shape", item))),
    ):
        if one != other:
            raise RunError(
                f"{said} says that {what} {_short(one)}, and codec.json says {_short(other)}; one "
                "of them was altered"
            )
    shapes = [config.shape, item]
    shapes += [s["shape"] for s in borders.given.specs.values() if "shape" in s]
    shapes += [[s["size"]] for s in fields.values() if "size" in s]
    for one in shapes:
        if any(side < 0 for side in one) or math.prod(one) > MOST:
            raise RunError(
                f"{said} asks for {_short(one)} numbers in one item or condition; at most {MOST} "
                "are loaded: it was altered"
            )


@contextmanager
def _at_most(count: int, said: pathlib.Path) -> Iterator[None]:
    """Stop the building of a net of many more parts than its file has tensors."""
    made = 0

    def counted(_: nn.Module, name: str, part: object) -> None:
        nonlocal made
        made += 1
        if made > 20 * count + 100:
            raise RunError(
                f"{said} describes a net of more parts than the {count} tensors of its weights; "
                "it was altered"
            )

    hooks = (
        modules.register_module_parameter_registration_hook(counted),
        modules.register_module_module_registration_hook(counted),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _round(config: Config, borders: Borders) -> None:
    """One state through every border: a codec that can't be used is refused here."""
    data = borders.codec.decode(borders.space.back(blank(config, 1)))
    if list(data.shape[1:]) != config.data.item:
        raise ValueError(f"items have the shape {list(data.shape[1:])}, not {config.data.item}")
    for name, spec in borders.given.specs.items():
        borders.given.encode(None, 1)
        if spec["type"] == "number":
            borders.given.decode({name: torch.zeros(1, spec["size"])})


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "…"
