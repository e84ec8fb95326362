"""What a configuration needs for a flow map: a net that is told where it is to go."""

from __future__ import annotations

import inspect
from typing import Any

from unfog.errors import ArgumentError
from unfog.nets import nets


def takes_two(net: str) -> bool:
    """Whether a net of this name can be told two times."""
    return "two_times" in inspect.signature(nets[net]).parameters


def tell_both_times(content: dict[str, Any], settings: dict[str, Any]) -> None:
    """Tell the net of a flow map both times, in a configuration that is being resolved.

    Raises: ArgumentError for a net that can't be told, and for an objective without its recipe.
    """
    net, asked = content["net"], content["flowmap"]
    if asked is None:
        return
    if isinstance(asked, str):
        raise ArgumentError(
            f"flowmap={asked!r} chooses among the objectives of recipe flowmap, and recipe "
            f"{content['recipe']!r} has none: take --recipe flowmap with it"
        )
    if not takes_two(net["name"]):
        raise ArgumentError(
            f"recipe {content['recipe']!r} needs a net that is told two times; {net['name']!r} is "
            "told one"
        )
    if "net.two_times" not in settings:  # also where the net is another run's, which was told one
        net["two_times"] = True
