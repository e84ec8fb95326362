"""Which columns a net is told, in a configuration that is being resolved."""

from __future__ import annotations

import inspect
from typing import Any

from unfog.errors import ArgumentError
from unfog.nets import nets


def tell_known(content: dict[str, Any], settings: dict[str, Any], offered: dict[str, Any]) -> None:
    """Let the net be told which cells are known, in the share of rows that is asked for or usual.

    Raises: ArgumentError where that was asked for and kind or net can't.
    """
    if settings.get("train.calibrate") and not content["fields"]:
        raise ArgumentError(
            f"train.calibrate={settings['train.calibrate']!r} is for tables, whose columns' laws "
            "are known; leave it out"
        )
    net, asked = content["net"], "train.known" in settings
    able = bool(content["fields"]) and "known" in inspect.signature(nets[net["name"]]).parameters
    if able:
        usual = offered.get("known", 0.0) if net.get("known", True) else 0.0
        content["train"]["known"] = settings["train.known"] if asked else usual
        net.setdefault("known", content["train"]["known"] != 0)
    if not able and asked and settings["train.known"] != 0:
        raise ArgumentError(
            f"train.known={settings['train.known']!r} is for tables with the net 'table', not for "
            f"{content['kind']}s with the net {net['name']!r}; leave it out"
        )
    if able and net["known"] != (content["train"]["known"] != 0):
        raise ArgumentError(
            f"train.known={content['train']['known']!r} and net.known={net['known']!r} contradict "
            "each other; leave net.known out"
        )
