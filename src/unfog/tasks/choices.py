"""A member and its options in one word: `unipc:order=4`, `karras:rho=5,sigma_min=0.01`."""

from __future__ import annotations

import json
from typing import Any

from unfog.errors import ArgumentError


def chosen(choice: str | dict[str, Any]) -> dict[str, Any]:
    """What a registry builds from: {"name": …, option: …}.

    >>> chosen("unipc:order=4")
    {'name': 'unipc', 'order': 4}
    >>> chosen("churn:base=angle,amount=10")
    {'name': 'churn', 'base': 'angle', 'amount': 10}

    Args:
        choice: a name, with options after a colon, or such a dict. Values are read as JSON, and as
            words where they are none.
    Raises: ArgumentError for an option without a value, or given twice.
    """
    if isinstance(choice, dict):
        return dict(choice)
    name, _, rest = choice.partition(":")
    found: dict[str, Any] = {"name": name}
    for part in rest.split(",") if rest else []:
        option, equals, value = part.partition("=")
        option = option.strip()
        if not equals or not value.strip() or not option or option in found:
            raise ArgumentError(
                f"{choice!r}: options are name:option=value,option=value, each once; got {part!r}"
            )
        try:
            found[option] = json.loads(value)
        except json.JSONDecodeError:
            found[option] = value.strip()
    return found
