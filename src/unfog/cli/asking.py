"""--given: a command line's conditions, as Python takes them."""

from __future__ import annotations

import json
from typing import Any

from unfog.errors import ArgumentError


def conditions(model: Any, texts: list[str], count: int) -> dict[str, Any] | None:
    """--given name=value, name>=value, name=a..b, name=a|b, mean(name)=value; name=* is every class
    in turn.

    Raises: ArgumentError for text without a sign, for a name that is there twice.
    """
    from unfog.kinds.asking import split
    from unfog.kinds.given import find
    from unfog.tasks.constrain import nameable

    if not texts:
        return None
    names = nameable(model)
    if not names:
        raise ArgumentError(f"this model was fitted without given, so it can't take {texts[0]!r}")
    asked: dict[str, Any] = {}
    for text in texts:
        key, value = split(text, names)
        if key in asked:
            raise ArgumentError(
                f"--given {key} is there twice; give one value, a range as {key}=30..40, several "
                f"as {key}=a|b, or {key}=* for all classes in turn"
            )
        found = find(key, names)
        kind = names[found].kind if found else ""
        if value == "*" and found:
            if count < 1:
                raise ArgumentError(f"{key}=* is for sample; holes have no order: say {key}=a|b")
            if kind != "level":
                raise ArgumentError(f"{key}=* runs through classes, and {key!r} is a number")
            levels = names[found].levels
            asked[key] = [levels[row % len(levels)] for row in range(count)]
        elif value.lstrip().startswith("[") or (found and kind == "other" and _array(model, found)):
            asked[key] = _parsed(key, value)
        else:
            asked[key] = value
    return asked


def _array(model: Any, name: str) -> bool:
    spec = model.borders.given.specs.get(name)
    return bool(spec and spec["type"] == "tensor")


def _parsed(name: str, value: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise ArgumentError(
            f"{name} takes a number or a JSON list of numbers; got {value!r}"
        ) from error
