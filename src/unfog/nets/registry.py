"""The registry of nets, in a leaf file so that every net can enter itself without a circle."""

from __future__ import annotations

import inspect
from typing import Any

from unfog.errors import UnknownName
from unfog.registry import Registry, unknown


class NetRegistry(Registry[type]):
    """Nets by name; `nets.make(name, **net.options)` rebuilds any of them."""

    def make(self, name: str, **options: Any) -> Any:
        """Build the net `name` with these options. Raises UnknownName for a wrong option."""
        known = [p for p in inspect.signature(self[name]).parameters if p != "self"]
        for option in options:
            if option not in known:
                raise UnknownName(unknown(f"option of net {name!r}", option, known))
        return super().make(name, **options)


nets = NetRegistry("net")
