"""How the user's data was given, as a configuration says it: checked before it is believed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

WORDS = ("type", "dtype", "tensor_dtype", "form", "key", "delimiter", "decimal")
SPEC_WORDS = ("dtype", "arrow", "zone", "python", "of", "polars", "missing", "true", "false")
DIGITS = 400  # of a number as text; a float64 has 324 after the point at most


def check_origin(origin: Mapping[str, Any]) -> None:
    """Raises ValueError for an entry of another type than `read` writes, for a dtype that is no
    number's, for sizes that would ask for much memory.
    """
    _words("the origin", origin, WORDS)
    columns = origin.get("columns", {})
    if not isinstance(columns, Mapping):
        raise ValueError(f"the origin's columns are {columns!r:.80}")
    for name, spec in columns.items():
        if not isinstance(spec, Mapping):
            raise ValueError(f"the origin's column {name!r:.80} is {spec!r:.80}")
        _words(f"the origin's column {name!r:.80}", spec, SPEC_WORDS)
        _column(name, spec)
    if "columns" not in origin and "dtype" in origin:
        _number(origin["dtype"])
    if "tensor_dtype" in origin:
        import torch

        if not isinstance(getattr(torch, origin["tensor_dtype"], None), torch.dtype):
            raise ValueError(f"{origin['tensor_dtype']!r:.80} is no type of tensors")


def _words(what: str, entries: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        value = entries.get(name)
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{what} has the {name} {value!r:.80}")


def _column(name: str, spec: Mapping[str, Any]) -> None:
    if re.search(r"\d{4}", spec.get("dtype") or ""):
        raise ValueError(f"the origin's column {name!r:.80} has the dtype {spec['dtype']!r:.80}")
    words = spec.get("categories", [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"the origin's column {name!r:.80} has the categories {words!r:.80}")
    decimals = spec.get("decimals", [0, None])
    if (
        not isinstance(decimals, list | tuple)
        or len(decimals) != 2
        or not all(d is None or (isinstance(d, int) and 0 <= d <= DIGITS) for d in decimals)
    ):
        raise ValueError(f"the origin's column {name!r:.80} has the decimals {decimals!r:.80}")


def _number(said: str) -> None:
    try:
        dtype = np.dtype(said)
    except (TypeError, ValueError, SyntaxError):
        dtype = np.dtype(object)
    if dtype.kind not in "buif" or dtype.fields:
        raise ValueError(f"the origin's dtype {said!r:.80} is no type of numbers")
