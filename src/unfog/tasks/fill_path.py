"""The path that holes are drawn along: that of training, its categories revealed late."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from unfog.maths.discrete import Masking
from unfog.maths.product import Product
from unfog.sample.reveal import revealing, reveals
from unfog.tasks.config import Config


def filling_path(config: Config, path: Product) -> Any:
    """The path with its masked holes revealed as `config.filling` says; itself where it has none.

    What the net predicts holds for any schedule, as in training every set of masked entries meets
    every noise of the numbers.
    """
    how = config.filling
    fields: dict[str, Any] = {
        name: replace(member, schedule=how.schedule) if isinstance(member, Masking) else member
        for name, member in path.fields.items()
    }
    if not any(isinstance(member, Masking) for member in fields.values()):
        return path
    return revealing(Product(fields), reveals.build(how.reveal))
